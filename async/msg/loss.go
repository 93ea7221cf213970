package msg

import "errors"

// Loss says why a message was not delivered, or possibly not, or was not dispatched after it
// was received. It is what counters go by; HandleUndeliverable and Notify get the error.
type Loss uint8

// The losses.
const (
	// LossOther: none of those below.
	LossOther Loss = iota
	// LossMarkedDown: the connection was marked down on this side (ErrMarkedDown).
	LossMarkedDown
	// LossReset: a lossy session broke, or the connection could not go on.
	LossReset
	// LossRemoteReset: the peer lost its side of the session (ErrRemoteReset).
	LossRemoteReset
	// LossShutdown: the messenger was shut down (ErrShutdown).
	LossShutdown
	// LossNoSession: there was no connection, and this side does not make one (ErrNoSession).
	LossNoSession
	// LossRejected: the message broke its connection each time (ErrRejected).
	LossRejected
	// LossCancelled: it was taken back (ErrCancelled).
	LossCancelled
	// LossDeadline: its deadline passed (ErrDeadline).
	LossDeadline
	// LossPeerAbsent: the peer did not come back (ErrPeerAbsent).
	LossPeerAbsent

	// Implementation: not for users of the library; may change in any release.
	NumLosses = iota
)

var lossNames = [NumLosses]string{"other", "marked_down", "reset", "remote_reset", "shutdown", "no_session",
	"rejected", "cancelled", "deadline", "peer_absent"}

// String is the loss in one word, as metrics have it.
func (l Loss) String() string {
	if l < NumLosses {
		return lossNames[l]
	}
	return "other"
}

// losses are the errors, those first that say more than others that they come with.
var losses = [...]struct {
	err error
	is  Loss
}{
	{ErrRejected, LossRejected}, {ErrCancelled, LossCancelled}, {ErrDeadline, LossDeadline},
	{ErrShutdown, LossShutdown}, {ErrMarkedDown, LossMarkedDown}, {ErrPeerAbsent, LossPeerAbsent},
	{ErrRemoteReset, LossRemoteReset}, {ErrNoSession, LossNoSession}, {ErrReset, LossReset},
}

// LossOf is the loss that err stands for. Any goroutine.
func LossOf(err error) Loss {
	for _, l := range losses {
		if errors.Is(err, l.err) {
			return l.is
		}
	}
	return LossOther
}
