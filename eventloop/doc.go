// Package eventloop is the contract between the messenger and a network: a
// Stack is a fixed set of Workers, a Worker owns sockets, timers and posted
// tasks and runs all their callbacks one after the other.
//
// # Rules of a worker
//
//   - Everything that belongs to a connection is touched by its worker only.
//     The few methods that any goroutine may call say so ("any goroutine");
//     all others are "worker only".
//   - A callback never blocks: it delays every other socket of the worker.
//   - A worker never holds a lock while it calls back.
//   - A callback may end its goroutine (runtime.Goexit, and with it FailNow of a test):
//     the worker goes on, and Abandoner says who is told. In a simulated stack it is the
//     goroutine that runs the simulation.
//   - It is a contract of readiness, not of completion: memory that is given to a method,
//     or by a callback, belongs to who gave it again when the call returns. A network that
//     keeps memory until it is done (io_uring) has to copy, or to offer a write of its own
//     as an optional interface.
//   - Nothing a Stack does reads a clock, a random source or a scheduler other
//     than through the Stack, so a simulated Stack is deterministic.
//
// A round of a worker is: ready sockets, expired timers, posted tasks, then one
// HandleFlush for each transport that asked for it. Writing happens in
// HandleFlush, so that everything a round produced for one socket leaves in one
// writev. A stack may run the posted tasks and call HandleFlush in the midst of the ready
// sockets, too, between two of them: what a long round has produced would be out of the
// processor's cache at its end.
//
// eventloop/netpollstack is the real network, eventloop/stacktest the suite
// that every implementation passes.
package eventloop
