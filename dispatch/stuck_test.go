package dispatch

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// fill enqueues a message, or several, of each class.
func (s *stage) fill(t *testing.T, classes ...uint64) {
	t.Helper()
	for _, c := range classes {
		require.NoError(t, s.q.Enqueue(MessageItem(newMessage(&fakeConn{id: c}, 127, uint64(len(s.begun)), nil, 0))))
	}
}

// event enqueues an event of a class.
func (s *stage) event(t *testing.T, class uint64) {
	t.Helper()
	require.NoError(t, s.q.Enqueue(EventItem(KindAccept, &fakeConn{id: class}, nil)))
}

// began checks which callbacks have begun since it was called before.
func (s *stage) began(t *testing.T, want string) {
	t.Helper()
	require.NoError(t, s.bad)
	require.Equal(t, want, strings.Join(s.begun, " "))
	s.begun = nil
}

// over ends everything and checks that nothing is left.
func (s *stage) over(t *testing.T) {
	t.Helper()
	s.endAll()
	require.NoError(t, s.bad)
	st := s.q.Stats()
	require.Zero(t, st.Len)
	require.Zero(t, st.Drainers)
	require.Zero(t, st.Stuck)
	require.Zero(t, st.Dispatching)
	require.Zero(t, s.alive)
	require.Equal(t, st.Enqueued, st.Dispatched+st.Discarded)
	require.LessOrEqual(t, len(s.q.idle), s.q.cfg.Width)
	for _, d := range s.q.idle {
		require.Equal(t, [turnMax]Item{}, d.buffer, "an idle job holds nothing")
		require.Nil(t, d.conn)
	}
	requireEmpty(t, &s.q.prio)
	s.q.Check()
	s.asked = nil
	s.q.Check()
	require.Empty(t, s.asked, "an idle queue wants no more calls of Check")
	require.NoError(t, s.q.Stop(context.Background()))
}

// As many callbacks that block as the queue is wide do not stop it.
func TestStuckDoNotCountAgainstWidth(t *testing.T) {
	s := newStage(Config{Width: 4})
	s.fill(t, 1, 2, 3, 4, 5, 6, 1, 2)
	s.settle()
	s.began(t, "c1 c2 c3 c4")
	s.check(DefaultStuckLimit - 1)
	require.Empty(t, s.found)
	require.Empty(t, s.jobs)
	s.check(1)
	var want []seen
	for c := range uint64(4) {
		want = append(want, seen{c + 1, KindMessage, time.Second})
	}
	require.ElementsMatch(t, want, seenOf(s.found))
	st := s.q.Stats()
	require.Equal(t, 4, st.Stuck)
	require.EqualValues(t, 4, st.StuckTotal)
	require.Equal(t, 4, st.Dispatching)
	require.Equal(t, 5, st.Drainers, "and one more")
	s.settle()
	s.began(t, "c5 c6")
	s.check(time.Second / 2)
	require.Len(t, s.found, 4, "once per callback")
	require.Len(t, s.q.Stuck(time.Second), 4, "listed all the same")
	s.check(time.Second / 2)
	require.Len(t, s.found, 6)
	s.end(5, returns)
	require.EqualValues(t, 6, s.q.Stats().StuckTotal)
	require.Equal(t, 5, s.q.Stats().Stuck)
	s.over(t)
	s.began(t, "c1 c2")
}

// When stuck callbacks return, no more than Width others run: their jobs end, or go on if there are less.
func TestStuckReturn(t *testing.T) {
	s := newStage(Config{Width: 2})
	s.fill(t, 1, 2, 3, 4, 5, 6, 1, 2)
	s.settle()
	s.check(time.Second)
	s.settle()
	s.began(t, "c1 c2 c3 c4")
	require.False(t, s.end(1, returns), "two others run")
	require.False(t, s.end(2, returns))
	require.Equal(t, 2, s.q.Stats().Drainers)
	require.True(t, s.end(3, returns))
	s.began(t, "c5")
	require.True(t, s.end(4, returns))
	s.began(t, "c6")
	s.check(time.Second) // both are stuck, and two run in their places
	s.settle()
	s.began(t, "c1 c2")
	require.False(t, s.end(1, returns), "the queue is empty")
	s.fill(t, 3)
	require.Len(t, s.jobs, 1)
	require.True(t, s.end(5, returns), "one other runs: it goes on")
	s.began(t, "c3")
	s.settle()
	s.over(t)
	s.began(t, "")
}

