package async

import (
	"slices"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
)

// registry is the only state that connections of a messenger share. A closed
// connection is not in it.
type registry struct {
	mu     sync.Mutex
	byAddr map[string]*connection.Conn
	all    map[uint64]*entry
	// handshakes counts accepted connections that were not ready yet.
	handshakes int
	refused    uint64 // accepted sockets closed at HandshakesMax
	// live counts connections until their workers are done with them.
	live    int
	closing bool          // no new connection
	empty   chan struct{} // closed when closing and live is 0
}

type entry struct {
	conn      *connection.Conn
	key       string // under which it is in byAddr; "": it is not
	handshake bool   // counts in handshakes
}

func (r *registry) init() {
	r.byAddr = map[string]*connection.Conn{}
	r.all = map[uint64]*entry{}
	r.empty = make(chan struct{})
}

// lookup returns the connection of the peer with these addresses, or nil.
func (r *registry) lookup(addrs entity.AddrVec) *connection.Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byAddr[addrs.Key()]
}

// add puts a new connection in, under key unless that is empty. If there is one
// under key already it is returned instead.
func (r *registry) add(c *connection.Conn, key string) (existing *connection.Conn, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return nil, msg.ErrShutdown
	}
	if key != "" {
		if ex := r.byAddr[key]; ex != nil {
			return ex, nil
		}
		r.byAddr[key] = c
	}
	r.all[c.ID()] = &entry{conn: c, key: key}
	r.live++
	return nil, nil
}

// addHandshake puts an accepted connection in, if there is room for it.
func (r *registry) addHandshake(c *connection.Conn, limit int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing || r.handshakes >= limit {
		r.refused++
		return false
	}
	r.handshakes++
	r.all[c.ID()] = &entry{conn: c, handshake: true}
	r.live++
	return true
}

// turnAway counts a socket that was closed for want of room.
func (r *registry) turnAway() {
	r.mu.Lock()
	r.refused++
	r.mu.Unlock()
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

// claim makes c the connection of the peer with that key. If there is one
// already it is returned, and c is not.
func (r *registry) claim(key string, c *connection.Conn) (existing *connection.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ex := r.byAddr[key]; ex != nil && ex != c {
		return ex
	}
	if e := r.all[c.ID()]; e != nil {
		e.key = key
		r.byAddr[key] = c
	}
	return nil
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
	if e.key != "" && r.byAddr[e.key] == c {
		delete(r.byAddr, e.key)
	}
}

// readied ends the handshake of an accepted connection.
func (r *registry) readied(c *connection.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.all[c.ID()]; e != nil && e.handshake {
		e.handshake = false
		r.handshakes--
	}
}

// snapshot returns all connections by their id.
func (r *registry) snapshot() []*connection.Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*connection.Conn, 0, len(r.all))
	for _, e := range r.all {
		out = append(out, e.conn)
	}
	slices.SortFunc(out, func(a, b *connection.Conn) int {
		if a.ID() < b.ID() {
			return -1
		}
		return 1
	})
	return out
}
