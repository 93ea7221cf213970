package simnet

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/require"
)

type alarm struct{ at []time.Duration }

func (a *alarm) HandleTimer(now time.Duration) { a.at = append(a.at, now) }

// A clock that gains fires its timers early, by true time, and on time by its own.
func TestClockDrift(t *testing.T) {
	for _, drift := range []time.Duration{0, time.Millisecond, -time.Millisecond, minDrift, maxDrift, 1, -1} {
		n := New(1, Config{Smooth: true})
		h := n.AddHost("a", HostConfig{ClockDrift: drift})
		w := h.Worker(0)
		var a alarm
		var timer eventloop.Timer
		timer.Init(&a)
		var fired time.Duration
		require.NoError(t, w.Post(eventloop.TaskFunc(func() { w.SetTimer(&timer, 10*time.Second) })))
		require.NoError(t, n.RunUntil(func() bool { return len(a.at) > 0 }, time.Hour))
		fired = n.Now()
		require.GreaterOrEqual(t, a.at[0], 10*time.Second)
		require.InDelta(t, 10/(1+drift.Seconds()), fired.Seconds(), 1e-6, "drift %v", drift)
	}
}

// global is the inverse of local, for all rates.
func TestClockInverse(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	n := New(1, Config{})
	h := n.AddHost("a", HostConfig{})
	for range 1000 {
		n.now.Add(rnd.Int64N(int64(time.Hour)))
		drift := minDrift + time.Duration(rnd.Int64N(int64(maxDrift-minDrift+1)))
		if rnd.IntN(2) == 0 {
			drift = time.Duration(rnd.IntN(2001) - 1000)
		}
		before := h.clock.Now()
		h.SetClock(0, drift)
		require.Equal(t, before, h.clock.Now(), "the monotonic clock does not jump")
		for range 10 {
			local := before + 1 + time.Duration(rnd.Int64N(1<<uint(10+rnd.IntN(41))))
			at := h.clock.global(local)
			require.GreaterOrEqual(t, h.clock.local(at), local, "drift %v", drift)
			require.Less(t, h.clock.local(at-1), local, "drift %v", drift)
		}
	}
	require.Equal(t, time.Duration(1<<63-1), h.clock.global(1<<63-1))
}

func TestClockSkewAndDriftAtRunTime(t *testing.T) {
	n := New(1, Config{})
	a, b := n.AddHost("a", HostConfig{ClockSkew: -time.Hour}), n.AddHost("b", HostConfig{})
	require.Equal(t, -time.Hour, a.Clock().Wall().Sub(b.Clock().Wall()))
	require.NoError(t, n.Run(time.Minute))
	a.SetClock(365*24*time.Hour, 0)
	require.Equal(t, 365*24*time.Hour, a.Clock().Wall().Sub(b.Clock().Wall()))
	require.Equal(t, a.Clock().Now(), b.Clock().Now())
	a.SetClock(0, 100*time.Millisecond)
	require.NoError(t, n.Run(10*time.Second))
	require.Equal(t, time.Second, a.Clock().Now()-b.Clock().Now())
	require.Equal(t, time.Second, a.Clock().Wall().Sub(b.Clock().Wall()))
	a.Crash()
	a = a.Restart()
	require.Equal(t, time.Second, a.Clock().Now()-b.Clock().Now(), "the clock is the machine's")
	require.Panics(t, func() { a.SetClock(0, -time.Second) })

	// A timer armed before the clock began to run fast.
	var got alarm
	var timer eventloop.Timer
	timer.Init(&got)
	start, w := n.Now(), b.Worker(0)
	require.NoError(t, w.Post(eventloop.TaskFunc(func() { w.SetTimer(&timer, w.Now()+100*time.Second) })))
	require.NoError(t, n.Run(time.Second))
	b.SetClock(0, 9*time.Second)
	require.NoError(t, n.RunUntil(func() bool { return len(got.at) > 0 }, time.Hour))
	require.InDelta(t, 1+99.0/10, (n.Now() - start).Seconds(), 1e-3)
}

// A process that is stopped: the kernel takes what fits, nothing runs.
func TestPause(t *testing.T) {
	l := newLab(t, 1, Config{Window: 1000})
	c, s := l.pair()
	l.b.Pause()
	l.b.Pause()
	ran := false
	require.NoError(t, l.b.Submit(func() { ran = true }))
	s.do(func() { ran = true })
	c.send(string(make([]byte, 5000)))
	require.NoError(t, l.net.Run(time.Minute))
	require.Empty(t, s.got)
	require.False(t, ran)
	require.Len(t, c.out, 4000)
	require.Contains(t, l.net.Netstat(), "PAUSED")
	l.b.Resume()
	l.b.Resume()
	l.until(func() bool { return ran && len(s.got) == 5000 })
}

// Between the rounds of a worker a timer can be armed, too.
func TestTimerFromAfter(t *testing.T) {
	n := New(1, Config{})
	w := n.AddHost("a", HostConfig{}).Worker(0)
	var a alarm
	var timer eventloop.Timer
	timer.Init(&a)
	n.After(time.Second, func() { w.SetTimer(&timer, 2*time.Second) })
	require.NoError(t, n.Run(time.Minute))
	require.Len(t, a.at, 1)
	require.Less(t, a.at[0], 3*time.Second)
}

// A clock that is ahead of the network's, or behind it, does not make its host's
// writes wait: rounds begin by true time.
func TestClockDriftDoesNotDelayWrites(t *testing.T) {
	for _, drift := range []time.Duration{maxDrift, minDrift} {
		l := newLab(t, 1, Config{})
		c, s := l.pair()
		l.a.SetClock(0, drift)
		require.NoError(t, l.net.Run(time.Minute))
		start := l.net.Now()
		l.net.After(0, func() { // between the rounds of the worker
			c.out = []byte("now")
			c.t.WantFlush()
		})
		l.until(func() bool { return string(s.got) == "now" })
		require.Less(t, l.net.Now()-start, time.Second, "drift %v", drift)
	}
}