// The callback returns while the job in its place is on its way.
func TestStuckReturnsWhileTheNextJobStarts(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		for _, when := range []string{"in submit", "before it runs"} {
			t.Run(fmt.Sprintf("%s, refused %t", when, refuse), func(t *testing.T) {
				s := newStage(Config{})
				s.fill(t, 1, 1, 2)
				s.settle()
				s.began(t, "c1")
				s.refuse = refuse
				end := func() { require.True(t, s.end(1, returns), "it goes on: no other one runs yet") }
				if when == "in submit" {
					s.onSubmit = end
				}
				s.check(time.Second)
				if when != "in submit" {
					end()
				}
				s.began(t, "c2")
				require.Equal(t, 2, s.q.Stats().Drainers)
				s.settle()
				s.began(t, "") // the other one has found itself one too many
				require.Equal(t, 1, s.q.Stats().Drainers)
				require.True(t, s.end(2, returns))
				s.began(t, "c1")
				s.over(t)
			})
		}
	}
}

// An executor that refuses: of the stand-in goroutines one is not stuck.
func TestStuckStandIns(t *testing.T) {
	s := newStage(Config{Width: 2})
	s.refuse = true
	s.fill(t, 1, 2, 3, 4, 5, 6, 7, 8, 1)
	require.Len(t, s.standIns, 1)
	s.settle()
	s.began(t, "c1")
	require.Empty(t, s.standIns, "there is one")
	s.check(time.Second)
	s.settle()
	s.began(t, "c2")
	s.check(time.Second)
	s.settle()
	s.began(t, "c3")
	require.EqualValues(t, 3, s.q.Stats().StandIns)
	require.Equal(t, 2, s.q.Stats().Stuck)
	require.False(t, s.end(1, returns), "there is another one that goes on")
	s.refuse = false
	require.True(t, s.end(3, returns)) // and starts a job on the executor
	require.Len(t, s.jobs, 1)
	s.settle()
	s.began(t, "c4 c5")
	s.refuse = true
	s.check(time.Second) // both are stuck, and a stand-in begins again
	s.settle()
	s.began(t, "c6")
	require.True(t, s.end(5, returns), "one that runs on the executor goes on")
	s.began(t, "c7")
	require.False(t, s.end(4, returns), "two run")
	require.True(t, s.end(7, returns))
	s.began(t, "c8")
	s.over(t)
	s.began(t, "c1")
}

// A stuck stand-in is the stand-in again when it returns, if no other one is.
func TestStuckStandInGoesOn(t *testing.T) {
	s := newStage(Config{Width: 2, BatchMax: 1})
	s.refuse = true
	s.fill(t, 1, 1, 2, 2)
	s.settle()
	s.refuse = false
	s.check(time.Second)
	s.settle()
	s.began(t, "c1 c2")
	require.Nil(t, s.q.standIn)
	s.refuse = true
	require.True(t, s.end(1, returns))
	s.began(t, "c1")
	require.NotNil(t, s.q.standIn)
	s.fill(t, 3)
	require.Empty(t, s.standIns)
	require.True(t, s.end(1, returns), "nor does it ask for another one")
	s.began(t, "c3")
	s.over(t)
	require.Nil(t, s.q.standIn)
	require.EqualValues(t, 1, s.q.Stats().StandIns)
}

// Discard and Stop take what is queued behind a stuck callback, the rest of its turn too.
func TestStuckDiscardAndStop(t *testing.T) {
	s := newStage(Config{})
	s.longTurns(t)
	s.fill(t, 1, 1, 1, 1, 2)
	s.event(t, 1)
	s.run(&s.jobs)
	s.end(1, returns) // the event
	s.began(t, "c1! c1")
	s.check(time.Second)
	require.Equal(t, 4, s.q.Len())
	require.Equal(t, 3, s.q.Discard(1, true))
	s.settle()
	s.began(t, "c2")
	s.fill(t, 1, 3)
	s.check(time.Second)
	require.Len(t, s.found, 2)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorContains(t, s.q.Stop(ctx), "2 callbacks")
	require.Zero(t, s.q.Len())
	s.asked = nil
	s.check(time.Second)
	require.NotEmpty(t, s.asked, "callbacks run")
	s.end(1, returns)
	s.end(2, returns)
	s.settle()
	s.began(t, "")
	s.over(t)
}

