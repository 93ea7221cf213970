//go:build linux && (amd64 || arm64 || loong64)

package rivals

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/bench/compare/workload"
	"github.com/cloudwego/netpoll"
)

// RawNetpoll is raw-net's protocol over netpoll as its users write it: handlers on
// netpoll's goroutine pool, its buffers, one flush for all that was read.
func RawNetpoll() workload.Contestant {
	return workload.Contestant{
		Name:  "raw-netpoll",
		Serve: serveRawNetpoll,
		Dial: func(addr string, _ workload.Options) (workload.Client, error) {
			return &rawNetpollClient{addr: addr}, nil
		},
	}
}

type rawNetpollServer struct {
	addr string
	loop netpoll.EventLoop
	done chan error
}

func serveRawNetpoll(workload.Options) (workload.Server, error) {
	l, err := net.Listen("tcp", loopback.String())
	if err != nil {
		return nil, err
	}
	loop, err := netpoll.NewEventLoop(echoNetpoll)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	s := &rawNetpollServer{addr: l.Addr().String(), loop: loop, done: make(chan error, 1)}
	go func() { s.done <- loop.Serve(l) }()
	return s, nil
}

func (s *rawNetpollServer) Addr() string { return s.addr }

// Stop gives handlers a moment. With large messages some wait in a read or a flush that
// netpoll does not end when the peer closes; then the end of the process has to do.
func (s *rawNetpollServer) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.loop.Shutdown(ctx); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return nil
		}
		return err
	}
	return <-s.done
}

// echoNetpoll is called when there is something to read.
func echoNetpoll(_ context.Context, c netpoll.Connection) error {
	in, out := c.Reader(), c.Writer()
	for in.Len() >= rawHeaderLen {
		head, err := in.Peek(rawHeaderLen)
		if err != nil {
			return err
		}
		n := rawHeaderLen + int(binary.LittleEndian.Uint32(head))
		if in.Len() < n { // it waits for the rest, so what there is goes out first
			if err := out.Flush(); err != nil {
				return err
			}
		}
		b, err := in.Next(n)
		if err != nil {
			return err
		}
		to, err := out.Malloc(n)
		if err != nil {
			return err
		}
		copy(to, b)
		if err := in.Release(); err != nil {
			return err
		}
	}
	return out.Flush()
}

type rawNetpollClient struct {
	addr  string
	conns []*rawNetpollConn
}

type rawNetpollConn struct {
	c      netpoll.Connection
	mu     sync.Mutex // guards the writer
	corked bool       // the reader flushes
	dead   bool       // the writer must not be used any more
}

// Connect implements workload.Client.
func (r *rawNetpollClient) Connect(n int, answered func(conn, slot int)) error {
	for i := range n {
		c, err := netpoll.DialConnection("tcp", r.addr, 10*time.Second)
		if err != nil {
			return err
		}
		x := &rawNetpollConn{c: c}
		r.conns = append(r.conns, x)
		// It runs before netpoll takes the buffers back.
		if err := c.AddCloseCallback(x.closed); err != nil {
			return err
		}
		if err := c.SetOnRequest(
			func(context.Context, netpoll.Connection) error { return x.read(i, answered) }); err != nil {
			return err
		}
	}
	return nil
}

func (x *rawNetpollConn) closed(netpoll.Connection) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.dead = true
	return nil
}

// read is called when there is something to read.
func (x *rawNetpollConn) read(conn int, answered func(conn, slot int)) error {
	x.cork(true)
	in := x.c.Reader()
	for in.Len() >= rawHeaderLen {
		head, err := in.Peek(rawHeaderLen)
		if err != nil {
			return err
		}
		n, slot := rawHeaderLen+int(binary.LittleEndian.Uint32(head)), int(binary.LittleEndian.Uint32(head[4:]))
		if in.Len() < n {
			x.cork(false)
		}
		if err := in.Skip(n); err != nil {
			return err
		}
		x.cork(true)
		answered(conn, slot)
		if err := in.Release(); err != nil {
			return err
		}
	}
	x.cork(false)
	return nil
}

// cork begins or ends collecting what is sent.
func (x *rawNetpollConn) cork(on bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.corked && !on && !x.dead {
		_ = x.c.Writer().Flush() // an error is the reader's too
	}
	x.corked = on
}

// Send implements workload.Client.
func (r *rawNetpollClient) Send(conn, slot int, payload []byte) error {
	x := r.conns[conn]
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.dead {
		return net.ErrClosed
	}
	w := x.c.Writer()
	b, err := w.Malloc(rawHeaderLen + len(payload))
	if err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(b, uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[4:], uint32(slot))
	copy(b[rawHeaderLen:], payload)
	if x.corked {
		return nil
	}
	return w.Flush()
}

// Stop implements workload.Client.
func (r *rawNetpollClient) Stop() error {
	var errs []error
	for _, x := range r.conns {
		errs = append(errs, x.c.Close())
	}
	return errors.Join(errs...)
}
