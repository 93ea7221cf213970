package threadpipe

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// Pipe is one peer. It implements msg.Connection.
type Pipe struct {
	m    *Messenger
	wake waker // of the writer
	// counts are shared with some other pipes.
	counts *counts

	connection.Face
	// era counts the losses of the peer's session: what was received in an earlier
	// one and not yet dispatched is dropped.
	era atomic.Uint32

	mu sync.Mutex // guards everything below
	// later are the remote resets that fast dispatchers are yet to be told of, each with the
	// events behind it, of which the pool is told when they were.
	later   []dispatch.Item
	faults  connection.Faults
	idle    sync.Cond // told when writing or direct end
	s       *session.Session
	sock    socket             // nil: none
	gen     uint64             // counts the sockets
	dials   uint64             // counts the attempts to connect, and the ends of those
	stop    context.CancelFunc // of the attempt that is under way; nil: none is
	closed  error              // nil: open
	known   bool               // it was ready before
	gone    bool               // the session is over
	account connection.Account // held for sending
	sweeps  bool               // a sweep of the send queue is on its way
	adm     connection.Admission
	turn    chan struct{} // wakes a reader that waits for a throttle

	// The writer's.
	asleep  bool          // it waits to be woken
	armed   time.Duration // when it wakes by itself, if asleep; 0: never
	writing bool          // it is inside a write
	held    []session.Output

	// The reader's.
	corked     bool          // it dispatches: the writer is woken afterwards
	clock      time.Duration // when that began
	direct     bool          // it reads into the session's memory
	arbitrate  bool          // the session waits for arbitration
	readerDone chan struct{} // closed when the last reader has ended

	authenticate bool // the session waits for a slow step of the authentication
}

func (m *Messenger) newPipe() *Pipe {
	id := m.lastID.Add(1)
	p := &Pipe{m: m, wake: m.net.newWaker(), counts: m.countsOf(id)}
	p.Seen.ID = id
	p.idle.L = &p.mu
	p.account.Init(&m.sendLimits)
	p.turn = make(chan struct{}, 1)
	p.adm.Init(p, m.creditStep)
	return p
}

func (m *Messenger) newConnector(peer session.Peer) *Pipe {
	p := m.newPipe()
	p.s = session.NewConnector(&m.sessCfg, env{m}, p, p, &p.adm, peer)
	p.s.SetBuffers(new(session.Buffers))
	p.setThrottles(peer.Policy)
	p.publish()
	return p
}

func (m *Messenger) newAcceptor() *Pipe {
	p := m.newPipe()
	p.s = session.NewAcceptor(&m.sessCfg, env{m}, p, p, &p.adm)
	p.s.SetBuffers(new(session.Buffers))
	p.publish()
	return p
}

// setThrottles is called before the first message is received.
func (p *Pipe) setThrottles(pol msg.Policy) {
	var dispatch msg.Throttler
	if t := p.m.throttle; t != nil {
		dispatch = t
	}
	p.adm.Set(pol, connection.BoundOf(&pol, p.m.cfg.DispatchThrottleBytes), dispatch)
}

// publish makes the session's view of the peer visible; under mu.
func (p *Pipe) publish() {
	var local, remote netip.AddrPort
	if p.sock != nil {
		local, remote = p.sock.localAddr(), p.sock.remoteAddr()
	}
	p.Seen.Publish(p.s, local, remote)
}

// LogValue makes slog print String only when it logs.
func (p *Pipe) LogValue() slog.Value {
	if p == nil {
		return slog.StringValue("none")
	}
	return slog.StringValue(p.String())
}

// dial starts a thread that connects and is the reader then; under mu.
func (p *Pipe) dial() {
	p.stopDialling()
	ctx, stop := context.WithCancel(p.m.ctx)
	p.stop = stop
	n, target := p.dials, p.s.Target().AddrPort
	p.m.spawn(func() { p.connect(ctx, n, target) })
}

// stopDialling gives the attempt that is under way up, if there is one; under mu.
func (p *Pipe) stopDialling() {
	p.dials++
	if p.stop != nil {
		p.stop()
		p.stop = nil
	}
}

// connect is attempt n to connect, and what comes after it.
func (p *Pipe) connect(ctx context.Context, n uint64, target netip.AddrPort) {
	if via := p.m.cfg.Via; via != nil {
		target = via(target)
	}
	sock, err := p.m.net.dial(ctx, target, p.m.cfg.ReadyTimeout)
	p.mu.Lock()
	if p.dials != n {
		p.mu.Unlock()
		if sock != nil {
			sock.close()
		}
		return
	}
	p.stopDialling() // it is over
	if err == nil {
		r := p.attach(sock)
		p.mu.Unlock()
		r.run()
		return
	}
	var w work
	p.s.HandleTransportDown(p.m.now(), connection.NetworkError(err))
	p.take(&w)
	p.mu.Unlock()
	p.perform(&w)
}

// attach gives the pipe a new socket and returns its reader, which is to be run; under
// mu.
func (p *Pipe) attach(sock socket) *reader {
	p.sock = sock
	p.gen++
	p.publish() // where it is
	p.s.HandleTransportUp(p.m.now(), sock.remoteAddr(), sock.localAddr())
	r := newReader(p, sock, p.readerDone)
	p.readerDone = r.done
	return r
}

// closeSocket closes the socket, if there is one; under mu.
func (p *Pipe) closeSocket() {
	if p.sock != nil {
		p.sock.close()
		p.sock = nil
	}
}

// loseSocket closes the socket and waits until the reader does not touch the
// session's memory; under mu, which it may give up meanwhile.
func (p *Pipe) loseSocket() {
	p.closeSocket()
	for p.direct {
		p.idle.Wait()
	}
}

// transportDown tells the session that sock failed, unless it has another by now;
// under mu.
func (p *Pipe) transportDown(sock socket, err error) {
	if p.sock != sock {
		return
	}
	gen, dials := p.gen, p.dials
	p.loseSocket()
	if p.gen == gen && p.dials == dials { // else the session knew meanwhile
		p.s.HandleTransportDown(p.m.now(), err)
	}
}