// longTurns has the job's turns get long.
func (s *stage) longTurns(t *testing.T) {
	t.Helper()
	for range 3 * turnMax {
		s.fill(t, 9)
	}
	s.endAll()
	require.Len(t, s.q.idle, 1)
	s.begun = nil
}

// Its connection waits for a stuck callback, events too; they go before its messages.
func TestStuckConnectionWaits(t *testing.T) {
	s := newStage(Config{Width: 2})
	s.fill(t, 1)
	s.settle()
	s.check(time.Second)
	s.fill(t, 1)
	s.event(t, 1)
	s.settle()
	s.fill(t, 2)
	s.settle()
	s.began(t, "c1 c2")
	require.True(t, s.end(1, returns))
	s.began(t, "c1!")
	require.True(t, s.end(1, returns))
	s.began(t, "c1")
	s.over(t)
}

// At the bound everything waits, which is said once until nothing is stuck any more.
func TestStuckWidthMax(t *testing.T) {
	var log captured
	s := newStage(Config{WidthMax: 3, Logger: log.logger()})
	said := func(n int) {
		t.Helper()
		require.Equal(t, n, strings.Count(log.String(), `level=ERROR msg="dispatch: all jobs are held up by stuck`))
	}
	s.fill(t, 1, 2, 3, 4, 5)
	s.settle()
	for range 2 {
		s.check(time.Second)
		s.settle()
	}
	s.began(t, "c1 c2 c3")
	said(0)
	s.check(time.Second)
	said(1)
	s.fill(t, 6)
	s.settle()
	s.began(t, "")
	require.Equal(t, 3, s.q.Stats().Drainers)
	require.True(t, s.end(2, returns))
	s.began(t, "c4")
	s.check(time.Second)
	s.check(time.Second)
	said(1)
	require.Equal(t, 3, s.q.Stats().Stuck)
	s.endAll()
	require.Zero(t, s.q.Stats().Stuck)
	s.fill(t, 1, 2, 3)
	s.settle()
	for range 3 {
		s.check(time.Second)
		s.settle()
	}
	said(2)
	s.over(t)

	for _, x := range []struct{ width, most, want int }{{0, 0, 16}, {4, 0, 64}, {4, 3, 4}, {4, 5, 5}} {
		require.Equal(t, x.want, newStage(Config{Width: x.width, WidthMax: x.most}).q.cfg.WidthMax)
	}
	require.Panics(t, func() { newStage(Config{WidthMax: -1}) })
}

// An executor that accepts a job and has no goroutine for it: that is said, once per job.
func TestStuckExecutor(t *testing.T) {
	var log captured
	s := newStage(Config{Logger: log.logger()})
	said := func(n int) {
		t.Helper()
		const late = `level=ERROR msg="dispatch: the executor does not begin a job, everything waits" for=1s stuck=`
		require.Equal(t, n, strings.Count(log.String(), late), log.String())
	}
	s.fill(t, 1, 2)
	s.settle()
	s.check(time.Second)
	require.Len(t, s.jobs, 1)
	s.check(time.Second)
	said(0) // it was not there before
	s.check(time.Second - 1)
	said(0)
	s.check(1)
	said(1)
	s.check(time.Hour)
	said(1)
	s.settle()
	s.check(time.Second / 2)
	s.end(2, returns)
	require.Empty(t, s.jobs)
	s.fill(t, 2)
	for range 5 { // jobs that have to wait, but are begun, and none when Check looks
		s.check(time.Second * 2 / 3)
		s.settle()
		s.end(2, returns)
		s.fill(t, 2)
	}
	said(1)
	s.check(0)
	s.check(time.Second)
	said(2)
	s.over(t)

	s = newStage(Config{Logger: log.logger()})
	s.fill(t, 1, 1, 2, 3, 4)
	s.settle()
	s.check(time.Second)
	require.Len(t, s.jobs, 1)
	require.True(t, s.end(1, returns)) // it dispatches what waits
	s.check(0)
	s.check(time.Second * 2 / 3)
	require.True(t, s.end(2, returns))
	s.check(time.Second * 2 / 3)
	said(2)
	s.endAll()
	s.fill(t, 1)
	s.check(0)
	require.Equal(t, 1, s.q.Discard(1, false))
	s.check(time.Second) // nothing waits
	said(2)
	s.over(t)
}

