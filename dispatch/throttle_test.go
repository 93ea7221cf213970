package dispatch

import (
	"log/slog"
	"math"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// waiter notes that it was granted.
type waiter struct {
	n       int64
	granted int
	then    func()
}

func (w *waiter) ThrottleGranted() {
	w.granted++
	if w.then != nil {
		w.then()
	}
}

func TestThrottleRule(t *testing.T) {
	for _, c := range []struct {
		limit, held, n int64
		admitted       bool
	}{
		{0, math.MaxInt64 - 1, 1, true},
		{10, 0, 10, true},
		{10, 1, 10, false},
		{10, 9, 1, true},
		{10, 10, 1, false},
		{10, 0, 11, true},
		{10, 10, 11, true}, // oversized: alone once held <= limit
		{10, 11, 11, false},
		{10, 11, 1, false},
		{10, 10, math.MaxInt64 - 10, true},
		{10, 100, 0, true},
	} {
		th := NewThrottle(c.limit)
		th.Take(c.held)
		require.Equal(t, c.admitted, th.Acquire(c.n, nil), "%+v", c)
		if c.admitted {
			th.Release(c.held + c.n)
		} else {
			th.Release(c.held)
		}
		require.Zero(t, th.Stats().Held)
	}
}

func TestThrottleLine(t *testing.T) {
	th := NewThrottle(10)
	var order []int64
	wait := func(n int64) *waiter {
		w := &waiter{n: n}
		w.then = func() { order = append(order, n) }
		require.False(t, th.Acquire(n, w))
		return w
	}
	require.True(t, th.Acquire(10, nil))
	a, b, c := wait(8), wait(1), wait(2)
	require.False(t, th.Acquire(1, nil), "others wait")
	th.Release(3)
	require.Empty(t, order, "the head of the line needs 8")
	require.True(t, th.Cancel(a))
	require.False(t, th.Cancel(a))
	require.Equal(t, []int64{1, 2}, order, "the next in line wanted less")
	require.False(t, th.Cancel(b), "granted before")
	require.Equal(t, 1, b.granted)
	require.Equal(t, 1, c.granted)
	require.Zero(t, a.granted)
	require.Equal(t, ThrottleStats{Limit: 10, Held: 10, Peak: 10, Waits: 3}, th.Stats())

	th.Take(1)
	d := wait(20)
	th.Release(1)
	require.Equal(t, 1, d.granted, "oversized")
	require.EqualValues(t, 30, th.Stats().Held)
	e := wait(1)
	th.SetLimit(31)
	require.Equal(t, 1, e.granted, "by a higher limit")
	f := wait(1)
	th.SetLimit(0)
	require.Equal(t, 1, f.granted, "by no limit")
	th.Release(32)
	require.Zero(t, th.Stats().Held)
}

// Grants come in order and never nest, though each grant gives back at once.
func TestThrottleGrantsDoNotNest(t *testing.T) {
	th := NewThrottle(1)
	th.Take(1)
	const n = 10_000
	depth, got := 0, 0
	for i := range n {
		w := &waiter{}
		w.then = func() {
			depth++
			require.Equal(t, 1, depth)
			require.Equal(t, i, got)
			got++
			th.Release(1)
			depth--
		}
		require.False(t, th.Acquire(1, w))
	}
	th.Release(1)
	require.Equal(t, n, got)
	require.Zero(t, th.Stats().Held)
	require.LessOrEqual(t, th.nFree, throttleFreeMax)
	require.Nil(t, th.waiting, "a large map is dropped")
}

func TestThrottlePanics(t *testing.T) {
	th := NewThrottle(1)
	require.PanicsWithValue(t, "dispatch: throttle release of 1 with 0 held", func() { th.Release(1) })
	require.Panics(t, func() { th.Acquire(-1, nil) })
	require.Panics(t, func() { th.Take(-1) })
	require.Panics(t, func() { th.SetLimit(-1) })
	w := &waiter{}
	th.Take(1)
	th.Acquire(1, w)
	require.Panics(t, func() { th.Acquire(1, w) }, "in line already")
	w.then = func() { panic("waiter") }
	require.Panics(t, func() { th.Release(1) })
	w2 := &waiter{}
	th.Acquire(1, w2)
	th.Release(1)
	require.Equal(t, 1, w2.granted, "goes on after a waiter's panic")
}

// Waiters that panic or end the goroutine keep nobody else from what one release made
// room for: there is no other one. The first panic goes to who released, the rest to
// the log.
func TestThrottleWaitersFail(t *testing.T) {
	var log captured
	old := slog.Default()
	slog.SetDefault(log.logger())
	t.Cleanup(func() { slog.SetDefault(old) })
	for _, x := range []struct {
		what   string
		fails  map[int]string
		thrown any
		ends   bool
		logged string
	}{
		{"one panics", map[int]string{2: "panic"}, 2, false, ""},
		{"the last one panics", map[int]string{9: "panic"}, 9, false, ""},
		{"one ends the goroutine", map[int]string{0: "goexit"}, nil, true, ""},
		{"two panic", map[int]string{2: "panic", 4: "panic"}, 2, false, "4"},
		{"three panic", map[int]string{2: "panic", 4: "panic", 5: "panic"}, 2, false, "4 5"},
		{"all end it", map[int]string{0: "goexit", 1: "goexit", 2: "goexit", 3: "goexit", 9: "goexit"}, nil, true, ""},
		{"panic, then the end", map[int]string{2: "panic", 4: "goexit"}, nil, true, "2"},
		{"the end, then a panic", map[int]string{2: "goexit", 4: "panic"}, nil, true, "4"},
	} {
		t.Run(x.what, func(t *testing.T) {
			log.buf.Reset()
			th := NewThrottle(10)
			th.Take(10)
			var granted []int
			for i := range 10 {
				w := &waiter{}
				w.then = func() {
					granted = append(granted, i)
					switch x.fails[i] {
					case "panic":
						panic(i)
					case "goexit":
						runtime.Goexit()
					}
				}
				require.False(t, th.Acquire(1, w))
			}
			var thrown any
			var stack string
			require.Equal(t, x.ends, ends(func() {
				defer func() {
					thrown = recover()
					stack = string(debug.Stack())
				}()
				th.Release(10)
			}))
			require.Equal(t, x.thrown, thrown)
			if thrown != nil {
				require.Contains(t, stack, "(*waiter).ThrottleGranted", "the stack is that of the panic")
			}
			require.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, granted)
			for _, want := range strings.Fields(x.logged) {
				require.Contains(t, log.String(), "panic="+want)
			}
			require.Equal(t, len(strings.Fields(x.logged)), strings.Count(log.String(), "level=ERROR"))

			w := &waiter{}
			require.False(t, th.Acquire(1, w), "what was taken for them is theirs")
			th.Release(1)
			require.Equal(t, 1, w.granted)
			th.Release(10)
			require.Equal(t, ThrottleStats{Limit: 10, Peak: 10, Waits: 11}, th.Stats())
		})
	}
}

