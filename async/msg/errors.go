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
	// ErrRejected: the message broke its connection each time it was sent; see
	// RejectedError.
	ErrRejected = errors.New("msgr: message rejected by peer")
	// ErrCancelled: the message was taken back by Connection.Cancel.
	ErrCancelled = errors.New("msgr: message cancelled")
	// ErrDeadline: Message.Deadline passed while the message waited to be sent.
	ErrDeadline = errors.New("msgr: message's deadline passed")
	// ErrInUse: the message was handed to Send before and has not had its end.
	ErrInUse = errors.New("msgr: message is being sent already")
	// ErrOtherPolicy: there is a connection with the peer already, under another policy than
	// was asked for; see PolicyError.
	ErrOtherPolicy = errors.New("msgr: connected under another policy")
	// ErrForeign: a broadcast's connection is nil, or another messenger's.
	ErrForeign = errors.New("msgr: not a connection of this messenger")
	// ErrPeerAbsent: the peer of a session that only it can resume did not come back
	// in time (Config.StandbyTimeout), or too many were away (Config.StandbyMax).
	ErrPeerAbsent = errors.New("msgr: peer did not come back")
	// ErrGoexit: a callback ended its goroutine by runtime.Goexit, as t.FailNow does.
	// It stands for what a panic's value is otherwise.
	ErrGoexit = errors.New("msgr: runtime.Goexit in a callback (t.FailNow?)")
	// ErrOnWorker: what blocks was called by what runs on a worker (fast dispatch,
	// Notify, HandleUndeliverable, ...), where it would wait for itself.
	ErrOnWorker = errors.New("msgr: called on a worker, which must not block")
)
