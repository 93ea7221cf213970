//go:build linux && (amd64 || arm64 || loong64)

package rivals

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/bench/compare/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
)

// GRPC is grpc-go with one bidirectional stream on each connection, a ClientConn and so
// a TCP connection of its own. What is chosen in its favour:
//
//   - a stream that lives as long as the connection, the cheapest grpc has, and not a
//     call for each request;
//   - a codec of raw bytes over grpc's own buffers: no protobuf, the echo sends the
//     buffers it got, and large payloads are not copied before they are framed;
//   - static windows of 16 MiB, so that a window is rarely waited for and no pings
//     estimate the bandwidth; small requests go to SendMsg directly, whose own writer
//     batches them;
//   - no service config, health check, proxy, retry buffers, idle mode. Buffers for
//     reading and writing are grpc's default, 32 KiB, the latter shared by connections:
//     those of 64 to 256 KiB were not faster at any size.
//
// After a cut grpc connects again, but the stream is dead: the next Send opens another.
func GRPC() workload.Contestant {
	return workload.Contestant{
		Name:  "grpc",
		Serve: serveGRPC,
		Dial: func(addr string, _ workload.Options) (workload.Client, error) {
			ctx, cancel := context.WithCancel(context.Background())
			return &grpcClient{addr: addr, ctx: ctx, cancel: cancel}, nil
		},
		ServeAll: serveGRPCFan,
	}
}

const (
	grpcMethod = "/bench.Echo/Echo"
	grpcWindow = 16 << 20
	// grpcDirect is what may be in flight while requests go to SendMsg directly: far
	// less than a window.
	grpcDirect = 1 << 20
	// grpcAgain bounds how long Send waits for a new stream.
	grpcAgain = 5 * time.Second
	// grpcCopied is up to which length a payload is copied behind its slot.
	grpcCopied = 1 << 10
)

// grpcMessage is what streams carry: the slot and the payload.
type grpcMessage struct{ data mem.BufferSlice }

type grpcCodec struct{}

func (grpcCodec) Name() string { return "raw" }

// Marshal gives the buffers away.
func (grpcCodec) Marshal(v any) (mem.BufferSlice, error) { return v.(*grpcMessage).data, nil }

// Unmarshal keeps the buffers, which the receiver frees or sends.
func (grpcCodec) Unmarshal(data mem.BufferSlice, v any) error {
	data.Ref()
	v.(*grpcMessage).data = data
	return nil
}

// grpcBackoff is for connections that were cut.
var grpcBackoff = grpc.ConnectParams{
	Backoff: backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2,
		MaxDelay: time.Second},
	MinConnectTimeout: patience,
}

var grpcService = grpc.ServiceDesc{
	ServiceName: "bench.Echo",
	HandlerType: (*any)(nil),
	Streams:     []grpc.StreamDesc{{StreamName: "Echo", Handler: echoGRPC, ServerStreams: true, ClientStreams: true}},
}

func echoGRPC(_ any, s grpc.ServerStream) error {
	if err := s.SendHeader(nil); err != nil { // the client waits for it
		return err
	}
	var m grpcMessage
	for {
		if err := s.RecvMsg(&m); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := s.SendMsg(&m); err != nil {
			return err
		}
	}
}

type grpcServer struct {
	s    *grpc.Server
	addr string
	done chan error
}

func serveGRPC(workload.Options) (workload.Server, error) { return startGRPC(&grpcService) }

// GRPCTLS is grpc with TLS 1.3.
func GRPCTLS() workload.Contestant {
	c := GRPC()
	c.Name, c.Guest, c.ServeAll = "grpc-tls", true, nil
	c.Serve = func(workload.Options) (workload.Server, error) {
		cfg, err := serverTLS()
		if err != nil {
			return nil, err
		}
		return startGRPC(&grpcService, grpc.Creds(credentials.NewTLS(cfg)))
	}
	c.Dial = func(addr string, _ workload.Options) (workload.Client, error) {
		ctx, cancel := context.WithCancel(context.Background())
		return &grpcClient{addr: addr, ctx: ctx, cancel: cancel, creds: credentials.NewTLS(clientTLS("h2"))}, nil
	}
	return c
}

func startGRPC(service *grpc.ServiceDesc, more ...grpc.ServerOption) (workload.Server, error) {
	l, err := net.Listen("tcp", loopback.String())
	if err != nil {
		return nil, err
	}
	s := grpc.NewServer(append(more, grpc.ForceServerCodecV2(grpcCodec{}),
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage),
		grpc.StaticStreamWindowSize(grpcWindow), grpc.StaticConnWindowSize(grpcWindow),
		grpc.WaitForHandlers(true))...)
	s.RegisterService(service, nil)
	g := &grpcServer{s: s, addr: l.Addr().String(), done: make(chan error, 1)}
	go func() { g.done <- s.Serve(l) }()
	return g, nil
}

