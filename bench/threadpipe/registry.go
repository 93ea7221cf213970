package threadpipe

import (
	"container/list"
	"slices"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// registry knows the pipes of a messenger that are not closed.
type registry struct {
	mu         sync.Mutex
	index      entity.Index[*Pipe]
	all        map[*Pipe]struct{}
	handshakes int // accepted and not ready
	// absent are the pipes that wait for peers which alone can come back, the one that
	// waits longest first.
	absent  list.List
	closing bool
}

// entry is what the registry notes of a pipe that it has; its mutex guards it.
type entry struct {
	asked     entity.AddrVec // of any nonce, as the user gave them; nil: there are none
	addrs     entity.AddrVec // under which it is in the index; nil: it is not
	absent    *list.Element  // in absent; nil: it is not
	handshake bool           // counts in handshakes
}

func (r *registry) init() { r.all = map[*Pipe]struct{}{} }

// lookup returns the pipe of the peer with one of these addresses, or nil.
func (r *registry) lookup(addrs entity.AddrVec) *Pipe {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, _ := r.index.Lookup(addrs)
	return p
}

// wanted is lookup for a user who asks for addrs. One found at a place, where the user
// means whoever listens there, is that one's from now on, and told so if it was not.
func (r *registry) wanted(addrs entity.AddrVec) *Pipe {
	r.mu.Lock()
	p, ok := r.index.Lookup(addrs)
	news := ok && r.askLocked(p, addrs)
	r.mu.Unlock()
	if news {
		p.Follow()
	}
	return p
}

func (r *registry) askLocked(p *Pipe, addrs entity.AddrVec) (news bool) {
	e := &p.entry
	if e.asked != nil || !slices.ContainsFunc(addrs, func(a entity.Addr) bool { return a.AnyNonce }) {
		return false
	}
	e.asked = addrs
	r.putLocked(p, append(addrs.Clone(), e.addrs...))
	return true
}

// add puts a new pipe in, under addrs unless it is anonymous, or returns the one that
// is there.
func (r *registry) add(p *Pipe, addrs entity.AddrVec, anon bool) (existing *Pipe, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return nil, msg.ErrShutdown
	}
	if !anon {
		if ex, ok := r.index.Lookup(addrs); ok {
			return ex, nil
		}
		if slices.ContainsFunc(addrs, func(a entity.Addr) bool { return a.AnyNonce }) {
			p.entry.asked = addrs
		}
		p.entry.addrs = addrs
		r.index.Put(addrs, p)
	}
	r.all[p] = struct{}{}
	return nil, nil
}

// addHandshake puts an accepted pipe in, if there is room for it.
func (r *registry) addHandshake(p *Pipe, limit int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing || r.handshakes >= limit {
		return false
	}
	r.handshakes++
	p.entry.handshake = true
	r.all[p] = struct{}{}
	return true
}

// claim makes p the pipe of the peer with those addresses, or returns the one that is.
func (r *registry) claim(addrs entity.AddrVec, p *Pipe) (existing *Pipe) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ex, ok := r.index.Lookup(addrs); ok && ex != p {
		return ex
	}
	r.putLocked(p, addrs)
	return nil
}

// rename puts p under the addresses that its peer has now, if it was under others.
// What it was dialled by stays, if that was a place.
func (r *registry) rename(p *Pipe, addrs entity.AddrVec) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.entry.addrs != nil {
		r.putLocked(p, append(p.entry.asked.Clone(), addrs...))
	}
}

func (r *registry) putLocked(p *Pipe, addrs entity.AddrVec) {
	if _, ok := r.all[p]; ok {
		r.index.Remove(p.entry.addrs, p)
		p.entry.addrs = addrs
		r.index.Put(addrs, p)
	}
}

// readied ends the handshake of an accepted pipe, or its peer's absence.
func (r *registry) readied(p *Pipe) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.returnedLocked(p)
}

func (r *registry) returnedLocked(p *Pipe) {
	if p.entry.handshake {
		p.entry.handshake = false
		r.handshakes--
	}
	if p.entry.absent != nil {
		r.absent.Remove(p.entry.absent)
		p.entry.absent = nil
	}
}

// left: the peer of p is away, and p waits for it. If that makes more than limit such
// pipes, the one that waits longest is returned.
func (r *registry) left(p *Pipe, limit int) (tooMany *Pipe) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.all[p]; !ok {
		return nil
	}
	r.returnedLocked(p)
	p.entry.absent = r.absent.PushBack(p)
	if limit < 0 || r.absent.Len() <= limit {
		return nil
	}
	p = r.absent.Front().Value.(*Pipe)
	r.returnedLocked(p)
	return p
}

// remove forgets p.
func (r *registry) remove(p *Pipe) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.all[p]; !ok {
		return
	}
	delete(r.all, p)
	r.returnedLocked(p)
	r.index.Remove(p.entry.addrs, p)
	p.entry.addrs = nil
}

// counts returns how many pipes, handshakes and absent peers there are.
func (r *registry) counts() (all, handshakes, absent int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.all), r.handshakes, r.absent.Len()
}

// snapshot returns all pipes.
func (r *registry) snapshot() []*Pipe {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*Pipe, 0, len(r.all))
	for p := range r.all {
		out = append(out, p)
	}
	return out
}

// close lets no new pipe in.
func (r *registry) close() {
	r.mu.Lock()
	r.closing = true
	r.mu.Unlock()
}
