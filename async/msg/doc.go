// Package msg is the contract between a messenger and its users: what they
// implement (Dispatcher and its optional companions) and what they hold
// (Message, Connection, Policy). It has no goroutine and does no I/O.
//
// # Promises
//
// Order: within one connection and one priority, messages are handled in the
// order of their Send. Across priorities the higher one overtakes what is still
// queued, at the sender and again at the receiver. Messages that are fast
// dispatched are not ordered against queued ones, nor against the events of the
// pool; those of a worker are, HandleFastConnect and the like: what fast dispatch
// keeps of a session is begun and dropped there.
//
// Delivery: over a lossless session every message is handled exactly once as
// long as both ends keep the session. Over a lossy one it is handled at most
// once, and a broken connection is reported by exactly one HandleReset.
// "Acknowledged" means accepted by the peer's messenger, not yet processed.
//
// Nothing is lost silently: a message that was accepted by Send and cannot be
// delivered is reported with a reason (UndeliverableHandler, Message.Notify)
// and counted.
//
// Ownership: Send hands the message and its slices to the messenger until the
// message's end (acknowledged, written on a lossy session, or reported
// undeliverable). Whoever wants to know the end sets Message.Notify. A received
// message belongs to the dispatcher that handled it.
package msg
