package async_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// greeter answers each message, and show prints it.
type greeter struct{}

func (greeter) Dispatch(m *msg.Message) bool {
	answer := &msg.Message{Type: m.Type, TID: m.TID, Front: append([]byte("hello, "), m.Front...)}
	if err := m.Connection().Send(answer); err != nil {
		fmt.Println("not answered:", err)
	}
	return true
}

type show struct{}

func (show) Dispatch(m *msg.Message) bool {
	fmt.Printf("%s: %s\n", m.Source(), m.Front)
	return true
}

// A server and a client. They are on a simulated network here: without Stack, Executor and
// Rand in Config, and without net, the same lines use the real one.
func ExampleMessenger() {
	net := simnet.New(1, simnet.Config{})
	host := func(name string) async.Config {
		h := net.AddHost(name, simnet.HostConfig{})
		return async.Config{Stack: h, Executor: h, Rand: h.Rand}
	}

	cfg := host("server")
	cfg.Name = entity.OSD(0)
	server, err := async.New(cfg)
	if err != nil {
		panic(err) // Config makes no sense: err names the field
	}
	server.SetDefaultPolicy(msg.StatefulServer())
	server.AddDispatcherTail(greeter{})
	if err := server.Bind(netip.MustParseAddrPort("0.0.0.0:7001")); err != nil {
		panic(err)
	}
	if err := server.Start(); err != nil {
		panic(err)
	}

	cfg = host("client")
	cfg.Name = entity.Client(7)
	client, err := async.New(cfg)
	if err != nil {
		panic(err)
	}
	client.SetDefaultPolicy(msg.LosslessClient())
	client.AddDispatcherTail(show{})
	if err := client.Start(); err != nil {
		panic(err)
	}

	conn, err := client.ConnectTo(entity.TypeOSD, server.Addrs())
	if err != nil {
		panic(err)
	}
	// Send returns at once. The message arrives when the session is up; and if that breaks,
	// when it is up again.
	if err := conn.Send(&msg.Message{Type: 1000, Front: []byte("world")}); err != nil {
		panic(err)
	}
	_ = net.Run(time.Second)
	fmt.Println(conn.State(), server.Stats().Handshakes, "handshakes under way")
	// Output:
	// osd.0: hello, world
	// connected 0 handshakes under way
}
