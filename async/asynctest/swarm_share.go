package asynctest

import "github.com/asyncmsgr/asyncmsgr/async/msg"

// swarmShare is what each connection of a system may have in dispatch. It has a generator of
// its own.
type swarmShare struct {
	messages int
	bytes    int64
}

// draw decides whether a system has other bounds than the default: one in two has.
func (x *swarmShare) draw(seed uint64) {
	rnd := newRand(seed, 83)
	switch rnd.IntN(6) {
	case 0:
		x.messages = 1 + rnd.IntN(4)
	case 1:
		x.bytes = 1 + rnd.Int64N(3000)
	case 2:
		x.messages, x.bytes = 1+rnd.IntN(10), 1+rnd.Int64N(3000)
	}
}

// set makes it those of a policy.
func (x *swarmShare) set(p *msg.Policy) {
	p.ConnThrottleMessages, p.ConnThrottleBytes = x.messages, x.bytes
}
