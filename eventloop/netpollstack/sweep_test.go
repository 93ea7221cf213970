//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// handClock is moved by the test.
type handClock struct{ now time.Duration }

func (c *handClock) Now() time.Duration { return c.now }
func (c *handClock) Wall() time.Time    { return time.Unix(0, int64(c.now)) }

// timerAt arms a timer of w that calls f with what HandleTimer is given.
func timerAt(w *worker, at time.Duration, f func(now time.Duration)) *eventloop.Timer {
	t := &eventloop.Timer{}
	t.Init(nowFunc(f))
	w.SetTimer(t, at)
	return t
}

type nowFunc func(now time.Duration)

func (f nowFunc) HandleTimer(now time.Duration) { f(now) }

// callsOn is a handler that calls f with what.
func callsOn(what string, f func(what string)) eventloop.Handler {
	return told{newIdle(), func() { f(what) }}
}

type told struct {
	*idle
	f func()
}

func (h told) HandleFlush()       { h.f() }
func (h told) HandleClosed(error) { h.f() }

// writable makes a transport of w that asks for a flush.
func writable(t testing.TB, w *worker, h eventloop.Handler) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fds[1]) })
	w.adopt(fds[0], netip.AddrPort{}, netip.AddrPort{}, 0, h).WantFlush()
}

// What follows in a round on a callback that has held it up sees the time after it.
// Otherwise the time does not move.
func TestNowAfterHoldUp(t *testing.T) {
	const long, short = 600 * time.Millisecond, tickMin / 100
	for _, slow := range []string{"", "failure", "event", "timer", "task", "flush"} {
		t.Run(slow, func(t *testing.T) {
			clock := &handClock{now: time.Second}
			w := handWorker(t, clock)
			start, want := w.Now(), time.Duration(0)
			calls := 0
			called := func(what string) {
				calls++
				assert.GreaterOrEqual(t, w.Now()-start, want, what)
				assert.Less(t, w.Now()-start, want+tickMin, what)
				before := w.Now()
				if what == slow {
					clock.now += long
					want += long
				}
				clock.now += short
				assert.Equal(t, before, w.Now(), "Now moved within a callback")
			}
			for range 2 {
				w.Dial(netip.AddrPort{}, eventloop.DialConfig{}, callsOn("failure", called))
				newEdge(t, w, func() { called("event") }).trigger()
				timerAt(w, start, func(now time.Duration) {
					assert.LessOrEqual(t, now, w.Now())
					called("timer")
				})
				require.NoError(t, w.Post(eventloop.TaskFunc(func() { called("task") })))
				writable(t, w, callsOn("flush", called))
			}
			accept(t, w)
			accept(t, w)
			require.Equal(t, 10, calls)
		})
	}
}

// A deadline is not believed before the sockets were looked at after it had passed.
func TestTimersFireByTheLook(t *testing.T) {
	const late = heldUp / 2 // not enough to count as held up
	clock := &handClock{now: time.Second}
	w := handWorker(t, clock)
	start := w.Now()
	var fired []time.Duration
	newEdge(t, w, func() { clock.now += late }).trigger()
	for _, d := range []time.Duration{0, 1, late, late + 1} {
		timerAt(w, start+d, func(now time.Duration) { fired = append(fired, now-start) })
	}
	require.True(t, w.round())
	require.Equal(t, []time.Duration{0}, fired)
	require.Equal(t, start+late, w.Now())
	w.round()
	require.Equal(t, []time.Duration{0, late, late}, fired)
}

