package session

import (
	"errors"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// reasons is what each kind of error means for a connection that does not come up, the
// first that fits.
var reasons = []struct {
	err    error
	reason msg.Reason
}{
	{frame.ErrPeerIsV1, msg.ReasonVersion},
	{ErrWrongType, msg.ReasonWrongPeer},
	{auth.ErrRefused, msg.ReasonAuth},
	{auth.ErrDowngrade, msg.ReasonAuth},
	{auth.ErrNotYet, msg.ReasonAuth},
	{ErrWrongName, msg.ReasonAuth},
	{ErrBusy, msg.ReasonFull},
	{ErrBadSignature, msg.ReasonAuth},
	{ErrMissingFeatures, msg.ReasonFeatures},
	{frame.ErrTooLarge, msg.ReasonLimit},
	{ErrPreAuthLimit, msg.ReasonLimit},
	{ErrReadyTimeout, msg.ReasonTimeout},
	{ErrIdleTimeout, msg.ReasonTimeout},
	{ErrKeepaliveTimeout, msg.ReasonTimeout},
	{ErrStale, msg.ReasonDisplaced},
	{ErrNotOwner, msg.ReasonDisplaced},
	{ErrCrowdedOut, msg.ReasonFull},
	{ErrReplaced, msg.ReasonDisplaced},
	{ErrPeerClosed, msg.ReasonClosed},
	{frame.ErrBanner, msg.ReasonNotMsgr},
	{ErrProtocol, msg.ReasonProtocol},
}

// NetworkError is an error of the network, sorted by who knows the system's errors.
type NetworkError struct {
	Reason msg.Reason
	Err    error
}

// Error is the cause's.
func (e *NetworkError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *NetworkError) Unwrap() error { return e.Err }

// ReasonOf sorts the error of a fault.
func ReasonOf(err error) msg.Reason {
	var network *NetworkError
	var wrong *msg.WrongPeerError
	var bytes *frame.Error
	switch {
	case errors.As(err, &network):
		return network.Reason
	case errors.As(err, &wrong):
		return msg.ReasonWrongPeer
	case errors.As(err, &bytes) && (bytes.Code == frame.Revision0 || bytes.Code == frame.MissingFeatures):
		return msg.ReasonVersion
	}
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return r.reason
		}
	}
	return msg.ReasonOther
}
