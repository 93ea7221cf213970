package connection

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// ErrInjected is why a transport was lost that an Injector cut.
var ErrInjected = errors.New("connection: cut on purpose")

// Injector breaks the connections of a messenger on purpose, as options of Ceph do (ms_inject_...), for
// tests of what is built on them. All is off at the beginning. Any goroutine.
type Injector struct {
	rand func() uint64

	socketFailures, congestion atomic.Uint64
	blackhole, delayTypes      atomic.Uint64 // bits of types of peers
	delayMessages              atomic.Uint32 // a message type; 0: all
	delayChance                atomic.Uint64 // bits of a float64
	delayMax                   atomic.Int64

	cuts, congested, swallowed, delayed SharedCounter
}

// Injected is what an Injector does, and has done.
type Injected struct {
	// SocketFailures N: each read and each write loses the transport with a chance of 1/N;
	// 0: never.
	SocketFailures uint64
	// Congestion N: each write but one in N finds the socket full, by chance; 0 and 1: none does.
	Congestion uint64
	// Blackhole are the types of peers whose messages are dropped, and those for them too, as
	// if they had been sent well.
	Blackhole []entity.Type
	// DelayTypes are the types of peers whose messages are dispatched late: of those of type
	// DelayMessages, 0 for all, each with a chance of DelayProbability, by up to DelayMax. What
	// the peer sends behind it waits too.
	DelayTypes       []entity.Type
	DelayMessages    uint16
	DelayProbability float64
	DelayMax         time.Duration

	// Cuts are transports that were lost, Congested writes that found no room, Swallowed
	// messages that were dropped, Delayed those that were delayed.
	Cuts, Congested, Swallowed, Delayed uint64
}

// NewInjector returns one that does nothing yet; rand gives its chances.
func NewInjector(rand func() uint64) *Injector {
	x := &Injector{rand: rand}
	x.delayMax.Store(int64(time.Second))
	return x
}

// delayLongest bounds DelayMax: what is delayed holds memory and room in throttles.
const delayLongest = time.Minute

// Set has it do what in says, from now on. Numbers of what was done are not looked at. It
// fails, and changes nothing, for a probability that is not of [0, 1], a delay that is negative or
// longer than a minute, and types of peers that do not exist.
func (x *Injector) Set(in Injected) error {
	blackhole, ok1 := typeBits(in.Blackhole)
	delay, ok2 := typeBits(in.DelayTypes)
	switch {
	case !ok1 || !ok2:
		return fmt.Errorf("connection: no such type of peers in %v, %v", in.Blackhole, in.DelayTypes)
	case !(in.DelayProbability >= 0 && in.DelayProbability <= 1):
		return fmt.Errorf("connection: a probability of %v", in.DelayProbability)
	case in.DelayMax < 0 || in.DelayMax > delayLongest:
		return fmt.Errorf("connection: a delay of %v, at most %v", in.DelayMax, delayLongest)
	}
	x.socketFailures.Store(in.SocketFailures)
	x.congestion.Store(in.Congestion)
	x.blackhole.Store(blackhole)
	x.delayTypes.Store(delay)
	x.delayMessages.Store(uint32(in.DelayMessages))
	x.delayChance.Store(math.Float64bits(in.DelayProbability))
	x.delayMax.Store(int64(in.DelayMax))
	return nil
}

// Look is what it does, and has done.
func (x *Injector) Look() Injected {
	return Injected{
		SocketFailures: x.socketFailures.Load(), Congestion: x.congestion.Load(),
		Blackhole: typesOf(x.blackhole.Load()), DelayTypes: typesOf(x.delayTypes.Load()),
		DelayMessages: uint16(x.delayMessages.Load()), DelayMax: time.Duration(x.delayMax.Load()),
		DelayProbability: math.Float64frombits(x.delayChance.Load()),
		Cuts:             x.cuts.Load(), Congested: x.congested.Load(),
		Swallowed: x.swallowed.Load(), Delayed: x.delayed.Load(),
	}
}

// Cut makes c lose its transport, as if the network had failed. It says whether c is a connection
// of this messenger over a network; one that has no transport now loses none. Any goroutine.
func (x *Injector) Cut(c msg.Connection) bool {
	of, ok := c.(*Conn)
	if x == nil || !ok || of.sh.Inject != x {
		return false
	}
	x.cuts.Add(1)
	of.Fault(ErrInjected)
	return true
}

// typeBits has one bit for each type.
func typeBits(types []entity.Type) (set uint64, ok bool) {
	for _, t := range types {
		if t == 0 || t >= 64 {
			return 0, false
		}
		set |= 1 << t
	}
	return set, true
}

func typesOf(set uint64) (types []entity.Type) {
	for ; set != 0; set &= set - 1 {
		types = append(types, entity.Type(bits.TrailingZeros64(set)))
	}
	return types
}

func has(set uint64, t entity.Type) bool { return set != 0 && t < 64 && set>>t&1 != 0 }

// cut says whether the transport is to be lost now.
func (x *Injector) cut() bool {
	if x == nil {
		return false
	}
	n := x.socketFailures.Load()
	if n == 0 || x.rand()%n != 0 {
		return false
	}
	x.cuts.Add(1)
	return true
}

// jam says whether the socket is to be full now.
func (x *Injector) jam() bool {
	if x == nil {
		return false
	}
	n := x.congestion.Load()
	if n <= 1 || x.rand()%n == 0 {
		return false
	}
	x.congested.Add(1)
	return true
}

// swallows says whether anything that is sent to t or comes from there may be swallowed.
func (x *Injector) swallows(t entity.Type) bool { return has(x.blackhole.Load(), t) }

// Swallow says whether a message that is sent to t or comes from there is to be dropped, and
// counts it.
func (x *Injector) Swallow(t entity.Type) bool {
	if !x.swallows(t) {
		return false
	}
	x.swallowed.Add(1)
	return true
}

// Delay is for how long a message of that type, which came from a peer of type t, is to be
// delayed; 0: not at all. A nil Injector delays nothing.
func (x *Injector) Delay(t entity.Type, message uint16) time.Duration {
	if x == nil || !has(x.delayTypes.Load(), t) {
		return 0
	}
	if only := x.delayMessages.Load(); only != 0 && only != uint32(message) {
		return 0
	}
	const unit = 1 << 53
	if float64(x.rand()%unit)/unit >= math.Float64frombits(x.delayChance.Load()) {
		return 0
	}
	x.delayed.Add(1)
	return time.Duration(float64(x.rand()%unit) / unit * float64(x.delayMax.Load()))
}
