package session

import (
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// Incoming is what an accepted peer asks for: a new session (CLIENT_IDENT) or
// the continuation of one (SESSION_RECONNECT).
type Incoming struct {
	Reconnect    bool
	PeerType     entity.Type
	GID          int64
	Auth         entity.AuthName
	Proved       bool // Auth is
	Addrs        entity.AddrVec
	GlobalSeq    uint64
	ClientCookie uint64
	ServerCookie uint64
	ConnectSeq   uint64
	MsgSeq       uint64

	// Unlisted: the peer gets a session that nobody looks for, and no existing one is
	// looked for either (3.5-3). Otherwise one who asks for a new session is looked for
	// and registered, if there is none, in one step; one who asks for the continuation
	// (Reconnect) is only looked for.
	Unlisted bool
}

// Existing is what is known of the session that stands under the same address.
type Existing struct {
	State         State
	Lossy         bool
	Server        bool
	ResetCheck    bool
	PeerType      entity.Type
	Auth          entity.AuthName
	Proved        bool // Auth is
	PeerGlobalSeq uint64
	ConnectSeq    uint64
	ClientCookie  uint64
	ServerCookie  uint64
	// Undialable: this side cannot or must not call the peer; it can only wait.
	Undialable bool
	// Crossed: the cookie of a CLIENT_IDENT of ours that the peer may have
	// accepted while we accepted its own (see Session.crossed).
	Crossed uint64
	// SentSeq and AckedSeq bound what the peer may claim to have received.
	SentSeq, AckedSeq uint64
	// Target is where this side dials the peer, and Follow says that whichever process
	// listens there is the peer.
	Target entity.Addr
	Follow bool
}

// Existing returns what Arbitrate needs to know of s.
func (s *Session) Existing() Existing {
	return Existing{
		State: s.state, Lossy: s.policy.Lossy || s.disposable, Server: s.policy.Server, ResetCheck: s.policy.ResetCheck,
		PeerType: s.peerType, Auth: s.authPeer(), Proved: s.authProved,
		PeerGlobalSeq: s.id.peerGlobalSeq, ConnectSeq: s.id.connectSeq,
		ClientCookie: s.id.clientCookie, ServerCookie: s.id.serverCookie, SentSeq: s.num.max, AckedSeq: s.num.acked,
		Undialable: !s.canDial(), Crossed: s.id.crossed, Target: s.Target(), Follow: s.follow,
	}
}

// Action is what happens to an incoming connection.
type Action uint8

// The actions, which Settle carries out.
const (
	ActAccept          Action = iota + 1 // a new session
	ActReplace                           // the existing session goes on with the incoming transport
	ActStopAccept                        // the existing session ends, and a new one begins
	ActWait                              // the peer waits for our connection, which is probed
	ActSendReset                         // the peer is told that its session does not exist; Full
	ActSendRetry                         // it is told to come again with a connect_seq above Seq
	ActSendRetryGlobal                   // or a global_seq
	ActRefuse                            // the connection is closed (Err), and the existing one probed if Probe
)

var actionNames = [...]string{"?", "accept", "replace", "stop-accept", "wait", "reset", "retry",
	"retry-global", "refuse"}

func (a Action) String() string { return actionNames[a] }

// Verdict is the decision of Arbitrate.
type Verdict struct {
	Action Action
	Reset  bool   // ActReplace: the peer lost its session; drop ours first
	Full   bool   // ActSendReset
	Seq    uint64 // ActSendRetry, ActSendRetryGlobal
	Probe  bool   // ActRefuse: make sure that the existing connection is alive
	Err    error  // ActRefuse
}

func (v Verdict) String() string {
	return fmt.Sprintf("%s reset=%t full=%t seq=%d err=%v", v.Action, v.Reset, v.Full, v.Seq, v.Err)
}

// Arbitrate decides what becomes of an incoming connection, given the session
// that exists under the peer's addresses (nil if none) and which side has the
// smaller address (docs/PROTOCOL.md 3.5; the letters are the spec's). It is a pure
// function of its arguments.
func Arbitrate(in Incoming, ex *Existing, peerIsSmaller bool) Verdict {
	if ex == nil || ex.State == StateClosed {
		if in.Reconnect {
			return Verdict{Action: ActSendReset, Full: true} // RECONNECT a
		}
		return Verdict{Action: ActAccept} // IDENT 4, 5a
	}
	// Addresses and cookies are claims of the peer. The session belongs to the
	// entity that authenticated for it; another one does not get at it. (The
	// origin does not check.)
	if in.PeerType != ex.PeerType && ex.PeerType != entity.TypeAny ||
		ex.Auth != (entity.AuthName{}) && in.Auth != ex.Auth || ex.Proved && !in.Proved {
		return Verdict{Action: ActRefuse, Err: fmt.Errorf("%w: %s %s claims the address of %s %s",
			ErrNotOwner, in.PeerType, in.Auth, ex.PeerType, ex.Auth)}
	}
	if in.Reconnect {
		return arbitrateReconnect(in, ex, peerIsSmaller)
	}
	return arbitrateIdent(in, ex, peerIsSmaller)
}

func arbitrateIdent(in Incoming, ex *Existing, peerIsSmaller bool) Verdict {
	if ex.succeededBy(in.Addrs) {
		switch {
		case ex.State == StateReady:
			// The connection with the process that was there before is not known to be
			// broken yet; nor whether this one is not the older of the two.
			return Verdict{Action: ActRefuse, Probe: true,
				Err: fmt.Errorf("%w: another process than %s", ErrStale, ex.Target)}
		case ex.racing() && !peerIsSmaller:
			return Verdict{Action: ActWait}
		}
		return Verdict{Action: ActReplace, Reset: ex.ServerCookie != 0}
	}
	// Two attempts have crossed; what looks like a restart is none, and nothing
	// was lost.
	crossed := ex.Crossed != 0 && ex.Crossed == in.ClientCookie
	sameCookie := ex.ClientCookie != 0 && ex.ClientCookie == in.ClientCookie
	waits := ex.State == StateStandby && ex.Undialable
	if ex.PeerGlobalSeq > in.GlobalSeq && (!waits || sameCookie) {
		// c. An attempt that was overtaken. A peer that restarted under the same
		// nonce looks like it too; but then the keepalive finds out that our
		// connection is dead, or makes us call the peer, which answers RESET. Only
		// one who cannot call has to believe the newcomer.
		return Verdict{Action: ActRefuse, Probe: true,
			Err: fmt.Errorf("%w: global_seq %d, have %d", ErrStale, in.GlobalSeq, ex.PeerGlobalSeq)}
	}
	if ex.Lossy && !ex.trying() {
		return Verdict{Action: ActStopAccept} // d
	}
	if ex.ServerCookie != 0 && !sameCookie {
		return Verdict{Action: ActReplace, Reset: ex.ResetCheck && !crossed} // e
	}
	if sameCookie {
		return Verdict{Action: ActReplace} // f
	}
	if ex.racing() && !peerIsSmaller {
		return Verdict{Action: ActWait} // h
	}
	return Verdict{Action: ActReplace} // g, h
}

// succeededBy: the peer is whichever process listens at a place, and this is another
// one than was there before.
func (ex *Existing) succeededBy(now entity.AddrVec) bool {
	return ex.Follow && !ex.Target.AnyNonce && !now.Contains(ex.Target) && now.Contains(ex.Target.WithAnyNonce())
}

// trying: our own attempt to connect has not led to a session yet, or we have given it up for
// the time being and there is none.
func (ex *Existing) trying() bool {
	return ex.State.connecting() || ex.State == StateBackoff || ex.State == StateWait ||
		ex.State == StateStandby && ex.ServerCookie == 0
}

// racing: our own attempt is under way right now, and may win. The connection
// initiated by the smaller address survives. (While we only wait to try again,
// the incoming connection is better than none; the origin makes it wait too.)
func (ex *Existing) racing() bool { return ex.State.connecting() && !ex.Server }

func arbitrateReconnect(in Incoming, ex *Existing, peerIsSmaller bool) Verdict {
	switch {
	case ex.ClientCookie != in.ClientCookie: // c
		// (Except that two attempts have crossed; see arbitrateIdent.)
		return Verdict{Action: ActSendReset, Full: ex.ResetCheck && (ex.Crossed == 0 || ex.Crossed != in.ClientCookie)}
	case ex.ServerCookie == 0: // d
		return Verdict{Action: ActSendReset}
	case ex.ServerCookie != in.ServerCookie:
		// Not checked by the origin: a client cookie alone does not prove the session.
		// Who has the cookie has not restarted: two attempts that began with it have
		// crossed, and in neither session has anybody received anything.
		return Verdict{Action: ActSendReset}
	case ex.PeerGlobalSeq > in.GlobalSeq: // e
		return Verdict{Action: ActSendRetryGlobal, Seq: ex.PeerGlobalSeq}
	case ex.ConnectSeq >= in.ConnectSeq && ex.racing() && !peerIsSmaller:
		// g, and before f: were an attempt that is behind told RETRY while ours is
		// under way, each side could outbid the other without end.
		return Verdict{Action: ActWait}
	case ex.ConnectSeq > in.ConnectSeq, // f
		// Our session is alive at that very connect_seq, so this attempt was given
		// up by the peer before. Who is still there can say so by a higher one.
		ex.ConnectSeq == in.ConnectSeq && ex.State == StateReady:
		return Verdict{Action: ActSendRetry, Seq: ex.ConnectSeq}
	case in.MsgSeq > ex.SentSeq || in.MsgSeq < ex.AckedSeq:
		// Not checked by the origin: the peer claims what was never sent, or takes
		// an acknowledgement back. The session is not what it thinks it is.
		return Verdict{Action: ActSendReset, Full: true}
	}
	return Verdict{Action: ActReplace} // h
}
