package rivals

import (
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"sync"
	"sync/atomic"

	"github.com/asyncmsgr/asyncmsgr/bench/workload"
)

// NetRPC is the standard library's net/rpc as people use it: gob over TCP, a client for
// each connection, Client.Go for calls that don't wait. In its favour requests and
// replies are used again, so that gob decodes into buffers there are, and large byte
// slices are gob's best case. It flushes every message and begins a goroutine for every
// request, which it offers no way to change without a codec of one's own.
//
// It does not connect again: after a cut Send returns the error.
func NetRPC() workload.Contestant {
	return workload.Contestant{
		Name:  "netrpc",
		Serve: serveNetRPC,
		Dial: func(addr string, _ workload.Options) (workload.Client, error) {
			return &netrpcClient{addr: addr}, nil
		},
	}
}

const netrpcMethod = "Echo.Echo"

// netrpcFlying bounds the requests in flight of one connection: a channel of finished
// calls that is full would lose some.
const netrpcFlying = 512

// NetRPCMessage is request and reply.
type NetRPCMessage struct {
	Slot int
	Data []byte
}

// NetRPCEcho is the service; net/rpc wants it exported.
type NetRPCEcho struct{}

// Echo replies with the request.
func (NetRPCEcho) Echo(in, out *NetRPCMessage) error {
	*out = *in
	return nil
}

func serveNetRPC(workload.Options) (workload.Server, error) {
	s := rpc.NewServer()
	if err := s.RegisterName("Echo", NetRPCEcho{}); err != nil {
		return nil, err
	}
	return listen(func(c net.Conn) { s.ServeConn(c) })
}

type netrpcClient struct {
	addr    string
	conns   []*netrpcConn
	readers sync.WaitGroup
}

type netrpcConn struct {
	rpc    *rpc.Client
	done   chan *rpc.Call        // finished calls; nil ends the reader
	err    atomic.Pointer[error] // why it is dead
	flying atomic.Int64

	mu    sync.Mutex
	slots []*netrpcRequest
}

// netrpcRequest is what a slot uses for each of its requests.
type netrpcRequest struct{ request, reply NetRPCMessage }

// netrpcSocket tells of the end of the connection before net/rpc's next call does.
type netrpcSocket struct {
	net.Conn
	c *netrpcConn
}

func (s netrpcSocket) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if err != nil {
		s.c.fail(err)
	}
	return n, err
}

func (c *netrpcConn) fail(err error) { c.err.CompareAndSwap(nil, &err) }

// Connect implements workload.Client.
func (n *netrpcClient) Connect(count int, answered func(conn, slot int)) error {
	n.conns = make([]*netrpcConn, count)
	return dialAll(count, func(i int) error {
		tcp, err := net.Dial("tcp", n.addr)
		if err != nil {
			return err
		}
		c := &netrpcConn{done: make(chan *rpc.Call, netrpcFlying)}
		c.rpc = rpc.NewClient(netrpcSocket{tcp, c})
		n.conns[i] = c
		n.readers.Go(func() { c.read(i, answered) })
		// The first call also has gob tell the types.
		return c.rpc.Call(netrpcMethod, &NetRPCMessage{}, new(NetRPCMessage))
	})
}

// read takes finished calls.
func (c *netrpcConn) read(conn int, answered func(conn, slot int)) {
	for call := <-c.done; call != nil; call = <-c.done {
		c.flying.Add(-1)
		request, reply := call.Args.(*NetRPCMessage), call.Reply.(*NetRPCMessage)
		err := call.Error
		if err == nil && (reply.Slot != request.Slot || len(reply.Data) != len(request.Data)) {
			err = fmt.Errorf("slot %d, %d bytes: the answer has slot %d, %d bytes",
				request.Slot, len(request.Data), reply.Slot, len(reply.Data))
		}
		if err != nil {
			c.fail(err)
			continue
		}
		answered(conn, request.Slot)
	}
}

// slot returns what the slot uses.
func (c *netrpcConn) slot(n int) *netrpcRequest {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.slots) <= n {
		c.slots = append(c.slots, new(netrpcRequest))
	}
	return c.slots[n]
}

// Send implements workload.Client.
func (n *netrpcClient) Send(conn, slot int, payload []byte) error {
	c := n.conns[conn]
	if err := c.err.Load(); err != nil {
		return *err
	}
	if c.flying.Add(1) > netrpcFlying {
		c.flying.Add(-1)
		return errQueueFull
	}
	r := c.slot(slot)
	r.request = NetRPCMessage{slot, payload}
	r.reply = NetRPCMessage{Data: r.reply.Data[:0]} // gob leaves out zeros
	c.rpc.Go(netrpcMethod, &r.request, &r.reply, c.done)
	return nil
}

// Stop implements workload.Client.
func (n *netrpcClient) Stop() error {
	var errs []error
	for _, c := range n.conns {
		if c != nil {
			errs = append(errs, c.rpc.Close())
			c.done <- nil
		}
	}
	n.readers.Wait()
	return errors.Join(errs...)
}
