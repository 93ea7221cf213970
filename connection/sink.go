package connection

import (
	"log/slog"
	"net/netip"
	"sync/atomic"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// Event is something that happened to a connection.
type Event uint8

// The events.
const (
	EventConnected     Event = iota + 1 // ready, by our initiative
	EventAccepted                       // ready, by the peer's
	EventRemoteReset                    // the peer lost its session
	EventRefused                        // the TCP connection was refused
	EventReset                          // closed for good, not by MarkDown
	EventConnectFailed                  // an attempt to connect failed, with a *msg.ConnectError
	EventRejected                       // a message is not taken, with a *msg.RejectedError
	EventHighWater                      // what is held for sending has passed the mark
	EventLowWater                       // and has fallen to half of it
	EventFault                          // the transport was lost, and the session goes on
	EventFastFault                      // the same, for those who are told here and now
)

// Sink is what a connection needs from the messenger. The calls come from the
// connection's worker (those marked "any" from any goroutine, without a lock
// held) and must not block.
type Sink interface {
	// Deliver takes a received message. Messages and events of one connection
	// are handed over in order.
	Deliver(c *Conn, m *msg.Message)
	Event(c *Conn, ev Event, err error)
	// EndOfBatch follows the last Deliver or Event of one piece of work.
	EndOfBatch(c *Conn)
	// EndOfRead is EndOfBatch where the connection has nothing left to do: the messages may
	// be dispatched here, while the worker waits.
	EndOfRead(c *Conn)
	// Fault: the transport was lost in that state of the session, or an accepted peer
	// was refused what it asked for; for logs and counters.
	Fault(c *Conn, state session.State, err error)
	// Renamed: the peer has other addresses than before.
	Renamed(c *Conn)
	// Absent: the session waits for its peer, which alone can resume it.
	Absent(c *Conn)
	// Adopted: the peer's policy decides that the session is lossy, or that it is not,
	// against the one of this side.
	Adopted(c *Conn)
	// Changed: m is not what it was when it was handed to Send. Any.
	Changed(c *Conn, m *msg.Message)
	// Arbitrate finds the connection that the peer of an accepted one has already, and
	// has the two settle it (Settle). It may put c on another worker (MoveTo).
	Arbitrate(c *Conn)
	// Gone: the connection is closed; it is to be forgotten. Any; exactly once.
	Gone(c *Conn)
	// Ended: the worker is done with c, nothing more is called for it. Any; exactly
	// once, and as the last call.
	Ended(c *Conn)
	// Discard: received messages of c that wait for dispatch are dropped. Any.
	Discard(c *Conn)
	// Undeliverable: the sending of m ended with err. Any.
	Undeliverable(c *Conn, m *msg.Message, err error)
	// UserPanic: a callback of the user's panicked, or ended its goroutine
	// (msg.ErrGoexit). Any.
	UserPanic(c *Conn, recovered any)
}

// Shared is what the connections of one messenger have in common.
type Shared struct {
	Session *session.Config
	Env     session.Env
	Sink    Sink
	Log     *slog.Logger // never nil
	Clock   eventloop.Clock
	// MayWait returns an error if the calling goroutine must not wait: it is a worker.
	// nil: any may.
	MayWait func() error
	// Execute has a job run by a goroutine that may be held up: a slow step of the
	// authentication. An error means that it will not be. nil: it is run by the worker.
	Execute func(host netip.Addr, job func()) error
	// Dispatch is the dispatch throttle, taken last; nil: none.
	Dispatch msg.Throttler
	Options  Options
	// Inject breaks connections on purpose; nil: nothing does.
	Inject *Injector
	Stats  []Stats // one per worker of the stack
	// Buffers are the workers', one each; see WorkerBuffers.
	Buffers []*session.Buffers
}

func (sh *Shared) mayWait() error {
	if sh.MayWait == nil {
		return nil
	}
	return sh.MayWait()
}

// Options of all connections of a messenger.
type Options struct {
	// Send bounds what is held for sending.
	Send SendLimits
	// DefaultPriority fills in Message.Priority 0.
	DefaultPriority *atomic.Uint32
	// DialTimeout bounds a TCP connect; the handshake's deadline applies as well.
	Dial eventloop.DialConfig
	// DispatchLimit is the limit of the dispatch throttle, in bytes; 0 or less: none.
	DispatchLimit int64
	// DispatchCredit is how much of the dispatch throttle a connection takes at a
	// time, in bytes; small beside its limit. 0: what each message needs.
	DispatchCredit int64
	// WriteBatch is about how many bytes go into one writev, WriteBudget how many
	// one connection writes before its neighbours on the worker get their turn.
	WriteBatch, WriteBudget int
	// WriteBatchFixed has all batches be of that size; see writeBatch.
	WriteBatchFixed bool
}

// WorkerBuffers returns the buffers of a stack's workers. Where a worker has room for
// what belongs to it (eventloop.Local), all messengers share those.
func WorkerBuffers(s eventloop.Stack) []*session.Buffers {
	out := make([]*session.Buffers, s.NumWorkers())
	for i := range out {
		out[i] = new(session.Buffers)
		if l, ok := s.Worker(i).(eventloop.Local); ok {
			out[i] = l.LoadOrStore(buffersKey{}, out[i]).(*session.Buffers)
		}
	}
	return out
}

type buffersKey struct{}