// A worker that was held up looks into all its sockets once more, after the others on
// its poller had their turn, before it believes any deadline.
func TestTimersWaitAfterHoldUp(t *testing.T) {
	setup := func(t *testing.T) (w *worker, clock *handClock, heard *edge, log *string) {
		clock = &handClock{now: time.Second}
		w, log = handWorker(t, clock), new(string)
		// A sign of life moves the deadline.
		deadline := timerAt(w, w.Now()+heldUp/2, func(time.Duration) { *log += "deadline " })
		heard = newEdge(t, w, func() {
			*log += "heard "
			w.SetTimer(deadline, w.Now()+time.Hour)
		})
		accept(t, w)
		return w, clock, heard, log
	}
	// The peer is a worker on the same poller, and could not write before.
	finish := func(t *testing.T, w *worker, heard *edge, log *string) {
		require.True(t, w.lookFor(0), "nobody would call Accept again")
		require.Empty(t, *log)
		heard.trigger()
		accept(t, w)
		require.Equal(t, "heard ", *log)
		require.True(t, w.asleep.Load())
	}
	t.Run("in the poller", func(t *testing.T) { // SIGSTOP
		w, clock, heard, log := setup(t)
		clock.now += 10 * heldUp
		w.kick()
		accept(t, w)
		finish(t, w, heard, log)
	})
	for _, at := range []string{"event", "task", "flush"} {
		t.Run("by a callback, "+at, func(t *testing.T) {
			w, clock, heard, log := setup(t)
			hold := func() { clock.now += 10 * heldUp }
			switch at {
			case "event":
				clock.now += heldUp / 2 // the deadline has passed before the look
				newEdge(t, w, hold).trigger()
			case "task":
				require.NoError(t, w.Post(eventloop.TaskFunc(hold)))
			case "flush":
				writable(t, w, told{newIdle(), hold})
				w.kick()
			}
			accept(t, w)
			finish(t, w, heard, log)
		})
	}
	t.Run("not held up", func(t *testing.T) {
		w, clock, _, log := setup(t)
		clock.now += heldUp / 2
		w.kick()
		accept(t, w)
		require.Equal(t, "deadline ", *log)
	})
	t.Run("asleep without a deadline", func(t *testing.T) {
		clock := &handClock{now: time.Second}
		w := handWorker(t, clock)
		clock.now += time.Hour
		fired := false
		require.NoError(t, w.Post(eventloop.TaskFunc(func() {
			timerAt(w, w.Now(), func(time.Duration) { fired = true })
		})))
		accept(t, w)
		require.True(t, fired)
	})
	t.Run("lent meanwhile", func(t *testing.T) {
		w, clock, heard, log := setup(t)
		require.True(t, w.Lend(eventloop.TaskFunc(func() {
			timerAt(w, w.Now()+1, func(time.Duration) { *log += "lent " })
		})))
		clock.now += heldUp + 1 // later than what the borrower wants by heldUp, than the other deadline by half of it
		w.kick()
		accept(t, w)
		require.Empty(t, *log)
		heard.trigger()
		accept(t, w)
		require.Equal(t, "heard lent ", *log)
	})
}

// A worker that is held up all the time still fires its timers.
func TestTimersFireThoughHeldUp(t *testing.T) {
	clock := &handClock{now: time.Second}
	w := handWorker(t, clock)
	hold := newEdge(t, w, func() { clock.now += 2 * heldUp })
	fired := 0
	for range 10 {
		timerAt(w, w.Now(), func(time.Duration) { fired++ })
		hold.trigger()
		accept(t, w)
		hold.trigger()
		accept(t, w)
	}
	require.GreaterOrEqual(t, fired, 9)
}

// With more ready sockets than one look brings, all of them have their turn before a
// timer fires; they cannot keep it waiting for ever.
func TestTimersWaitForAllSockets(t *testing.T) {
	clock := &handClock{now: time.Second}
	w := handWorker(t, clock)
	const sockets = 2*eventBatch + 1
	handled := 0
	var again bool
	var all [sockets]*edge
	for i := range all {
		all[i] = newEdge(t, w, func() {
			if handled++; again {
				all[i].trigger()
			}
		})
	}
	for _, again = range []bool{false, true} {
		handled = 0
		for _, e := range all {
			e.trigger()
		}
		at := 0
		clock.now++
		timerAt(w, clock.now, func(time.Duration) { at = handled })
		rounds := 0
		for ; at == 0; rounds++ {
			w.round()
			require.Less(t, rounds, 4)
		}
		require.GreaterOrEqual(t, at, sockets)
	}
	again = false
}
