package asynctest

import (
	"math/rand/v2"
	"time"
)

// swarmClocks makes clocks wrong. It has a generator of its own: the rest of a system
// is the same with it and without.
type swarmClocks struct {
	rnd   *rand.Rand
	wrong bool
}

const (
	// slowestClock is how much longer at most something takes that a node waits for by
	// its own clock.
	slowestClock = 2
	// fastestClock is how much sooner at most it comes.
	fastestClock = 2
	// usualDrift bounds what clocks gain or lose in a second that are as they should be.
	usualDrift = 200 * time.Microsecond
)

// draw decides whether a system has wrong clocks: one in four has.
func (k *swarmClocks) draw(seed uint64) {
	k.rnd = newRand(seed, 78)
	k.wrong = k.rnd.IntN(4) == 0
}

// drift is what a clock gains each second: most often little, sometimes as much as
// makes it go at half the true speed, or at twice that.
func (k *swarmClocks) drift() time.Duration {
	switch k.rnd.IntN(5) {
	case 0:
		return 0
	case 1:
		return -time.Duration(k.rnd.Int64N(int64(time.Second - time.Second/slowestClock)))
	case 2:
		return time.Duration(k.rnd.Int64N(int64((fastestClock - 1) * time.Second)))
	}
	return time.Duration(k.rnd.Int64N(int64(2*usualDrift))) - usualDrift
}

// skew is by how much the time of day is wrong: not at all, by seconds, or by a year.
func (k *swarmClocks) skew() time.Duration {
	const year = 365 * 24 * time.Hour
	return []time.Duration{0, 0, -3 * time.Second, 3 * time.Second, -year, year}[k.rnd.IntN(6)]
}

// startClocks sets the clocks of all hosts at the beginning.
func (s *swarm) startClocks() {
	for _, n := range s.Nodes {
		n.Host.SetClock(s.clocks.skew(), s.clocks.drift())
	}
}

// breakClock has the clock of a node jump, and run at another rate. That lasts.
func (s *swarm) breakClock() {
	i := s.clocks.rnd.IntN(s.nodes)
	s.strike("clock", i)
	s.Nodes[i].Host.SetClock(s.clocks.skew(), s.clocks.drift())
}
