package session

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
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
	callable   bool   // the peer can be dialled
	announced  bool   // the user knows of this connection
	disposable bool   // MarkDisposable: the next fault ends the session
	up         bool   // the transport is established
	paused     bool   // waiting for the gate or for arbitration
	again      bool   // dec.Next is due, even without bytes
	kaWant     bool   // a KEEPALIVE2 is to be sent
	kaReply    bool   // a KEEPALIVE2_ACK is to be sent
	kaQueued   bool   // the one that is to be answered has not left yet
	full       bool   // the network did not take all that was encoded
	follow     bool   // asked for by host and port: whichever process listens there is the peer
	fruitless  uint8  // READY periods in a row that broke soon and brought nothing
	ackOwed    bool   // something was received that is not yet acknowledged
	ackHeld    bool   // see HoldAck
	ackBytes   uint32 // payload that is owed
	attempts   uint32 // to connect, since there was a session that was of use

	// Who the peer is.
	policy    msg.Policy
	peerNum   int64 // of its name
	peerAddrs entity.AddrVec
	authPeer  entity.AuthName
	globalID  uint64
	features  uint64

	// The session (spec 3.2).
	globalSeq     uint64
	peerGlobalSeq uint64
	connectSeq    uint64
	clientCookie  uint64
	serverCookie  uint64
	// crossed: the session began by accepting the peer's CLIENT_IDENT when one of
	// ours, with this cookie, was or could have been on its way. If the peer has
	// accepted that one in turn, each side has a session that the other does not
	// know. A peer that comes with this cookie shows that it is so, and that it
	// has lost nothing. 0 once the peer has shown that it knows this session.
	crossed  uint64
	in       frame.Ack // in.Seq is in_seq, the last message received
	outSeq   uint64
	ackedSeq uint64 // highest seq the peer acknowledged
	maxSeq   uint64 // highest seq ever encoded in this session
	holeSeq  uint64 // highest seq of a frame that its sender aborted

	// Outgoing.
	queue          outQueue
	sent           fifo   // encoded: unacked (lossless), or not wholly written (lossy)
	resend         int    // sent[resend:] must be encoded again on this transport
	written        uint64 // bytes of this transport's stream taken by the network
	encoded        uint64 // bytes of this transport's stream encoded
	filledBytes    uint64 // these three are not yet taken by TakeFilled
	filledMessages uint32
	filledReplayed uint32
	kaStamp        frame.Stamp

	// This transport.
	enc      frame.Encoder
	dec      frame.Decoder
	hs       *handshake    // until READY
	charged  int64         // taken from the gate for the message being read; -1: nothing
	body     *msg.Message  // being received
	recycler *msg.Recycler // may be nil

	// Time.
	deadline time.Duration // end of the handshake, backoff or absence, or of a ready session's probation; 0: none
	alive    time.Duration // when the peer last gave a sign of life: bytes, or room in a full socket
	kaSent   time.Duration // since when a KEEPALIVE2 is unanswered; 0: none
	ackSince time.Duration // since when an ACK is owed
	backoff  time.Duration

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

	short     bool // the last ready session broke soon
	forgotten int  // how often in a row the peer did not know a short one
	// notBefore is until when such a session stays in STANDBY, whatever there is to send.
	notBefore time.Duration

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

// handshake is what only lives between TCP connect and READY.
type handshake struct {
	remote     netip.AddrPort
	local      netip.Addr  // of this side
	named      entity.Addr // what an accepted peer asked for
	banner     []byte      // the peer's, while incomplete
	tx         []byte      // encoded and not yet handed to Fill
	rxBytes    int
	recRx      bool // record received bytes for the signature
	recTx      bool
	rxLog      []byte
	txLog      []byte
	rxCipher   frame.Cipher
	client     auth.ClientExchange
	server     auth.ServerExchange
	result     auth.Result
	incoming   Incoming
	outcome    Outcome // of Settle, which the shell is carrying out
	lost       bool    // Replace: the peer lost its session
	authRounds int
	retries    int
	refused    bool // the accepted peer was told that it will not get what it asked for
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
	s := &Session{cfg: cfg, env: env, gate: gate, conn: conn, rcpt: rcpt, charged: -1}
	s.dec.Init(cfg.Limits)
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

// PeerName, PeerAddrs, Features and GlobalID tell what is known of the peer.
func (s *Session) PeerName() entity.Name     { return entity.Name{Type: s.peerType, Num: s.peerNum} }
func (s *Session) PeerAddrs() entity.AddrVec { return s.peerAddrs }
func (s *Session) Features() uint64          { return s.features }
func (s *Session) GlobalID() uint64          { return s.globalID }

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
func (s *Session) Pending() int { return s.queue.n }
func (s *Session) Unacked() int { return s.sent.len() }

// InSeq is the sequence number of the last message received.
func (s *Session) InSeq() uint64 { return s.in.Seq }

// Announced says whether the user knows of the connection: it was asked for, or
// was ready once.
func (s *Session) Announced() bool { return s.announced }

// LastKeepaliveAck is the stamp of our last KEEPALIVE2 that the peer answered.
func (s *Session) LastKeepaliveAck() time.Time {
	k := s.rarely().lastKeepaliveAck
	return time.Unix(int64(k.Sec), int64(k.Nsec))
}

// String describes the session in one line for logs.
func (s *Session) String() string {
	return fmt.Sprintf("%s %s %v gs=%d pgs=%d cs=%d in=%d out=%d queued=%d unacked=%d",
		s.PeerName(), s.state, s.peerAddrs, s.globalSeq, s.peerGlobalSeq, s.connectSeq, s.in.Seq, s.outSeq, s.queue.n, s.sent.len())
}

// SetRecycler says where messages to receive come from: the recycler of the
// worker that the session is on. nil, as at first, is the pool.
func (s *Session) SetRecycler(r *msg.Recycler) { s.recycler = r }

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
	s.globalSeq = s.env.NextGlobalSeq(s.globalSeq)
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
	s.up = true
	s.alive = now
	s.hs = &handshake{remote: remote, local: local.Addr().Unmap(), recRx: true, recTx: true}
	b := frame.Banner{Supported: frame.FeatureRevision1, Required: frame.FeatureRevision1}
	s.queueRaw(b.Append(nil))
}

