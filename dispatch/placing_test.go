package dispatch

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func newPlacing() *placing {
	p := new(placing)
	p.init(Measured, new(atomic.Bool))
	return p
}

const us = time.Microsecond

// placed feeds a placing with turns of the given callbacks' time until it has changed its
// mind, at most so many, and returns how many it took; 0: it has not.
func placed(p *placing, now *time.Duration, most, callbacks int, own time.Duration) int {
	was := p.here.Load()
	for i := range most {
		*now += max(own, 10*us)
		p.measured(callbacks, own, *now)
		if p.here.Load() != was {
			return i + 1
		}
	}
	return 0
}

// Short callbacks come in place as soon as 16 of them were sampled, long ones never do.
func TestPlacingEnters(t *testing.T) {
	for _, x := range []struct {
		callbacks int
		own       time.Duration
		after     int
	}{
		{1, us, sampleMin},
		{1, 49 * us, sampleMin},
		{1, 51 * us, 0},
		{1, 20 * time.Millisecond, 0},
		{16, 16 * us, 1},
		{16, 801 * us, 0},
		{16, 199 * us, 1},
	} {
		now := time.Hour
		p := newPlacing()
		require.Equal(t, x.after, placed(p, &now, 1000, x.callbacks, x.own), "%+v", x)
	}
}

// In place, they leave when they get long, and come back later and later, a second at most;
// when all went well for long, soon again.
func TestPlacingLeaves(t *testing.T) {
	now := time.Hour
	p := newPlacing()
	require.Equal(t, sampleMin, placed(p, &now, 100, 1, us))
	require.Zero(t, placed(p, &now, 1000, 1, 9*us), "not long")
	var backoffs []time.Duration
	for range 9 {
		require.NotZero(t, placed(p, &now, 1000, 1, 30*us))
		left := now
		require.NotZero(t, placed(p, &now, 1_000_000, 1, us))
		backoffs = append(backoffs, (now - left).Round(10*time.Millisecond))
	}
	const ms = time.Millisecond
	require.Equal(t, []time.Duration{
		10 * ms, 20 * ms, 40 * ms, 80 * ms, 160 * ms, 320 * ms, 640 * ms, time.Second, time.Second,
	}, backoffs)
	now += 3 * time.Second
	require.NotZero(t, placed(p, &now, 1000, 1, 30*us))
	require.Equal(t, backoffMin, p.backoff)
}

// One callback of very many that takes long sends nobody away, unless such ones have most
// of the time.
func TestPlacingRareLongOnes(t *testing.T) {
	run := func(shorts int) (left bool) {
		now := time.Hour
		p := newPlacing()
		require.Equal(t, sampleMin, placed(p, &now, 100, 1, us))
		for range 20 {
			for range shorts {
				p.measured(1, us, now)
			}
			p.measured(1, 300*us, now)
			left = left || !p.here.Load()
		}
		return left
	}
	require.False(t, run(1000))
	require.True(t, run(100))

	// Many short ones in a turn are short.
	now := time.Hour
	p := newPlacing()
	require.Equal(t, 1, placed(p, &now, 100, 500, 600*us))
	require.Zero(t, placed(p, &now, 1000, 500, 600*us))
}

// What holds up its worker too often goes, whatever was measured.
func TestPlacingStays(t *testing.T) {
	for per, leaves := range map[int]bool{2: true, 6: true, 9: false, 64: false} {
		now := time.Hour
		p := newPlacing()
		placed(p, &now, 100, 1, us)
		for i := range 1000 {
			p.begun()
			if i%per == 0 {
				p.stayed(now)
			}
		}
		require.Equal(t, leaves, !p.here.Load(), "one of %d", per)
	}
}

// What counts is the time that is the callbacks' own.
func TestOwnTime(t *testing.T) {
	for _, x := range []struct {
		what          string
		took          time.Duration
		before, after Usage
		own           time.Duration
	}{
		{"short", 40 * us, Usage{1, 0, 0}, Usage{1, us, 1}, 40 * us},
		{"it ran", 300 * us, Usage{1, 0, 0}, Usage{1, 300 * us, 0}, 300 * us},
		{"it waited", 300 * us, Usage{1, 0, 0}, Usage{1, 10 * us, 0}, 300 * us},
		{"another thread ran", 3000 * us, Usage{1, 0, 0}, Usage{1, 20 * us, 1}, 20 * us},
		{"it waited, and goes on elsewhere", 300 * us, Usage{1, 0, 0}, Usage{2, 900 * us, 7}, 300 * us},
		{"nothing is known", 300 * us, Usage{}, Usage{}, 300 * us},
	} {
		now, used := time.Hour, x.before
		q := New(Config{
			Executor: new(Inline), Handler: handlerFunc(func(*Item) Outcome { return Handled }),
			Clock: func() time.Duration { return now }, Usage: func() Usage { return used }, InPlace: Measured,
		})
		d := &drainer{q: q}
		d.sample.on = true
		d.sampleBegin()
		now, used = now+x.took, x.after
		d.sampleEnd()
		require.Equal(t, x.own, d.sample.own, x.what)
	}
}

// The samples of the pool bring the callbacks of a queue in place, and those in place keep
// them there, or send them back.
func TestPlacingOfAQueue(t *testing.T) {
	s := newStage(Config{InPlace: Measured})
	for n := 0; !s.q.Stats().InPlaceNow; n++ {
		require.Less(t, n, 2*sampleMin)
		s.receive(t, 1, 127, 1)
		s.endAll()
	}
	s.atPlace = func() ending { s.now += 100 * us; return returns }
	for n := 0; s.q.Stats().InPlaceNow; n++ {
		require.Less(t, n, 2*sampleMin)
		s.receive(t, 1, 127, 1)
	}
	require.Empty(t, s.jobs)
	s.receive(t, 1, 127, 1)
	require.Len(t, s.jobs, 1, "on the pool")
	s.begun = nil
	s.over(t)
}

// A turn whose goroutine was ended says nothing of how long callbacks take.
func TestPlacingIgnoresGoexit(t *testing.T) {
	s := newStage(Config{InPlace: Measured})
	s.fill(t, 1)
	s.settle()
	s.now += time.Second
	s.end(1, returns)
	before := s.q.placing.sampled
	require.Equal(t, sums{callbacks: 1, total: sampleCut, long: sampleCut, longs: 1}, before)
	s.fill(t, 1)
	s.settle()
	s.end(1, goexit)
	require.Equal(t, before, s.q.placing.sampled)
	s.begun = nil
	s.over(t)
}
