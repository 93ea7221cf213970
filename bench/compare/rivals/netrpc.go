package rivals

import (
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"sync"
	"sync/atomic"

	"github.com/asyncmsgr/asyncmsgr/bench/compare/workload"
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
const netrpcFlying = 4096

// netrpcDirect is what may be in flight while Send calls Client.Go, which writes to the
// socket; with more a goroutine of the connection does.
const netrpcDirect = 1 << 20

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
	out    *outbox
	done   chan *rpc.Call // finished calls; nil ends the reader
	flying atomic.Int64

	mu   sync.Mutex
	free []netrpcExchange
}

// netrpcExchange is a request and its reply, which are used again.
type netrpcExchange struct{ request, reply *NetRPCMessage }

// netrpcSocket tells of the end of the connection before net/rpc's next call does.
type netrpcSocket struct {
	net.Conn
	c *netrpcConn
}

func (s netrpcSocket) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if err != nil {
		s.c.out.fail(err)
	}
	return n, err
}

// Connect implements workload.Client.
func (n *netrpcClient) Connect(count int, answered func(conn, slot int)) error {
	n.conns = make([]*netrpcConn, count)
	return dialAll(count, func(i int) error {
		tcp, err := net.Dial("tcp", n.addr)
		if err != nil {
			return err
		}
		c := &netrpcConn{done: make(chan *rpc.Call, netrpcFlying)}
		c.out = newOutbox(c.write, netrpcDirect)
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
		if call.Error != nil {
			c.out.fail(call.Error)
			continue
		}
		r := netrpcExchange{call.Args.(*NetRPCMessage), call.Reply.(*NetRPCMessage)}
		slot, n := r.request.Slot, len(r.request.Data)
		if r.reply.Slot != slot || len(r.reply.Data) != n {
			c.out.fail(fmt.Errorf("slot %d, %d bytes: the answer has slot %d, %d bytes",
				slot, n, r.reply.Slot, len(r.reply.Data)))
			continue
		}
		c.mu.Lock()
		c.free = append(c.free, r)
		c.mu.Unlock()
		c.out.answered(n)
		answered(conn, slot)
	}
}

// exchange returns one that is not in use.
func (c *netrpcConn) exchange() netrpcExchange {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.free); n > 0 {
		r := c.free[n-1]
		c.free = c.free[:n-1]
		return r
	}
	return netrpcExchange{new(NetRPCMessage), new(NetRPCMessage)}
}

// write begins calls. What fails them ends the outbox too.
func (c *netrpcConn) write(batch []request) error {
	for _, r := range batch {
		x := c.exchange()
		*x.request = NetRPCMessage{r.slot, r.payload}
		*x.reply = NetRPCMessage{Data: x.reply.Data[:0]} // gob leaves out zeros
		c.rpc.Go(netrpcMethod, x.request, x.reply, c.done)
	}
	return nil
}

// Send implements workload.Client.
func (n *netrpcClient) Send(conn, slot int, payload []byte) error {
	c := n.conns[conn]
	if c.flying.Add(1) > netrpcFlying {
		c.flying.Add(-1)
		return errQueueFull
	}
	err := c.out.send(request{slot, payload})
	if err != nil {
		c.flying.Add(-1)
	}
	return err
}

// Stop implements workload.Client.
func (n *netrpcClient) Stop() error {
	var errs []error
	for _, c := range n.conns {
		if c != nil {
			errs = append(errs, c.rpc.Close())
			c.out.fail(rpc.ErrShutdown)
			c.out.wait()
			c.done <- nil
		}
	}
	n.readers.Wait()
	return errors.Join(errs...)
}
