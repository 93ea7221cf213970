package dispatch

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func newGate(messages, bytes, dispatch int64) (*Gate, [3]*Throttle) {
	t := [3]*Throttle{NewThrottle(messages), NewThrottle(bytes), NewThrottle(dispatch)}
	return &Gate{Messages: t[0], Bytes: t[1], Dispatch: t[2]}, t
}

func requireHeld(t require.TestingT, th [3]*Throttle, want ...int64) {
	for i, th := range th {
		require.Equal(t, want[i], th.Stats().Held, "stage %d", i)
	}
}

func TestAdmissionResumesAtTheFailedStage(t *testing.T) {
	g, th := newGate(2, 100, 100)
	var a Admission
	admitted := 0
	to := admittedFunc(func() { admitted++ })
	require.True(t, a.Admit(g, 60, to))
	require.False(t, a.Waiting())
	th[2].Take(30)

	require.False(t, a.Admit(g, 60, to))
	require.True(t, a.Waiting())
	requireHeld(t, th, 2, 60, 90)
	require.Panics(t, func() { a.Admit(g, 1, to) })
	th[1].Release(60)
	require.Zero(t, admitted)
	requireHeld(t, th, 2, 60, 90)
	th[2].Release(60)
	require.Equal(t, 1, admitted)
	require.False(t, a.Waiting())
	require.False(t, a.Cancel(), "too late")
	requireHeld(t, th, 2, 60, 90)
	g.DispatchDone(60)
	requireHeld(t, th, 1, 0, 30)
}

// The chain of waiting goes over all three stages.
func TestAdmissionWaitsAtEachStage(t *testing.T) {
	g, th := newGate(1, 10, 10)
	th[0].Take(1)
	th[1].Take(10)
	th[2].Take(10)
	var a Admission
	admitted := 0
	require.False(t, a.Admit(g, 5, admittedFunc(func() { admitted++ })))
	th[2].Release(10)
	th[0].Release(1)
	requireHeld(t, th, 1, 10, 0)
	th[2].Take(10)
	th[1].Release(10)
	requireHeld(t, th, 1, 5, 10)
	require.Zero(t, admitted)
	th[2].Release(10)
	requireHeld(t, th, 1, 5, 5)
	require.Equal(t, 1, admitted)
}

func TestAdmissionCancel(t *testing.T) {
	for stage := range 3 {
		g, th := newGate(1, 10, 10)
		full := [3]int64{1, 10, 10}[stage]
		th[stage].Take(full)
		var a Admission
		require.False(t, a.Cancel())
		require.False(t, a.Admit(g, 5, admittedFunc(func() { t.Error("admitted") })))
		require.True(t, a.Cancel())
		require.False(t, a.Cancel())
		th[stage].Release(full)
		requireHeld(t, th, 0, 0, 0)
		require.True(t, a.Admit(g, 5, nil), "usable again")
		g.DispatchDone(5)
	}
}

func TestAdmissionWithoutPayload(t *testing.T) {
	g, th := newGate(1, 10, 10)
	th[1].Take(20)
	th[2].Take(20)
	var a Admission
	require.True(t, a.Admit(g, 0, nil), "skips the byte throttles")
	requireHeld(t, th, 1, 20, 20)
	g.DispatchDone(0)
	requireHeld(t, th, 0, 20, 20)

	g = &Gate{Bytes: neverThrottle{}, Dispatch: neverThrottle{}}
	require.True(t, a.Admit(g, 0, nil))
	g.DispatchDone(0)
}

func TestGateHold(t *testing.T) {
	g, th := newGate(1, 10, 10)
	var a Admission
	require.True(t, a.Admit(g, 10, nil))
	m := newIncoming(msg.Incoming{Receipt: g, Charge: 10})
	ticket := msg.TicketFor(m)
	m.Hold()
	requireHeld(t, th, 2, 20, 10)
	ticket.Done()
	requireHeld(t, th, 1, 10, 0)
	require.False(t, a.Admit(g, 1, admittedFunc(func() {})), "back-pressure counts what is held")
	m.Release()
	requireHeld(t, th, 1, 1, 1)
	g.DispatchDone(1)
	g.Take(3)
	requireHeld(t, th, 1, 3, 3)
}

func TestGateUnlimited(t *testing.T) {
	var g Gate
	var a Admission
	require.True(t, a.Admit(&g, 1<<40, nil))
	g.DispatchDone(1 << 40)
	g.Take(1)
	g.Hold(1)
	g.Unhold(1)
	require.EqualValues(t, 8, unsafe.Sizeof(a), "it is embedded in each connection")
	require.Zero(t, testing.AllocsPerRun(100, func() {
		a.Admit(&g, 1, nil)
		g.DispatchDone(1)
	}))
}

// neverThrottle may not be called.
type neverThrottle struct{ msg.Throttler }

// racyThrottle calls meanwhile in the middle of Acquire, where other goroutines
// may come in between.
type racyThrottle struct {
	*Throttle
	before, after func()
}

func (r *racyThrottle) Acquire(n int64, w msg.ThrottleWaiter) bool {
	if w != nil && r.before != nil {
		f := r.before
		r.before = nil
		f()
	}
	ok := r.Throttle.Acquire(n, w)
	if w != nil && r.after != nil {
		f := r.after
		r.after = nil
		f()
	}
	return ok
}