// A stuck callback that ends its goroutine, or panics.
func TestStuckEndsBadly(t *testing.T) {
	for _, how := range []ending{panicks, goexit} {
		for _, busy := range []bool{false, true} {
			var panics []any
			s := newStage(Config{OnPanic: func(_ msg.Connection, r any, _ []byte) { panics = append(panics, r) }})
			s.longTurns(t)
			s.fill(t, 1, 1, 1)
			s.settle()
			s.check(time.Second)
			if busy {
				s.fill(t, 2)
				s.settle()
			}
			s.end(1, how)
			s.settle()
			require.Len(t, panics, 1)
			require.Zero(t, s.q.Stats().Stuck)
			if busy {
				s.began(t, "c1 c2")
				s.end(2, returns)
				s.settle()
				s.began(t, "c1")
			} else {
				s.began(t, "c1 c1")
			}
			s.over(t)
			s.began(t, "c1")
		}
	}
}

// In the middle of a turn a callback is found at the second look, and the rest of the turn
// is queued again, in its order. That the rest is taken back for a higher priority is no
// progress.
func TestStuckInTheMiddleOfATurn(t *testing.T) {
	s := newStage(Config{})
	s.longTurns(t)
	for seq := range uint64(4) {
		require.NoError(t, s.q.Enqueue(MessageItem(newMessage(&fakeConn{id: 1}, 127, seq, nil, 0))))
	}
	s.settle()
	s.end(1, returns)
	s.check(0)
	require.NoError(t, s.q.Enqueue(MessageItem(newMessage(&fakeConn{id: 2}, 200, 0, nil, 0))))
	s.check(time.Second - 1)
	require.Empty(t, s.found)
	s.check(1)
	require.Equal(t, []seen{{1, KindMessage, time.Second}}, seenOf(s.found))
	require.EqualValues(t, 1, s.in[1].it.Msg.Seq())
	s.settle()
	s.end(2, returns)
	s.end(1, returns)
	require.EqualValues(t, 2, s.in[1].it.Msg.Seq())
	s.end(1, returns)
	require.EqualValues(t, 3, s.in[1].it.Msg.Seq())
	s.over(t)
}

// A job that has not begun its callback is in none that is stuck.
func TestStuckNotBegun(t *testing.T) {
	s := newStage(Config{Width: 2})
	s.fill(t, 1, 2)
	looked := false
	s.onSubmit = func() {
		looked = true
		s.check(time.Second)
		require.Empty(t, s.q.Stuck(0))
	}
	s.run(&s.jobs)
	require.True(t, looked, "by the job, before its callback")
	require.Zero(t, s.q.Stats().StuckTotal)
	s.check(time.Second)
	require.EqualValues(t, 1, s.q.Stats().StuckTotal)
	s.over(t)
}

