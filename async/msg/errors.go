package msg

import "errors"

// Errors of sending, and reasons for which a message is reported undeliverable.
// They are wrapped; compare with errors.Is.
var (
	// ErrClosed: the connection is closed.
	ErrClosed = errors.New("msgr: connection closed")
	// ErrQueueFull: the connection's send queue is at its bound.
	ErrQueueFull = errors.New("msgr: send queue full")
	// ErrTooLarge: a segment is over its bound.
	ErrTooLarge = errors.New("msgr: message too large")
	// ErrMarkedDown: the connection was marked down on this side.
	ErrMarkedDown = errors.New("msgr: connection marked down")
	// ErrReset: a lossy session broke, or the connection could not go on.
	ErrReset = errors.New("msgr: connection reset")
	// ErrRemoteReset: the peer lost its side of the session.
	ErrRemoteReset = errors.New("msgr: session reset by peer")
	// ErrShutdown: the messenger is shut down.
	ErrShutdown = errors.New("msgr: messenger shut down")
	// ErrNoSession: the policy is a server's and the peer has no connection.
	ErrNoSession = errors.New("msgr: no session with peer")
	// ErrNotStarted: the messenger was not started.
	ErrNotStarted = errors.New("msgr: messenger not started")
)
