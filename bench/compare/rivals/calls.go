//go:build linux && (amd64 || arm64 || loong64)

package rivals

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	netrpc "net/rpc"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"storj.io/drpc"
	"storj.io/drpc/drpcconn"
	"storj.io/drpc/drpcserver"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/asyncmsgr/asyncmsgr/bench/compare/workload"
)

// CallsReference is the contestant that the others of Calls are compared with.
const CallsReference = "async-rpc"

// Calls returns the contestants that call: a goroutine for each request in flight, which waits for
// its reply, as users write it. They echo. None has more than a connection for each of the scenario's.
func Calls() []workload.Contestant {
	return []workload.Contestant{callsAsync(false), callsAsync(true), callsGRPC(), callsDRPC(), callsNetRPC()}
}

// invoke makes one call and returns the reply.
type invoke func(payload []byte) ([]byte, error)

// callClient is a workload.Client whose every slot is a goroutine.
type callClient struct {
	// dial opens connection i; stop closes all.
	dial func(i int) (invoke, error)
	stop func() error

	mu       sync.Mutex
	conns    []invoke
	slots    map[[2]int]chan []byte
	answered func(conn, slot int)
	failed   error
	end      chan struct{}
	callers  sync.WaitGroup
}

// Connect implements workload.Client. Each connection has had a call when it returns.
func (c *callClient) Connect(n int, answered func(conn, slot int)) error {
	c.conns, c.slots, c.end = make([]invoke, n), map[[2]int]chan []byte{}, make(chan struct{})
	c.answered = answered
	return dialAll(n, func(i int) (err error) {
		if c.conns[i], err = c.dial(i); err != nil {
			return err
		}
		_, err = c.conns[i]([]byte("first"))
		return err
	})
}

// Send implements workload.Client: the slot's goroutine calls.
func (c *callClient) Send(conn, slot int, payload []byte) error {
	key := [2]int{conn, slot}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil {
		return c.failed
	}
	ch := c.slots[key]
	if ch == nil {
		ch = make(chan []byte, 1)
		c.slots[key] = ch
		c.callers.Go(func() { c.caller(conn, slot, ch) })
	}
	ch <- payload // there is room: a slot is in flight only once
	return nil
}

func (c *callClient) caller(conn, slot int, requests chan []byte) {
	for {
		select {
		case payload := <-requests:
			reply, err := c.conns[conn](payload)
			if err == nil && !bytes.Equal(reply, payload) {
				err = fmt.Errorf("a reply of %d bytes to %d", len(reply), len(payload))
			}
			if err != nil {
				c.mu.Lock()
				c.failed = err
				c.mu.Unlock()
				return
			}
			c.answered(conn, slot)
		case <-c.end:
			return
		}
	}
}

// Stop implements workload.Client.
func (c *callClient) Stop() error {
	close(c.end)
	err := c.stop()
	c.callers.Wait()
	return err
}

// callsAsync is package async/rpc over lossy sessions, as the others have none: the handler runs where
// Dispatch does, or on the worker.
func callsAsync(fast bool) workload.Contestant {
	name, what := "async-rpc", "async/rpc over lossy sessions; the handler runs where Dispatch runs, by priority"
	var opts []rpc.HandlerOption
	if fast {
		name, what = "async-rpc-fast", "the same; the handler runs on the worker"
		opts = append(opts, rpc.Fast())
	}
	return workload.Contestant{Name: name, Is: what,
		Serve: func(workload.Options) (workload.Server, error) {
			m, n, err := newRPC(entity.OSD(0), msg.StatelessServer())
			if err != nil {
				return nil, err
			}
			back := func(_ context.Context, r *rpc.Request) ([]byte, error) { return r.Body, nil }
			err = n.HandleRaw(1, back, opts...)
			return messengerServer{m}, errors.Join(err, m.Bind(loopback), m.Start())
		},
		Dial: func(addr string, _ workload.Options) (workload.Client, error) {
			addrs, err := entity.ParseAddrVec(addr)
			if err != nil {
				return nil, err
			}
			m, n, err := newRPC(entity.Client(1), msg.LossyClient())
			if err != nil {
				return nil, err
			}
			return &callClient{
				dial: func(int) (invoke, error) {
					c, err := m.ConnectAnon(entity.TypeOSD, addrs)
					return func(p []byte) ([]byte, error) { return n.Call(context.Background(), c, 1, p) }, err
				},
				stop: func() error { return shutdown(m) },
			}, m.Start()
		},
	}
}

func newRPC(name entity.Name, p msg.Policy) (*async.Messenger, *rpc.Node, error) {
	m, err := async.New(async.Config{Name: name, ListenBacklog: 4096})
	if err != nil {
		return nil, nil, err
	}
	m.SetDefaultPolicy(p)
	n, err := rpc.New(m, rpc.Options{})
	return m, n, err
}

