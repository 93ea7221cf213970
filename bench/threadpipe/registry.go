package threadpipe

import (
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// registry knows the pipes of a messenger that are not closed.
type registry struct {
	mu         sync.Mutex
	byAddr     map[string]*Pipe
	all        map[*Pipe]string // and the key in byAddr, or ""
	handshakes map[*Pipe]bool   // accepted and not ready
	refused    uint64           // accepted sockets closed for want of room
	closing    bool
}

func (r *registry) init() {
	r.byAddr, r.all, r.handshakes = map[string]*Pipe{}, map[*Pipe]string{}, map[*Pipe]bool{}
}

func (r *registry) lookup(key string) *Pipe {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byAddr[key]
}

// add puts a new pipe in, under key unless that is empty, or returns the one that is
// there.
func (r *registry) add(p *Pipe, key string) (existing *Pipe, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return nil, msg.ErrShutdown
	}
	if key != "" {
		if ex := r.byAddr[key]; ex != nil {
			return ex, nil
		}
		r.byAddr[key] = p
	}
	r.all[p] = key
	return nil, nil
}

// addHandshake puts an accepted pipe in, if there is room for it.
func (r *registry) addHandshake(p *Pipe, limit int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing || len(r.handshakes) >= limit {
		r.refused++
		return false
	}
	r.all[p], r.handshakes[p] = "", true
	return true
}

// claim makes p the pipe of the peer with that key, or returns the one that is.
func (r *registry) claim(key string, p *Pipe) (existing *Pipe) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ex := r.byAddr[key]; ex != nil && ex != p {
		return ex
	}
	if _, ok := r.all[p]; ok {
		r.byAddr[key], r.all[p] = p, key
	}
	return nil
}

func (r *registry) readied(p *Pipe) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.handshakes, p)
}

func (r *registry) remove(p *Pipe) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if key := r.all[p]; key != "" && r.byAddr[key] == p {
		delete(r.byAddr, key)
	}
	delete(r.all, p)
	delete(r.handshakes, p)
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
