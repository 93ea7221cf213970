package msg_test

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

// ledger is told of the end of each message that was sent.
type ledger struct{}

func (ledger) Dispatch(*msg.Message) bool { return true }

// MessageSent runs on a worker, or where the connection was closed, and must not block.
func (ledger) MessageSent(_ msg.Connection, m *msg.Message, err error) {
	switch {
	case err == nil:
		fmt.Printf("%s: acknowledged\n", m.Front) // accepted by the peer's messenger, not yet handled
	case errors.Is(err, msg.ErrDeadline):
		fmt.Printf("%s: too late\n", m.Front)
	default:
		fmt.Printf("%s: %v\n", m.Front, err)
	}
}

// Every message that Send has accepted has one end. One that waits longer than it is worth
// is dropped; once its first byte is encoded it is sent, whatever the time.
func ExampleNotifier() {
	net := simnet.New(1, simnet.Config{})
	quiet := slog.New(slog.DiscardHandler)
	start := func(name entity.Name) *async.Messenger {
		h := net.AddHost(name.String(), simnet.HostConfig{})
		m, err := async.New(async.Config{Name: name, Stack: h, Executor: h, Rand: h.Rand, Logger: quiet})
		if err != nil {
			panic(err)
		}
		m.SetDefaultPolicy(msg.LosslessPeer())
		m.AddDispatcherTail(ledger{})
		if err := m.Bind(netip.MustParseAddrPort("0.0.0.0:7001")); err != nil {
			panic(err)
		}
		if err := m.Start(); err != nil {
			panic(err)
		}
		return m
	}
	server, client := start(entity.OSD(0)), start(entity.OSD(1))
	clock := net.Host("osd.1").Clock() // simulated, too
	conn, err := client.ConnectTo(entity.TypeOSD, server.Addrs())
	if err != nil {
		panic(err)
	}
	send := func(text string, deadline time.Time) {
		m := &msg.Message{Type: 1000, Front: []byte(text), Deadline: deadline, Notify: ledger{}}
		if err := conn.Send(m); err != nil {
			panic(err)
		}
	}
	send("first", time.Time{})
	_ = net.Run(time.Second)

	wall := net.Add("cut", simnet.Isolate("osd.1"))
	net.Conns()[0].Kill() // the session goes on, and waits for the network
	_ = net.Run(time.Second)
	send("whenever", time.Time{})
	send("now or never", clock.Wall().Add(time.Minute))
	_ = net.Run(2 * time.Minute)
	wall.Lift()
	_ = net.Run(time.Minute)
	// Output:
	// first: acknowledged
	// now or never: too late
	// whenever: acknowledged
}
