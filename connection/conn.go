package connection

import (
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// Conn is one peer over a network. It implements msg.Connection; the exported
// methods that are not part of that interface are for the messenger.
//
// Implementation: not for users of the library; may change in any release.
type Conn struct {
	// Constant.
	id uint64
	sh *Shared

	// Any goroutine.
	info      atomic.Pointer[peerInfo]
	lastErr   atomic.Pointer[error] // nil: there was none
	state     atomic.Uint32         // a msg.ConnState
	connected atomic.Bool
	isClosed  atomic.Bool  // closed != nil
	isDown    atomic.Bool  // Close was called
	isEnded   atomic.Bool  // Sink.Ended was called
	lastKA    atomic.Int64 // unix nanoseconds
	lastKAAck atomic.Int64
	queued    atomic.Int32 // messages that wait for dispatch or are being dispatched
	ackHeld   atomic.Bool  // an ACK waits until there are none: see holdAck
	mu        sync.Mutex   // guards the fields down to the blank line
	inbox     []*msg.Message
	cmds      command
	posted    bool             // a Run is on its way
	postedTo  eventloop.Worker // and to whom
	closed    error            // nil: open
	fault     error            // for cmdFault
	account   Account          // held for sending: inbox, queue and sent list
	sends     uint32           // since lentAt
	lentAt    time.Duration    // when lending was last tried
	value     any

	// Worker only.
	w       eventloop.Worker
	t       eventloop.Transport
	s       *session.Session
	spare   []*msg.Message // inbox, swapped
	pending *frame.Batch   // encoded and not written
	stash   []byte         // received while paused
	adm     Admission
	timer   eventloop.Timer
	lent    bool // another goroutine is the worker: see lend.go
	pressed bool // told last: the send queue is under pressure
	core    bool // in the session: where user code must not end the goroutine
	gone    bool
}

// command is what other goroutines ask of the worker.
type command uint16

const (
	cmdStart command = 1 << iota
	cmdMarkDown
	cmdDisposable
	cmdKeepalive
	cmdFault
	cmdRetry
	cmdFollow
	cmdSweep
	cmdPressure
	cmdGiveUp
	cmdAck
	cmdArbitrate
	cmdGoOn // user code ended the goroutine in the midst of things

	// cmdDrain asks for no more than what each Run does: to take the session's outputs.
	cmdDrain command = 0
)

// peerInfo is what any goroutine may know of the peer; replaced, never changed.
type peerInfo struct {
	name     entity.Name
	addrs    entity.AddrVec
	features uint64
	globalID uint64
	policy   msg.Policy
	remote   netip.AddrPort
	accepted bool // by a socket that a peer opened
}

func newConn(id uint64, sh *Shared, w eventloop.Worker) *Conn {
	c := &Conn{id: id, sh: sh, w: w}
	c.account.Init(&sh.Options.Send)
	c.timer.Init(c)
	c.adm.Init(gate{c}, sh.Options.DispatchCredit)
	return c
}

// Connect returns a connection to peer, placed on w. It does nothing before
// Start.
func Connect(id uint64, sh *Shared, w eventloop.Worker, peer session.Peer) *Conn {
	c := newConn(id, sh, w)
	c.s = session.NewConnector(sh.Session, sh.Env, gate{c}, c, receipt{c}, peer)
	c.s.SetBuffers(c.buffers())
	c.adm.Set(peer.Policy, sh.Dispatch)
	c.publish()
	return c
}

// Start makes a connection made by Connect connect. Any goroutine.
func (c *Conn) Start() { c.command(cmdStart) }

// Accept returns a connection for an accepted socket, placed on w. It owns sock
// once Adopt was posted to w.
func Accept(id uint64, sh *Shared, w eventloop.Worker) *Conn {
	c := newConn(id, sh, w)
	c.s = session.NewAcceptor(sh.Session, sh.Env, gate{c}, c, receipt{c})
	c.s.SetBuffers(c.buffers())
	c.publish()
	return c
}

// Adopt begins the handshake on an accepted socket; on the connection's worker.
func (c *Conn) Adopt(sock eventloop.Socket) {
	if c.s.State() != session.StateNone { // marked down before it began
		sock.Close()
		return
	}
	c.t = c.w.Adopt(sock, c)
	c.publish() // where it comes from
	c.sh.Env.LearnAddr(entity.Addr{Type: entity.AddrMsgr2, AddrPort: sock.LocalAddr()})
	c.enter()
	c.s.HandleTransportUp(c.now(), sock.RemoteAddr(), sock.LocalAddr())
	c.leave()
	c.drain()
}

// Worker is the worker the connection is placed on; the connection's worker only.
func (c *Conn) Worker() eventloop.Worker { return c.w }

// Session is the core; the connection's worker only.
func (c *Conn) Session() *session.Session { return c.s }

// Shared returns what the connection shares with others.
func (c *Conn) Shared() *Shared { return c.sh }

func (c *Conn) now() time.Duration { return c.w.Now() }

func (c *Conn) buffers() *session.Buffers { return c.sh.Buffers[c.w.ID()] }

func (c *Conn) stats() *Stats { return &c.sh.Stats[c.w.ID()] }

// publish makes the session's view of the peer visible to all goroutines.
func (c *Conn) publish() {
	i := &peerInfo{
		name: c.s.PeerName(), addrs: c.s.PeerAddrs(), features: c.s.Features(),
		globalID: c.s.GlobalID(), policy: c.s.Policy(), accepted: !c.s.Announced(),
	}
	if old := c.info.Load(); old != nil {
		i.remote, i.accepted = old.remote, old.accepted
	}
	if c.t != nil {
		i.remote = c.t.RemoteAddr()
	}
	c.info.Store(i)
}

// ID implements msg.Connection.
func (c *Conn) ID() uint64 { return c.id }

// IsConnected implements msg.Connection.
func (c *Conn) IsConnected() bool { return c.connected.Load() }

// IsClosed implements msg.Connection.
func (c *Conn) IsClosed() bool { return c.isClosed.Load() }

// MarkedDown says whether Close was called: the user wants to hear no more of
// this connection. Any goroutine.
func (c *Conn) MarkedDown() bool { return c.isDown.Load() }

// closeLocked sets why the connection is closed; under mu. It returns false if
// that was known already.
func (c *Conn) closeLocked(reason error) bool {
	if c.closed != nil {
		return false
	}
	c.closed = reason
	c.isClosed.Store(true)
	c.account.Wake()
	return true
}

// IsLoopback implements msg.Connection.
func (c *Conn) IsLoopback() bool { return false }

// PeerName implements msg.Connection.
func (c *Conn) PeerName() entity.Name { return c.info.Load().name }

// PeerType implements msg.Connection.
func (c *Conn) PeerType() entity.Type { return c.info.Load().name.Type }

// PeerAddrs implements msg.Connection.
func (c *Conn) PeerAddrs() entity.AddrVec { return c.info.Load().addrs }

// PeerGlobalID implements msg.Connection.
func (c *Conn) PeerGlobalID() uint64 { return c.info.Load().globalID }

// Features implements msg.Connection.
func (c *Conn) Features() uint64 { return c.info.Load().features }

// Policy implements msg.Connection.
func (c *Conn) Policy() msg.Policy { return c.info.Load().policy }

// LastKeepalive implements msg.Connection.
func (c *Conn) LastKeepalive() time.Time { return fromNanos(c.lastKA.Load()) }

// LastKeepaliveAck implements msg.Connection.
func (c *Conn) LastKeepaliveAck() time.Time { return fromNanos(c.lastKAAck.Load()) }

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

// SetValue implements msg.Connection.
func (c *Conn) SetValue(v any) {
	c.mu.Lock()
	c.value = v
	c.mu.Unlock()
}

// Value implements msg.Connection.
func (c *Conn) Value() any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.value
}

