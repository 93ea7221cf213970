package session

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// Session is one peer (docs/PROTOCOL.md 3). See the package comment for how to use it.
type Session struct {
	cfg  *Config
	env  Env
	gate Gate
	conn msg.Connection // given to delivered messages
	rcpt msg.Receipt    // likewise

	state      State
	peerType   entity.Type
	callable   bool  // the peer can be dialled
	announced  bool  // the user knows of this connection
	disposable bool  // MarkDisposable: the next fault ends the session
	follow     bool  // asked for by host and port: whichever process listens there is the peer
	fruitless  uint8 // READY periods in a row that broke soon and brought nothing
	authProved bool  // the peer is who authType and authID say
	adopted    bool  // policy.Lossy is not what it was: it is the server's
	authType   entity.Type
	attempts   uint32 // to connect, since there was a session that was of use
	authID     string // with authType: as whom the peer has authenticated, if it has

	// Who the peer is.
	policy    msg.Policy
	peerNum   int64 // of its name
	peerAddrs entity.AddrVec
	features  uint64
	authed    *authenticated // the last time; nil: it is not yet

	id     identity
	num    numbers
	box    outbox
	acks   acks
	ka     keepalive
	stream stream

	bufs     *Buffers      // the worker's; may be nil
	deadline time.Duration // end of the handshake, backoff or absence, or of a ready session's probation; 0: none

	seldom *seldom  // nil: nothing of it is needed
	out    *outputs // nil: nothing to do
}

// seldom holds what few sessions need.
type seldom struct {
	// target is what is dialled, with the nonce once that is known, if that is not the
	// peer's first msgr2 address.
	target entity.Addr
	// soonest is when the first of the queued messages with a deadline expires, or a
	// moment before that; 0: none has one.
	soonest time.Duration
	// lastKeepaliveAck is the stamp of the last KEEPALIVE2 that was answered.
	lastKeepaliveAck frame.Stamp

	backoff   time.Duration // the delay before the last attempt
	notYet    int           // how often in a row authentication could not begin yet
	short     bool          // the last ready session broke soon
	forgotten int           // how often in a row the peer did not know a short one
	// notBefore is until when such a session stays in STANDBY, whatever there is to send.
	notBefore time.Duration

	packing *packing // of the present transport; nil: this side does not offer compression
	packs   packs    // not told to TakePacked yet

	// A message that breaks its connection each time: see rejected.go.
	suspect   uint64 // its seq, 0: none
	since     time.Duration
	breaks    int   // how often in a row
	breakErr  error // the last time
	reported  bool
	refusedBy time.Duration // until when a break of this transport is taken for a refusal
}

// noSeldom is what sessions without a seldom read.
var noSeldom seldom

// rarely is s.seldom for reading.
func (s *Session) rarely() *seldom {
	if s.seldom == nil {
		return &noSeldom
	}
	return s.seldom
}

// needSeldom is s.seldom for writing.
func (s *Session) needSeldom() *seldom {
	if s.seldom == nil {
		s.seldom = new(seldom)
	}
	return s.seldom
}

// Peer describes whom a connecting session is meant for.
type Peer struct {
	Type entity.Type
	// Addrs identifies the peer. Its first msgr2 address is dialled, then, while
	// nobody answers there, the others in turn. One of any nonce means whichever
	// process listens there, also after that was started anew.
	Addrs  entity.AddrVec
	Policy msg.Policy
}

func newSession(cfg *Config, env Env, gate Gate, conn msg.Connection, rcpt msg.Receipt) *Session {
	s := &Session{cfg: cfg, env: env, gate: gate, conn: conn, rcpt: rcpt}
	s.stream.reset(cfg.Limits)
	return s
}

// NewConnector returns a session that will connect to peer, after Start. cfg
// must have passed WithDefaults. conn and rcpt are set on delivered messages.
func NewConnector(cfg *Config, env Env, gate Gate, conn msg.Connection, rcpt msg.Receipt, peer Peer) *Session {
	s := newSession(cfg, env, gate, conn, rcpt)
	s.policy = peer.Policy
	s.peerType = peer.Type
	s.peerNum = -1
	s.peerAddrs = peer.Addrs
	s.follow = peer.Addrs.Msgr2().AnyNonce
	s.callable = true
	s.announced = true
	return s
}

