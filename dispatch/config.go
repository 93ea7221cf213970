package dispatch

import (
	"log/slog"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Handler handles the items of a queue. Chain is the one for dispatchers.
//
// Implementation: not for users of the library; may change in any release.
type Handler interface {
	// Handle handles one item, on a goroutine of the executor, never two at a time
	// of the same class. it is valid until Handle returns. The queue gives the
	// throttles of a message back; the message itself is the handler's.
	Handle(it *Item) Outcome
}

// Outcome is how the handling of an item ended.
//
// Implementation: not for users of the library; may change in any release.
type Outcome uint8

// The outcomes.
//
// Implementation: not for users of the library; may change in any release.
const (
	// Handled: a dispatcher took it, or it was an event.
	Handled Outcome = iota
	// Unhandled: no dispatcher wanted it.
	Unhandled
	// Panicked: a dispatcher panicked, or ended its goroutine, which only the queue
	// gets to see. It was caught and reported.
	Panicked
)

// Config configures a Queue.
//
// Implementation: not for users of the library; may change in any release.
type Config struct {
	// Executor runs the drain jobs. Required. It may be shared.
	Executor Executor
	// Handler gets the items. Required.
	Handler Handler
	// Width is how many drain jobs run at once, that is, how many connections are
	// dispatched at the same time; 0 means 1, the single dispatch thread of the
	// original. As many callbacks that block hold up all connections, until they
	// are found to be stuck. So with 1 no two callbacks run at a time, but for one that
	// is stuck and what runs in its place; who relies on that has StuckLimit negative.
	Width int
	// WidthMax bounds the jobs in all, those that are held up by stuck callbacks
	// included; 0 means 16 times Width, less than Width means Width. When so many are
	// stuck everything waits until one of them returns, and the log says so.
	WidthMax int
	// StuckLimit is for how long a callback may run before it is stuck: it is counted
	// and reported, and its job does not count against Width until it returns. 0
	// means DefaultStuckLimit, negative never. It needs Clock, and Check to be called.
	StuckLimit time.Duration
	// CheckAfter asks for one call of Check, after that time or a little later, by any
	// goroutine. It is called by what calls EnqueueBatch, Enqueue or Check, and not
	// while a call that it asked for is due; an idle queue asks for none. It must not
	// block. nil: Check is called now and then by who wants it.
	CheckAfter func(d time.Duration)
	// OnStuck is told of each callback that is found to be stuck, once, by what calls
	// Check. It must not block. nil: it is logged with its stack.
	OnStuck func(InFlight)
	// BatchMax is how many items a job dispatches before it goes to the end of the
	// executor's line, so that queues that share it take turns; 0 means 256.
	BatchMax int
	// InPlace is whether callbacks run on the goroutine of the worker that has received
	// their messages (EnqueueBatchAt).
	InPlace Placement
	// Usage is what the thread of the calling goroutine has used; nil: nothing is known,
	// and how long a callback takes by Clock is all its own.
	Usage func() Usage
	// TurnMax is how many messages of one connection and priority, at most, are
	// dispatched before it is another connection's turn; 0 means 16, 1 is the order of
	// the original. Fewer are while callbacks take longer than a few microseconds.
	TurnMax int
	// MinCost and MaxTokens bound what a message costs in the weighted classes,
	// and their tokens, in bytes (docs/PROTOCOL.md 4.3); 0 means 64 KiB and 16 MiB.
	MinCost, MaxTokens int64
	// Clock is monotonic time, for ages. nil: ages are 0.
	Clock func() time.Duration
	// Stale says, right before dispatch, that an item is not to be dispatched any
	// more; it is then discarded. nil: messages of a connection that IsClosed, for
	// those that were enqueued while it was being closed. It must not block.
	Stale func(it *Item) bool
	// OnDiscard is told of each item that is discarded (Discard, Stop, Stale or
	// enqueued after Stop), after its throttles were given back and before its
	// message is released; it is valid until OnDiscard returns. It must not block
	// nor call Stop. nil: nobody is told.
	OnDiscard func(it *Item)
	// OnPanic is told of a panic that left the handler, or OnStuck, and with ErrGoexit
	// as recovered of one that ended its goroutine (runtime.Goexit). A Chain reports
	// both of its dispatchers itself. Should OnPanic do the same, both are logged.
	// nil: they are logged.
	OnPanic func(conn msg.Connection, recovered any, stack []byte)
	// Logger; nil means slog.Default().
	Logger *slog.Logger
	// Go starts the stand-in goroutine; nil means the go statement.
	Go func(func())
}

// Placement is where the callbacks of a queue run.
//
// Implementation: not for users of the library; may change in any release.
type Placement uint8

// The placements.
//
// Implementation: not for users of the library; may change in any release.
const (
	// OnPool: on the executor.
	OnPool Placement = iota
	// Measured: on the worker while they are short, by what was measured (see placing), on
	// the executor otherwise. It needs Config.Clock.
	Measured
	// OnWorker: on the worker, whatever they take.
	OnWorker
)

// Defaults of Config.
//
// Implementation: not for users of the library; may change in any release.
const (
	DefaultWidth     = 1
	DefaultBatchMax  = 256
	DefaultMinCost   = 64 << 10
	DefaultMaxTokens = 16 << 20

	DefaultStuckLimit = time.Second
	// defaultWidthMax is the default of Config.WidthMax, in Widths.
	defaultWidthMax = 16
)
