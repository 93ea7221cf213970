// Package async is the messenger: lossless and lossy sessions between the nodes
// of a system, over msgr v2.1, with priorities and back-pressure, on a fixed set
// of event-loop workers. No goroutine belongs to a connection or a messenger.
//
// # Life
//
// New, then AddDispatcher…, SetPolicy…, Bind (a server) or not (a client), then
// Start. Shutdown ends it. Policies, throttles and dispatchers are set before
// Start; dispatchers may be added later too.
//
// # Who calls what
//
// All methods of Messenger and of msg.Connection may be called by any goroutine,
// from dispatchers too, unless their comment says otherwise. Those that block
// are Bind and Rebind (they try again for a while), Flush, Drain, Shutdown, Wait, and
// Connection.SendContext and Flush; what runs on a worker (fast dispatch, Notify,
// HandleUndeliverable) gets ErrOnWorker from them at once.
//
// # What is shared
//
// Unless configured, all messengers of a process share one stack (as many
// workers as GOMAXPROCS) and one dispatch pool; both are opened on first use and
// stay. For tests and simulations, Config takes others.
package async
