package async

import (
	"container/list"
	"slices"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
)

// registry is the only state that connections of a messenger share. A closed
// connection is not in it.
type registry struct {
	mu    sync.Mutex
	index entity.Index[*connection.Conn]
	all   map[uint64]*entry
	// handshakes counts accepted connections that were not ready yet.
	handshakes int
	// absent are the connections that wait for a peer which alone can come back, the
	// one that waits longest first.
	absent list.List
	// live counts connections until their workers are done with them.
	live     int
	draining bool          // no new session
	closing  bool          // no new connection at all
	empty    chan struct{} // closed when closing and live is 0
}

type entry struct {
	conn      *connection.Conn
	asked     entity.AddrVec // of any nonce, as the user gave them; nil: there are none
	addrs     entity.AddrVec // under which it is in the index; nil: it is not
	absent    *list.Element  // in absent; nil: it is not
	handshake bool           // counts in handshakes
}

func (r *registry) init() {
	r.all = map[uint64]*entry{}
	r.empty = make(chan struct{})
}

// lookup returns the connection of the peer with one of these addresses, or nil.
func (r *registry) lookup(addrs entity.AddrVec) *connection.Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, _ := r.index.Lookup(addrs)
	return c
}

// wanted is lookup for a user who asks for addrs. One found at a place, where the user
// means whoever listens there, is that one's from now on, and told so if it was not.
func (r *registry) wanted(addrs entity.AddrVec) *connection.Conn {
	r.mu.Lock()
	c, ok := r.index.Lookup(addrs)
	news := ok && r.askLocked(c, addrs)
	r.mu.Unlock()
	if news {
		c.Follow()
	}
	return c
}

func (r *registry) askLocked(c *connection.Conn, addrs entity.AddrVec) (news bool) {
	e := r.all[c.ID()]
	if e.asked != nil || !slices.ContainsFunc(addrs, func(a entity.Addr) bool { return a.AnyNonce }) {
		return false
	}
	e.asked = addrs
	r.putLocked(c, append(addrs.Clone(), e.addrs...))
	return true
}

// add puts a new connection in, under addrs unless it is anonymous. If there is one
// under them already it is returned instead.
func (r *registry) add(c *connection.Conn, addrs entity.AddrVec) (existing *connection.Conn, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing || r.draining {
		return nil, msg.ErrShutdown
	}
	e := &entry{conn: c}
	if !c.Anonymous() {
		if ex, ok := r.index.Lookup(addrs); ok {
			return ex, nil
		}
		if slices.ContainsFunc(addrs, func(a entity.Addr) bool { return a.AnyNonce }) {
			e.asked = addrs
		}
		e.addrs = addrs
		r.index.Put(addrs, c)
	}
	r.all[c.ID()] = e
	r.live++
	return nil, nil
}

// addHandshake puts an accepted connection in, if there is room for it.
func (r *registry) addHandshake(c *connection.Conn, limit int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing || r.handshakes >= limit {
		return false
	}
	r.handshakes++
	r.all[c.ID()] = &entry{conn: c, handshake: true}
	r.live++
	return true
}

// drain lets no new session begin.
func (r *registry) drain() {
	r.mu.Lock()
	r.draining = true
	r.mu.Unlock()
}

func (r *registry) isDraining() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.draining
}

// close lets no new connection in.
func (r *registry) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closing = true
	if r.live == 0 {
		close(r.empty)
	}
}

// ended: the worker of a connection is done with it.
func (r *registry) ended() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.live--; r.live == 0 && r.closing {
		close(r.empty)
	}
}

// claim makes c the connection of the peer with those addresses. If there is one
// already it is returned, and c is not.
func (r *registry) claim(addrs entity.AddrVec, c *connection.Conn) (existing *connection.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ex, ok := r.index.Lookup(addrs); ok && ex != c {
		return ex
	}
	r.putLocked(c, addrs)
	return nil
}

// rename puts c under the addresses that its peer has now, if it was under others.
// What it was dialled by stays, if that was a place.
func (r *registry) rename(c *connection.Conn, addrs entity.AddrVec) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.all[c.ID()]; e != nil && e.addrs != nil {
		r.putLocked(c, append(e.asked.Clone(), addrs...))
	}
}

func (r *registry) putLocked(c *connection.Conn, addrs entity.AddrVec) {
	if e := r.all[c.ID()]; e != nil {
		r.index.Remove(e.addrs, c)
		e.addrs = addrs
		r.index.Put(addrs, c)
	}
}

// remove forgets c.
func (r *registry) remove(c *connection.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.all[c.ID()]
	if e == nil {
		return
	}
	delete(r.all, c.ID())
	if e.handshake {
		r.handshakes--
	}
	r.index.Remove(e.addrs, c)
	r.returnedLocked(e)
}

// readied ends the handshake of an accepted connection, or its peer's absence.
func (r *registry) readied(c *connection.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.all[c.ID()]
	if e == nil {
		return
	}
	if e.handshake {
		e.handshake = false
		r.handshakes--
	}
	r.returnedLocked(e)
}

func (r *registry) returnedLocked(e *entry) {
	if e.absent != nil {
		r.absent.Remove(e.absent)
		e.absent = nil
	}
}

// left: the peer of c is away, and c waits for it. If that makes more than limit such
// connections, the one that waits longest is returned.
func (r *registry) left(c *connection.Conn, limit int) (tooMany *connection.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.all[c.ID()]
	if e == nil {
		return nil
	}
	r.returnedLocked(e)
	e.absent = r.absent.PushBack(c)
	if limit < 0 || r.absent.Len() <= limit {
		return nil
	}
	c = r.absent.Front().Value.(*connection.Conn)
	r.returnedLocked(r.all[c.ID()])
	return c
}

// counts returns how many connections, handshakes and absent peers there are.
func (r *registry) counts() (all, handshakes, absent int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.all), r.handshakes, r.absent.Len()
}

// snapshot returns all connections by their id.
func (r *registry) snapshot() []*connection.Conn {
	r.mu.Lock()
	out := make([]*connection.Conn, 0, len(r.all))
	for _, e := range r.all {
		out = append(out, e.conn)
	}
	r.mu.Unlock()
	slices.SortFunc(out, func(a, b *connection.Conn) int {
		if a.ID() < b.ID() {
			return -1
		}
		return 1
	})
	return out
}
