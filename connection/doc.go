// Package connection is one peer of a messenger: the session core joined to a
// transport, an inbox for what other goroutines send, and the throttles that
// stop reading. It decides nothing of the protocol.
//
// # Life
//
//	Dial ─┐                                   ┌─ fault, lossless: dial again
//	      ├─> handshake ─> arbitration ─> ready ─ fault, lossy: closed
//	accept┘   (session)    (accepted only)    └─ MarkDown: closed
//
// # Who touches what
//
// Everything but the fields under mu and the atomics belongs to the worker that
// the connection was placed on. It stays there for life; only an accepted
// connection that turns out to belong to an existing one is moved, with its
// transport, to that one's worker, before any user has seen it.
//
// Implementation: not for users of the library; may change in any release.
package connection
