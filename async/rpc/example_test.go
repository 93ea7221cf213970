package rpc_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
)

// node is a messenger with a Node. In a program: with its errors looked at.
func node(name entity.Name, policy msg.Policy, opts rpc.Options) *rpc.Node {
	m, err := async.New(async.Config{Name: name})
	if err != nil {
		panic(err)
	}
	m.SetDefaultPolicy(policy)
	n, err := rpc.New(m, opts)
	if err != nil {
		panic(err)
	}
	return n
}

// serve starts a server, and connect a client of it.
func serve(n *rpc.Node) {
	if err := n.Messenger().Bind(netip.MustParseAddrPort("127.0.0.1:0")); err != nil {
		panic(err)
	}
	if err := n.Messenger().Start(); err != nil {
		panic(err)
	}
}

func connect(client, server *rpc.Node) msg.Connection {
	if err := client.Messenger().Start(); err != nil {
		panic(err)
	}
	c, err := client.Messenger().ConnectTo(entity.TypeOSD, server.Messenger().Addrs())
	if err != nil {
		panic(err)
	}
	return c
}

func stop(nodes ...*rpc.Node) {
	for _, n := range nodes {
		_ = n.Messenger().Shutdown(context.Background())
	}
}

// A request of bytes and its reply.
func ExampleNode_Call() {
	server := node(entity.OSD(0), msg.StatelessServer(), rpc.Options{})
	_ = server.HandleRaw(0x1001, func(_ context.Context, r *rpc.Request) ([]byte, error) {
		if len(r.Body) == 0 {
			return nil, rpc.Errorf(rpc.CodeInvalid, "say something")
		}
		return []byte(strings.ToUpper(string(r.Body))), nil
	})
	serve(server)
	client := node(entity.Client(1), msg.LossyClient(), rpc.Options{})
	c := connect(client, server)
	defer stop(client, server)

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	reply, err := client.Call(ctx, c, 0x1001, []byte("hello"))
	fmt.Println(string(reply), err)

	_, err = client.Call(ctx, c, 0x1001, nil)
	fmt.Println(errors.Is(err, &rpc.Error{Code: rpc.CodeInvalid}), err)

	_, err = client.Call(ctx, c, 0x1002, nil)
	fmt.Println(rpc.CodeOf(err))
	// Output:
	// HELLO <nil>
	// true rpc: peer: invalid: say something
	// unimplemented
}

type sum struct{ Of []int }
type total struct{ Is int }

// add is written once, for both ends.
var add = rpc.Method[sum, total]{Type: 0x1003, Codec: rpc.JSON}

// Values in place of bytes.
func ExampleHandle() {
	server := node(entity.OSD(0), msg.StatelessServer(), rpc.Options{})
	err := rpc.Handle(server, 0x1003, rpc.JSON, func(_ context.Context, s *sum) (*total, error) {
		var t total
		for _, x := range s.Of {
			t.Is += x
		}
		return &t, nil
	}, rpc.Concurrent(8))
	if err != nil {
		panic(err)
	}
	serve(server)
	client := node(entity.Client(1), msg.LossyClient(), rpc.Options{})
	c := connect(client, server)
	defer stop(client, server)

	t, err := rpc.Call[sum, total](context.Background(), client, c, 0x1003, rpc.JSON, &sum{Of: []int{1, 2, 3}})
	fmt.Println(t.Is, err)
	t, err = add.Call(context.Background(), client, c, &sum{Of: []int{20, 22}})
	fmt.Println(t.Is, err)
	// Output:
	// 6 <nil>
	// 42 <nil>
}

// little is a codec for one type: 8 bytes, the low ones first.
type little struct{}

func (little) Append(b []byte, v any) ([]byte, error) {
	return binary.LittleEndian.AppendUint64(b, *v.(*uint64)), nil
}

func (little) Unmarshal(data []byte, v any) error {
	if len(data) != 8 {
		return fmt.Errorf("%d bytes", len(data))
	}
	*v.(*uint64) = binary.LittleEndian.Uint64(data)
	return nil
}

// A codec of one's own.
func ExampleCodec() {
	double := rpc.Method[uint64, uint64]{Type: 0x1004, Codec: little{}}
	server := node(entity.OSD(0), msg.StatelessServer(), rpc.Options{})
	_ = double.Handle(server, func(_ context.Context, x *uint64) (*uint64, error) { y := 2 * *x; return &y, nil })
	serve(server)
	client := node(entity.Client(1), msg.LossyClient(), rpc.Options{})
	c := connect(client, server)
	defer stop(client, server)

	x := uint64(21)
	y, err := double.Call(context.Background(), client, c, &x)
	fmt.Println(*y, err)
	_, err = client.Call(context.Background(), c, 0x1004, []byte("short"))
	fmt.Println(err)
	// Output:
	// 42 <nil>
	// rpc: peer: invalid: the request cannot be read: 5 bytes
}

// Who calls what, at both ends.
func ExampleOptions_interceptors() {
	server := node(entity.OSD(0), msg.StatelessServer(), rpc.Options{
		ServerInterceptors: []rpc.ServerInterceptor{
			func(ctx context.Context, r *rpc.Request, next rpc.Handler) ([]byte, error) {
				fmt.Printf("%v asks for %#x\n", r.Conn.PeerType(), r.Type)
				return next(ctx, r)
			},
		},
	})
	_ = server.HandleRaw(0x1005, func(context.Context, *rpc.Request) ([]byte, error) { return []byte("done"), nil })
	serve(server)
	attempts := 0
	client := node(entity.Client(1), msg.LossyClient(), rpc.Options{
		Interceptors: []rpc.ClientInterceptor{
			func(ctx context.Context, call *rpc.CallInfo, next rpc.Invoker) (reply []byte, err error) {
				for range 3 { // this request may be handled twice
					attempts++
					if reply, err = next(ctx, call); !errors.Is(err, rpc.ErrPeerReset) {
						return reply, err
					}
				}
				return nil, err
			},
		},
	})
	c := connect(client, server)
	defer stop(client, server)

	reply, err := client.Call(context.Background(), c, 0x1005, nil)
	fmt.Println(string(reply), err, attempts)
	// Output:
	// client asks for 0x1005
	// done <nil> 1
}

// A request and a reply that are too large for memory, or might be.
func ExampleNode_CallBody() {
	server := node(entity.OSD(0), msg.StatelessServer(), rpc.Options{})
	_ = server.HandleRaw(0x1006, func(_ context.Context, r *rpc.Request) ([]byte, error) {
		n, err := io.Copy(io.Discard, r.Stream)
		r.Answer(strings.NewReader(strings.Repeat("x", 3*int(n))))
		return fmt.Appendf(nil, "three for each of %d", n), err
	}, rpc.Concurrent(8))
	serve(server)
	client := node(entity.Client(1), msg.LossyClient(), rpc.Options{})
	c := connect(client, server)
	defer stop(client, server)

	body := strings.NewReader(strings.Repeat("so much of it ", 100))
	r, err := client.CallBody(context.Background(), c, 0x1006, nil, body)
	if err != nil {
		panic(err)
	}
	defer r.Body.Close()
	n, err := io.Copy(io.Discard, r.Body)
	fmt.Println(string(r.Reply), n, err)
	// Output: three for each of 1400 4200 <nil>
}
