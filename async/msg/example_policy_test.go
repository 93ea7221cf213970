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

// clerk is told what becomes of its peers.
type clerk struct{}

func (clerk) Dispatch(*msg.Message) bool { return true }

// HandleConnect comes each time a session that we began is ready, before its first message.
func (clerk) HandleConnect(c msg.Connection) { fmt.Println("connected with", c.PeerName()) }

// HandleRemoteReset comes when the peer has lost its side of the session: it was started anew.
func (clerk) HandleRemoteReset(c msg.Connection) { fmt.Println(c.PeerName(), "was started anew") }

// HandleUndeliverable comes for each message that was accepted by Send and has not been, or
// may not have been, delivered. It must not block.
func (clerk) HandleUndeliverable(_ msg.Connection, m *msg.Message, reason error) {
	fmt.Printf("%s: not delivered, reset by the peer: %t\n", m.Front, errors.Is(reason, msg.ErrRemoteReset))
}

// A Policy says how sessions with one type of peers are. Here both ends are equals, and
// notice when the other one was started anew under the same address.
func ExamplePolicy() {
	net := simnet.New(1, simnet.Config{})
	quiet := slog.New(slog.DiscardHandler)
	start := func(h *simnet.Host, name entity.Name) *async.Messenger {
		m, err := async.New(async.Config{Name: name, Stack: h, Executor: h, Rand: h.Rand, Logger: quiet,
			FixedNonce: true}) // the same address after a restart, to the nonce
		if err != nil {
			panic(err)
		}
		m.SetPolicy(entity.TypeOSD, msg.LosslessPeerReuse())
		m.AddDispatcherTail(clerk{})
		if err := m.Bind(netip.MustParseAddrPort("0.0.0.0:7001")); err != nil {
			panic(err)
		}
		if err := m.Start(); err != nil {
			panic(err)
		}
		return m
	}
	here, there := net.AddHost("here", simnet.HostConfig{}), net.AddHost("there", simnet.HostConfig{})
	m, peer := start(here, entity.OSD(0)), start(there, entity.OSD(1))

	conn, err := m.ConnectTo(entity.TypeOSD, peer.Addrs())
	if err != nil {
		panic(err)
	}
	_ = net.Run(time.Second)

	there.Crash()
	if err := conn.Send(&msg.Message{Type: 1000, Front: []byte("for the old one")}); err != nil {
		panic(err)
	}
	_ = net.Run(time.Second)
	start(there.Restart(), entity.OSD(1))
	_ = net.Run(time.Minute)
	// Output:
	// connected with osd.1
	// for the old one: not delivered, reset by the peer: true
	// osd.1 was started anew
	// connected with osd.1
}
