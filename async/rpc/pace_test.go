package rpc

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// line is a link of so many bytes a second behind a queue, and what the way takes besides, both ways together.
type line struct {
	rate   float64
	way    time.Duration
	noise  func() time.Duration // what a chunk takes longer at its receiver
	reader time.Duration        // what reading a chunk takes, one after the other

	now, free, read time.Duration
	events          []arrival // what is read, in that order
	waited          []time.Duration
	bytes           int64
}

type arrival struct {
	at   time.Duration
	cost int64
}

// run sends with p for d.
func (l *line) run(p *pace, d time.Duration) {
	for end := l.now + d; l.now < end; {
		for size := int64(p.chunk()); p.admits(size + chunkCost); size = int64(p.chunk()) {
			p.send(size+chunkCost, l.now)
			begin := max(l.now, l.free)
			l.waited = append(l.waited, begin-l.now)
			l.free = begin + time.Duration(float64(size)/l.rate*1e9)
			at := l.free + l.way
			if l.noise != nil {
				at += l.noise()
			}
			at = max(at, l.read) + l.reader // in order
			l.read = at
			l.events = append(l.events, arrival{at, size + chunkCost})
			l.bytes += size
		}
		e := l.events[0]
		l.events = l.events[1:]
		l.now = e.at
		p.read(e.cost, l.now)
	}
}

// measure returns how much of the line is used, and for how long a chunk waits before it, on average.
func (l *line) measure(p *pace, d time.Duration) (used float64, waits time.Duration) {
	l.waited, l.bytes = nil, 0
	l.run(p, d)
	for _, w := range l.waited {
		waits += w
	}
	return float64(l.bytes) / d.Seconds() / l.rate, waits / time.Duration(len(l.waited))
}

// TestPace: short and long lines are used, and nothing waits for long before them.
func TestPace(t *testing.T) {
	const mbit = 1e6 / 8
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	sometimes := func() time.Duration { // a processor that is busy
		if rng.IntN(3) == 0 {
			return time.Duration(rng.IntN(5000)) * time.Microsecond
		}
		return 0
	}
	for _, tc := range []struct {
		what  string
		l     line
		used  float64 // at least
		waits time.Duration
	}{
		{"100 Mbit/s", line{rate: 100 * mbit, way: 200 * time.Microsecond}, 0.95, 1500 * time.Microsecond},
		{"1 Gbit/s", line{rate: 1000 * mbit, way: 200 * time.Microsecond}, 0.95, 1500 * time.Microsecond},
		{"10 Gbit/s", line{rate: 10000 * mbit, way: 50 * time.Microsecond}, 0.95, time.Millisecond},
		{"10 Mbit/s", line{rate: 10 * mbit, way: time.Millisecond}, 0.95, 15 * time.Millisecond}, // the least window
		{"100 Mbit/s, far", line{rate: 100 * mbit, way: 20 * time.Millisecond}, 0.75, 3 * time.Millisecond},
		{"1 Gbit/s, very far: a window each 100 ms", line{rate: 1000 * mbit, way: 100 * time.Millisecond},
			0.85 * bodyWindow / (0.1 * 1000 * mbit), time.Millisecond},
		{"1 Gbit/s, busy", line{rate: 1000 * mbit, way: 200 * time.Microsecond, noise: sometimes},
			0.1, 2 * time.Millisecond},
		{"a slow reader", line{rate: 1000 * mbit, way: 200 * time.Microsecond, reader: time.Millisecond},
			0.03, time.Millisecond},
	} {
		p := newPace()
		tc.l.run(p, time.Second) // and more
		used, waits := tc.l.measure(p, 4*time.Second)
		t.Logf("%s: used %.2f, waits %v, window %d", tc.what, used, waits, p.window)
		require.GreaterOrEqual(t, used, tc.used, tc.what)
		require.LessOrEqual(t, waits, tc.waits, tc.what)
		require.LessOrEqual(t, p.under, max(p.window, 2*paceMin), tc.what)
	}
}

// TestPaceFollowsTheLine: a line that gets slower, and as fast again.
func TestPaceFollowsTheLine(t *testing.T) {
	const mbit = 1e6 / 8
	l := &line{rate: 1000 * mbit, way: 200 * time.Microsecond}
	p := newPace()
	for range 3 {
		for _, rate := range []float64{1000 * mbit, 50 * mbit} {
			l.rate = rate
			l.run(p, time.Second)
			used, waits := l.measure(p, time.Second)
			require.GreaterOrEqual(t, used, 0.95, "rate %v", rate)
			require.LessOrEqual(t, waits, 3*time.Millisecond, "rate %v", rate)
		}
	}
}

// TestPaceForgets: a line that becomes longer is used again after some minutes; one that stays as it is does
// not seem to become longer by what waits in it.
func TestPaceForgets(t *testing.T) {
	const mbit = 1e6 / 8
	l := &line{rate: 50 * mbit, way: 200 * time.Microsecond}
	p := newPace()
	_, before := l.measure(p, 50*time.Second)
	l.run(p, 3*paceMinutes*time.Minute)
	used, waits := l.measure(p, time.Minute)
	t.Logf("used %.2f, waits %v, in the first minute %v", used, waits, before)
	require.GreaterOrEqual(t, used, 0.95)
	require.Less(t, waits, before*6/5)

	l.way = 40 * time.Millisecond
	used, _ = l.measure(p, time.Minute)
	require.Less(t, used, 0.2, "it looks as if chunks waited")
	l.run(p, paceMinutes*time.Minute)
	used, waits = l.measure(p, time.Minute)
	require.GreaterOrEqual(t, used, 0.75)
	require.LessOrEqual(t, waits, 6*time.Millisecond)
}

// TestPaceOfNonsense: a peer that has read more than was sent, or nothing.
func TestPaceOfNonsense(t *testing.T) {
	p := newPace()
	for _, k := range []int64{0, 1, 1 << 40} {
		p.read(k, 0)
		require.Zero(t, p.samples)
	}
	p.send(1000, time.Second)
	p.read(1<<40, 0) // and the clock goes back
	require.Equal(t, 1, p.samples)
	require.LessOrEqual(t, p.window, int64(bodyWindow))
	require.Zero(t, p.under)
	require.True(t, p.admits(1<<40), "one chunk is always admitted")
}
