package connection

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

func TestBoundOf(t *testing.T) {
	for _, x := range []struct {
		messages int
		bytes    int64
		limit    int64
		want     Bound
	}{
		{0, 0, 100 << 20, Bound{1 << 16, 25 << 20}},
		{0, 0, 3, Bound{1 << 16, 1}},
		{0, 0, -1, Bound{1 << 16, 0}}, // nothing is shared
		{-1, -1, 100, Bound{}},
		{7, 9, 100, Bound{7, 9}},
		{7, 9, -1, Bound{7, 9}},
		{1 << 30, 1 << 50, 100, Bound{boundMessagesMax, boundBytesMax}},
	} {
		p := &msg.Policy{ConnThrottleMessages: x.messages, ConnThrottleBytes: x.bytes}
		require.Equal(t, x.want, BoundOf(p, x.limit), "%+v", x)
	}
}

// granted is the owner of an Admission that notes what it is told.
type granted struct{ turns chan *Turn }

func (g granted) Granted(t *Turn) { g.turns <- t }

// next is what was told, by now.
func (g granted) next(t *testing.T) *Turn {
	t.Helper()
	require.Len(t, g.turns, 1, "nobody woke the owner")
	return <-g.turns
}

func newShare(own Bound) (*Admission, granted) {
	g := granted{make(chan *Turn, 1)}
	a := new(Admission)
	a.Init(g, 0)
	a.Set(msg.Policy{}, own, nil)
	return a, g
}

func TestShareRule(t *testing.T) {
	type held struct{ messages, bytes int64 }
	for _, x := range []struct {
		bound Bound
		held  held
		size  int64
		want  bool
	}{
		{Bound{2, 0}, held{1, 1 << 30}, 1 << 30, true},
		{Bound{2, 0}, held{2, 0}, 0, false},
		{Bound{0, 100}, held{1 << 20, 60}, 40, true},
		{Bound{0, 100}, held{1, 60}, 41, false},
		{Bound{0, 100}, held{1, 500}, 0, true}, // "0-size messages skip byte throttles"
		{Bound{0, 100}, held{0, 0}, 1000, true},
		{Bound{0, 100}, held{1, 1}, 100, false},
		{Bound{0, 100}, held{1, 100}, 101, true}, // alone, but for what is within the bound
		{Bound{0, 100}, held{2, 101}, 101, false},
		{Bound{3, 100}, held{3, 10}, 10, false},
		{Bound{3, 100}, held{2, 95}, 10, false},
		{Bound{boundMessagesMax, boundBytesMax}, held{boundMessagesMax - 1, boundBytesMax - 1}, 1, true},
	} {
		s := &share{bound: x.bound}
		// Where the numbers begin does not matter: they wrap around.
		for _, from := range []load{0, 1<<63 - 5, -7} {
			s.in, s.seen = from+loadOf(x.held.messages, x.held.bytes), from
			s.out.Store(from)
			require.Equal(t, x.want, s.Acquire(loadOf(1, x.size), nil), "%+v", x)
		}
	}
}