// callsGRPC is a unary method of grpc-go with the codec, and the options in its favour, of GRPC.
func callsGRPC() workload.Contestant {
	const method = "/bench.Calls/Echo"
	service := &grpc.ServiceDesc{ServiceName: "bench.Calls", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
		MethodName: "Echo",
		Handler: func(_ any, _ context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			m := new(grpcMessage)
			return m, dec(m)
		},
	}}}
	return workload.Contestant{Name: "grpc-unary",
		Is:    "a unary method of grpc-go, with raw bytes for a codec and static windows of 16 MiB",
		Lacks: "no checksum, no priorities",
		Serve: func(workload.Options) (workload.Server, error) { return startGRPC(service) },
		Dial: func(addr string, _ workload.Options) (workload.Client, error) {
			var mu sync.Mutex
			var all []*grpc.ClientConn
			return &callClient{
				dial: func(int) (invoke, error) {
					cc, err := grpc.NewClient("passthrough:///"+addr,
						grpc.WithTransportCredentials(insecure.NewCredentials()),
						grpc.WithDefaultCallOptions(
							grpc.ForceCodecV2(grpcCodec{}), grpc.MaxCallRecvMsgSize(maxMessage)),
						grpc.WithStaticStreamWindowSize(grpcWindow), grpc.WithStaticConnWindowSize(grpcWindow),
						grpc.WithIdleTimeout(0), grpc.WithNoProxy(), grpc.WithDisableRetry(),
						grpc.WithDisableServiceConfig(), grpc.WithDisableHealthCheck())
					if err != nil {
						return nil, err
					}
					mu.Lock()
					all = append(all, cc)
					mu.Unlock()
					return func(p []byte) ([]byte, error) {
						in := grpcMessage{mem.BufferSlice{mem.SliceBuffer(p)}}
						var out grpcMessage
						err := cc.Invoke(context.Background(), method, &in, &out, grpc.WaitForReady(true))
						if err != nil {
							return nil, err
						}
						b := out.data.Materialize()
						out.data.Free()
						return b, nil
					}, nil
				},
				stop: func() (err error) {
					for _, cc := range all {
						err = errors.Join(err, cc.Close())
					}
					return err
				},
			}, nil
		},
	}
}

// rawEncoding is drpc's encoding of raw bytes.
type rawEncoding struct{}

func (rawEncoding) Marshal(m drpc.Message) ([]byte, error) { return *m.(*[]byte), nil }
func (rawEncoding) Unmarshal(b []byte, m drpc.Message) error {
	to := m.(*[]byte)
	*to = append((*to)[:0], b...)
	return nil
}

type drpcCalls struct{}

// HandleRPC implements drpc.Handler: one message there and one back.
func (drpcCalls) HandleRPC(s drpc.Stream, _ string) error {
	var b []byte
	if err := s.MsgRecv(&b, rawEncoding{}); err != nil {
		return err
	}
	return errors.Join(s.MsgSend(&b, rawEncoding{}), s.CloseSend())
}

// callsDRPC is Invoke of storj.io/drpc. A connection has one call at a time, and the others wait.
func callsDRPC() workload.Contestant {
	return workload.Contestant{Name: "drpc-unary",
		Is:    "Invoke of storj.io/drpc with raw bytes for an encoding",
		Lacks: "no checksum, no priorities, and calls of one connection wait for each other",
		Serve: func(workload.Options) (workload.Server, error) {
			s := drpcserver.NewWithOptions(drpcCalls{}, drpcserver.Options{Manager: drpcOptions})
			return listen(func(c net.Conn) { _ = s.ServeOne(context.Background(), c) })
		},
		Dial: func(addr string, _ workload.Options) (workload.Client, error) {
			var mu sync.Mutex
			var all []*drpcconn.Conn
			return &callClient{
				dial: func(int) (invoke, error) {
					tcp, err := net.Dial("tcp", addr)
					if err != nil {
						return nil, err
					}
					conn := drpcconn.NewWithOptions(tcp, drpcconn.Options{Manager: drpcOptions})
					mu.Lock()
					all = append(all, conn)
					mu.Unlock()
					return func(p []byte) (reply []byte, err error) {
						err = conn.Invoke(context.Background(), drpcMethod, rawEncoding{}, &p, &reply)
						return reply, err
					}, nil
				},
				stop: func() (err error) {
					for _, conn := range all {
						err = errors.Join(err, conn.Close())
					}
					return err
				},
			}, nil
		},
	}
}

// callsNetRPC is Client.Call of net/rpc, with gob.
func callsNetRPC() workload.Contestant {
	return workload.Contestant{Name: "netrpc-call",
		Is: "Client.Call of the standard library's net/rpc, with gob", Lacks: "no checksum, no priorities",
		Serve: serveNetRPC,
		Dial: func(addr string, _ workload.Options) (workload.Client, error) {
			var mu sync.Mutex
			var all []*netrpc.Client
			return &callClient{
				dial: func(int) (invoke, error) {
					tcp, err := net.Dial("tcp", addr)
					if err != nil {
						return nil, err
					}
					client := netrpc.NewClient(tcp)
					mu.Lock()
					all = append(all, client)
					mu.Unlock()
					return func(p []byte) ([]byte, error) {
						var out NetRPCMessage
						err := client.Call(netrpcMethod, &NetRPCMessage{Data: p}, &out)
						return out.Data, err
					}, nil
				},
				stop: func() (err error) {
					for _, client := range all {
						err = errors.Join(err, client.Close())
					}
					return err
				},
			}, nil
		},
	}
}
