package async_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// exchange sends each quote to all who have subscribed. What waits for a consumer is
// bounded: who is too slow for that misses quotes, and after ten in a row is let go.
type exchange struct {
	subscribers []msg.Connection
	missed      map[msg.Connection]int
	letGo       int
}

func (x *exchange) Dispatch(*msg.Message) bool    { return true }
func (x *exchange) HandleAccept(c msg.Connection) { x.subscribers = append(x.subscribers, c) }

func (x *exchange) publish(m *async.Messenger, quote []byte) {
	refused := m.Broadcast(x.subscribers, &msg.Message{Type: 1000, Data: quote})
	behind := make(map[msg.Connection]int)
	for _, r := range refused {
		if !errors.Is(r.Err, msg.ErrQueueFull) {
			continue // closed
		}
		behind[r.Conn] = x.missed[r.Conn] + 1
		if behind[r.Conn] == 10 {
			r.Conn.MarkDown()
			x.letGo++
		}
	}
	x.missed = behind // who took this one begins anew
}

// consumer counts what it gets.
type consumer struct{ quotes int }

func (c *consumer) Dispatch(*msg.Message) bool { c.quotes++; return true }

// One messenger, 2 000 consumers, each quote for all of them: 400 consumers have a line of
// 20 kB/s, which carries a fifth of what is sent, and 100 one of 1 kB/s. Nobody waits for them.
func Example_slowConsumers() {
	const fast, slow, hopeless, quotes = 1500, 400, 100, 30

	net := simnet.New(1, simnet.Config{Window: 4096, Smooth: true})
	start := func(name entity.Name, p msg.Policy, d msg.Dispatcher) *async.Messenger {
		h := net.AddHost(name.String(), simnet.HostConfig{})
		m, err := async.New(async.Config{Name: name, Stack: h, Executor: h, Rand: h.Rand,
			Logger: slog.New(slog.DiscardHandler), SendQueueMessages: 16})
		if err != nil {
			panic(err)
		}
		m.SetDefaultPolicy(p)
		m.AddDispatcherTail(d)
		if p.Server {
			err = m.Bind(netip.MustParseAddrPort("0.0.0.0:7001"))
		}
		if err := errors.Join(err, m.Start()); err != nil {
			panic(err)
		}
		return m
	}
	x := &exchange{}
	server := start(entity.OSD(0), msg.StatelessServer(), x)
	consumers := make([]*consumer, fast+slow+hopeless)
	for i := range consumers {
		consumers[i] = &consumer{}
		client := start(entity.Client(int64(i)), msg.LossyClient(), consumers[i])
		switch {
		case i >= fast+slow:
			net.SetLink("osd.0", client.Name().String(), simnet.LinkConfig{Bandwidth: 1 << 10})
		case i >= fast:
			net.SetLink("osd.0", client.Name().String(), simnet.LinkConfig{Bandwidth: 20 << 10})
		}
		if _, err := client.ConnectTo(entity.TypeOSD, server.Addrs()); err != nil {
			panic(err)
		}
	}
	_ = net.RunUntil(func() bool { return len(x.subscribers) == len(consumers) }, time.Minute)

	for range quotes {
		x.publish(server, make([]byte, 1000))
		_ = net.Run(10 * time.Millisecond)
	}
	_ = net.Run(time.Second)
	all := 0
	for _, c := range consumers[:fast] {
		if c.quotes == quotes {
			all++
		}
	}
	fmt.Printf("%d of %d fast consumers got all %d quotes\n", all, fast, quotes)
	fmt.Println("a slow one got some:", consumers[fast].quotes > 0 && consumers[fast].quotes < quotes)
	fmt.Println(x.letGo, "were let go")
	// Output:
	// 1500 of 1500 fast consumers got all 30 quotes
	// a slow one got some: true
	// 100 were let go
}
