package msg

// ConnState is where a Connection is in its life, as far as its user is concerned.
type ConnState uint8

// The states.
const (
	// StateConnecting: TCP or the handshake is under way.
	StateConnecting ConnState = iota
	// StateReady: the session is established over a live transport.
	StateReady
	// StateBackoff: the last attempt failed, and the next one waits for its time; see
	// LastError and RetryNow.
	StateBackoff
	// StateStandby: the session stands, without a transport: there is nothing to send,
	// or it is the peer who has to come back.
	StateStandby
	// StateClosed: closed for good.
	StateClosed
)

var connStates = [...]string{"connecting", "connected", "waiting to try again", "standing by", "closed"}

// String is the state in words.
func (s ConnState) String() string {
	if int(s) < len(connStates) {
		return connStates[s]
	}
	return "unknown state"
}