// State implements msg.Connection.
func (c *Conn) State() msg.ConnState {
	if c.IsClosed() {
		return msg.StateClosed
	}
	return msg.ConnState(c.state.Load())
}

// ConnState is what a user sees of a session's state.
func ConnState(s session.State) msg.ConnState { return connStates[s] }

// connStates is ConnState as a table.
var connStates = func() (m [session.NumStates]msg.ConnState) {
	for s := range m { // the states of a handshake
		m[s] = msg.StateConnecting
	}
	m[session.StateReady] = msg.StateReady
	m[session.StateBackoff], m[session.StateWait] = msg.StateBackoff, msg.StateBackoff
	m[session.StateStandby] = msg.StateStandby
	m[session.StateClosed] = msg.StateClosed
	return m
}()

// publishState makes the session's state visible to all goroutines.
func (c *Conn) publishState() {
	if now := uint32(ConnState(c.s.State())); now != c.state.Load() {
		c.state.Store(now)
	}
}

// LastError implements msg.Connection.
func (c *Conn) LastError() error {
	if p := c.lastErr.Load(); p != nil {
		return *p
	}
	return nil
}

// String implements msg.Connection.
func (c *Conn) String() string {
	i := c.info.Load()
	s := fmt.Sprintf("conn %d ", c.id)
	switch {
	case i.name.Type == 0:
		s += "with a peer that has not said who it is"
	case len(i.addrs) == 0:
		s += i.name.String()
	default:
		s += i.name.String() + " " + i.addrs.String()
	}
	if i.remote.IsValid() {
		s += " via " + i.remote.String()
	}
	return s + " " + c.State().String()
}

// Remote is where the last transport came from or led to; the zero value if there was
// none. Any goroutine.
func (c *Conn) Remote() netip.AddrPort { return c.info.Load().remote }

// Accepted says whether it began with a socket that the peer opened. Any goroutine.
func (c *Conn) Accepted() bool { return c.info.Load().accepted }

// LogValue makes slog print String only when it logs.
func (c *Conn) LogValue() slog.Value {
	if c == nil {
		return slog.StringValue("none")
	}
	return slog.StringValue(c.String())
}
