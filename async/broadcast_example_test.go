package async_test

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// news is a dispatcher that keeps a list of subscribers, and a Notifier that is told how
// many of them a message has reached.
type news struct {
	subscribers []msg.Connection
	reached     int
}

func (n *news) HandleAccept(c msg.Connection) { n.subscribers = append(n.subscribers, c) }
func (n *news) Dispatch(*msg.Message) bool    { return true }
func (n *news) BroadcastSent(m *msg.Message)  { fmt.Printf("%s: reached %d\n", m.Front, n.reached) }
func (n *news) MessageSent(_ msg.Connection, _ *msg.Message, err error) {
	if err == nil {
		n.reached++
	}
}

// One message to everybody who is connected, on a simulated network.
func ExampleMessenger_Broadcast() {
	net := simnet.New(1, simnet.Config{})
	start := func(name entity.Name, p msg.Policy) *async.Messenger {
		h := net.AddHost(name.String(), simnet.HostConfig{})
		m, err := async.New(async.Config{Name: name, Stack: h, Executor: h, Rand: h.Rand})
		if err != nil {
			panic(err)
		}
		m.SetDefaultPolicy(p)
		return m
	}
	desk := &news{}
	server := start(entity.OSD(0), msg.StatefulServer())
	server.AddDispatcherTail(desk)
	if err := errors.Join(server.Bind(netip.MustParseAddrPort("0.0.0.0:6800")), server.Start()); err != nil {
		panic(err)
	}
	for i := range 3 {
		client := start(entity.Client(int64(i)), msg.LosslessClient())
		if err := client.Start(); err != nil {
			panic(err)
		}
		if _, err := client.ConnectTo(entity.TypeOSD, server.Addrs()); err != nil {
			panic(err)
		}
	}
	_ = net.RunUntil(func() bool { return len(desk.subscribers) == 3 }, time.Minute)

	desk.subscribers[1].MarkDown()
	m := &msg.Message{Type: 1000, Front: []byte("flood warning"), Notify: desk}
	for _, r := range server.Broadcast(desk.subscribers, m) {
		fmt.Println(r.Index, "is closed:", errors.Is(r, msg.ErrClosed))
	}
	_ = net.Run(time.Second)
	// Output:
	// 1 is closed: true
	// flood warning: reached 2
}
