package protocodec_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/asyncmsgr/asyncmsgr/async/rpc/protocodec"
)

var seconds = rpc.Method[durationpb.Duration, wrapperspb.Int64Value]{Type: 0x1001, Codec: protocodec.Codec}

func start(name entity.Name, p msg.Policy) *rpc.Node {
	m, err := async.New(async.Config{Name: name, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	m.SetDefaultPolicy(p)
	n, err := rpc.New(m, rpc.Options{})
	if err != nil {
		panic(err)
	}
	if err := m.Bind(netip.MustParseAddrPort("127.0.0.1:0")); err != nil {
		panic(err)
	}
	if err := m.Start(); err != nil {
		panic(err)
	}
	return n
}

// A call of protobuf messages.
func Example() {
	server, client := start(entity.OSD(0), msg.StatelessServer()), start(entity.Client(1), msg.LossyClient())
	defer server.Messenger().Shutdown(context.Background())
	defer client.Messenger().Shutdown(context.Background())
	err := seconds.Handle(server, func(_ context.Context, d *durationpb.Duration) (*wrapperspb.Int64Value, error) {
		return wrapperspb.Int64(d.Seconds), nil
	})
	if err != nil {
		panic(err)
	}
	c, err := client.Messenger().ConnectTo(entity.TypeOSD, server.Messenger().Addrs())
	if err != nil {
		panic(err)
	}
	x, err := seconds.Call(context.Background(), client, c, &durationpb.Duration{Seconds: 42})
	fmt.Println(x.GetValue(), err)
	_, err = client.Call(context.Background(), c, seconds.Type, []byte{0xff})
	fmt.Println(rpc.CodeOf(err))
	// Output:
	// 42 <nil>
	// invalid
}

func TestNoMessage(t *testing.T) {
	x := 1
	if _, err := protocodec.Codec.Append(nil, &x); err == nil {
		t.Error("an int was encoded")
	}
	if err := protocodec.Codec.Unmarshal(nil, &x); err == nil {
		t.Error("an int was decoded")
	}
	b, err := protocodec.Codec.Append([]byte("before"), wrapperspb.Int64(7))
	if err != nil || string(b[:6]) != "before" {
		t.Error(b, err)
	}
}
