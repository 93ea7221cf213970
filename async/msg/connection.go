package msg

import (
	"context"
	"net/netip"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// Connection is one peer as seen by one messenger. A session may span many TCP
// connections; the Connection stays the same object through cuts, reconnects
// and connection races. All methods may be called by any goroutine, from
// callbacks too, and none but SendContext and Flush blocks.
type Connection interface {
	// ID is unique within the messenger, from 1 up.
	ID() uint64

	// Send queues m and returns at once. On nil the messenger owns m until its
	// end; on an error m was not accepted and stays the caller's. Errors:
	// ErrQueueFull (bounded send queue), ErrClosed (connection closed; wraps the
	// reason), ErrTooLarge, ErrShutdown, ErrInUse (m is being sent already),
	// ErrDeadline (its Deadline has passed). A nil m panics.
	Send(m *Message) error
	// SendContext is Send that waits for room in the send queue, until ctx ends
	// (ctx.Err() is then wrapped) or the connection closes. If ctx has ended before,
	// m is not sent. Called by what runs on a worker it does not wait: the error wraps
	// ErrOnWorker and ErrQueueFull.
	SendContext(ctx context.Context, m *Message) error
	// Flush waits until every message that was accepted before the call has had its
	// end: acknowledged (written on a lossy session), or reported undeliverable. If ctx
	// ends first, its error is wrapped. What is sent meanwhile is not waited for. It
	// must not be called by what runs on a worker (ErrOnWorker), and by a dispatcher
	// only if the peer does not wait for that very dispatcher.
	Flush(ctx context.Context) error
	// Cancel takes m back if it still waits to be sent and not a byte of it has been
	// encoded, and says whether it did. Its sending then ends with ErrCancelled.
	Cancel(m *Message) bool
	// SendQueue is how many messages, and bytes of payload, are held for sending:
	// queued, and sent but not acknowledged.
	SendQueue() (messages int, bytes int64)
	// SendKeepalive asks the peer for a sign of life (KEEPALIVE2); see LastKeepaliveAck.
	SendKeepalive()
	// MarkDown closes the connection for good. Queued messages are reported
	// undeliverable with ErrMarkedDown, received ones not yet dispatched are
	// discarded, and no reset is reported for it. The peer sees a broken session.
	MarkDown()
	// MarkDisposable makes the session lossy from now on: the next fault closes
	// it instead of reconnecting.
	MarkDisposable()

	// RetryNow ends the wait for the next attempt to connect, if there is one, and has
	// the delays begin anew from the shortest.
	RetryNow()

	// State says where the connection is in its life, and LastError why its transport
	// was lost or could not be made the last time; a failed attempt is a
	// *ConnectError. The error stays when the connection is up again; nil means that
	// there was none.
	State() ConnState
	LastError() error
	// IsConnected says whether the session is established over a live transport
	// at the moment (always for an open loopback connection).
	IsConnected() bool
	// IsClosed says whether the connection is closed for good.
	IsClosed() bool
	// IsLoopback says whether this is the messenger's connection to itself.
	IsLoopback() bool

	// PeerName is the peer's name, as far as known: its type from the beginning
	// for a connection made by ConnectTo, the number after its ident.
	PeerName() entity.Name
	PeerType() entity.Type
	// PeerAddrs is the address vector that identifies the peer. Read only.
	PeerAddrs() entity.AddrVec
	// TransportAddrs are the two ends of the socket that carries the session at the moment;
	// both are zero while there is none (IsConnected says the same), and for the loopback
	// connection. They need not be what the messengers are known by: a client that is not
	// bound has port 0 in Messenger.Addrs and PeerAddrs, and a port here; behind a proxy or
	// NAT remote is that one's. net.TCPAddrFromAddrPort makes net.Addrs of them.
	TransportAddrs() (local, remote netip.AddrPort)
	// PeerGlobalID is the number that a monitor gave the peer, a client, as it says or as
	// its authentication proves; 0 if it has none, and for peers that this side has called.
	PeerGlobalID() uint64
	// Authenticated is what authentication says of the peer: who it is, whether that is
	// proved, by which method, and whether the connection is encrypted (Mode). It is that
	// of the last session that was ready; the zero value before the first, and for the
	// loopback connection.
	Authenticated() entity.Authenticated
	// Features is the negotiated set of feature bits, 0 before the first session.
	Features() uint64
	// Policy is the policy the connection follows. Lossy may differ from what was
	// configured: a connector adopts it from the server (docs/PROTOCOL.md 3.1).
	Policy() Policy

	// LastKeepalive is when the peer last sent a KEEPALIVE2, LastKeepaliveAck the
	// stamp of our last one that it answered; zero if never.
	LastKeepalive() time.Time
	LastKeepaliveAck() time.Time

	// SetValue attaches a value of the user's (Ceph's "priv"), Value returns it.
	SetValue(v any)
	Value() any

	// String names the connection for logs: peer, addresses, state.
	String() string
}
