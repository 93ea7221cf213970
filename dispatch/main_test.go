package dispatch

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"go.uber.org/goleak"
)

// ants keeps two goroutines for its default pool from the import on.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }

// fakeConn is a connection of which only the identity and the end matter.
type fakeConn struct {
	msg.Connection
	id     uint64
	closed atomic.Bool
}

func (c *fakeConn) ID() uint64            { return c.id }
func (c *fakeConn) IsClosed() bool        { return c.closed.Load() }
func (c *fakeConn) PeerName() entity.Name { return entity.Name{} }
func (c *fakeConn) String() string        { return fmt.Sprintf("conn %d", c.id) }

func newConns(n int) []*fakeConn {
	conns := make([]*fakeConn, n)
	for i := range conns {
		conns[i] = &fakeConn{id: uint64(i + 1)}
	}
	return conns
}

// receipts counts what was given back for each message size; the sizes of a test
// are its messages' names.
type receipts struct {
	mu   sync.Mutex
	done map[int64]int
	held atomic.Int64
}

func (r *receipts) DispatchDone(size int64) {
	r.held.Add(-size)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done == nil {
		r.done = make(map[int64]int)
	}
	r.done[size]++
}
func (r *receipts) Hold(int64)   {}
func (r *receipts) Unhold(int64) {}

// newMessage is a message received from c.
func newMessage(c *fakeConn, prio uint8, seq uint64, r *receipts, charge int64) *msg.Message {
	in := msg.Incoming{Conn: c, Seq: seq, Charge: charge}
	if r != nil {
		in.Receipt = r
		r.held.Add(charge)
	}
	m := newIncoming(in)
	m.Priority = prio
	return m
}

// handlerFunc makes a function a Handler.
type handlerFunc func(it *Item) Outcome

func (f handlerFunc) Handle(it *Item) Outcome { return f(it) }

// dispatcherFunc makes a function a msg.Dispatcher.
type dispatcherFunc func(m *msg.Message) bool

func (f dispatcherFunc) Dispatch(m *msg.Message) bool { return f(m) }

// newIncoming is a received message without payload.
func newIncoming(in msg.Incoming) *msg.Message {
	m, _ := (*msg.Recycler)(nil).NewBody(0)
	msg.SetIncoming(m, in)
	return m
}

// heldBy gives a message's charge back to a throttle when its dispatch is over.
type heldBy struct{ th *Throttle }

func (h heldBy) DispatchDone(size int64) { h.th.Release(size) }
func (h heldBy) Hold(int64)              {}
func (h heldBy) Unhold(int64)            {}
