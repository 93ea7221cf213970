package connection

import (
	"cmp"
	"container/list"
	"errors"
	"net/netip"
	"slices"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Registry knows the connections of a messenger that are not closed: the only state that
// they share. Any goroutine.
type Registry[C Registered] struct {
	mu    sync.Mutex
	index entity.Index[C]
	all   map[C]*entry[C]
	// handshakes are accepted connections that were not ready yet.
	handshakes hosts[C]
	// absent are the connections that wait for a peer which alone can come back, the
	// one that waits longest first.
	absent list.List
	// live counts connections until Ended is called for them, which not all messengers do.
	live     int
	draining bool          // no new session
	closing  bool          // no new connection at all
	empty    chan struct{} // closed when closing and live is 0
}

// Registered is a kind of connection.
type Registered interface {
	comparable
	ID() uint64
	// IsClosed is true from the moment on that a user sees it; Remove comes a little later.
	IsClosed() bool
	// Follow: whoever listens at the peer's place is the peer.
	Follow()
}

type entry[C any] struct {
	asked  entity.AddrVec // of any nonce, as the user gave them; nil: there are none
	addrs  entity.AddrVec // under which it is in the index; nil: it is not
	absent *list.Element  // in absent; nil: it is not
	// handshake is where it is in handshakes; nil: it is not.
	handshake *handshake[C]
}

// Init makes r ready for use.
func (r *Registry[C]) Init() {
	r.all = map[C]*entry[C]{}
	r.empty = make(chan struct{})
}

// Lookup returns the connection of the peer with one of these addresses, or nil.
func (r *Registry[C]) Lookup(addrs entity.AddrVec) C {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, _ := r.index.Lookup(addrs)
	return c
}

// Wanted is Lookup for a user who asks for addrs. One found at a place, where the user
// means whoever listens there, is that one's from now on, and told so if it was not. One
// that is closed is none.
func (r *Registry[C]) Wanted(addrs entity.AddrVec) (found C) {
	r.mu.Lock()
	c, ok := r.index.Lookup(addrs)
	if ok && c.IsClosed() {
		r.removeLocked(c)
		r.mu.Unlock()
		return found
	}
	news := ok && r.askLocked(c, addrs)
	r.mu.Unlock()
	if news {
		c.Follow()
	}
	return c
}

func (r *Registry[C]) askLocked(c C, addrs entity.AddrVec) (news bool) {
	if !ofAnyNonce(addrs) {
		return false
	}
	e := r.all[c]
	if e.asked != nil {
		return false
	}
	e.asked = addrs
	r.putLocked(c, append(addrs.Clone(), e.addrs...))
	return true
}

func ofAnyNonce(addrs entity.AddrVec) bool {
	return slices.ContainsFunc(addrs, func(a entity.Addr) bool { return a.AnyNonce })
}

// Add puts a new connection in, under addrs unless it is anonymous. If there is one
// under them already it is returned instead, unless it is closed.
func (r *Registry[C]) Add(c C, addrs entity.AddrVec, anon bool) (existing C, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing || r.draining {
		return existing, msg.ErrShutdown
	}
	e := &entry[C]{}
	if !anon {
		if ex, ok := r.index.Lookup(addrs); ok {
			if !ex.IsClosed() {
				return ex, nil
			}
			r.removeLocked(ex) // who has seen that it is closed wants another one
		}
		if ofAnyNonce(addrs) {
			e.asked = addrs
		}
		e.addrs = addrs
		r.index.Put(addrs, c)
	}
	r.all[c] = e
	r.live++
	return existing, nil
}

// HandshakeLimits bound the accepted connections that are not ready yet.
type HandshakeLimits struct {
	Max        int
	MaxPerHost int // from one IPv4 address, or from one /64 of IPv6
}

// Why AddHandshake does not let a connection in.
var (
	ErrHandshakes     = errors.New("msgr: no room for another handshake")
	ErrHostHandshakes = errors.New("msgr: no room for another handshake from that host")
)

// AddHandshake puts a connection in that was accepted from there, if there is room for it.
// When there is none left at all, a connection from a host with few handshakes displaces
// the oldest one of the host that has the most, if that has two more at least: so who
// comes with many keeps only its like out. The displaced one is no handshake any more, and
// the caller's to close.
func (r *Registry[C]) AddHandshake(c C, from netip.Addr, l HandshakeLimits) (displaced C, err error) {
	host := HostOf(from)
	r.mu.Lock()
	defer r.mu.Unlock()
	own := r.handshakes.number(host)
	switch {
	case r.closing:
		return displaced, msg.ErrShutdown
	case own >= l.MaxPerHost:
		return displaced, ErrHostHandshakes
	case r.handshakes.n >= l.Max:
		heavy := r.handshakes.heaviest()
		if heavy.all.Len() < own+2 {
			return displaced, ErrHandshakes
		}
		displaced = heavy.all.Front().Value.(C)
		r.returnedLocked(r.all[displaced])
	}
	r.all[c] = &entry[C]{handshake: r.handshakes.add(host, c)}
	r.live++
	return displaced, nil
}

// Drain lets no new session begin.
func (r *Registry[C]) Drain() {
	r.mu.Lock()
	r.draining = true
	r.mu.Unlock()
}

// Draining says whether Drain was called.
func (r *Registry[C]) Draining() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.draining
}

