//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"errors"
	"net"
	"slices"

	"github.com/cloudwego/netpoll"
)

// ring is netpoll's pollers, as workers are placed on them: one worker to a poller, as
// long as there are enough. netpoll gives each new listener to the next poller, whoever is
// there already, and that of a stack that was closed stays empty until its turn comes. So
// turns are passed until the next poller is free.
type ring struct {
	order []int // the pollers' epoll sets, in the order of their turns; nil: not known
	at    int   // the one that had the last turn
	on    map[int][]*worker
}

// reset is for pollers that were counted anew: the first had the last turn.
func (r *ring) reset(order []int) { r.order, r.at = order, 0 }

// serve has netpoll serve w, on a free poller if it is known which are. alone says whether
// no other worker is on the same one, as far as that is known.
func (r *ring) serve(w *worker) (alone bool, err error) {
	if i := r.free(); i >= 0 {
		for n := len(r.order); (r.at+1)%n != i; r.at = (r.at + 1) % n {
			passTurn()
		}
	}
	if err := w.serve(); err != nil {
		return false, err
	}
	set := -1
	if n := len(r.order); n > 0 {
		next := (r.at + 1) % n
		set, _ = setOf(w.Fd(), slices.Concat(r.order[next:], r.order[:next]))
	}
	if set < 0 {
		return true, nil
	}
	r.at = slices.Index(r.order, set) // if somebody else had a turn, it is not where it was expected
	if r.on == nil {
		r.on = map[int][]*worker{}
	}
	r.on[set] = append(r.on[set], w)
	return len(r.on[set]) == 1, nil
}

// free is the first poller after the last turn that has no worker, -1 if there is none.
func (r *ring) free() int {
	for k := range r.order {
		if i := (r.at + 1 + k) % len(r.order); len(r.on[r.order[i]]) == 0 {
			return i
		}
	}
	return -1
}

// leave is for a worker that netpoll does not serve any more.
func (r *ring) leave(w *worker) {
	for set, ws := range r.on {
		if i := slices.Index(ws, w); i >= 0 {
			r.on[set] = slices.Delete(ws, i, i+1)
		}
	}
}

// passTurn has netpoll give a turn to nobody: a listener whose descriptor no epoll set
// takes.
func passTurn() {
	if loop, err := netpoll.NewEventLoop(nil); err == nil {
		_ = loop.Serve(nobody{}) // fails at once
	}
}

// nobody implements netpoll.Listener.
type nobody struct{}

func (nobody) Accept() (net.Conn, error) { return nil, errors.New("netpollstack: nobody listens") }
func (nobody) Close() error              { return nil }
func (nobody) Addr() net.Addr            { return &net.UnixAddr{Name: "netpollstack: nobody", Net: "unix"} }
func (nobody) Fd() int                   { return -1 }
