package msg

import (
	"sync"
	"sync/atomic"

	"github.com/asyncmsgr/asyncmsgr/async/callback"
)

// Refusal is an entry of a broadcast over which nothing is sent. It is an error, and
// errors.Is finds what Send would have returned.
type Refusal struct {
	Index int        // in the list of connections
	Conn  Connection // what stands there
	Err   error
}

// Error implements error.
func (r Refusal) Error() string { return r.Err.Error() }

// Unwrap returns Err.
func (r Refusal) Unwrap() error { return r.Err }

// BroadcastNotifier is what a Notifier may be in addition: one that is told when the last
// sending of a broadcast has ended.
type BroadcastNotifier interface {
	Notifier
	// BroadcastSent is called once per broadcast that at least one connection accepted,
	// after the last MessageSent, and under the same conditions: m and its slices are the
	// sender's again. (Not those of a message made by New, which is released after it.)
	BroadcastSent(m *Message)
}

// Shared is a message that is being sent over many connections, each of which has a copy
// of it: a message of its own with the payload of all. The one who makes the copies and
// the copies are counted; the last has the message given back.
//
// Implementation: not for users of the library; may change in any release.
type Shared struct {
	of   *Message
	left atomic.Int32

	once sync.Once
	sums [3]uint32
}

// Share makes m, which Take has made the messenger's, one that is copied. Cancel does not
// reach it any more.
//
// Implementation: not for users of the library; may change in any release.
func Share(m *Message) *Shared {
	atomic.StoreUint32(&m.state, stateShared)
	s := &Shared{of: m}
	s.left.Store(1)
	return s
}

// Copy returns another copy, to be handed to a connection as a message that was taken. Its
// end is EndCopy.
func (s *Shared) Copy() *Message {
	m, c := s.of, fromPool()
	c.Type, c.Priority, c.Version, c.Compat = m.Type, m.Priority, m.Version, m.Compat
	c.TID, c.DataOff, c.TraceContext = m.TID, m.DataOff, m.TraceContext
	c.Front, c.Middle, c.Data = m.Front, m.Middle, m.Data
	c.Deadline, c.Notify = m.Deadline, m.Notify
	c.expires, c.sum = m.expires, m.sum
	c.state, c.autoRelease, c.shared = stateQueued, true, s
	s.left.Add(1)
	return c
}

// Drop is the end of a copy that no connection accepted. The maker's share keeps it from
// being the last.
func (s *Shared) Drop(c *Message) {
	GiveBack(c)
	(*Recycler)(nil).Sent(c)
	s.left.Add(-1)
}

// Made is called when all copies were made, of which accepted were handed on. With none
// the message is the sender's as after a Send that failed. over says that all copies have
// had their ends already, and that Finish is to be called.
func (s *Shared) Made(accepted int) (over bool) {
	if accepted == 0 {
		GiveBack(s.of)
		return false
	}
	return s.left.Add(-1) == 0
}

// Sums are sum of Front, Middle and Data, computed once.
func (s *Shared) Sums(sum func([]byte) uint32) *[3]uint32 {
	s.once.Do(func() { s.sums = [3]uint32{sum(s.of.Front), sum(s.of.Middle), sum(s.of.Data)} })
	return &s.sums
}

// SharedOf is what m is a copy of, nil for a message of its own.
//
// Implementation: not for users of the library; may change in any release.
func SharedOf(m *Message) *Shared { return m.shared }

// Original is the message that the user knows: what m is a copy of, or m.
//
// Implementation: not for users of the library; may change in any release.
func Original(m *Message) *Message {
	if m.shared != nil {
		return m.shared.of
	}
	return m
}

// EndCopy is the very end of a copy, after NotifySent. The last one is the end of the
// broadcast, on which failed may be told of a callback that did not return.
//
// Implementation: not for users of the library; may change in any release.
func EndCopy(c *Message, r *Recycler, failed func(recovered any)) {
	s := c.shared
	r.Sent(c)
	if s.left.Add(-1) == 0 {
		s.Finish(failed)
	}
}

// Finish gives the message back when all copies have had their ends. failed is told of a
// callback that did not return, as by NotifySent.
func (s *Shared) Finish(failed func(recovered any)) {
	m := s.of
	GiveBack(m)
	defer (*Recycler)(nil).Sent(m) // though user code ends the goroutine
	if n, ok := m.Notify.(BroadcastNotifier); ok {
		guarded(func() { n.BroadcastSent(m) }, failed)
	}
}

// guarded calls f, which is the user's, on a worker. failed is told of a panic in it, which
// goes no further, and with ErrGoexit of a runtime.Goexit, which cannot be stopped.
func guarded(f func(), failed func(recovered any)) {
	returned := false
	defer func() {
		if returned {
			return
		}
		r := recover()
		if r == nil {
			r = ErrGoexit
		}
		failed(r)
	}()
	callback.OnWorker(f)
	returned = true
}