// Cancel and grants at each moment of a resumption that goes from stage 0 to 2.
func TestAdmissionCancelAtEachMoment(t *testing.T) {
	for moment := range 6 {
		for _, isFull := range []bool{true, false} { // is the stage of the moment full?
			for _, free := range []bool{true, false} { // does it get free right after the cancel?
				full := isFull
				g, th := newGate(1, 10, 10)
				stage := moment / 2
				racy := &racyThrottle{Throttle: th[stage]}
				switch stage {
				case 0:
					g.Messages = racy
				case 1:
					g.Bytes = racy
				case 2:
					g.Dispatch = racy
				}
				amount := [3]int64{1, 10, 10}
				th[0].Take(1)
				if full && stage > 0 {
					th[stage].Take(amount[stage])
				}
				var a Admission
				admitted, cancelled := 0, 0
				cancel := func() {
					if a.Cancel() {
						cancelled++
					}
					if free && full && stage > 0 {
						th[stage].Release(amount[stage])
						full = false
					}
				}
				if moment%2 == 0 {
					racy.before = cancel
				} else {
					racy.after = cancel
				}
				require.False(t, a.Admit(g, 5, admittedFunc(func() { admitted++ })))
				th[0].Release(1)
				for i := range th {
					require.Zero(t, th[i].Stats().Waiting, "moment %d: in line after the cancel", moment)
				}
				if full && stage > 0 {
					th[stage].Release(amount[stage])
				}
				require.Equal(t, 1, cancelled, "moment %d", moment)
				require.Zero(t, admitted)
				requireHeld(t, th, 0, 0, 0)
			}
		}
	}
}

// Connections that admit, wait, cancel and finish in any order: what is held is
// what was admitted or waits at a later stage, and everything comes back.
func TestAdmissionModel(t *testing.T) {
	type conn struct {
		a        Admission
		size     int64
		waiting  bool
		admitted int
	}
	rapid.Check(t, func(t *rapid.T) {
		g, th := newGate(3, 20, 25)
		conns := make([]*conn, 6)
		var inDispatch []int64
		for i := range conns {
			conns[i] = new(conn)
		}
		pick := func(t *rapid.T) *conn { return rapid.SampledFrom(conns).Draw(t, "conn") }
		t.Repeat(map[string]func(*rapid.T){
			"admit": func(t *rapid.T) {
				c := pick(t)
				if c.waiting {
					return
				}
				c.size = int64(rapid.IntRange(0, 30).Draw(t, "size"))
				if c.a.Admit(g, c.size, admittedFunc(func() {
					c.admitted++
					c.waiting = false
					inDispatch = append(inDispatch, c.size)
				})) {
					inDispatch = append(inDispatch, c.size)
				} else {
					c.waiting = true
				}
			},
			"cancel": func(t *rapid.T) {
				c := pick(t)
				require.Equal(t, c.waiting, c.a.Cancel())
				c.waiting = false
			},
			"finish": func(t *rapid.T) {
				if len(inDispatch) == 0 {
					return
				}
				size := inDispatch[0]
				inDispatch = inDispatch[1:]
				g.DispatchDone(size)
			},
			"": func(t *rapid.T) {
				var bytes int64
				for _, size := range inDispatch {
					bytes += size
				}
				require.Equal(t, bytes, th[2].Stats().Held, "the last stage holds what is in dispatch")
				waiting := 0
				for _, c := range conns {
					require.Equal(t, c.waiting, c.a.Waiting())
					if c.waiting {
						waiting++
					}
				}
				require.Equal(t, waiting, th[0].Stats().Waiting+th[1].Stats().Waiting+th[2].Stats().Waiting)
			},
		})
		for _, c := range conns {
			c.a.Cancel()
			c.waiting = false
		}
		for len(inDispatch) > 0 {
			size := inDispatch[0]
			inDispatch = inDispatch[1:]
			g.DispatchDone(size)
		}
		requireHeld(t, th, 0, 0, 0)
	})
}

func TestAdmissionConcurrent(t *testing.T) {
	g, th := newGate(3, 120, 60)
	var wg sync.WaitGroup
	var admitted, cancelled atomic.Int64
	const conns, n = 8, 2000
	for i := range uint64(conns) {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(3, i))
			var a Admission
			through := make(chan struct{}, 1)
			for range n {
				size := int64(rnd.IntN(80))
				if !a.Admit(g, size, admittedFunc(func() { through <- struct{}{} })) {
					if rnd.IntN(2) == 0 && a.Cancel() {
						cancelled.Add(1)
						continue
					}
					<-through
				}
				admitted.Add(1)
				if rnd.IntN(2) == 0 {
					g.DispatchDone(size)
				} else {
					wg.Go(func() { g.DispatchDone(size) })
				}
			}
		})
	}
	wg.Wait()
	requireHeld(t, th, 0, 0, 0)
	require.EqualValues(t, conns*n, admitted.Load()+cancelled.Load())
	for _, th := range th {
		require.Zero(t, th.Stats().Waiting)
	}
	t.Log("cancelled", cancelled.Load(), "waits", th[0].Stats().Waits, th[1].Stats().Waits, th[2].Stats().Waits)
}

// admittedFunc makes a function an Admitted.
type admittedFunc func()

func (f admittedFunc) Admitted() { f() }
