package dispatch

import (
	"context"
	"fmt"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// insideAtDepths asks at many depths of the stack, so that the boundary is the first
// frame of a part of it, the last one, and all between.
func insideAtDepths() (places map[Place]int) {
	places = map[Place]int{}
	var down func(n int)
	down = func(n int) {
		places[inlined()]++
		if n > 0 {
			down(n - 1)
		}
	}
	down(2 * 64)
	return places
}

func inlined() Place { return Inside() }

// notes is a dispatcher that notes where its callbacks are.
type notes struct {
	at   map[string]map[Place]int
	fast bool
	on   func(what string)
}

func (n *notes) note(what string) {
	n.at[what] = insideAtDepths()
	if n.on != nil {
		n.on(what)
	}
}

func (n *notes) Dispatch(*msg.Message) bool              { n.note("Dispatch"); return true }
func (n *notes) CanFastDispatch(*msg.Message) bool       { n.note("CanFastDispatch"); return n.fast }
func (n *notes) FastDispatch(*msg.Message)               { n.note("FastDispatch") }
func (n *notes) FastPreprocess(*msg.Message)             { n.note("FastPreprocess") }
func (n *notes) HandleConnect(msg.Connection)            { n.note("HandleConnect") }
func (n *notes) HandleFastConnect(msg.Connection)        { n.note("HandleFastConnect") }
func (n *notes) HandleFastAccept(msg.Connection)         { n.note("HandleFastAccept") }
func (n *notes) HandleReset(msg.Connection, error) bool  { n.note("HandleReset"); return true }
func (n *notes) HandleSendPressure(msg.Connection, bool) { n.note("HandleSendPressure") }
func (n *notes) HandleUndeliverable(msg.Connection, *msg.Message, error) {
	n.note("HandleUndeliverable")
}

// want checks that all depths said the same.
func (n *notes) want(t *testing.T, what string, p Place) {
	t.Helper()
	require.Equal(t, map[Place]int{p: 2*64 + 1}, n.at[what], what)
	delete(n.at, what)
}

func TestInside(t *testing.T) {
	require.Equal(t, map[Place]int{Outside: 2*64 + 1}, insideAtDepths())
	n := &notes{at: map[string]map[Place]int{}, fast: true}
	c := NewChain(ChainConfig{})
	c.AddTail(n)
	e := new(Inline)
	q := New(Config{Executor: e, Handler: c, OnDiscard: func(*Item) { n.note("OnDiscard") }})
	conn := newConns(1)[0]
	m := newMessage(conn, 127, 1, nil, 0)

	// On the worker.
	c.Fast(m)
	c.FastConnect(conn)
	c.FastAccept(conn)
	c.Undeliverable(conn, m, msg.ErrReset)
	for _, what := range []string{
		"FastPreprocess", "CanFastDispatch", "FastDispatch", "HandleFastConnect", "HandleFastAccept", "HandleUndeliverable",
	} {
		n.want(t, what, OnWorker)
	}
	for range 2 {
		require.NoError(t, q.Enqueue(EventItem(KindConnect, conn, nil)))
		q.Discard(conn.id, true)
		n.want(t, "OnDiscard", OnWorker)
	}

	// On the pool.
	for _, k := range []Kind{KindConnect, KindReset, KindHighWater} {
		require.NoError(t, q.Enqueue(EventItem(k, conn, nil)))
	}
	require.NoError(t, q.Enqueue(MessageItem(m)))
	e.Run()
	for _, what := range []string{"HandleConnect", "HandleReset", "HandleSendPressure", "Dispatch"} {
		n.want(t, what, OnPool)
	}

	// One in another: the outer one counts.
	n.on = func(what string) {
		switch what {
		case "Dispatch":
			c.Undeliverable(conn, m, msg.ErrReset)
		case "FastDispatch":
			require.NoError(t, q.Enqueue(EventItem(KindConnect, conn, nil)))
			e.Run()
			require.Equal(t, Outside, <-elsewhere())
		}
	}
	require.NoError(t, q.Enqueue(MessageItem(m)))
	e.Run()
	n.want(t, "Dispatch", OnPool)
	n.want(t, "HandleUndeliverable", OnPool)
	c.Fast(m)
	n.want(t, "FastDispatch", OnWorker)
	n.want(t, "HandleConnect", OnWorker)

	// Stop does not wait for the callback that calls it, even there.
	n.on = func(what string) {
		if what == "HandleConnect" {
			require.ErrorIs(t, q.Stop(context.Background()), ErrInDispatch)
		}
	}
	c.Fast(m)
	require.NoError(t, q.Enqueue(EventItem(KindConnect, conn, nil)))
	e.Run()
	n.want(t, "HandleConnect", OnPool)
	require.NoError(t, q.Stop(context.Background()))
}

func elsewhere() chan Place {
	at := make(chan Place)
	go func() { at <- Inside() }()
	return at
}

// Others' functions.
type side struct{}

func (side) value(f func())           { f() }
func (*side) pointer(f func())        { f() }
func (*side) pointers(f func())       { f() } // not registered; its name begins as that of one that is
func sideFunction(f func())           { f() }
func sideFunctions(f func())          { f() }
func sideClosure(f func())            { func() { defer f() }() }
func (d *drainer) drainLike(f func()) { f() }

func TestWorkerSide(t *testing.T) {
	before := boundaries.Load()
	t.Cleanup(func() { boundaries.Store(before) })
	var at Place
	ask := func() { at = Inside() }
	side{}.value(ask)
	require.Equal(t, Outside, at, "nobody knows of it yet")
	for range 2 {
		WorkerSide(side.value)
		WorkerSide(new(side).pointer) // a method value
		WorkerSide(sideFunction)
		WorkerSide(sideClosure)
	}
	require.Len(t, *boundaries.Load(), len(*before)+4, "once each")
	for i, x := range []struct {
		call func(func())
		want Place
	}{
		{side{}.value, OnWorker},
		{new(side).pointer, OnWorker},
		{new(side).pointers, Outside},
		{sideFunction, OnWorker},
		{func(f func()) { sideFunction(f) }, OnWorker}, // inlined
		{sideFunctions, Outside},
		{sideClosure, OnWorker},
		{new(drainer).drainLike, Outside},
	} {
		x.call(ask)
		require.Equal(t, x.want, at, "%d", i)
	}
	for _, fn := range []any{nil, 1, (func())(nil)} {
		require.Panics(t, func() { WorkerSide(fn) })
	}
	require.Equal(t, "outside, on pool, on worker", fmt.Sprintf("%v, %v, %v", Outside, OnPool, OnWorker))
}

func BenchmarkInside(b *testing.B) {
	c := NewChain(ChainConfig{})
	c.AddTail(fastOnly{func() {
		for b.Loop() {
			Inside()
		}
	}})
	b.ReportAllocs()
	c.Fast(newMessage(newConns(1)[0], 127, 0, nil, 0))
}
