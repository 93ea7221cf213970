package rivals

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/bench/workload"
	"storj.io/drpc"
	"storj.io/drpc/drpcconn"
	"storj.io/drpc/drpcmanager"
	"storj.io/drpc/drpcserver"
	"storj.io/drpc/drpcstream"
	"storj.io/drpc/drpcwire"
)

// DRPC is storj.io/drpc with one stream on each connection. What is chosen in its
// favour:
//
//   - a stream that lives as long as the connection, and an encoding of raw bytes into
//     buffers that are used again: no protobuf;
//   - batches: MsgSend flushes every message, a system call each, and with ManualFlush
//     every MsgRecv flushes. So messages are written with the stream's RawWrite, and
//     flushed when there are no more: at the client by the outbox, at the server by a
//     goroutine that flushes what the echo has written meanwhile;
//   - a single request in flight is written and flushed by who sends it;
//   - a buffer of 16 KiB for writing, where 4 KiB are the default.
//
// It does not connect again: after a cut Send returns the error.
func DRPC() workload.Contestant {
	return workload.Contestant{
		Name:  "drpc",
		Serve: serveDRPC,
		Dial: func(addr string, _ workload.Options) (workload.Client, error) {
			return &drpcClient{addr: addr}, nil
		},
	}
}

const drpcMethod = "/bench.Echo/Echo"

var drpcOptions = drpcmanager.Options{
	WriterBufferSize: 16 << 10,
	Reader:           drpcwire.ReaderOptions{MaximumBufferSize: maxMessage},
}

// drpcBuffers has the buffers of large messages, so that not every connection keeps one.
var drpcBuffers = sync.Pool{New: func() any { return new(drpcMessage) }}

// drpcKept is the capacity up to which a connection keeps its buffer.
const drpcKept = 64 << 10

// drpcMessage is a slot and a payload.
type drpcMessage struct{ b []byte }

type drpcEncoding struct{}

func (drpcEncoding) Marshal(m drpc.Message) ([]byte, error) { return m.(*drpcMessage).b, nil }

func (drpcEncoding) Unmarshal(b []byte, m drpc.Message) error {
	to := m.(*drpcMessage)
	to.b = append(to.size(len(b))[:0], b...)
	return nil
}

// size returns a buffer of length n: the message's own, or from the pool.
func (m *drpcMessage) size(n int) []byte {
	if n > cap(m.b) {
		if n <= drpcKept {
			m.b = make([]byte, n)
		} else {
			p := drpcBuffers.Get().(*drpcMessage)
			m.b, p.b = p.b, nil
			if n > cap(m.b) {
				m.b = make([]byte, n)
			}
		}
	}
	return m.b[:n]
}

// done gives a large buffer back.
func (m *drpcMessage) done() {
	if cap(m.b) > drpcKept {
		drpcBuffers.Put(&drpcMessage{m.b})
		m.b = nil
	}
}

type drpcServer struct {
	l      net.Listener
	cancel context.CancelFunc
	done   chan error
}

func serveDRPC(workload.Options) (workload.Server, error) {
	l, err := net.Listen("tcp", loopback.String())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &drpcServer{l: l, cancel: cancel, done: make(chan error, 1)}
	go func() {
		s.done <- drpcserver.NewWithOptions(drpcEcho{}, drpcserver.Options{Manager: drpcOptions}).Serve(ctx, l)
	}()
	return s, nil
}

func (s *drpcServer) Addr() string { return s.l.Addr().String() }

func (s *drpcServer) Stop() error {
	s.cancel()
	return <-s.done
}

type drpcEcho struct{}

// HandleRPC sends every message back.
func (drpcEcho) HandleRPC(stream drpc.Stream, rpc string) error {
	if rpc != drpcMethod {
		return fmt.Errorf("no method %q", rpc)
	}
	s, ok := stream.(*drpcstream.Stream)
	if !ok {
		return fmt.Errorf("a stream of type %T", stream)
	}
	// The client waits for this one.
	if err := errors.Join(s.RawWrite(drpcwire.KindMessage, nil), s.RawFlush()); err != nil {
		return err
	}
	written := make(chan struct{}, 1)
	var flusher sync.WaitGroup
	flusher.Go(func() {
		for range written {
			if s.RawFlush() != nil {
				return // the stream is dead, which the echo is told too
			}
		}
	})
	defer flusher.Wait()
	defer close(written)
	var m drpcMessage
	for {
		if err := s.MsgRecv(&m, drpcEncoding{}); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		err := s.RawWrite(drpcwire.KindMessage, m.b)
		m.done()
		if err != nil {
			return err
		}
		select {
		case written <- struct{}{}:
		default:
		}
	}
}

type drpcClient struct {
	addr    string
	conns   []*drpcConn
	readers sync.WaitGroup
}

type drpcConn struct {
	conn    *drpcconn.Conn
	stream  *drpcstream.Stream
	out     *outbox
	scratch drpcMessage // the writer's
}

// Connect implements workload.Client.
func (d *drpcClient) Connect(n int, answered func(conn, slot int)) error {
	d.conns = make([]*drpcConn, n)
	return dialAll(n, func(i int) error {
		tcp, err := net.Dial("tcp", d.addr)
		if err != nil {
			return err
		}
		c := &drpcConn{conn: drpcconn.NewWithOptions(tcp, drpcconn.Options{Manager: drpcOptions})}
		d.conns[i] = c
		stream, err := c.conn.NewStream(context.Background(), drpcMethod, drpcEncoding{})
		if err != nil {
			return err
		}
		c.stream = stream.(*drpcstream.Stream)
		c.out = newOutbox(0, c.write)
		var first drpcMessage
		if err := c.stream.MsgRecv(&first, drpcEncoding{}); err != nil {
			return err
		}
		d.readers.Go(func() {
			c.out.fail(c.read(i, answered))
			c.out.wait()
		})
		return nil
	})
}

// write sends requests and flushes.
func (c *drpcConn) write(batch []request) error {
	if len(batch) > 1 {
		runtime.Gosched() // more come
	}
	for _, r := range batch {
		b := c.scratch.size(slotLen + len(r.payload))
		binary.LittleEndian.PutUint32(b, uint32(r.slot))
		copy(b[slotLen:], r.payload)
		err := c.stream.RawWrite(drpcwire.KindMessage, b)
		c.scratch.done()
		if err != nil {
			return err
		}
	}
	return c.stream.RawFlush()
}

// read takes answers until the stream ends, and returns why it did.
func (c *drpcConn) read(conn int, answered func(conn, slot int)) error {
	var m drpcMessage
	for {
		if err := c.stream.MsgRecv(&m, drpcEncoding{}); err != nil {
			return err
		}
		if len(m.b) < slotLen {
			return io.ErrUnexpectedEOF
		}
		slot, n := int(binary.LittleEndian.Uint32(m.b)), len(m.b)-slotLen
		m.done()
		c.out.answered(n)
		answered(conn, slot)
	}
}

// Send implements workload.Client.
func (d *drpcClient) Send(conn, slot int, payload []byte) error {
	return d.conns[conn].out.send(request{slot, payload})
}

// Stop implements workload.Client.
func (d *drpcClient) Stop() error {
	var errs []error
	for _, c := range d.conns {
		if c != nil {
			errs = append(errs, c.conn.Close())
		}
	}
	d.readers.Wait()
	return errors.Join(errs...)
}
