package msg

// Reason says why an attempt to connect failed, or why an accepted connection
// did not come up. It is what logs, counters and ConnectError go by.
type Reason uint8

// The reasons.
const (
	// ReasonOther: none of those below; the error says more.
	ReasonOther Reason = iota
	// ReasonRefused: nobody listens at that address and port.
	ReasonRefused
	// ReasonUnreachable: the system knows no way there (no route, network down, no
	// address of that family), or has no room for another socket.
	ReasonUnreachable
	// ReasonTimeout: TCP or the handshake took longer than DialTimeout or ReadyTimeout.
	ReasonTimeout
	// ReasonClosed: the other end closed or reset the connection during the handshake.
	ReasonClosed
	// ReasonNotMsgr: what answers does not speak this protocol at all.
	ReasonNotMsgr
	// ReasonVersion: it speaks another version of it (msgr v1, v2.0), or requires
	// banner features that this library lacks.
	ReasonVersion
	// ReasonWrongPeer: it is another entity, or another process of it, than the
	// one that was asked for: WrongPeerError has both.
	ReasonWrongPeer
	// ReasonAuth: authentication was refused, or there is no common method or mode.
	ReasonAuth
	// ReasonFeatures: one side requires feature bits that the other lacks.
	ReasonFeatures
	// ReasonLimit: a frame or the handshake is over a limit of this side.
	ReasonLimit
	// ReasonProtocol: the peer broke the protocol, or bytes were damaged on the way.
	ReasonProtocol
	// ReasonDisplaced: another connection of the same peer is newer, or the address
	// belongs to somebody else.
	ReasonDisplaced
	// ReasonBroken: the session came up and broke at once, more than once.
	ReasonBroken
	// ReasonFull: HandshakesMax, HandshakesMaxPerHost or EventsMax is reached, or nobody is free
	// for a step of the authentication.
	ReasonFull

	// Implementation: not for users of the library; may change in any release.
	NumReasons = iota
)

var reasons = [NumReasons]struct{ name, hint, acceptHint string }{
	ReasonOther: {"failed", "",
		""},
	ReasonRefused: {"connection refused",
		"nothing listens at that address and port: is the peer running, is the port right?",
		""},
	ReasonUnreachable: {"unreachable",
		"the system knows no way to that address: check the address, the routes and the limits on open files",
		"the network between failed, or the system has no room for another socket"},
	ReasonTimeout: {"no answer in time", "a firewall, a wrong address, or a host that is down",
		"what connected says nothing, or not all that it has to say within Config.ReadyTimeout: " +
			"is it a messenger, does it hang?"},
	ReasonClosed: {"closed by the other end", "the peer says no more than that: its log may say why",
		"the peer hung up during the handshake: its log may say why"},
	ReasonNotMsgr: {"not a messenger", "another program listens there: is the port right?",
		"what connected does not speak msgr v2: a browser, a port scan, a client of something else?"},
	ReasonVersion: {"another protocol version",
		"only msgr v2.1 is spoken here: use the peer's v2 address (Ceph's monitors: port 3300)",
		"the peer speaks msgr v1 or v2.0, or requires a feature of the wire that is not here"},
	ReasonWrongPeer: {"wrong peer",
		"another process than the one asked for answers there: " +
			"is the address right, and the type that was given to ConnectTo?",
		"the peer looks for another address or process: if this host is known by that address, set Config.Advertise"},
	ReasonAuth: {"authentication refused",
		"both ends have to be configured for a common method and mode, and know the same keys",
		"the peer proposes a method or mode that is not allowed here, or has other keys"},
	ReasonFeatures: {"missing features",
		"the policies of the two ends (FeaturesSupported, FeaturesRequired) do not fit",
		"the policies of the two ends (FeaturesSupported, FeaturesRequired) do not fit"},
	ReasonLimit: {"over a limit",
		"the peer sends more at a time than Config.Limits allows on this side: " +
			"raise it here, or have the peer send less",
		"the peer sends more at a time than Config.Limits allows on this side: " +
			"raise it here, or have the peer send less"},
	ReasonProtocol: {"protocol error", "a faulty peer, or a network that damages data",
		"a faulty peer, or a network that damages data"},
	ReasonDisplaced: {"displaced",
		"do two peers use one address, " +
			"or several anonymous connections (ConnectAnon) a server that registers its clients?",
		"two peers under one address, " +
			"or several anonymous connections (ConnectAnon) to a policy that registers its clients?"},
	ReasonBroken: {"broken right after it was up",
		"the connection comes up and breaks within seconds, more than once: " +
			"the peer restarts, or refuses what it is sent; its log may say why",
		""},
	ReasonFull: {"too many handshakes",
		"Config.Executor has no room for another step of authentication: is it stuck, or too small?",
		"more connections arrive at a time than Config.HandshakesMax and HandshakesMaxPerHost, or Config.Executor, " +
			"allow, or peers do not finish their handshakes; or dispatchers hang (Config.EventsMax)"},
}

// String is the reason in a few words.
func (r Reason) String() string {
	if r < NumReasons {
		return reasons[r].name
	}
	return "unknown reason"
}

// Hint is a sentence for who connects, on what may be wrong and what to do about it.
func (r Reason) Hint() string {
	if r < NumReasons {
		return reasons[r].hint
	}
	return ""
}

// acceptHint is the same for who is connected to.
func (r Reason) acceptHint() string {
	if r < NumReasons {
		return reasons[r].acceptHint
	}
	return ""
}