// A callback that has returned is not stuck: the job has asked for the next item. What a
// turn has left is taken back once.
func TestStuckOrReturned(t *testing.T) {
	turnOf3 := func(claimed int) *turn {
		u := &turn{class: new(class), items: make([]Item, 3)}
		for range claimed {
			u.claim()
		}
		return u
	}
	for claimed := 1; claimed <= 3; claimed++ {
		u := turnOf3(claimed)
		_, still := u.revokeAtLocked(claimed - 1)
		require.False(t, still, "another one is running")
		items, still := u.revokeAtLocked(claimed)
		require.True(t, still)
		require.Len(t, items, 3-claimed)
		require.Equal(t, claimed, u.givenLocked())
		items, still = u.revokeAtLocked(claimed)
		require.True(t, still)
		require.Empty(t, items)
		require.Empty(t, u.revokeLocked())
		require.Equal(t, claimed, u.givenLocked())
		require.Nil(t, u.claim())
		_, still = u.revokeAtLocked(claimed)
		require.False(t, still, "returned")
		require.Equal(t, claimed, u.givenLocked())
	}
	u := turnOf3(4)
	_, still := u.revokeAtLocked(3)
	require.False(t, still, "returned")
	require.Equal(t, 3, u.givenLocked())

	// Found while it was returning: Check sees that.
	s := newStage(Config{})
	s.fill(t, 1)
	s.settle()
	d := s.q.drainers[0]
	s.now += time.Second
	require.Len(t, s.q.Stuck(time.Second), 1)
	require.Nil(t, d.claim(), "as the job does then")
	s.q.Check()
	require.Zero(t, s.q.Stats().StuckTotal)
	s.over(t)

	// The next one has begun since it was looked at: that one is not stuck.
	s = newStage(Config{})
	s.longTurns(t)
	s.fill(t, 1, 1, 1)
	s.settle()
	s.q.mu.Lock()
	d = s.q.drainers[0]
	_, running := d.lookLocked(s.now)
	require.True(t, running)
	require.NotNil(t, d.claim(), "the job")
	require.False(t, s.q.stickLocked(d))
	d.next.Add(-1)
	s.q.mu.Unlock()
	s.over(t)
}

// When Check is wanted: not while nothing runs, and not before it can find something.
func TestCheckAfter(t *testing.T) {
	const limit = 16 * time.Second
	s := newStage(Config{Width: 2, StuckLimit: limit})
	wants := func(want ...time.Duration) {
		t.Helper()
		require.Equal(t, want, s.asked)
		s.asked = nil
	}
	s.q.Check()
	wants()
	s.fill(t, 1)
	wants(limit / 2)
	s.fill(t, 2)
	s.settle()
	wants() // one is due
	s.check(limit / 2)
	wants(limit / 2)
	s.check(limit/2 - 3*time.Second) // too early
	wants(3 * time.Second)
	s.check(3*time.Second - 1)
	wants(limit / 16)
	s.check(limit / 16)
	require.Len(t, s.found, 2)
	wants(limit / 2) // for those that will run in their places
	s.endAll()
	s.fill(t, 3)
	wants() // still due
	s.endAll()
	s.check(limit / 2)
	wants()
	s.fill(t, 3)
	wants(limit / 2)
	s.endAll()
	s.fill(t, 4)
	require.NoError(t, s.q.Stop(context.Background()))
	s.check(limit / 2)
	wants() // though a job has not run yet
	s.endAll()

	s = newStage(Config{StuckLimit: -1})
	s.fill(t, 1)
	s.settle()
	s.check(time.Hour)
	wants()
	require.Empty(t, s.found)
	require.Len(t, s.q.Stuck(time.Hour), 1)
	s.endAll()

	q := New(Config{Executor: goExecutor{}, Handler: new(seqs)}) // no CheckAfter, no Clock
	require.NoError(t, q.Enqueue(EventItem(KindAccept, newConns(1)[0], nil)))
	q.Check()
	waitIdle(q)
	require.NoError(t, q.Stop(context.Background()))
}

// A hook that panics or ends the goroutine keeps nothing from the others.
func TestOnStuckFails(t *testing.T) {
	for what, fail := range map[string]func(){"panic": func() { panic("hook") }, "goexit": runtime.Goexit} {
		t.Run(what, func(t *testing.T) {
			var told []uint64
			var panics []any
			s := newStage(Config{
				Width:   3,
				OnStuck: func(f InFlight) { told = append(told, f.Conn.ID()); fail() },
				OnPanic: func(c msg.Connection, r any, _ []byte) { panics = append(panics, c.ID(), r) },
			})
			s.fill(t, 1, 2, 3, 4)
			s.settle()
			require.Equal(t, what == "goexit", ends(func() { s.check(time.Second) }))
			require.ElementsMatch(t, []uint64{1, 2, 3}, told)
			require.Len(t, panics, 6)
			require.Len(t, s.jobs, 1)
			s.over(t)
		})
	}
}