// Against a reference that is a list and a number.
func TestThrottleModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := int64(rapid.IntRange(0, 20).Draw(t, "limit"))
		th := NewThrottle(limit)
		var held int64
		var holding []int64   // what was acquired
		var line []*waiter    // the reference's line
		var granted []*waiter // in the throttle's order
		admits := func(n int64) bool {
			return limit == 0 || !(n <= limit && held+n > limit || n >= limit && held > limit)
		}
		expect := func(t *rapid.T) {
			var want []*waiter
			for len(line) > 0 && admits(line[0].n) {
				held += line[0].n
				holding = append(holding, line[0].n)
				want = append(want, line[0])
				line = line[1:]
			}
			require.Equal(t, len(want), len(granted))
			for i := range want {
				require.Same(t, want[i], granted[i])
			}
			granted = nil
		}
		size := func(t *rapid.T) int64 { return int64(rapid.IntRange(1, 25).Draw(t, "n")) }
		t.Repeat(map[string]func(*rapid.T){
			"acquire": func(t *rapid.T) {
				w := &waiter{n: size(t)}
				w.then = func() { granted = append(granted, w) }
				ok := len(line) == 0 && admits(w.n)
				require.Equal(t, ok, th.Acquire(w.n, w))
				if ok {
					held += w.n
					holding = append(holding, w.n)
				} else {
					line = append(line, w)
				}
			},
			"try": func(t *rapid.T) {
				n := size(t)
				ok := len(line) == 0 && admits(n)
				require.Equal(t, ok, th.Acquire(n, nil))
				if ok {
					held += n
					holding = append(holding, n)
				}
			},
			"take": func(t *rapid.T) {
				n := size(t)
				th.Take(n)
				held += n
				holding = append(holding, n)
			},
			"release": func(t *rapid.T) {
				if len(holding) == 0 {
					return
				}
				i := rapid.IntRange(0, len(holding)-1).Draw(t, "which")
				n := holding[i]
				holding = slices.Delete(holding, i, i+1)
				held -= n
				th.Release(n)
				expect(t)
			},
			"cancel": func(t *rapid.T) {
				if len(line) == 0 {
					require.False(t, th.Cancel(&waiter{}))
					return
				}
				i := rapid.IntRange(0, len(line)-1).Draw(t, "which")
				w := line[i]
				line = slices.Delete(slices.Clone(line), i, i+1)
				require.True(t, th.Cancel(w))
				expect(t)
			},
			"limit": func(t *rapid.T) {
				limit = int64(rapid.IntRange(0, 20).Draw(t, "limit"))
				th.SetLimit(limit)
				expect(t)
			},
			"": func(t *rapid.T) {
				s := th.Stats()
				require.Equal(t, held, s.Held)
				require.Equal(t, len(line), s.Waiting)
				require.Equal(t, limit, s.Limit)
			},
		})
	})
}