// resetStream forgets everything that belongs to one TCP connection.
func (s *Session) resetStream() {
	s.enc = frame.Encoder{}
	s.dec.Init(s.cfg.Limits)
	s.dec.SetPreAuth(true)
	s.hs = nil
	s.up, s.paused, s.again, s.full = false, false, false, false
	s.written, s.encoded = 0, 0
	s.kaReply, s.kaQueued, s.kaSent = false, false, 0
	for i := range s.sent.len() {
		s.sent.at(i).end = 0
	}
	s.resend = 0
}

// Send queues m for sending; the session owns it until OutFinish.
func (s *Session) Send(now time.Duration, m *msg.Message) {
	if s.state == StateClosed {
		s.finish(m, msg.ErrClosed)
		return
	}
	s.queue.push(m)
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
	if s.serverCookie != 0 {
		s.connectSeq++
	}
	s.connect(now)
}

// Keepalive sends a KEEPALIVE2 soon.
func (s *Session) Keepalive(now time.Duration) {
	if s.state == StateClosed || s.state == StateStandby && !s.canDial() {
		return
	}
	s.wantKeepalive(now)
	s.wake(now)
}

// RetryNow ends the wait for the next attempt, and goes back to the shortest delay.
func (s *Session) RetryNow(now time.Duration) {
	switch s.state {
	case StateBackoff, StateWait:
		s.backoff = 0
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
		s.fault(now, permanent(err))
	}
}

// Sweep drops what was cancelled, or expired, while it waited to be sent.
func (s *Session) Sweep(now time.Duration) {
	soonest := s.queue.sweep(now, s.finish)
	if s.seldom != nil {
		s.seldom.soonest = soonest
	}
}

// GiveUp ends the session as a fault that nothing can mend does, if its peer is absent.
func (s *Session) GiveUp(err error) {
	if s.state == StateStandby {
		s.close(err)
	}
}

// wantKeepalive has Fill send a KEEPALIVE2. On a ready session the time for the
// answer runs from here, and anew once it has left: a socket that takes nothing is no
// better than a peer that says nothing.
func (s *Session) wantKeepalive(now time.Duration) {
	s.kaWant = true
	if s.state == StateReady && s.kaSent == 0 {
		s.kaSent, s.kaQueued = max(now, 1), true
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

// dropTransport gives the transport up, if there is one, and what was taken for
// a message that is not complete.
func (s *Session) dropTransport() {
	s.abandonMessage()
	if s.up || s.state == StateConnecting {
		s.emit(OutCloseTransport)
	}
	s.resetStream()
}

func (s *Session) abandonMessage() {
	if s.charged >= 0 {
		s.gate.Abandon(s.charged)
		s.charged = -1
	}
	if s.body != nil {
		s.body.Release()
		s.body = nil
	}
}

// drop finishes everything that waits for sending or acknowledgement.
func (s *Session) drop(reason error) {
	for s.sent.len() > 0 {
		s.finish(s.sent.pop().m, reason)
	}
	s.resend = 0
	for s.queue.n > 0 {
		s.finish(s.queue.pop(), reason)
	}
	s.queue = outQueue{}
	s.sent = fifo{}
}

// HandleTransportDown tells that the transport failed, was refused or was
// closed by the peer. The shell has already let go of it; if the network's error says
// why, it comes as a *NetworkError.
func (s *Session) HandleTransportDown(now time.Duration, err error) {
	if s.state == StateClosed || !s.up && s.state != StateConnecting {
		return
	}
	if ReasonOf(err) == msg.ReasonRefused {
		s.emitErr(OutRefused, err)
	}
	s.fault(now, err)
}