func TestShare(t *testing.T) {
	wantNone := func(t *testing.T, a *Admission) {
		t.Helper()
		require.Nil(t, a.Turn())
		require.Zero(t, a.own.in-a.own.out.Load(), "still held")
		require.Nil(t, a.own.waiting.Load())
	}
	t.Run("waits, and goes on", func(t *testing.T) {
		a, g := newShare(Bound{2, 100})
		require.True(t, a.Admit(60))
		require.True(t, a.Admit(40))
		require.False(t, a.Admit(50))
		require.True(t, a.AtOwnBound())
		a.DispatchDone(40)
		require.Empty(t, g.turns, "40 are not enough")
		a.DispatchDone(60)
		require.True(t, a.Go(g.next(t)))
		require.True(t, a.Admit(50), "what was granted is held")
		require.False(t, a.Admit(0))
		a.Abandon(0)
		a.DispatchesDone(2, 100)
		wantNone(t, a)
	})
	t.Run("is first, and holds nothing of others", func(t *testing.T) {
		a, g := newShare(Bound{1, 0})
		others := &limit{left: 100}
		a.thr[policyMessages], a.thr[dispatchBytes] = others, others
		require.True(t, a.Admit(10))
		require.False(t, a.Admit(10))
		require.EqualValues(t, 100-11, others.left)
		a.DispatchDone(10)
		require.EqualValues(t, 100, others.left)
		require.True(t, a.Go(g.next(t)))
		require.EqualValues(t, 100-11, others.left)
		a.DispatchDone(10)
		wantNone(t, a)
	})
	t.Run("what the owner gives back", func(t *testing.T) {
		a, g := newShare(Bound{1, 0})
		for range 10 {
			require.True(t, a.Admit(10))
			a.FastDone(10)
		}
		require.True(t, a.Admit(10))
		require.False(t, a.Admit(10))
		a.FastDone(10) // of the message before, which was received by the same read
		require.True(t, a.Go(g.next(t)))
		a.FastDone(10)
		wantNone(t, a)
	})
	t.Run("hold", func(t *testing.T) {
		a, g := newShare(Bound{1, 0})
		require.True(t, a.Admit(10))
		a.Hold(10)
		a.DispatchDone(10)
		require.False(t, a.Admit(10))
		require.Empty(t, g.turns)
		a.Unhold(10)
		require.True(t, a.Go(g.next(t)))
		a.Hold(10)
		a.FastDone(10)
		require.False(t, a.Admit(10))
		a.Unhold(10)
		require.True(t, a.Go(g.next(t)))
		a.DispatchDone(10)
		wantNone(t, a)
	})
	t.Run("abandoned in line", func(t *testing.T) {
		a, g := newShare(Bound{1, 0})
		require.True(t, a.Admit(10))
		require.False(t, a.Admit(10))
		a.Abandon(10)
		a.DispatchDone(10)
		require.Empty(t, g.turns)
		wantNone(t, a)
	})
	t.Run("abandoned after the grant", func(t *testing.T) {
		a, g := newShare(Bound{1, 0})
		require.True(t, a.Admit(10))
		require.False(t, a.Admit(10))
		a.DispatchDone(10)
		a.Abandon(10)
		require.False(t, a.Go(g.next(t)), "the late grant is not used")
		wantNone(t, a)
	})
	t.Run("abandoned", func(t *testing.T) {
		a, _ := newShare(Bound{1, 0})
		require.True(t, a.Admit(10))
		a.Abandon(10)
		wantNone(t, a)
	})
	t.Run("none", func(t *testing.T) {
		a, _ := newShare(Bound{})
		for range 1000 {
			require.True(t, a.Admit(1<<40))
		}
		wantNone(t, a)
	})
	t.Run("given back twice", func(t *testing.T) {
		a, _ := newShare(Bound{1, 0})
		require.True(t, a.Admit(10))
		a.DispatchDone(10)
		a.DispatchDone(10)
		require.Panics(t, func() { a.Admit(10) })
	})
}

// TestShareWakesAlways: whatever is given back by several goroutines at a time, the owner
// never waits with nothing held.
func TestShareWakesAlways(t *testing.T) {
	for _, own := range []Bound{{1, 0}, {7, 1000}} { // with 1 no later release makes up for a lost one
		testShareWakes(t, own)
	}
}

func testShareWakes(t *testing.T, own Bound) {
	a, g := newShare(own)
	given := make(chan int64, own.Messages)
	var all sync.WaitGroup
	for i := range 3 {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(i)))
			for size := range given {
				switch rnd.IntN(3) {
				case 0:
					a.Hold(size)
					a.DispatchDone(size)
					a.Unhold(size)
				case 1:
					a.DispatchesDone(1, size)
				default:
					a.DispatchDone(size)
				}
			}
		})
	}
	rnd, waits := rand.New(rand.NewPCG(2, 0)), 0
	for range 200_000 {
		size := rnd.Int64N(400)
		if !a.Admit(size) {
			waits++
			select {
			case turn := <-g.turns:
				require.True(t, a.Go(turn))
			case <-time.After(20 * time.Second):
				t.Fatalf("nobody woke the owner, which holds %d messages; wait %d",
					loadMessages(a.own.in-a.own.out.Load()), waits)
			}
		}
		if rnd.IntN(8) == 0 {
			a.FastDone(size)
		} else {
			given <- size
		}
	}
	close(given)
	all.Wait()
	require.Positive(t, waits)
	require.Zero(t, a.own.in-a.own.out.Load())
}