// Many goroutines acquire, wait, cancel and release: never over limit plus one
// amount, nothing left at the end, nobody forgotten.
func TestThrottleConcurrent(t *testing.T) {
	const limit, largest = 100, 150
	th := NewThrottle(limit)
	var held atomic.Int64
	check := func(n int64) {
		if now := held.Add(n); now > limit+largest {
			t.Errorf("%d held", now)
		}
	}
	var wg sync.WaitGroup
	for g := range uint64(8) {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(7, g))
			for range 2000 {
				n := int64(1 + rnd.IntN(largest))
				w := &chanWaiter{make(chan struct{}, 1)}
				if !th.Acquire(n, w) {
					if rnd.IntN(3) == 0 && th.Cancel(w) {
						continue
					}
					<-w.granted
				}
				check(n)
				if rnd.IntN(4) == 0 {
					runtime.Gosched()
				}
				held.Add(-n)
				th.Release(n)
			}
		})
	}
	wg.Wait()
	s := th.Stats()
	require.Zero(t, s.Held)
	require.Zero(t, s.Waiting)
	require.LessOrEqual(t, s.Peak, int64(limit+largest))
	require.Positive(t, s.Waits)
}

type chanWaiter struct{ granted chan struct{} }

func (w *chanWaiter) ThrottleGranted() { w.granted <- struct{}{} }

func TestThrottleAllocatesNothing(t *testing.T) {
	th := NewThrottle(10)
	w := &waiter{}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		th.Acquire(10, nil)
		th.Acquire(1, w)
		th.Release(10)
		th.Release(1)
	}))
}

var _ msg.ThrottleWaiter = (*waiter)(nil)

// What is negative is a mistake of who calls: taken for a number it would make room.
func TestThrottleNegative(t *testing.T) {
	th := NewThrottle(10)
	th.Take(3)
	require.Panics(t, func() { th.Release(-1) })
	require.Panics(t, func() { th.Take(-1) })
	require.Panics(t, func() { th.Acquire(-1, nil) })
	require.EqualValues(t, 3, th.Stats().Held)
}
