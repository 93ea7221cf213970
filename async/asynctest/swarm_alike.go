package asynctest

import (
	"math/rand/v2"
	"time"

	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// swarmAlike makes all messages of a system equally long: then a receiver takes those
// that arrive as a whole at a stroke, and faults aim at just these. It has a generator
// of its own.
type swarmAlike struct {
	rnd  *rand.Rand
	size int // 0: they are not
}

// draw decides whether a system has messages of one size: one in five has.
func (a *swarmAlike) draw(seed uint64) {
	a.rnd = newRand(seed, 79)
	if a.rnd.IntN(5) == 0 {
		a.size = []int{1, 60, 500, 1500}[a.rnd.IntN(4)]
	}
}

// flipAlike inverts a bit of a message that is sent as a whole, and has the same
// preamble as the one before: in its header, in the header's crc, or behind that.
func (s *swarm) flipAlike(d time.Duration) {
	rnd := s.alike.rnd
	s.addFor(d, "flip a whole message", simnet.Once(func(p *simnet.Packet) simnet.Verdict {
		if len(s.tap.alike) == 0 || p.Kind != simnet.Data {
			return simnet.Pass()
		}
		m := s.tap.alike[rnd.IntN(len(s.tap.alike))]
		from, to := m.from+frame.PreambleLen, m.to
		switch body := from + frame.HeaderLen + 4; rnd.IntN(3) {
		case 0:
			to = body - 4
		case 1:
			from = body
		}
		return simnet.Flip(8*from + rnd.IntN(8*(to-from)))
	}), s.all()...)
}
