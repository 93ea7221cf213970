package rpc

import (
	"context"
	"errors"
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Code says in a number what went wrong at the peer.
type Code uint32

// The codes of this package. Those from CodeUser up are the user's; the ones between are kept
// for later.
const (
	// CodeUnknown: the handler returned an error that has no code.
	CodeUnknown Code = 1
	// CodeInternal: the handler panicked, or the reply could not be encoded or sent.
	CodeInternal Code = 2
	// CodeUnimplemented: the peer has no handler for requests of that type.
	CodeUnimplemented Code = 3
	// CodeDeadline: the time was over before the handler was done.
	CodeDeadline Code = 4
	// CodeInvalid: the request could not be read.
	CodeInvalid Code = 5
	// CodeCancelled: the handler gave up because its context was cancelled.
	CodeCancelled Code = 6
	// CodeOverloaded: the peer has too much to do, and the handler was not called.
	CodeOverloaded Code = 7
	// CodeUser is the first code that is the user's to give a meaning.
	CodeUser Code = 1000
)

// String is the code's name.
func (c Code) String() string {
	switch c {
	case CodeUnknown:
		return "unknown"
	case CodeInternal:
		return "internal"
	case CodeUnimplemented:
		return "unimplemented"
	case CodeDeadline:
		return "deadline"
	case CodeInvalid:
		return "invalid"
	case CodeCancelled:
		return "cancelled"
	case CodeOverloaded:
		return "overloaded"
	}
	return fmt.Sprintf("code %d", uint32(c))
}

// Error is what a handler at the peer answered in place of a reply. A handler that returns an
// *Error, wrapped or not, chooses its code; see Errorf.
//
// errors.Is takes two Errors of one code for the same if the one that is asked for has no Message:
// errors.Is(err, &rpc.Error{Code: rpc.CodeOverloaded}). It is context.DeadlineExceeded with
// CodeDeadline, and context.Canceled with CodeCancelled.
type Error struct {
	Code Code
	// Message is for people. At most 1 KiB of it is sent.
	Message string
}

// Errorf returns an *Error with that code.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{code, fmt.Sprintf(format, args...)}
}

// Error is one line.
func (e *Error) Error() string {
	if e.Message == "" {
		return "rpc: peer: " + e.Code.String()
	}
	return fmt.Sprintf("rpc: peer: %s: %s", e.Code, e.Message)
}

// Is is for errors.Is.
func (e *Error) Is(target error) bool {
	switch target {
	case context.DeadlineExceeded:
		return e.Code == CodeDeadline
	case context.Canceled:
		return e.Code == CodeCancelled
	}
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && (t.Message == "" || t.Message == e.Message)
}

// messageMax bounds the text of an error on the wire, and what of it is read.
const messageMax = 1 << 10

// CodeOf returns the code of the *Error in err; 0 for nil, CodeDeadline and CodeCancelled for the
// errors of contexts, and CodeUnknown for any other error.
func CodeOf(err error) Code {
	var e *Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e) && e.Code != 0:
		return e.Code
	case errors.Is(err, context.DeadlineExceeded):
		return CodeDeadline
	case errors.Is(err, context.Canceled):
		return CodeCancelled
	}
	return CodeUnknown
}

// Errors of calls that end without an answer. They are wrapped; compare with errors.Is. After all
// of them but ErrTooManyCalls the request may or may not have been handled.
var (
	// ErrPeerReset: the session was lost while the call was out: the peer was started anew, or
	// the connection of a lossy session broke. The cause is wrapped.
	ErrPeerReset = errors.New("rpc: the session with the peer was lost")
	// ErrUndeliverable: the messenger gave the request up, or this side closed the connection. The
	// messenger's reason is wrapped (msg.ErrMarkedDown, msg.ErrShutdown, msg.ErrRejected, ...).
	ErrUndeliverable = errors.New("rpc: request not delivered")
	// ErrWrongType: the peer answered with a reply to a request of another type.
	ErrWrongType = errors.New("rpc: reply of another type")
	// ErrBadReply: the reply could not be decoded. The codec's error is wrapped.
	ErrBadReply = errors.New("rpc: reply cannot be read")
	// ErrTooManyCalls: as many calls are out as may be (Options.MaxCalls, MaxCallsPerConn). Nothing
	// was sent.
	ErrTooManyCalls = errors.New("rpc: too many calls are out")
)

// HandlerExistsError says that requests of that type have a handler already.
type HandlerExistsError struct{ Type uint16 }

// Error is one line.
func (e *HandlerExistsError) Error() string {
	return fmt.Sprintf("rpc: requests of type %#04x have a handler already", e.Type)
}

// lost is what became of a call whose request, or whose connection, ended for that reason.
func lost(reason error) error {
	if errors.Is(reason, msg.ErrMarkedDown) || errors.Is(reason, msg.ErrShutdown) ||
		errors.Is(reason, msg.ErrRejected) || errors.Is(reason, msg.ErrCancelled) ||
		errors.Is(reason, msg.ErrDeadline) || errors.Is(reason, msg.ErrNoSession) ||
		errors.Is(reason, msg.ErrPeerAbsent) {
		return fmt.Errorf("%w: %w", ErrUndeliverable, reason)
	}
	return fmt.Errorf("%w: %w", ErrPeerReset, reason)
}
