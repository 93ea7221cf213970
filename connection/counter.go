package connection

import (
	"sync/atomic"
	"unsafe"

	"github.com/asyncmsgr/asyncmsgr/async/hist"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Counter counts. One goroutine adds at a time, any may Load.
type Counter struct{ v atomic.Uint64 }

// Add adds n; only the owner calls it, so no read-modify-write is needed.
func (c *Counter) Add(n uint64) { c.v.Store(c.v.Load() + n) }

// Load returns the count.
func (c *Counter) Load() uint64 { return c.v.Load() }

// SharedCounter is a Counter to which any goroutine may add.
type SharedCounter struct{ v atomic.Uint64 }

// Add adds n.
func (c *SharedCounter) Add(n uint64) { c.v.Add(n) }

// Load returns the count.
func (c *SharedCounter) Load() uint64 { return c.v.Load() }

// Counts is all that a messenger counts. With Counter it belongs to one worker, with
// SharedCounter to everybody; with uint64 it is a sum.
type Counts[C any] struct {
	// Received and Sent are messages that came in over the network, and those encoded
	// for it, with their payload bytes; a message that is sent again counts again, and
	// in Replayed.
	Received, ReceivedBytes C
	Sent, SentBytes         C
	Replayed                C
	// Compressed are frames that were sent in compressed form, CompressedFrom the bytes of their
	// segments before, and CompressedTo after; CompressedInVain are frames that did not become
	// shorter, and were sent as they are. Decompressed are those that were received.
	Compressed, CompressedFrom, CompressedTo       C
	CompressedInVain                               C
	Decompressed, DecompressedFrom, DecompressedTo C
	// Lent is how often a sender was the worker for one write, instead of waking it.
	Lent C
	// Delivered are sendings that ended well, Undeliverable those that did not.
	Delivered, Undeliverable C
	// Discarded are received messages that were dropped before dispatch: of
	// connections closed or reset, or by Shutdown.
	Discarded      C
	FastDispatched C
	// Connected and Accepted count sessions becoming ready, Faults lost transports,
	// those of attempts that failed included.
	Connected, Accepted, Faults C
	// Rekeys are connections given up because their keys were used up; they are Faults too.
	Rekeys C
	// Resumed are sessions that were ready again, over another transport.
	Resumed                       C
	Resets, RemoteResets, Refused C
	// ConnectFailures are attempts to connect that failed, by msg.Reason, and
	// AcceptFailures accepted connections that did not come up or were refused what
	// they asked for.
	ConnectFailures, AcceptFailures [msg.NumReasons]C
	// Rejected are messages that broke their connection again and again.
	Rejected C
	// HighWaters is how often a connection passed SendHighWater.
	HighWaters C
	// Changed are messages found to have changed after Send (Config.CheckPayloads).
	Changed C
	// ThrottleWaits counts how often reading was stopped for lack of room, and
	// ConnThrottleWaits those among them where the connection had no room left of its own
	// (Policy.ConnThrottleMessages, ConnThrottleBytes).
	ThrottleWaits, ConnThrottleWaits C
	// Panics are callbacks that panicked or ended their goroutine.
	Panics C
	// SlowFastDispatches is how often fast dispatch held up a worker for longer than
	// FastDispatchLimit.
	SlowFastDispatches C
	// AcceptErrors are failures of accept (see eventloop.ListenConfig.OnError),
	// TurnedAway accepted sockets closed because of HandshakesMax, HandshakesMaxPerHost or
	// EventsMax.
	AcceptErrors, TurnedAway C
}

// Stats counts what happened on one worker; each is written by that worker only.
type Stats struct {
	Counts[Counter]
	// SendToAck is from Send to the end of messages that were sent well: acknowledged
	// (lossless), or written (lossy). Of each connection one in sixteen is measured.
	SendToAck hist.Of[Counter]
	_         [64]byte // the next worker's counters are on another cache line
}

// Sum adds up the workers' counts and those that belong to everybody.
func Sum(workers []Stats, shared ...*Counts[SharedCounter]) (sum Counts[uint64]) {
	for i := range workers {
		addUp(&sum, &workers[i].Counts)
	}
	for _, s := range shared {
		addUp(&sum, s)
	}
	return sum
}

// SumSendToAck adds up the workers' SendToAck.
func SumSendToAck(workers []Stats) (sum hist.Durations) {
	for i := range workers {
		h := workers[i].LoadSendToAck()
		sum.Merge(&h)
	}
	return sum
}

// LoadSendToAck is a snapshot of SendToAck.
func (s *Stats) LoadSendToAck() (h hist.Durations) {
	for i := range s.SendToAck.Counts {
		h.Counts[i] = s.SendToAck.Counts[i].Load()
	}
	h.Sum = s.SendToAck.Sum.Load()
	return h
}

// Load is a snapshot of the worker's counts.
func (s *Stats) Load() (counts Counts[uint64]) {
	addUp(&counts, &s.Counts)
	return counts
}

// addUp adds the counters of from to those of to.
func addUp[C any, P interface {
	*C
	Load() uint64
}](to *Counts[uint64], from *Counts[C]) {
	sums, cells := to.cells(), from.cells()
	for i := range cells {
		sums[i] += P(&cells[i]).Load()
	}
}

// cells are all counters in their order: a Counts has nothing but counters and arrays of
// them, so it is an array itself.
func (c *Counts[C]) cells() []C {
	return unsafe.Slice((*C)(unsafe.Pointer(c)), unsafe.Sizeof(*c)/unsafe.Sizeof(c.Received))
}
