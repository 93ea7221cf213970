package msg

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// ConnectError is one failed attempt to connect to a peer. It wraps the cause:
// the system's error (errors.Is with syscall.ECONNREFUSED and the like), a
// *WrongPeerError, a *auth.RefusedError with what the peer would allow, ...
type ConnectError struct {
	Reason Reason
	// Attempt counts the attempts since the peer was last connected for good, from
	// 1 up.
	Attempt int
	// State is the state of the protocol in which the attempt failed
	// ("SESSION_CONNECTING").
	State string
	// Step is the same in words ("setting up the session").
	Step string
	// Retry is how long it is until the next attempt; negative if there is none.
	Retry time.Duration
	Err   error
}

// Error is one line with reason, step and cause.
func (e *ConnectError) Error() string {
	return fmt.Sprintf("msgr: attempt %d to connect: %s, while %s: %v", e.Attempt, e.Reason, e.Step, e.Err)
}

// Unwrap returns the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

// Hint is a sentence on what may be wrong and what to do about it; it may be empty.
func (e *ConnectError) Hint() string {
	var wrong *WrongPeerError
	var knows hinter
	switch {
	case errors.As(e.Err, &knows):
		return knows.Hint()
	case e.Reason == ReasonClosed && e.State == "SESSION_CONNECTING":
		return "the peer hung up when it saw who calls and whom it is taken for: " +
			"it may be shutting down (its log says so); " +
			"Ceph's daemons do that if the address asked for is not theirs, nonce included " +
			"(a mon's is 0; the maps have those of others)"
	case e.Reason == ReasonTimeout && e.State != "CONNECTING" && e.State != "READY":
		return "something accepts connections there and then says nothing: another program, or a peer that hangs"
	case errors.As(e.Err, &wrong) && wrong.otherNonce():
		return "the number behind the slash, the nonce, " +
			"tells the processes apart that listen there after each other: " +
			"the one asked for has ended, or the nonce is wrong; " +
			"ask for host:port without it to get whichever process is there"
	}
	return e.Reason.Hint()
}

// hinter is an error that knows what to do about it.
type hinter interface {
	error
	Hint() string
}

// AcceptHint is what Hint is, for who was connected to: on an attempt that ended by err.
//
// Implementation: not for users of the library; may change in any release.
func AcceptHint(reason Reason, err error) string {
	var wrong *WrongPeerError
	var knows hinter
	if errors.As(err, &knows) {
		return knows.Hint()
	}
	if errors.As(err, &wrong) && wrong.otherNonce() {
		return "the peer means an earlier process at this address, or " +
			"was given a wrong nonce (the number behind the slash): " +
			"one that was given host:port alone finds this process by itself, any other has to be given its new address"
	}
	return reason.acceptHint()
}

// WrongPeerError says that another one answered than the one that was asked for.
type WrongPeerError struct {
	Asked entity.Addr
	// Is holds the addresses of the one that answered.
	Is entity.AddrVec
}

// otherNonce says whether it is the nonce alone that differs.
func (e *WrongPeerError) otherNonce() bool {
	return slices.ContainsFunc(e.Is, e.Asked.WithAnyNonce().Matches)
}

// Error is one line with both.
func (e *WrongPeerError) Error() string {
	return fmt.Sprintf("msgr: asked for %s, and the one that answers is %s", e.Asked, e.Is)
}

// RejectedError is a message that broke its connection each time it was sent:
// the peer does not take it, most often because it is over a limit of the peer's.
// It wraps ErrRejected and the last fault.
type RejectedError struct {
	Type     uint16
	TID, Seq uint64
	// Size is that of the payload, in bytes.
	Size int
	// Attempts is how often it was sent.
	Attempts int
	// Dropped says that the message is given up and reported undeliverable, so that
	// what is behind it can be sent. Otherwise (Config.RejectAfter) it is sent on.
	Dropped bool
	Err     error
}

// Hint is a sentence on what may be wrong, what became of the message, and what to do.
func (e *RejectedError) Hint() string {
	fate := "it is sent again and again"
	if e.Dropped {
		fate = "it is given up and reported undeliverable, and what is behind it is sent"
	}
	return fate + "; most often such a message is over a limit of the peer's, whose log then says so: " +
		"send less at a time, or raise the peer's Config.Limits"
}

// Error is one line with the message and the last fault.
func (e *RejectedError) Error() string {
	return fmt.Sprintf("%v: type %d, tid %d, seq %d, %d bytes, sent %d times: %v",
		ErrRejected, e.Type, e.TID, e.Seq, e.Size, e.Attempts, e.Err)
}

// Unwrap returns ErrRejected and the last fault.
func (e *RejectedError) Unwrap() []error { return []error{ErrRejected, e.Err} }

// PolicyError says that there is a connection with the peer already, and that it has another
// policy than Messenger.ConnectToWith was to give it. It wraps ErrOtherPolicy.
type PolicyError struct {
	// Conn is the connection that there is: of use for who can do with its policy, or wants to
	// mark it down and ask again.
	Conn Connection
	// Asked is what was asked for, Has what Conn was given.
	Asked, Has Policy
}

// Error is one line with the connection and the traits of both policies.
func (e *PolicyError) Error() string {
	return fmt.Sprintf("%v: %v has %s, and not %s", ErrOtherPolicy, e.Conn, e.Has.traits(), e.Asked.traits())
}

// Unwrap returns ErrOtherPolicy.
func (e *PolicyError) Unwrap() error { return ErrOtherPolicy }
