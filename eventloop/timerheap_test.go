package eventloop

import (
	"math/rand/v2"
	"sort"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// fired collects the ids of timers in the order of firing.
type fired struct{ ids []int }

type testTimer struct {
	Timer
	id   int
	to   *fired
	then func()
}

func newTestTimer(id int, to *fired) *testTimer {
	t := &testTimer{id: id, to: to}
	t.Init(t)
	return t
}

func (t *testTimer) HandleTimer(time.Duration) {
	t.to.ids = append(t.to.ids, t.id)
	if t.then != nil {
		t.then()
	}
}

func (f *fired) run(h *TimerHeap, now time.Duration) []int {
	f.ids = nil
	h.Expire(now)
	for t := h.PopExpired(); t != nil; t = h.PopExpired() {
		t.Fire(now)
	}
	return f.ids
}

func TestTimerHeapOrder(t *testing.T) {
	var h TimerHeap
	var f fired
	ts := make([]*testTimer, 6)
	for i := range ts {
		ts[i] = newTestTimer(i, &f)
	}
	_, ok := h.Next()
	require.False(t, ok)
	h.Set(&ts[0].Timer, 30)
	h.Set(&ts[1].Timer, 10)
	h.Set(&ts[2].Timer, 20)
	h.Set(&ts[3].Timer, 10) // as early as 1, armed later
	h.Set(&ts[4].Timer, 5)
	h.Set(&ts[5].Timer, 20)
	h.Stop(&ts[5].Timer)
	h.Stop(&ts[5].Timer)
	at, ok := h.Next()
	require.True(t, ok)
	require.Equal(t, time.Duration(5), at)
	h.Set(&ts[4].Timer, 10) // moved: armed last of the three now
	require.Empty(t, f.run(&h, 9))
	require.Equal(t, []int{1, 3, 4, 2}, f.run(&h, 29))
	require.False(t, ts[1].Armed())
	require.True(t, ts[0].Armed())
	require.Equal(t, time.Duration(30), ts[0].Deadline())
	require.Equal(t, []int{0}, f.run(&h, 30))
	require.Zero(t, h.Len())
}

// A timer that arms itself with a deadline in the past neither fires twice in
// one Expire nor keeps others from firing.
func TestTimerHeapRearmInThePast(t *testing.T) {
	var h TimerHeap
	var f fired
	greedy, other := newTestTimer(1, &f), newTestTimer(2, &f)
	greedy.then = func() { h.Set(&greedy.Timer, 0) }
	h.Set(&greedy.Timer, 0)
	h.Set(&other.Timer, 5)
	require.Equal(t, []int{1, 2}, f.run(&h, 5))
	h.Set(&other.Timer, 0)
	require.Equal(t, []int{1, 2}, f.run(&h, 6), "past deadlines count in the order of arming")
}

func TestTimerHeapStopInHandler(t *testing.T) {
	var h TimerHeap
	var f fired
	a, b := newTestTimer(1, &f), newTestTimer(2, &f)
	a.then = func() { h.Stop(&b.Timer) }
	h.Set(&a.Timer, 1)
	h.Set(&b.Timer, 1)
	require.Equal(t, []int{1}, f.run(&h, 1))
	require.Zero(t, h.Len())
}

func TestTimerHeapMisuse(t *testing.T) {
	var h, other TimerHeap
	var f fired
	a := newTestTimer(1, &f)
	h.Set(&a.Timer, 1)
	require.Panics(t, func() { other.Stop(&a.Timer) })
	require.Panics(t, func() { h.Set(&Timer{}, 1) })
}

// The heap behaves like a list that is sorted before every use.
func TestTimerHeapModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type armed struct {
			at  time.Duration
			seq int
		}
		var h TimerHeap
		var f fired
		model := map[int]armed{}
		timers := make([]*testTimer, 40)
		for i := range timers {
			timers[i] = newTestTimer(i, &f)
		}
		now, seq := time.Duration(0), 0
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			i := rapid.IntRange(0, len(timers)-1).Draw(t, "timer")
			switch rapid.IntRange(0, 9).Draw(t, "op") {
			case 0, 1:
				h.Stop(&timers[i].Timer)
				delete(model, i)
			case 2:
				now += time.Duration(rapid.IntRange(0, 30).Draw(t, "d"))
				var want []int
				for id, a := range model {
					if a.at <= now {
						want = append(want, id)
					}
				}
				sort.Slice(want, func(i, j int) bool {
					a, b := model[want[i]], model[want[j]]
					return a.at < b.at || a.at == b.at && a.seq < b.seq
				})
				require.Equal(t, want, f.run(&h, now))
				for _, id := range want {
					delete(model, id)
				}
			default:
				at := time.Duration(rapid.IntRange(0, 300).Draw(t, "at"))
				seq++
				h.Set(&timers[i].Timer, at)
				model[i] = armed{max(at, now), seq}
			}
			require.Equal(t, len(model), h.Len())
			for id, tm := range timers {
				_, ok := model[id]
				require.Equal(t, ok, tm.Armed())
			}
			if at, ok := h.Next(); ok {
				least := time.Duration(1 << 62)
				for _, a := range model {
					least = min(least, a.at)
				}
				require.Equal(t, least, at)
			}
		}
	})
}

func TestTimerHeapAllocs(t *testing.T) {
	h, timers := fullHeap(1000)
	n := 0
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		n++
		tm := timers[n%len(timers)]
		h.Stop(&tm.Timer)
		h.Set(&tm.Timer, time.Duration(n))
	}))
}

func fullHeap(n int) (*TimerHeap, []*testTimer) {
	h, timers := &TimerHeap{}, make([]*testTimer, n)
	for i := range timers {
		timers[i] = newTestTimer(i, &fired{})
		h.Set(&timers[i].Timer, time.Duration(rand.IntN(1<<30)))
	}
	return h, timers
}

// BenchmarkTimerHeap: the usual life of a timer is to be moved, not to fire.
func BenchmarkTimerHeap(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run("move/"+strconv.Itoa(n), func(b *testing.B) {
			h, timers := fullHeap(n)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				h.Set(&timers[i%n].Timer, time.Duration(1<<30+i))
			}
		})
		b.Run("fire/"+strconv.Itoa(n), func(b *testing.B) {
			h, timers := fullHeap(n)
			b.ReportAllocs()
			for b.Loop() {
				at, _ := h.Next()
				h.Expire(at)
				t := h.PopExpired()
				h.Set(t, at+1<<30)
			}
			_ = timers
		})
	}
}
