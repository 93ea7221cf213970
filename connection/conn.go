package connection

import (
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
	sh *Shared

	// Any goroutine.
	Face
	traffic  traffic
	isEnded  atomic.Bool  // Sink.Ended was called
	faults   Faults       // that the user is told of
	queued   atomic.Int32 // messages that wait for dispatch or are being dispatched
	ackHeld  atomic.Bool  // an ACK waits until there are none: see holdAck
	mu       sync.Mutex   // guards the fields down to the blank line
	inbox    []*msg.Message
	cmds     command
	posted   bool             // a Run is on its way
	postedTo eventloop.Worker // and to whom
	closed   error            // nil: open
	fault    error            // for cmdFault
	account  Account          // held for sending: inbox, queue and sent list
	sends    uint32           // since lentAt
	lentAt   time.Duration    // when lending was last tried

	// Worker only.
	w       eventloop.Worker
	t       eventloop.Transport
	s       *session.Session
	spare   []*msg.Message // inbox, swapped
	pending *frame.Batch   // encoded and not written
	stash   []byte         // received while paused
	adm     Admission
	timer   eventloop.Timer
	batch   writeBatch
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
	cmdFaultOwed
	cmdStep // a step of the authentication has been run
	cmdGoOn // user code ended the goroutine in the midst of things

	// cmdDrain asks for no more than what each Run does: to take the session's outputs.
	cmdDrain command = 0
)

func newConn(id uint64, sh *Shared, w eventloop.Worker) *Conn {
	c := &Conn{sh: sh, w: w}
	c.Seen.ID = id
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
	c.setThrottles(peer.Policy)
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
	c.s.HandleTransportUp(c.now(), sock.RemoteAddr(), sock.LocalAddr())
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
	var local, remote netip.AddrPort
	if c.t != nil {
		local, remote = c.t.LocalAddr(), c.t.RemoteAddr()
	}
	c.Seen.Publish(c.s, local, remote)
}

// closeLocked sets why the connection is closed; under mu. It returns false if
// that was known already.
func (c *Conn) closeLocked(reason error) bool {
	if c.closed != nil {
		return false
	}
	c.closed = reason
	c.Seen.Closed.Store(true)
	c.account.Wake()
	return true
}

// LogValue makes slog print String only when it logs.
func (c *Conn) LogValue() slog.Value {
	if c == nil {
		return slog.StringValue("none")
	}
	return slog.StringValue(c.String())
}
