// Package netpollstack is the real network: an eventloop.Stack on Linux epoll,
// run by the pollers of cloudwego/netpoll.
//
// # A worker is a listener
//
// netpoll calls Accept of a netpoll.Listener on one of its poller goroutines
// whenever the listener's descriptor is readable, and takes (nil, nil) for
// "nothing to accept". A worker makes use of that: its descriptor is an epoll
// set of its own, which is itself pollable, and its Accept runs a few rounds of
// the event loop. netpoll multiplexes the workers, a worker its sockets:
//
//	netpoll poller ── epoll ──┬── worker 0 ── epoll ──┬── sockets, listening sockets
//	                          └── worker 1 ── ...     ├── eventfd: tasks were posted
//	                                                  └── timerfd: the next deadline
//
// Sockets are level-triggered. EPOLLOUT is armed only while a socket is full.
// Reads go through one scratch buffer a worker, so an idle connection holds no
// buffer; writes go out as one writev straight from the caller's slices.
//
// # What is run aside
//
// Jobs of RunAside may block, and netpoll's goroutines serve others. So a worker that runs
// jobs aside is carried by a goroutine of the stack's own, until nothing has been left to
// do for 10 ms; then netpoll waits for it again. See carrier.go.
//
// # Before it sleeps
//
// A worker that has nothing left to do looks for up to 60 us whether its set gets
// readable before it lets the poller block, and stops to do so where that brings
// nothing; see Config.BusyPoll and docs/decisions/0008. One that is carried by a goroutine of the stack's
// own then sleeps for up to 100 us without letting go of its P, likewise. Before both it gives way to the
// goroutines that wait for the P, and wakes no thread for that; see docs/decisions/0015.
//
// # A worker that was held up
//
// A slow callback, a CPU quota or SIGSTOP keeps a worker from its sockets, where what
// would have moved a deadline may lie. The callbacks that follow see the time after it,
// and a timer fires only if the sockets were looked at after its deadline, twice if
// the worker was held up for 100 ms and more, with a turn for the others on its poller between.
//
// # Process-wide state
//
// The number of netpoll's pollers is global to the process. Open raises it to
// the number of workers of all open stacks and never lowers it; see
// Config.Pollers if the program uses netpoll itself. The poller goroutines live
// as long as the process. Each worker gets a poller of its own: netpoll gives listeners
// to its pollers in turn, and Open has turns passed until the next poller is free. Should
// that fail, because somebody else uses netpoll at the same time or has set its load
// balance, workers share a poller goroutine: correct, just one after the other, BusyPoll
// included. Open tells Config.Logger.
//
// netpoll's descriptors would be inherited by child processes; Open marks them, and no
// others, close-on-exec. It needs /proc for that, and tells Config.Logger if it cannot.
//
// # Panics, and goroutines that end
//
// What users hand to the library is recovered above this package. A panic that
// reaches a worker is a broken invariant, and the process ends with its stack trace.
//
// A callback that ends its goroutine (runtime.Goexit, FailNow of a test) ends a
// coroutine that netpoll's goroutine has run the rounds in, and the next one goes on
// where it was; see eventloop.Abandoner and docs/decisions/0009. For the coroutine's
// sake a callback must not return, or end its goroutine, with runtime.LockOSThread
// held: the runtime takes that for a fatal error, and the process ends.
package netpollstack