func (g *grpcServer) Addr() string { return g.addr }

func (g *grpcServer) Stop() error {
	g.s.Stop()
	return <-g.done
}

type grpcClient struct {
	addr   string
	ctx    context.Context
	cancel context.CancelFunc
	creds  credentials.TransportCredentials // nil: none
	conns  []*grpcConn
}

// grpcConn is one connection and the stream that it has now.
type grpcConn struct {
	index    int
	answered func(conn, slot int)
	ctx      context.Context
	cc       *grpc.ClientConn
	mu       sync.Mutex // of who opens a stream
	now      atomic.Pointer[grpcStream]
	readers  sync.WaitGroup
}

type grpcStream struct {
	grpc.ClientStream
	out *outbox
	m   grpcMessage // the one being sent
}

// Connect implements workload.Client.
func (g *grpcClient) Connect(n int, answered func(conn, slot int)) error {
	g.conns = make([]*grpcConn, n)
	creds := g.creds
	if creds == nil {
		creds = insecure.NewCredentials()
	}
	return dialAll(n, func(i int) error {
		cc, err := grpc.NewClient("passthrough:///"+g.addr,
			grpc.WithTransportCredentials(creds),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(grpcCodec{}), grpc.MaxCallRecvMsgSize(maxMessage)),
			grpc.WithStaticStreamWindowSize(grpcWindow), grpc.WithStaticConnWindowSize(grpcWindow),
			grpc.WithConnectParams(grpcBackoff), grpc.WithIdleTimeout(0),
			grpc.WithNoProxy(), grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(), grpc.WithDisableHealthCheck())
		if err != nil {
			return err
		}
		c := &grpcConn{index: i, answered: answered, ctx: g.ctx, cc: cc}
		g.conns[i] = c
		_, err = c.open(nil, patience)
		return err
	})
}

// open replaces the stream dead, or fails after that time.
func (c *grpcConn) open(dead *grpcStream, limit time.Duration) (*grpcStream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.now.Load(); s != dead {
		return s, nil
	}
	ctx, cancel := context.WithCancel(c.ctx)
	timeout := time.AfterFunc(limit, cancel)
	stream, err := c.cc.NewStream(ctx, &grpcService.Streams[0], grpcMethod, grpc.WaitForReady(true))
	if err == nil {
		_, err = stream.Header()
	}
	if !timeout.Stop() || err != nil {
		cancel()
		return nil, errors.Join(errors.New("no stream"), err)
	}
	s := &grpcStream{ClientStream: stream}
	s.out = newOutbox(s.write, grpcDirect)
	c.now.Store(s)
	c.readers.Go(func() {
		defer cancel()
		s.out.fail(c.read(s))
		s.out.wait()
	})
	return s, nil
}

// write sends requests.
func (s *grpcStream) write(batch []request) error {
	for _, r := range batch {
		if len(r.payload) <= grpcCopied {
			b := make([]byte, slotLen+len(r.payload))
			binary.LittleEndian.PutUint32(b, uint32(r.slot))
			copy(b[slotLen:], r.payload)
			s.m.data = mem.BufferSlice{mem.SliceBuffer(b)}
		} else {
			head := binary.LittleEndian.AppendUint32(make([]byte, 0, slotLen), uint32(r.slot))
			s.m.data = mem.BufferSlice{mem.SliceBuffer(head), mem.SliceBuffer(r.payload)}
		}
		if err := s.SendMsg(&s.m); err != nil {
			return err
		}
	}
	return nil
}

// read takes answers until the stream ends, and returns why it did.
func (c *grpcConn) read(s *grpcStream) error {
	var m grpcMessage
	var head [slotLen]byte
	for {
		if err := s.RecvMsg(&m); err != nil {
			return err
		}
		n := m.data.Len()
		if m.data.CopyTo(head[:]) < slotLen {
			return io.ErrUnexpectedEOF
		}
		m.data.Free()
		s.out.answered(n - slotLen)
		c.answered(c.index, int(binary.LittleEndian.Uint32(head[:])))
	}
}

// Send implements workload.Client.
func (g *grpcClient) Send(conn, slot int, payload []byte) error {
	c := g.conns[conn]
	s := c.now.Load()
	err := s.out.send(request{slot, payload})
	if err == nil || errors.Is(err, errQueueFull) || g.ctx.Err() != nil {
		return err
	}
	if s, err = c.open(s, grpcAgain); err != nil {
		return err
	}
	return s.out.send(request{slot, payload})
}

// Stop implements workload.Client.
func (g *grpcClient) Stop() error {
	g.cancel()
	var errs []error
	for _, c := range g.conns {
		if c != nil {
			c.mu.Lock() // who opens a stream has done so, who comes later fails
			errs = append(errs, c.cc.Close())
			c.mu.Unlock()
			c.readers.Wait()
		}
	}
	return errors.Join(errs...)
}
