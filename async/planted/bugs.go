// Package planted has named bugs that can be switched on in a test build, to
// prove that the tests find them. In a normal build On is a constant false and
// the compiler removes what depends on it.
//
// Implementation: not for users of the library; may change in any release.
package planted

// Bug is one mistake that a messenger could make.
type Bug uint8

// The bugs. None is the messenger as it is.
const (
	None Bug = iota
	// Throttles.
	ForgetThrottle // what a message holds is not given back when its transport breaks
	ForgetDiscard  // nor when it is dropped from the dispatch queue
	ForgetCancel   // a broken connection goes on waiting in line for a throttle
	// Sessions that go on.
	SkipRequeue     // what was not acknowledged is not sent again
	ReplaySwapped   // the first two messages are sent again in the wrong order
	ReplayOneLess   // the first message of a replay is forgotten
	AckOffByOne     // one message more than was received is acknowledged
	AckEarly        // a message is forgotten when it was written, not when acknowledged
	AcceptDuplicate // the last message is forgotten when the transport breaks, and accepted again
	InSeqKept       // a new session goes on with the old in_seq
	OutSeqKept      // or with the old out_seq
	// Sessions that end.
	ResetSilent      // a remote reset is not reported
	ResetQueueKept   // a remote reset keeps what was queued
	ResetCookieKept  // a remote reset keeps the client's cookie
	ResetTwice       // the end of a connection is told twice
	ResetNotTold     // or not at all
	LossyReconnects  // a lossy session comes back and sends again
	OldDelivered     // messages received before a remote reset are dispatched after it
	DeliverAfterDown // messages are dispatched after a mark down
	// Races.
	WrongWinner      // the connection of the larger address survives
	BothGiveWay      // each side waits for the other
	NeitherGivesWay  // no side waits
	WaitForever      // who waits for the peer's connection does not try again
	CrossedUnchecked // two attempts that crossed are taken for a restart of the peer
	HalfMadeGoesOn   // an attempt that the peer has accepted twice goes on
	StaleIdent       // an attempt that was overtaken replaces the newer session
	StaleConnectSeq  // a reconnection that was overtaken replaces the newer one
	ForgetConnectSeq // a reconnection does not count
	ConnectSeqKept   // nor does that of the peer
	RetryAsSaid      // a retry uses the connect_seq it was told, not a higher one
	// The rest.
	PriorityInverted // the sender's queue puts the least urgent first
	DispatchInverted // so does the receiver's
	DispatchAlone    // while one connection is dispatched all others wait
	NotifyTwice      // the end of a sending is told twice
	ConnectNotTold   // a reconnection is not told
	LostWakeup       // a message sent while the session stands by wakes nobody
	KeepaliveIgnored // keepalives are never answered
	KeepaliveKept    // an unanswered keepalive does not end a connection
	HandshakeForever // a handshake has no deadline
	FlippedAccepted  // a message whose checksum is wrong is delivered all the same
	WholeHeaderTaken // so is one that arrived as a whole, and whose header is wrong
	WholeBodyTaken   // or whose rest is wrong
	BackoffNone      // attempts to connect follow each other without a pause
	BackoffFlat      // or with pauses that do not grow
	NumBugs
)

var names = [NumBugs]string{
	"none", "ForgetThrottle", "ForgetDiscard", "ForgetCancel",
	"SkipRequeue", "ReplaySwapped", "ReplayOneLess", "AckOffByOne", "AckEarly", "AcceptDuplicate", "InSeqKept", "OutSeqKept",
	"ResetSilent", "ResetQueueKept", "ResetCookieKept", "ResetTwice", "ResetNotTold", "LossyReconnects", "OldDelivered", "DeliverAfterDown",
	"WrongWinner", "BothGiveWay", "NeitherGivesWay", "WaitForever", "CrossedUnchecked", "HalfMadeGoesOn", "StaleIdent", "StaleConnectSeq",
	"ForgetConnectSeq", "ConnectSeqKept", "RetryAsSaid",
	"PriorityInverted", "DispatchInverted", "DispatchAlone", "NotifyTwice", "ConnectNotTold", "LostWakeup", "KeepaliveIgnored", "KeepaliveKept",
	"HandshakeForever", "FlippedAccepted", "WholeHeaderTaken", "WholeBodyTaken", "BackoffNone", "BackoffFlat",
}

func (b Bug) String() string { return names[b] }