// Close lets no new connection in.
func (r *Registry[C]) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closing && r.live == 0 {
		close(r.empty)
	}
	r.closing = true
}

// Empty is closed when no connection is let in and all have Ended.
func (r *Registry[C]) Empty() <-chan struct{} { return r.empty }

// Ended: the worker of a connection is done with it.
func (r *Registry[C]) Ended() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.live--; r.live == 0 && r.closing {
		close(r.empty)
	}
}

// Claim makes c the connection of the peer with those addresses. If there is one
// already it is returned, and c is not.
func (r *Registry[C]) Claim(addrs entity.AddrVec, c C) (existing C) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ex, ok := r.index.Lookup(addrs); ok && ex != c {
		return ex
	}
	r.putLocked(c, addrs)
	return existing
}

// Rename puts c under the addresses that its peer has now, if it was under others.
// What it was dialled by stays, if that was a place.
func (r *Registry[C]) Rename(c C, addrs entity.AddrVec) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.all[c]; e != nil && e.addrs != nil {
		r.putLocked(c, append(e.asked.Clone(), addrs...))
	}
}

func (r *Registry[C]) putLocked(c C, addrs entity.AddrVec) {
	if e := r.all[c]; e != nil {
		r.index.Remove(e.addrs, c)
		e.addrs = addrs
		r.index.Put(addrs, c)
	}
}

// Remove forgets c.
func (r *Registry[C]) Remove(c C) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.removeLocked(c)
}

func (r *Registry[C]) removeLocked(c C) {
	e := r.all[c]
	if e == nil {
		return
	}
	delete(r.all, c)
	r.index.Remove(e.addrs, c)
	r.returnedLocked(e)
}

// Readied ends the handshake of an accepted connection, or its peer's absence.
func (r *Registry[C]) Readied(c C) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.all[c]; e != nil {
		r.returnedLocked(e)
	}
}

func (r *Registry[C]) returnedLocked(e *entry[C]) {
	if e.handshake != nil {
		r.handshakes.remove(e.handshake)
		e.handshake = nil
	}
	if e.absent != nil {
		r.absent.Remove(e.absent)
		e.absent = nil
	}
}

// Left: the peer of c is away, and c waits for it. If that makes more than limit such
// connections, the one that waits longest is returned.
func (r *Registry[C]) Left(c C, limit int) (tooMany C) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.all[c]
	if e == nil {
		return tooMany
	}
	r.returnedLocked(e)
	e.absent = r.absent.PushBack(c)
	if limit < 0 || r.absent.Len() <= limit {
		return tooMany
	}
	c = r.absent.Front().Value.(C)
	r.returnedLocked(r.all[c])
	return c
}

// Counts returns how many connections, handshakes and absent peers there are.
func (r *Registry[C]) Counts() (all, handshakes, absent int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.all), r.handshakes.n, r.absent.Len()
}

// Copy returns all connections, in any order.
func (r *Registry[C]) Copy() []C {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]C, 0, len(r.all))
	for c := range r.all {
		out = append(out, c)
	}
	return out
}

// Snapshot returns all connections by their id.
func (r *Registry[C]) Snapshot() []C {
	out := r.Copy()
	slices.SortFunc(out, func(a, b C) int { return cmp.Compare(a.ID(), b.ID()) })
	return out
}
