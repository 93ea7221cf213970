package session

import (
	"errors"
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// Errors of sessions; compare with errors.Is.
var (
	// ErrProtocol: the peer broke the protocol; ProtocolError has the details.
	ErrProtocol = errors.New("session: protocol error")
	// ErrReadyTimeout: the handshake did not finish in time.
	ErrReadyTimeout = errors.New("session: handshake timed out")
	// ErrIdleTimeout: nothing was received for too long.
	ErrIdleTimeout = errors.New("session: idle for too long")
	// ErrKeepaliveTimeout: a KEEPALIVE2 was not answered in time.
	ErrKeepaliveTimeout = errors.New("session: keepalive not answered")
	// ErrMissingFeatures: one side lacks feature bits that the other requires.
	ErrMissingFeatures = errors.New("session: missing features")
	// ErrLostRace: the peer's connection attempt won (WAIT).
	ErrLostRace = errors.New("session: lost connection race")
	// ErrReplaced: another connection of the same peer took over.
	ErrReplaced = errors.New("session: replaced")
	// ErrStale: a newer connection of the same peer exists.
	ErrStale = errors.New("session: stale connection attempt")
	// ErrNotOwner: the address belongs to another authenticated entity.
	ErrNotOwner = errors.New("session: address is owned by another entity")
	// ErrBadSignature: AUTH_SIGNATURE does not match.
	ErrBadSignature = errors.New("session: bad auth signature")
	// ErrPreAuthLimit: too many bytes before authentication.
	ErrPreAuthLimit = errors.New("session: too many bytes before authentication")
	// ErrWrongType: the peer is of another type than the one that was asked for.
	ErrWrongType = errors.New("session: peer of another type")
	// ErrWrongName: the peer says that it is somebody else than it proved; WrongNameError
	// has both names.
	ErrWrongName = errors.New("session: peer under another name than it proved")
	// ErrBusy: nobody was free to take a step of the authentication.
	ErrBusy = errors.New("session: no room for another step of authentication")
	// ErrForgotten: the peer forgets each session soon after it was made.
	ErrForgotten = errors.New("session: peer forgets the session")
	// ErrRekey: the keys of secure mode were used for as much as they may be; the session
	// goes on over a connection with new ones.
	ErrRekey = errors.New("session: the connection's keys are used up")
	// ErrCrowdedOut: the handshake was given up because hosts with fewer of them needed room.
	ErrCrowdedOut = errors.New("session: room for the handshakes of other hosts was needed")
	// ErrPeerClosed: the peer closed the TCP connection.
	ErrPeerClosed = errors.New("session: closed by peer")
)

// ProtocolError says what the peer did that it must not. It is always the
// peer's fault.
type ProtocolError struct {
	State  State
	Tag    frame.Tag
	Reason string
	Err    error // the decoder's error, if that found it
}

// Error is one line. What has a name of its own (another program, a peer of another type,
// a limit) is not called an error of the protocol: that says nothing to who has to mend it.
func (e *ProtocolError) Error() string {
	if r := ReasonOf(e.Err); e.Err != nil && e.Reason == "" && r != msg.ReasonOther && r != msg.ReasonProtocol {
		return e.Err.Error()
	}
	s := fmt.Sprintf("session: protocol error in %s", e.State)
	if e.Tag != 0 {
		s += fmt.Sprintf(" at %s", e.Tag)
	}
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap makes errors.Is(err, ErrProtocol) and the decoder's errors work.
func (e *ProtocolError) Unwrap() []error {
	if e.Err != nil {
		return []error{ErrProtocol, e.Err}
	}
	return []error{ErrProtocol}
}

func (s *Session) protocolError(tag frame.Tag, format string, args ...any) error {
	return &ProtocolError{State: s.state, Tag: tag, Reason: fmt.Sprintf(format, args...)}
}

// OwnError is the counterpart of ProtocolError: this side cannot go on, and the peer did
// nothing wrong.
type OwnError struct {
	State State
	Doing string // what this side could not do
	Err   error
}

// Error is one line.
func (e *OwnError) Error() string {
	return fmt.Sprintf("session: this side cannot go on in %s: %s: %v", e.State, e.Doing, e.Err)
}

// Unwrap returns the cause.
func (e *OwnError) Unwrap() error { return e.Err }

func (s *Session) ownError(doing string, err error) error {
	return &OwnError{State: s.state, Doing: doing, Err: err}
}

// MissingFeaturesError tells which bits are missing and on which side.
type MissingFeaturesError struct {
	Missing uint64
	Ours    bool // true: this side lacks them
}

func (e *MissingFeaturesError) Error() string {
	who := "peer lacks"
	if e.Ours {
		who = "this side lacks"
	}
	return fmt.Sprintf("session: missing features: %s %#x", who, e.Missing)
}

// Unwrap returns ErrMissingFeatures.
func (e *MissingFeaturesError) Unwrap() error { return ErrMissingFeatures }

// WrongNameError is a peer that proved one name and bears another.
type WrongNameError struct {
	Proved entity.AuthName
	Said   entity.Name
}

// Error is one line with both names.
func (e *WrongNameError) Error() string {
	return fmt.Sprintf("session: the peer proved that it is %s, and says that it is %s", e.Proved, e.Said)
}

// Unwrap returns ErrWrongName.
func (e *WrongNameError) Unwrap() error { return ErrWrongName }

// Hint is a sentence on what may be wrong and what to do about it.
func (e *WrongNameError) Hint() string {
	return "a messenger's Config.Name has to go with the name that its key or certificate is for: " +
		"one of the two is wrong"
}

// permanent marks a fault that no reconnection can mend.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

func permanent(err error) error { return permanentError{err} }

func isPermanent(err error) bool {
	var p permanentError
	return errors.As(err, &p)
}
