//go:build linux && (amd64 || arm64 || loong64)

package rivals

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"github.com/asyncmsgr/asyncmsgr/bench/compare/workload"
	"storj.io/drpc"
	"storj.io/drpc/drpcconn"
	"storj.io/drpc/drpcctx"
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
//   - a buffer of 16 KiB for writing, where 4 KiB are the default.
//
// MsgSend flushes every message, a system call each, and with ManualFlush every MsgRecv
// flushes. That is how it is used. With batch
//
//   - messages are written with the stream's RawWrite, and flushed when drpc has no more
//     to read in its buffer, which the transport that it is given sees;
//   - a small request that is alone in flight is written and flushed by who sends it.
//
// It does not connect again: after a cut Send returns the error.
func DRPC(batch bool) workload.Contestant {
	c := workload.Contestant{
		Name:  "drpc",
		Serve: func(workload.Options) (workload.Server, error) { return serveDRPC(batch) },
		Dial: func(addr string, _ workload.Options) (workload.Client, error) {
			return &drpcClient{addr: addr, batch: batch}, nil
		},
	}
	if batch {
		c.Name = "drpc-batch"
	}
	return c
}

const drpcMethod = "/bench.Echo/Echo"

var drpcOptions = drpcmanager.Options{
	WriterBufferSize: 16 << 10,
	Reader:           drpcwire.ReaderOptions{MaximumBufferSize: maxMessage},
}

// drpcBuffers has the buffers of large messages, so that not every connection keeps one.
var drpcBuffers = sync.Pool{New: func() any { return new(drpcMessage) }}

// drpcKept is the capacity up to which a connection keeps its buffer, and the size up to
// which a request that is alone is written at once.
const drpcKept = 64 << 10

// drpcSocket is the transport of one end. It calls flush when all messages that were
// read have been dealt with and drpc waits for the socket.
type drpcSocket struct {
	net.Conn
	flush   atomic.Pointer[func()] // nil until there is a stream
	waiting atomic.Bool            // drpc waits for the socket
	busy    atomic.Bool            // a message is being dealt with
}

// Read implements drpc.Transport.
func (s *drpcSocket) Read(b []byte) (int, error) {
	s.waiting.Store(true)
	if !s.busy.Load() {
		s.idle()
	}
	n, err := s.Conn.Read(b)
	s.waiting.Store(false)
	return n, err
}

// done is called when a message has been dealt with.
func (s *drpcSocket) done() {
	s.busy.Store(false)
	if s.waiting.Load() {
		s.idle()
	}
}

func (s *drpcSocket) idle() {
	if flush := s.flush.Load(); flush != nil {
		(*flush)()
	}
}

// more reports whether there will be a flush for what is written now.
func (s *drpcSocket) more() bool { return s.busy.Load() || !s.waiting.Load() }

// Marshal and Unmarshal implement drpc.Encoding. drpc calls Unmarshal before it reads
// on.
func (s *drpcSocket) Marshal(m drpc.Message) ([]byte, error) { return m.(*drpcMessage).b, nil }

func (s *drpcSocket) Unmarshal(b []byte, m drpc.Message) error {
	s.busy.Store(true)
	to := m.(*drpcMessage)
	to.b = append(to.size(len(b))[:0], b...)
	return nil
}

// drpcMessage is a slot and a payload.
type drpcMessage struct{ b []byte }

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

// set makes m a request.
func (m *drpcMessage) set(r request) {
	m.b = m.size(slotLen + len(r.payload))
	binary.LittleEndian.PutUint32(m.b, uint32(r.slot))
	copy(m.b[slotLen:], r.payload)
}

// done gives a large buffer back.
func (m *drpcMessage) done() {
	if cap(m.b) > drpcKept {
		drpcBuffers.Put(&drpcMessage{m.b})
		m.b = nil
	}
}

func serveDRPC(batch bool) (workload.Server, error) {
	s := drpcserver.NewWithOptions(drpcEcho{batch}, drpcserver.Options{Manager: drpcOptions})
	return listen(func(c net.Conn) {
		_ = s.ServeOne(context.Background(), &drpcSocket{Conn: c}) // the peer closes
	})
}

type drpcEcho struct{ batch bool }

// HandleRPC sends every message back.
func (e drpcEcho) HandleRPC(stream drpc.Stream, rpc string) error {
	s, ok := stream.(*drpcstream.Stream)
	tr, _ := drpcctx.Transport(stream.Context())
	socket, ok2 := tr.(*drpcSocket)
	if rpc != drpcMethod || !ok || !ok2 {
		return fmt.Errorf("method %q, %T over %T", rpc, stream, tr)
	}
	// The client waits for this one.
	if err := errors.Join(s.RawWrite(drpcwire.KindMessage, nil), s.RawFlush()); err != nil {
		return err
	}
	send := func(m *drpcMessage) error { return s.MsgSend(m, socket) }
	if e.batch {
		flush := func() { _ = s.RawFlush() } // an error is MsgRecv's too
		socket.flush.Store(&flush)
		send = func(m *drpcMessage) error { return s.RawWrite(drpcwire.KindMessage, m.b) }
	}
	var m drpcMessage
	for {
		if err := s.MsgRecv(&m, socket); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		err := send(&m)
		m.done()
		if err != nil {
			return err
		}
		socket.done()
	}
}

type drpcClient struct {
	addr    string
	batch   bool
	conns   []*drpcConn
	readers sync.WaitGroup
}

type drpcConn struct {
	socket  *drpcSocket
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
		c := &drpcConn{socket: &drpcSocket{Conn: tcp}}
		c.conn = drpcconn.NewWithOptions(c.socket, drpcconn.Options{Manager: drpcOptions})
		d.conns[i] = c
		stream, err := c.conn.NewStream(context.Background(), drpcMethod, c.socket)
		if err != nil {
			return err
		}
		c.stream = stream.(*drpcstream.Stream)
		if d.batch {
			c.out = newOutbox(c.write, drpcKept)
			c.out.alone, c.out.hold = true, c.socket.more
			flush := c.out.release
			c.socket.flush.Store(&flush)
		} else {
			c.out = newOutbox(c.writeEach, drpcKept)
		}
		var first drpcMessage
		if err := c.stream.MsgRecv(&first, c.socket); err != nil {
			return err
		}
		c.socket.done()
		d.readers.Go(func() {
			c.out.fail(c.read(i, answered))
			c.out.wait()
		})
		return nil
	})
}

// writeEach sends requests, each with a flush of its own.
func (c *drpcConn) writeEach(batch []request) error {
	for _, r := range batch {
		c.scratch.set(r)
		err := c.stream.MsgSend(&c.scratch, c.socket)
		c.scratch.done()
		if err != nil {
			return err
		}
	}
	return nil
}

// write sends requests and flushes.
func (c *drpcConn) write(batch []request) error {
	for _, r := range batch {
		c.scratch.set(r)
		err := c.stream.RawWrite(drpcwire.KindMessage, c.scratch.b)
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
		if err := c.stream.MsgRecv(&m, c.socket); err != nil {
			return err
		}
		if len(m.b) < slotLen {
			return io.ErrUnexpectedEOF
		}
		slot, n := int(binary.LittleEndian.Uint32(m.b)), len(m.b)-slotLen
		m.done()
		c.out.answered(n)
		answered(conn, slot)
		c.socket.done()
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
