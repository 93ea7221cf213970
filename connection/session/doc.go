// Package session is the sans-IO core of one peer: handshake, identity,
// reconnection, sequence numbers, acknowledgement and replay of msgr v2.1. It
// reads no clock, opens no socket, starts no goroutine; bytes and the time come
// in, bytes and Outputs go out. It is not safe for concurrent use: the
// connection's worker owns it.
//
// # Verbs
//
//   - Handle…: what happened (HandleTransportUp, HandleBytes, HandleTimeout,
//     HandleTransportDown).
//   - Commands: what the user or the messenger wants (Start, Send, Keepalive,
//     MarkDown, Resume, and Settle after an OutArbitrate).
//   - Outputs: what the shell has to do. After every input the shell takes them
//     with NextOutput until there is none, carries them out in order, and then
//     arms a timer for Deadline and, if WantsWrite, calls Fill.
//
// A session spans many TCP connections. For an accepted connection the session
// pauses once the peer has said who it is: OutArbitrate asks the shell to find
// an existing session with that peer, and Settle decides (by Arbitrate, a pure function)
// and carries the verdict out on both sessions. What is left to the shell is an Outcome.
//
// Implementation: not for users of the library; may change in any release.
package session
