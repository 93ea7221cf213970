package forward

import (
	"net/netip"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/require"
)

type plainWorker struct {
	eventloop.Worker
	id int
}

func (w plainWorker) ID() int { return w.id }

type lends struct{ runs bool }

func (l lends) Lend(eventloop.Task) bool { return l.runs }

type stores struct{}

func (stores) LoadOrStore(_, v any) any { return v }

type outerWorker struct{ eventloop.Worker }

func (w outerWorker) Load() int { return 7 }

type plainStack struct {
	eventloop.Stack
	workers []eventloop.Worker
}

func (s *plainStack) NumWorkers() int               { return len(s.workers) }
func (s *plainStack) Worker(i int) eventloop.Worker { return s.workers[i] }
func (s *plainStack) Pick() eventloop.Worker        { return s.workers[1] }

type hosted struct{}

func (hosted) HostAddrs() ([]netip.Addr, error) { return []netip.Addr{netip.IPv4Unspecified()}, nil }
func (hosted) ZoneID(string) (uint32, bool)     { return 5, true }

type plainHandler struct{ eventloop.Handler }

type abandoned struct{ n *int }

func (a abandoned) Abandoned() { *a.n++ }

type steps struct{}

func (steps) RunAside(job func()) (ran, stays bool) { return true, true }

type meters struct{}

func (meters) ThreadUsage() eventloop.ThreadUsage { return eventloop.ThreadUsage{Thread: 9} }

// A worker has what the inner one has, no less and no more, and the methods of the outer.
func TestWorker(t *testing.T) {
	w := plainWorker{id: 3}
	l, s, a := lends{true}, stores{}, steps{}
	for _, c := range []struct {
		inner                eventloop.Worker
		lends, stores, steps bool
	}{
		{w, false, false, false},
		{struct {
			plainWorker
			lends
		}{w, l}, true, false, false},
		{struct {
			plainWorker
			stores
		}{w, s}, false, true, false},
		{struct {
			plainWorker
			steps
		}{w, a}, false, false, true},
		{struct {
			plainWorker
			lends
			stores
		}{w, l, s}, true, true, false},
		{struct {
			plainWorker
			lends
			steps
		}{w, l, a}, true, false, true},
		{struct {
			plainWorker
			stores
			steps
		}{w, s, a}, false, true, true},
		{struct {
			plainWorker
			lends
			stores
			steps
		}{w, l, s, a}, true, true, true},
	} {
		out := Worker(outerWorker{c.inner}, c.inner)
		require.Equal(t, 7, out.Load())
		require.Equal(t, 3, out.ID())
		l, ok := out.(eventloop.Lender)
		require.Equal(t, c.lends, ok)
		require.True(t, !ok || l.Lend(nil))
		s, ok := out.(eventloop.Local)
		require.Equal(t, c.stores, ok)
		require.True(t, !ok || s.LoadOrStore(1, 2) == 2)
		a, ok := out.(eventloop.Asider)
		require.Equal(t, c.steps, ok)
		if ok {
			ran, stays := a.RunAside(nil)
			require.True(t, ran && stays)
		}
	}
	inner := struct {
		plainWorker
		lends
	}{w, lends{true}}
	own := struct {
		eventloop.Worker
		lends
	}{inner, lends{false}}
	require.False(t, Worker(own, inner).(eventloop.Lender).Lend(nil), "what the outer one has itself comes first")
}

func TestStack(t *testing.T) {
	plain := &plainStack{workers: []eventloop.Worker{plainWorker{id: 0}, struct {
		plainWorker
		lends
	}{plainWorker{id: 1}, lends{true}}}}
	wrapped := 0
	wrap := func(w eventloop.Worker) eventloop.Worker {
		wrapped++
		return outerWorker{w}
	}
	s := Stack(plain, wrap)
	require.Equal(t, 2, wrapped)
	_, ok := s.(eventloop.Hosted)
	require.False(t, ok)
	require.Equal(t, 1, s.Pick().ID())
	require.Equal(t, 7, s.Worker(0).Load())
	require.Same(t, s.Worker(1), s.Pick())
	_, ok = s.Pick().(eventloop.Lender)
	require.True(t, ok)
	_, ok = s.Worker(0).(eventloop.Lender)
	require.False(t, ok)

	s = Stack(&struct {
		*plainStack
		hosted
	}{plain, hosted{}}, wrap)
	id, ok := s.(eventloop.Hosted).ZoneID("")
	require.True(t, ok)
	require.EqualValues(t, 5, id)
	require.Same(t, s, StackAs(s, plain), "it is Hosted itself")
	_, ok = s.(eventloop.Meter)
	require.False(t, ok)

	s = Stack(&struct {
		*plainStack
		meters
	}{plain, meters{}}, wrap)
	require.Equal(t, 9, s.(eventloop.Meter).ThreadUsage().Thread)
	_, ok = s.(eventloop.Hosted)
	require.False(t, ok)
	both := StackAs(s, &struct {
		*plainStack
		hosted
	}{plain, hosted{}})
	require.Equal(t, 9, both.(eventloop.Meter).ThreadUsage().Thread)
	_, ok = both.(eventloop.Hosted)
	require.True(t, ok)
}

type watched struct{}

func (watched) Activity(i int) eventloop.Activity { return eventloop.Activity{Posted: i} }

// A stack has what the inner one has, in every combination.
func TestStackInAddition(t *testing.T) {
	p := &plainStack{}
	h, m, w := hosted{}, meters{}, watched{}
	for _, inner := range []eventloop.Stack{p,
		struct {
			*plainStack
			hosted
		}{p, h}, struct {
			*plainStack
			meters
		}{p, m}, struct {
			*plainStack
			watched
		}{p, w}, struct {
			*plainStack
			hosted
			meters
		}{p, h, m}, struct {
			*plainStack
			hosted
			watched
		}{p, h, w}, struct {
			*plainStack
			meters
			watched
		}{p, m, w}, struct {
			*plainStack
			hosted
			meters
			watched
		}{p, h, m, w},
	} {
		outer := StackAs(&plainStack{}, inner)
		require.Equal(t, is[eventloop.Hosted](inner), is[eventloop.Hosted](outer), "%T", inner)
		require.Equal(t, is[eventloop.Meter](inner), is[eventloop.Meter](outer), "%T", inner)
		require.Equal(t, is[eventloop.Watched](inner), is[eventloop.Watched](outer), "%T", inner)
	}
}

func TestHandler(t *testing.T) {
	n, own := 0, 0
	_, ok := Handler(plainHandler{}, plainHandler{}).(eventloop.Abandoner)
	require.False(t, ok)
	inner := struct {
		plainHandler
		abandoned
	}{abandoned: abandoned{&n}}
	Handler(plainHandler{inner}, inner).(eventloop.Abandoner).Abandoned()
	require.Equal(t, 1, n)
	Handler(struct {
		plainHandler
		abandoned
	}{abandoned: abandoned{&own}}, inner).(eventloop.Abandoner).Abandoned()
	require.Equal(t, []int{1, 1}, []int{n, own})
}
