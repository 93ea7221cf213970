// Package dispatch carries received messages and connection events from the
// event-loop workers to user code: Queue orders them, an Executor runs the jobs
// that drain it, Chain calls the dispatchers, Throttle bounds what is under
// way.
//
// # Order
//
// Within one connection and one priority, messages are dispatched in the order
// of their enqueueing, and callbacks of one connection never overlap, whatever
// Config.Width says. This holds because a connection that is being dispatched is
// busy: nothing else of it is taken from the queue until the callback returned.
//
// Across connections and priorities (docs/PROTOCOL.md 4.3):
//
//   - events (all kinds of items but messages) come first, in the order of their
//     arrival, and before every queued message of their connection;
//   - then messages of priority 64 and above, strictly the highest priority
//     first; connections of the same priority take turns, of up to Config.TurnMax
//     messages while callbacks are fast. What is queued with a higher priority ends
//     the turn after the callback that runs. A flood of a high priority starves the
//     lower ones: that is what strict means;
//   - then the priorities below 64, which share by a token bucket: low ones get
//     their part of the bytes even under a flood of higher ones.
//
// With Width 1 this is exactly the order of dispatch (with TurnMax 1 too, it is the
// original's). With more, it is the order in which turns begin, among the connections
// that are not busy.
//
// Fast dispatch (Chain.Fast) happens on the worker, past the queue, and is not
// ordered against any of this.
//
// # In place
//
// With Config.InPlace, short callbacks run on the goroutine of the worker that has received
// their messages (Queue.EnqueueBatchAt), as jobs that count against Width and keep the
// order as those of the executor do, for up to 500 us at a time. A callback that holds up
// its worker keeps that from nothing but its own connection: Place.RunAside returns, and
// the worker goes on. See docs/decisions/0011-short-callbacks-run-in-place.md.
//
// # Callbacks that do not return
//
// A callback on the pool that blocks holds up its connection, and a job. When it has
// run for Config.StuckLimit, Queue.Check finds it, within one and a half times that if
// it is called as Config.CheckAfter asks: it is counted (Stats.Stuck, StuckTotal) and
// reported once, with its stack, and another job takes the place of its own. So
// Config.Width callbacks that block stop the queue for that long and no longer, until
// there are Config.WidthMax jobs: then everything waits for one of them to return, and
// the log says so. The connection waits all the time, and what its messages hold of the
// throttles is not given back. The executor may have a bound of its own: stuck callbacks
// of all queues that share it hold its goroutines (AntsConfig.Size), and a job that it
// accepts may have to wait for one of them. The log says that too.
//
// A callback on a worker that blocks (Chain.Fast and the like) holds up all connections of
// that worker. It is counted and reported when it has returned (ChainConfig.FastLimit).
//
// # Panics
//
// A panic of a callback is caught, counted and reported, and so is the end of its
// goroutine by runtime.Goexit (ErrGoexit). On the pool neither costs the queue anything:
// another job goes on. On a worker a Goexit ends the worker's goroutine, and what it was
// doing: deferred functions run, and no lock of this package is held.
//
// # Bounds
//
// The queue has no bound of its own: what is queued has passed the throttles,
// which stop the reading of connections when their limits are reached.
// The number of goroutines is bounded by the executor, plus at most one stand-in
// goroutine per queue while the executor refuses jobs, stuck ones not counted: with
// these, at most Config.WidthMax.
//
// Every message's share of the throttles is given back exactly once: when its
// dispatch returned or panicked, or when it was discarded.
package dispatch