// NewAcceptor returns a session for an accepted transport; call
// HandleTransportUp next.
func NewAcceptor(cfg *Config, env Env, gate Gate, conn msg.Connection, rcpt msg.Receipt) *Session {
	return newSession(cfg, env, gate, conn, rcpt)
}

// State returns the state.
func (s *Session) State() State { return s.state }

// Policy returns the policy as it is in force.
func (s *Session) Policy() msg.Policy {
	p := s.policy
	p.Lossy = p.Lossy || s.disposable
	return p
}

// PeerName, PeerAddrs, Features and GlobalID tell what is known of the peer. GlobalID is
// 0 for a peer that this side has called: servers have none.
func (s *Session) PeerName() entity.Name     { return entity.Name{Type: s.peerType, Num: s.peerNum} }
func (s *Session) PeerAddrs() entity.AddrVec { return s.peerAddrs }
func (s *Session) Features() uint64          { return s.features }
func (s *Session) GlobalID() uint64          { return s.authed.id() }

// authPeer is as whom the peer has authenticated.
func (s *Session) authPeer() entity.AuthName { return entity.AuthName{Type: s.authType, ID: s.authID} }

// setAuthPeer sets that, and whether it was proved.
func (s *Session) setAuthPeer(n entity.AuthName, proved bool) {
	s.authType, s.authID, s.authProved = n.Type, n.ID, proved
}

// Authenticated is what the last authentication of the peer said, once that was signed;
// nil: there was none. It is read only.
func (s *Session) Authenticated() *entity.Authenticated {
	if s.authed == nil {
		return nil
	}
	return &s.authed.Authenticated
}

// Target is what is dialled, or blank for a peer that cannot be.
func (s *Session) Target() entity.Addr {
	if !s.callable {
		return entity.Addr{}
	}
	if t := s.rarely().target; t != (entity.Addr{}) {
		return t
	}
	return s.peerAddrs.Msgr2()
}

// setTarget makes a what is dialled.
func (s *Session) setTarget(a entity.Addr) {
	if a != s.Target() {
		s.needSeldom().target = a
	}
}

// Attempts is how often this side has tried to connect since there was a session that
// was of use.
func (s *Session) Attempts() int { return int(s.attempts) }

// PeerType is the peer's type, 0 while unknown.
func (s *Session) PeerType() entity.Type { return s.peerType }

// Pending is the number of messages that were neither finished nor encoded, and
// Unacked those that were encoded and not finished.
func (s *Session) Pending() int { return s.box.queue.n }
func (s *Session) Unacked() int { return s.box.sent.len() }

// InSeq is the sequence number of the last message received.
func (s *Session) InSeq() uint64 { return s.num.in.Seq }

// Announced says whether the user knows of the connection: it was asked for, or
// was ready once.
func (s *Session) Announced() bool { return s.announced }

// Adopted says whether the session is lossy, or is not, by the peer's will and against the
// policy it was given.
func (s *Session) Adopted() bool { return s.adopted }

// String describes the session in one line for logs.
func (s *Session) String() string {
	return fmt.Sprintf("%s %s %v gs=%d pgs=%d cs=%d in=%d out=%d queued=%d unacked=%d",
		s.PeerName(), s.state, s.peerAddrs, s.id.globalSeq, s.id.peerGlobalSeq, s.id.connectSeq, s.num.in.Seq,
		s.num.out, s.box.queue.n, s.box.sent.len())
}

// SetBuffers says whose memory the session uses: that of the worker that it is on.
func (s *Session) SetBuffers(b *Buffers) { s.bufs = b }

// Start makes a connecting session connect.
func (s *Session) Start(now time.Duration) {
	if s.state == StateNone {
		s.connect(now)
	}
}

// connect begins an attempt: the shell dials.
func (s *Session) connect(now time.Duration) {
	s.state = StateConnecting
	s.attempts++
	s.id.globalSeq = s.env.NextGlobalSeq(s.id.globalSeq)
	s.deadline = now + s.cfg.ReadyTimeout
	s.emit(OutDial)
}

