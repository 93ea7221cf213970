package stream

import (
	"net"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async/callback"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Listener gives the streams that peers dial to one service. All methods may be called by
// any goroutine.
type Listener struct {
	x       *Mux
	service string

	mu      sync.Mutex
	cond    sync.Cond
	waiting []*Conn // for Accept; at most Options.Backlog
	closed  error
}

var _ net.Listener = (*Listener)(nil)

// push has c wait for Accept, or says why not.
func (l *Listener) push(c *Conn) (code uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed != nil {
		return CodeNoService
	}
	if len(l.waiting) >= l.x.opt.Backlog {
		return CodeBacklog
	}
	l.waiting = append(l.waiting, c)
	l.cond.Signal()
	return CodeClosed
}

// Accept waits for a stream; the result is a *Conn. A stream that has ended with its
// session meanwhile is passed over. Errors: net.ErrClosed, and what Shutdown of the
// messenger gives, msg.ErrShutdown; msg.ErrOnWorker.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.AcceptStream()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// AcceptStream is Accept with the type of its result.
func (l *Listener) AcceptStream() (*Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch {
		case l.closed != nil:
			return nil, l.opError(l.closed)
		case len(l.waiting) > 0:
			c := l.waiting[0]
			l.waiting[0] = nil
			l.waiting = l.waiting[1:]
			if !c.isReset() {
				return c, nil
			}
		case callback.InsideQuick() == callback.Worker:
			return nil, l.opError(msg.ErrOnWorker)
		default:
			l.cond.Wait()
		}
	}
}

func (l *Listener) opError(err error) error {
	return &net.OpError{Op: "accept", Net: "msgr", Addr: l.Addr(), Err: err}
}

// Close ends the listening: Accept answers net.ErrClosed, and streams that wait for it are
// closed with CodeNoService. Those that were accepted go on.
func (l *Listener) Close() error {
	l.x.mu.Lock()
	if l.x.listeners[l.service] == l {
		delete(l.x.listeners, l.service)
	}
	l.x.mu.Unlock()
	l.end(net.ErrClosed)
	return nil
}

func (l *Listener) end(reason error) {
	l.mu.Lock()
	if l.closed == nil {
		l.closed = reason
	}
	cs := l.waiting
	l.waiting = nil
	l.cond.Broadcast()
	l.mu.Unlock()
	for _, c := range cs {
		c.closeWith(CodeNoService, "listener closed")
	}
}

// Addr is the messenger's, with the service.
func (l *Listener) Addr() net.Addr {
	return &Addr{Name: l.x.m.Name(), Addrs: l.x.m.Addrs(), Service: l.service}
}
