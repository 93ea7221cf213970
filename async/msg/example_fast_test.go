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

// register answers reads from memory, right where they were decoded, and leaves everything
// else to the queue.
type register struct{ value []byte }

const (
	typeRead  = 1000
	typeWrite = 1001
)

// CanFastDispatch and FastDispatch run on the worker: they delay all of its connections, so
// they take no lock for long, and wait for nothing.
func (r *register) CanFastDispatch(m *msg.Message) bool { return m.Type == typeRead }

func (r *register) FastDispatch(m *msg.Message) {
	fmt.Printf("read %q\n", r.value)
}

// Dispatch may block; on real networks it may run at the same time as FastDispatch.
func (r *register) Dispatch(m *msg.Message) bool {
	r.value = m.Front
	fmt.Printf("written %q\n", r.value)
	return true
}

// Fast dispatched messages are not ordered against queued ones: here the read comes first,
// though it was sent last.
func ExampleFastDispatcher() {
	net := simnet.New(1, simnet.Config{})
	quiet := slog.New(slog.DiscardHandler)
	start := func(name entity.Name) *async.Messenger {
		h := net.AddHost(name.String(), simnet.HostConfig{})
		m, err := async.New(async.Config{Name: name, Stack: h, Executor: h, Rand: h.Rand, Logger: quiet})
		if err != nil {
			panic(err)
		}
		m.SetDefaultPolicy(msg.LosslessPeer())
		m.AddDispatcherTail(&register{value: []byte("old")})
		if err := m.Bind(netip.MustParseAddrPort("0.0.0.0:7001")); err != nil {
			panic(err)
		}
		if err := m.Start(); err != nil {
			panic(err)
		}
		return m
	}
	server, client := start(entity.OSD(0)), start(entity.OSD(1))

	for _, m := range []*msg.Message{
		{Type: typeWrite, Front: []byte("new")},
		{Type: typeRead},
	} {
		if err := client.SendTo(m, entity.TypeOSD, server.Addrs()); err != nil {
			panic(err)
		}
	}
	_ = net.Run(time.Second)
	// Output:
	// read "old"
	// written "new"
}