// blockedHere and blockedThere are what stacks are recognized by.
func blockedHere(s *stage, it *Item) Outcome  { return s.Handle(it) }
func blockedThere(s *stage, it *Item) Outcome { return s.Handle(it) }

// deep calls f below n frames.
func deep(n int, f func() Outcome) Outcome {
	if n == 0 {
		return f()
	}
	return deep(n-1, f)
}

// The stack is that of the callback's goroutine, of each its own.
func TestStuckStack(t *testing.T) {
	stacksSoon()
	s := newStage(Config{Width: 3})
	s.q.cfg.Handler = handlerFunc(func(it *Item) Outcome {
		switch it.Class {
		case 1:
			return blockedHere(s, it)
		case 2:
			return deep(200, func() Outcome { return blockedThere(s, it) }) // the runtime leaves some out
		}
		return s.Handle(it)
	})
	s.fill(t, 1, 2, 3, 3)
	s.settle()
	s.check(time.Second)
	require.Len(t, s.found, 3)
	stacks := map[uint64]string{}
	require.True(t, s.end(3, returns), "it is in another callback")
	for _, f := range s.found {
		stacks[f.Conn.ID()] = f.Stack()
	}
	require.Contains(t, stacks[1], "dispatch.blockedHere(")
	require.Contains(t, stacks[2], "dispatch.blockedThere(")
	require.Contains(t, stacks[2], "dispatch.deep(")
	require.NotContains(t, stacks[1], "dispatch.blockedThere(")
	require.NotContains(t, stacks[2], "dispatch.blockedHere(")
	for c := range uint64(2) {
		require.True(t, strings.HasPrefix(stacks[c+1], "goroutine "))
		require.Equal(t, 1, strings.Count(stacks[c+1], "dispatch.(*drainer).drain("))
		require.NotContains(t, stacks[c+1], "TestStuckStack(")
	}
	require.Equal(t, "(the callback has returned)", stacks[3])
	s.end(1, returns)
	require.Equal(t, stacks[1], s.found[indexOf(s.found, 1)].Stack(), "taken once")
	stacksSoon()
	require.Equal(t, "(the callback has returned)", s.q.Stuck(0)[0].callbackReturned(s))
	require.Equal(t, "(no callback)", InFlight{}.Stack())
	s.over(t)
}

func indexOf(fs []InFlight, class uint64) int {
	for i, f := range fs {
		if f.Conn.ID() == class {
			return i
		}
	}
	return -1
}

// callbackReturned is the stack once the callback has ended.
func (f InFlight) callbackReturned(s *stage) string {
	s.end(f.Conn.ID(), returns)
	return f.Stack()
}

// A goroutine that is about to leave the job to another one is not the one in a callback.
func TestStackMark(t *testing.T) {
	m, other := stackMark{0x2a, 0xffd5}, stackMark{0x2b, 0xffd4}
	frame := func(arguments string) string { return "dispatch.f(" + arguments + ")\n\tfile.go:1 +0x1\n" }
	leaving := "goroutine 1 [runnable]:\n" + frame("0xc000")
	others := "goroutine 2 [select]:\n" + frame("0xc001, {0x2b, 0xffd4}, 0xc002") + frame("0xc001")
	its := "goroutine 3 [select]:\n" + frame("0xc000, {0x2a, 0xffd5}, 0xc002?") + frame("0xc000")
	g, ok := m.goroutineOf(leaving + "\n" + others + "\n" + its)
	require.True(t, ok)
	require.Equal(t, its, g)
	g, ok = other.goroutineOf(leaving + "\n" + others + "\n" + its)
	require.True(t, ok)
	require.Equal(t, strings.TrimSpace(others), g)
	_, ok = m.goroutineOf(leaving + "\n" + others)
	require.False(t, ok)
}

// What is not found is said.
func TestStuckStackNotFound(t *testing.T) {
	s := newStage(Config{})
	s.fill(t, 1)
	s.settle()
	s.check(time.Second)
	s.q.stuck[0].mark = newStackMark()
	stacksSoon()
	require.Regexp(t, `^\(goroutine not found in \d+ bytes of stacks, which are cut there: false\)$`,
		s.found[0].Stack())
	s.over(t)
}

