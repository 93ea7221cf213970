package msg

// Recycler keeps messages that one worker is done with for the next ones it
// receives: what it sends back it got from itself, and a plain list costs a tenth
// of a pool that all goroutines share. It belongs to one worker. A nil Recycler
// goes to the pool each time. It is for the messenger's own packages.
//
// Implementation: not for users of the library; may change in any release.
type Recycler struct{ free []*Message }

// recyclerMax bounds what a Recycler keeps; the rest goes to the pool.
const recyclerMax = 1024

// NewBody returns a pooled message and n bytes for its segments to be received
// into. It becomes a received one by SetIncoming, or is dropped with Release.
func (r *Recycler) NewBody(n int) (*Message, []byte) {
	if r == nil || len(r.free) == 0 {
		m := fromPool()
		return m, m.reserve(n)
	}
	last := len(r.free) - 1
	m := r.free[last]
	r.free = r.free[:last]
	m.pooled, m.released = true, false
	return m, m.reserve(n)
}

// Sent is the very end of a sending: the message is released if that was asked
// for, and must not be used by the messenger any more.
func (r *Recycler) Sent(m *Message) {
	switch {
	case !m.autoRelease || !m.letGo():
	case r == nil || len(r.free) >= recyclerMax:
		messagePool.Put(m)
	default:
		r.free = append(r.free, m)
	}
}
