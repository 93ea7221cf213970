// Package rpc is request and reply over the messenger: what every program that asks and answers
// writes otherwise, a table of calls, deadlines, and what becomes of both when a session ends.
//
//	n, err := rpc.New(messenger, rpc.Options{})               // at both ends, before Messenger.Start
//	err = n.HandleRaw(0x1001, handler)                        // bytes, or values: Handle, Method
//	reply, err := n.Call(ctx, conn, 0x1001, []byte("hello"))  // or Go, which does not wait
//
// The types of requests are the user's, all of 0 to 0xFFFF, and not those of messages: a Node uses the
// message types 0xE000 to 0xE00F for everything. It is a dispatcher among others, which see none of
// its messages. docs/RPC.md has the wire.
//
// # What a call means
//
// A request is handled at most once. It is sent once by this package; over a lossless session
// the messenger sends it again after a broken connection if the peer has not got it, and it is
// handled once all the same. So a call is not disturbed by a cut. Over a lossy session a cut ends the
// call. Nothing is retried: after ErrPeerReset, ErrUndeliverable or the context's end the
// request may have been handled or not, and only the user knows whether it may be handled twice. (An
// interceptor is a place for that: see the example of Options.)
//
// Calls end with their session. When the peer has lost it (it was started anew, or has marked the
// connection down), all that were out end with ErrPeerReset, in the order in which they were made and
// before the first message of the next session is handled; and the contexts of handlers that work for
// that peer end. Where the policy does not tell (LosslessPeer has no ResetCheck) the nodes tell
// each other. A peer whose host vanishes is noticed by the messenger's keepalive, if
// Config.KeepaliveInterval is set: give calls a deadline.
//
// A lossless connection without a transport stands by until something is sent. While a call is out
// it is probed each second, so that it comes back.
//
// # Deadlines and cancellation
//
// The deadline of a call's context, or Timeout, travels with the request as the time that is left, so
// that clocks need not agree. The handler's context has it. A request whose time is over before its
// handler is called is dropped and counted (Stats.Expired) without an answer, for nobody waits for
// one. A call that is given up earlier is taken back if it was not sent, and otherwise the peer is
// told with a message of 8 bytes, which ends the handler's context; or has the request dropped if
// it still waits. A reply that comes for a call that is over is dropped and counted.
//
// # Where handlers run
//
// By default where Dispatch runs: in order of arrival, by priority, one at a time for each connection,
// whose other requests wait. They may block, and may Call the peer whose request they handle, since
// replies do not wait for dispatch. With Fast on the connection's worker, where nothing may
// block; Call answers msg.ErrOnWorker there. With Concurrent on goroutines, so many at a time
// and so many waiting, beyond which CodeOverloaded is the answer.
//
// # Bodies
//
// Requests and replies are messages, of at most 64 MiB unless Config.Limits says otherwise. CallBody,
// Request.Stream and Request.Answer send more than that, or what is not there yet, in chunks.
//
// # Memory
//
// A request's bytes are copied, unless Give says that they are handed over; those of a reply
// belong to the library when the handler has returned, and to the caller afterwards. A call of 64 bytes
// costs two allocations, of both ends together: the reply and the request as the handler sees it.
//
// # Bounds
//
// Options.MaxCalls and MaxCallsPerConn calls are out (ErrTooManyCalls); Concurrent and Waiting requests at
// a handler (CodeOverloaded); Options.MaxBodies bodies are received, with 256 KiB each
// unread (CodeOverloaded, ErrTooManyCalls). Of cancellations whose request is not known 256 are
// remembered for each sixteenth of the connections; the oldest is forgotten, and its request handled for
// nobody. A reply that finds the send queue full is dropped, counted and logged.
//
// # Simulations
//
// On a simulated network use Go: Call and CallBody wait for other goroutines, of which there are none.
// Timeout and Node.WithTimeout pass in virtual time; deadlines of contexts made by the standard library
// do not. Handlers that are Concurrent start goroutines unless Options.Go is the
// host's Submit.
//
// # Limitations
//
// Go and bodies are not intercepted. There is no discovery, no balancing, no schema, and
// no deadline by default.
package rpc
