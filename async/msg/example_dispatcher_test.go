package msg_test

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// store writes what it is given, bulk, and answers questions, which overtake the bulk.
type store struct{}

func (store) Dispatch(m *msg.Message) bool {
	if m.Type != 1000 {
		return false // somebody else's: the next dispatcher of the chain is asked
	}
	fmt.Printf("%s at priority %d\n", m.Front, m.Priority)
	return true
}

// A dispatcher gets the messages of one connection one at a time, in their order, but for
// priorities: what was sent last and is urgent comes first. It may block.
func ExampleDispatcher() {
	net := simnet.New(1, simnet.Config{})
	quiet := slog.New(slog.DiscardHandler)
	start := func(name entity.Name, p msg.Policy, d msg.Dispatcher) *async.Messenger {
		h := net.AddHost(name.String(), simnet.HostConfig{})
		m, err := async.New(async.Config{Name: name, Stack: h, Executor: h, Rand: h.Rand, Logger: quiet})
		if err != nil {
			panic(err)
		}
		m.SetDefaultPolicy(p)
		m.AddDispatcherTail(d)
		if err := m.Bind(netip.MustParseAddrPort("0.0.0.0:7001")); err != nil {
			panic(err)
		}
		if err := m.Start(); err != nil {
			panic(err)
		}
		return m
	}
	server := start(entity.OSD(0), msg.LosslessPeer(), store{})
	client := start(entity.OSD(1), msg.LosslessPeer(), store{})

	conn, err := client.ConnectTo(entity.TypeOSD, server.Addrs())
	if err != nil {
		panic(err)
	}
	for _, m := range []*msg.Message{
		{Type: 1000, Priority: msg.PriorityLow, Front: []byte("scrub")},
		{Type: 1000, Priority: msg.PriorityDefault, Front: []byte("write 1")},
		{Type: 1000, Priority: msg.PriorityDefault, Front: []byte("write 2")},
		{Type: 1000, Priority: msg.PriorityHigh, Front: []byte("heartbeat")},
	} {
		if err := conn.Send(m); err != nil {
			panic(err)
		}
	}
	_ = net.Run(time.Second)
	// Output:
	// heartbeat at priority 196
	// write 1 at priority 127
	// write 2 at priority 127
	// scrub at priority 64
}
