// Package cephx is Ceph's authentication (docs/CEPHX.md): a Client logs in at monitors and
// shows daemons its tickets, a Service lets in who shows one, and a Monitor is a small ticket
// server. Below them are keys, keyrings, and the structures of the exchanges
// (docs/PROTOCOL.md 2.2 to 2.5, 9.3), which readers of recordings use too.
//
// It does no I/O, draws no randomness and reads no clock: Rand and Now are given. Secrets are
// in no text: a Key prints as its type alone, and errors name who and what, never bytes.
//
// Clients, Services and Monitors may be used by any goroutine; all of the rest by several as
// long as nobody changes what others read. Structures that were parsed alias the bytes they
// were parsed from.
//
// The structures of the wire are implementation: not for users of the library; they may change
// in any release.
package cephx
