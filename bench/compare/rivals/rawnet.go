package rivals

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/bench/compare/workload"
)

// rawHeaderLen is the header of the raw contestants' frames: u32 length of the
// payload, u32 slot, little-endian.
const rawHeaderLen = 8

const rawBufferLen = 64 << 10

// RawNet is no messenger at all: frames of a length and a slot over package net, a
// goroutine for each connection that writes its answers when it has read all there
// is. It is what Go can do without any of a messenger's promises.
func RawNet() workload.Contestant {
	return workload.Contestant{
		Name:  "raw-net",
		Serve: serveRawNet,
		Dial:  func(addr string, _ workload.Options) (workload.Client, error) { return &rawNetClient{addr: addr}, nil },
		Skip: func(s workload.Scenario) string {
			if s.Kind == workload.Priority {
				return "it has no queue for what the sockets do not take"
			}
			return ""
		},
		ServeAll: serveRawFan,
	}
}

type rawNetServer struct {
	l     net.Listener
	mu    sync.Mutex
	conns []net.Conn
	wg    sync.WaitGroup
}

func serveRawNet(workload.Options) (workload.Server, error) {
	l, err := net.Listen("tcp", loopback.String())
	if err != nil {
		return nil, err
	}
	return startRawNet(l), nil
}

func startRawNet(l net.Listener) workload.Server {
	s := &rawNetServer{l: l}
	s.wg.Go(s.accept)
	return s
}

func (s *rawNetServer) Addr() string { return s.l.Addr().String() }

func (s *rawNetServer) Stop() error {
	err := s.l.Close()
	s.mu.Lock()
	for _, c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return err
}

func (s *rawNetServer) accept() {
	for {
		c, err := s.l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns = append(s.conns, c)
		s.mu.Unlock()
		s.wg.Go(func() {
			defer c.Close()
			_ = echoRaw(c) // the peer closes
		})
	}
}

func echoRaw(c net.Conn) error {
	in, out := bufio.NewReaderSize(c, rawBufferLen), bufio.NewWriterSize(c, rawBufferLen)
	var body []byte
	for {
		if in.Buffered() < rawHeaderLen {
			if err := out.Flush(); err != nil {
				return err
			}
		}
		head, err := in.Peek(rawHeaderLen)
		if err != nil {
			return err
		}
		n := int(binary.LittleEndian.Uint32(head))
		if _, err := out.Write(head); err != nil {
			return err
		}
		_, _ = in.Discard(rawHeaderLen)
		if cap(body) < n {
			body = make([]byte, n)
		}
		if _, err := io.ReadFull(in, body[:n]); err != nil {
			return err
		}
		if _, err := out.Write(body[:n]); err != nil {
			return err
		}
	}
}

type rawNetClient struct {
	addr  string
	dial  func(addr string) (net.Conn, error) // nil: without TLS
	conns []*rawNetConn
	wg    sync.WaitGroup
}

type rawNetConn struct {
	c      net.Conn
	mu     sync.Mutex
	out    *bufio.Writer
	head   [rawHeaderLen]byte
	corked bool // the reader flushes
	dead   bool // there are no more answers
	// large is for payloads that may not fit between the ends while the server waits
	// for the reader to take its answer: a goroutine writes them.
	large   chan request
	closing chan struct{}
}

// rawLarge is from which length on payloads are large, and rawQueued how many of
// them may wait.
const (
	rawLarge  = 64 << 10
	rawQueued = 4096
)

// Connect implements workload.Client.
func (r *rawNetClient) Connect(n int, answered func(conn, slot int)) error {
	for i := range n {
		dial := r.dial
		if dial == nil {
			dial = func(addr string) (net.Conn, error) { return net.Dial("tcp", addr) }
		}
		c, err := dial(r.addr)
		if err != nil {
			return err
		}
		x := &rawNetConn{c: c, out: bufio.NewWriterSize(c, rawBufferLen), closing: make(chan struct{})}
		r.conns = append(r.conns, x)
		r.wg.Go(func() {
			x.read(i, answered)
			x.mu.Lock()
			x.dead = true
			x.mu.Unlock()
		})
	}
	return nil
}

func (x *rawNetConn) read(conn int, answered func(conn, slot int)) {
	in := bufio.NewReaderSize(x.c, rawBufferLen)
	for {
		if in.Buffered() < rawHeaderLen {
			x.mu.Lock()
			x.corked = false
			x.out.Flush() // an error is the reader's too
			x.mu.Unlock()
		}
		head, err := in.Peek(rawHeaderLen)
		if err != nil {
			return
		}
		n, slot := int(binary.LittleEndian.Uint32(head)), int(binary.LittleEndian.Uint32(head[4:]))
		if k, err := in.Discard(rawHeaderLen + n); k < rawHeaderLen+n || err != nil {
			return
		}
		x.mu.Lock()
		x.corked = true
		x.mu.Unlock()
		answered(conn, slot)
	}
}

// Send implements workload.Client.
func (r *rawNetClient) Send(conn, slot int, payload []byte) error {
	x := r.conns[conn]
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.dead {
		return net.ErrClosed
	}
	if len(payload) < rawLarge {
		return x.write(slot, payload)
	}
	if x.large == nil {
		x.large = make(chan request, rawQueued)
		r.wg.Go(x.writeLarge)
	}
	select {
	case x.large <- request{slot, payload}:
		return nil
	default:
		return errQueueFull
	}
}

// write is called with the lock held.
func (x *rawNetConn) write(slot int, payload []byte) error {
	binary.LittleEndian.PutUint32(x.head[:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(x.head[4:], uint32(slot))
	_, err := x.out.Write(x.head[:])
	if err == nil {
		_, err = x.out.Write(payload)
	}
	if err == nil && !x.corked {
		err = x.out.Flush()
	}
	return err
}

func (x *rawNetConn) writeLarge() {
	head := make([]byte, rawHeaderLen)
	for {
		select {
		case <-x.closing:
			return
		case m := <-x.large:
			binary.LittleEndian.PutUint32(head, uint32(len(m.payload)))
			binary.LittleEndian.PutUint32(head[4:], uint32(m.slot))
			b := net.Buffers{head, m.payload}
			if _, err := b.WriteTo(x.c); err != nil {
				x.c.Close() // the reader ends
				return
			}
		}
	}
}

// Stop implements workload.Client.
func (r *rawNetClient) Stop() error {
	var errs []error
	for _, x := range r.conns {
		close(x.closing)
		if err := x.c.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	r.wg.Wait()
	return errors.Join(errs...)
}