// HandleTransportUp tells that the dialled or accepted transport is
// established. remote is the peer's address as the socket sees it, local that of this
// side.
func (s *Session) HandleTransportUp(now time.Duration, remote, local netip.AddrPort) {
	switch s.state {
	case StateConnecting:
		s.state = StateBannerConnecting
	case StateNone:
		s.state = StateBannerAccepting
		s.deadline = now + s.cfg.ReadyTimeout
	default:
		panic(fmt.Sprintf("session: transport up in %s", s.state))
	}
	s.resetStream()
	s.stream.up = true
	s.ka.alive = now
	s.stream.hs = &handshake{remote: remote, local: local.Addr().Unmap(), recRx: true, recTx: true}
	s.queueRaw(s.cfg.banner().Append(nil))
}

// Send queues m for sending; the session owns it until OutFinish.
func (s *Session) Send(now time.Duration, m *msg.Message) {
	if s.state == StateClosed {
		s.finish(m, msg.ErrClosed)
		return
	}
	s.box.queue.push(m)
	if at := msg.Expiry(m); at != 0 {
		if x := s.needSeldom(); x.soonest == 0 || at < x.soonest {
			x.soonest = at
		}
	}
	s.wake(now)
}

// wake leaves STANDBY: there is something to send.
func (s *Session) wake(now time.Duration) {
	if s.state != StateStandby || !s.canDial() {
		return
	}
	if at := s.rarely().notBefore; now < at {
		s.state, s.deadline = StateBackoff, at
		return
	}
	s.reconnect(now)
}

// canDial says whether this side may call the peer, and knows where.
func (s *Session) canDial() bool { return !s.policy.Server && s.callable }

// reconnect begins another attempt. Only an established session counts them.
func (s *Session) reconnect(now time.Duration) {
	if s.id.established() {
		s.id.connectSeq++
	}
	s.connect(now)
}

// RetryNow ends the wait for the next attempt, and goes back to the shortest delay.
func (s *Session) RetryNow(now time.Duration) {
	switch s.state {
	case StateBackoff, StateWait:
		s.setBackoff(0)
		s.reconnect(now)
	default:
		if s.seldom != nil {
			s.seldom.notBefore = 0
		}
		s.wake(now)
	}
}

// Follow is for a user who asks for whichever process listens at the peer's place, and
// got this session because it is with that process, or was: should another one listen
// there, it is the peer. One that has been asked in vain is asked again at once.
func (s *Session) Follow(now time.Duration) {
	s.follow = true
	if s.state == StateBackoff {
		s.RetryNow(now)
	}
}

// Break ends the session because a call into it did not return: there is no telling in
// the midst of what it was left.
func (s *Session) Break(now time.Duration, err error) {
	if s.state != StateClosed {
		s.fault(now, permanent(s.ownError("going on after a call that did not return", err)))
	}
}

// GiveUp ends the session as a fault that nothing can mend does, if its peer is absent or
// has not come far enough for anybody to know of it.
func (s *Session) GiveUp(now time.Duration, err error) {
	switch {
	case s.state == StateStandby:
		s.close(err)
	case !s.announced:
		s.fault(now, err)
	}
}

// MarkDisposable makes the next fault end the session, as if it were lossy. What
// is sent until then is acknowledged as before.
func (s *Session) MarkDisposable() { s.disposable = true }

// MarkDown ends the session. Everything queued is finished with reason.
func (s *Session) MarkDown(reason error) {
	if s.state == StateClosed {
		return
	}
	s.stop(reason)
	s.emit(OutClosed)
}

// stop closes transport and session and drops what was queued.
func (s *Session) stop(reason error) {
	s.dropTransport()
	s.state = StateClosed
	s.deadline = 0
	s.drop(reason)
}

// HandleTransportDown tells that the transport failed, was refused or was
// closed by the peer. The shell has already let go of it; if the network's error says
// why, it comes as a *NetworkError.
func (s *Session) HandleTransportDown(now time.Duration, err error) {
	if s.state == StateClosed || !s.stream.up && s.state != StateConnecting {
		return
	}
	if ReasonOf(err) == msg.ReasonRefused {
		s.emitErr(OutRefused, err)
	}
	s.fault(now, err)
}
