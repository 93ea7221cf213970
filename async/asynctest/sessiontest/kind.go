package sessiontest

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// Messenger is what all kinds have in common; the methods mean what they mean in
// async.Messenger.
type Messenger interface {
	Name() entity.Name
	Addrs() entity.AddrVec
	AddDispatcherTail(d msg.Dispatcher)
	SetDefaultPolicy(p msg.Policy)
	SetPolicy(t entity.Type, p msg.Policy)
	SetPolicyThrottlers(t entity.Type, messages, bytes msg.Throttler)
	SetDefaultSendPriority(p uint8)
	Bind(addrs ...netip.AddrPort) error
	Rebind(avoid ...uint16) error
	Start() error
	ConnectTo(t entity.Type, addrs entity.AddrVec) (msg.Connection, error)
	ConnectAnon(t entity.Type, addrs entity.AddrVec) (msg.Connection, error)
	Lookup(addrs entity.AddrVec) msg.Connection
	Loopback() msg.Connection
	SendTo(m *msg.Message, t entity.Type, addrs entity.AddrVec) error
	MarkDown(addrs entity.AddrVec) bool
	MarkDownAll()
	Shutdown(ctx context.Context) error
	// Count returns the counters that the suite looks at.
	Count() Counts
}

// Counts are those of async.Stats that the suite looks at.
type Counts struct {
	Received, Delivered, Undeliverable, Discarded uint64
	Connected, Accepted, Faults                   uint64
	Resets, RemoteResets, Refused                 uint64
	ThrottleWaits, ConnThrottleWaits              uint64
	Replayed, Lent, FastDispatched                uint64
	Panics, TurnedAway                            uint64
	HighWaters                                    uint64
	Connections, Handshakes, Queued               int
	DispatchBytes, SendBytes                      int64
}

// Options configure a messenger; the fields mean what they mean in async.Config, and
// zero fields have its defaults. Dispatch is by one thread at a time.
type Options struct {
	Name                       entity.Name
	Nonce                      uint32
	DispatchThrottleBytes      int64
	SendQueueMessages          int
	SendQueueBytes             int64
	SendTotalBytes             int64
	SendHighWater              int64
	StandbyMax                 int
	HandshakesMax              int
	ReadyTimeout, IdleTimeout  time.Duration
	KeepaliveInterval          time.Duration
	KeepaliveTimeout           time.Duration
	InitialBackoff, MaxBackoff time.Duration
	Limits                     frame.Limits
	AuthClient                 auth.Client
	AuthServer                 auth.Server
	Authorize                  func(auth.Peer) error
	// Via, if set, says where to dial instead of at a peer's address: a proxy.
	Via func(peer netip.AddrPort) netip.AddrPort
}

// Kind makes messengers of one kind.
type Kind struct {
	Name string
	// Lends: senders borrow sleeping workers, through whatever Options.Via puts between
	// too, as users' do.
	Lends bool
	// LateFaults: HandleFastFault may come when the next transport goes on already, from another thread.
	LateFaults bool
	// New returns a messenger that is neither bound nor started. The caller shuts it
	// down; what it needs besides is released when the test ends.
	New func(t testing.TB, o Options) Messenger
}