// However many goroutines there are, their stacks have a bound, and so has the time.
func TestStacksBound(t *testing.T) {
	stacksSoon()
	release, running, before := make(chan struct{}), make(chan struct{}), runtime.NumGoroutine()
	start := func(n, frames int) {
		for range n {
			go deep(frames, func() Outcome { running <- struct{}{}; <-release; return Handled })
			<-running
		}
	}
	t.Cleanup(func() {
		close(release)
		for runtime.NumGoroutine() > before {
			runtime.Gosched()
		}
	})
	const n = 1000
	start(n, 100)
	text, cut, whyNot := allStacks()
	require.Empty(t, whyNot)
	require.True(t, cut)
	require.Len(t, text, stacksMax)
	text, cut, whyNot = allStacks()
	require.Empty(t, text)
	require.False(t, cut)
	require.Regexp(t, `^\(not taken: stacks were a moment ago, the next time is in .*s\)$`, whyNot)
	s := newStage(Config{})
	s.fill(t, 1)
	s.settle()
	s.check(time.Second)
	require.Contains(t, s.found[0].Stack(), "(not taken: ")
	s.over(t)

	stacksSoon()
	start(goroutinesMax-n, 0)
	_, _, whyNot = allStacks()
	require.Regexp(t, `^\(not taken: that would stop \d+ goroutines for long\)$`, whyNot)
}

// stacksSoon has the stacks be written though they were a moment ago.
func stacksSoon() {
	stacksMu.Lock()
	defer stacksMu.Unlock()
	stacksNext = time.Time{}
}

// On its own goroutine too: a callback, in a simulation, that calls Check.
func TestStuckInline(t *testing.T) {
	run := func() (log []string) {
		stacksSoon()
		e, now := new(Inline), time.Hour
		var q *Queue
		q = New(Config{
			Executor: e, Clock: func() time.Duration { return now },
			CheckAfter: func(d time.Duration) { log = append(log, fmt.Sprint("check after ", d)) },
			OnStuck: func(f InFlight) {
				if len(log) < 4 {
					require.Contains(t, f.Stack(), "TestStuckInline")
				}
				log = append(log, fmt.Sprint("stuck ", f.Conn, " ", f.Kind, " ", f.For, ", jobs ", e.Len()))
			},
			Handler: handlerFunc(func(it *Item) Outcome {
				log = append(log, nameItem(it))
				if it.Class == 1 {
					now += 2 * time.Second
					q.Check()
				}
				return Handled
			}),
		})
		for i := range uint64(6) {
			require.NoError(t, q.Enqueue(MessageItem(newMessage(&fakeConn{id: 1 + i%3}, 127, i, nil, 0))))
		}
		e.Run()
		require.Zero(t, q.Stats().Drainers)
		require.EqualValues(t, 2, q.Stats().StuckTotal)
		require.NoError(t, q.Stop(context.Background()))
		return log
	}
	first := run()
	require.Equal(t, []string{
		"check after 500ms", "c1", "check after 500ms", "stuck conn 1 message 2s, jobs 1", "c2", "c3", "c3",
		"c1", "check after 500ms", "stuck conn 1 message 2s, jobs 1", "c2",
	}, first)
	require.Equal(t, first, run())
}

// Without a hook it is logged, with the stack, but that is taken only for who reads it.
func TestStuckLog(t *testing.T) {
	stacksSoon()
	var log captured
	s := newStage(Config{Logger: log.logger()})
	s.q.cfg.OnStuck = nil
	s.fill(t, 1)
	s.settle()
	s.check(time.Second)
	for _, want := range []string{
		"level=WARN", `msg="dispatch: a callback holds up a job"`, `callback.conn="conn 1"`, "callback.kind=message",
		"callback.for=1s", "callback.stack=", "dispatch.(*stage).Handle(",
	} {
		require.Contains(t, log.String(), want)
	}
	f := s.q.Stuck(0)[0]
	slog.New(slog.DiscardHandler).Warn("nobody reads it", "callback", f)
	require.Nil(t, f.stacks.text)
	s.over(t)
}
