package threadpipe

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
)

// Pipe is one peer. It implements msg.Connection.
type Pipe struct {
	id   uint64
	m    *Messenger
	wake waker // of the writer
	// counts are shared with some other pipes.
	counts *counts

	info      atomic.Pointer[peerInfo]
	connected atomic.Bool
	isClosed  atomic.Bool // closed != nil
	isDown    atomic.Bool // Close was called
	lastKA    atomic.Int64
	lastKAAck atomic.Int64
	// era counts the losses of the peer's session: what was received in an earlier
	// one and not yet dispatched is dropped.
	era atomic.Uint32

	mu        sync.Mutex // guards everything below
	idle      sync.Cond  // told when writing or direct end
	s         *session.Session
	sock      socket // nil: none
	gen       uint64 // counts the sockets
	closed    error  // nil: open
	gone      bool   // the session is over
	handshake bool   // counts among the messenger's handshakes
	nmsgs     int    // held for sending
	nbytes    int64
	room      chan struct{} // closed when there is room again; nil: nobody waits
	value     any
	thr       throttles
	thrSet    bool
	wait      *gateWait
	credit    int64 // of the dispatch throttle, taken in advance

	// The writer's.
	asleep  bool          // it waits to be woken
	armed   time.Duration // when it wakes by itself, if asleep; 0: never
	dialNow bool          // the session wants a transport
	writing bool          // it is inside a write
	held    []session.Output

	// The reader's.
	corked     bool          // it dispatches: the writer is woken afterwards
	clock      time.Duration // when that began
	direct     bool          // it reads into the session's memory
	arbitrate  bool          // the session waits for arbitration
	readerDone chan struct{} // closed when the last reader has ended
}

// peerInfo is what any goroutine may know of the peer; replaced, never changed.
type peerInfo struct {
	name     entity.Name
	addrs    entity.AddrVec
	features uint64
	globalID uint64
	policy   msg.Policy
}

func (m *Messenger) newPipe() *Pipe {
	id := m.lastID.Add(1)
	p := &Pipe{id: id, m: m, wake: m.net.newWaker(), counts: m.countsOf(id)}
	p.idle.L = &p.mu
	return p
}

func (m *Messenger) newConnector(peer session.Peer) *Pipe {
	p := m.newPipe()
	p.s = session.NewConnector(&m.sessCfg, env{m}, p, p, receipt{&p.thr}, peer)
	p.setThrottles(peer.Policy)
	p.publish()
	return p
}

func (m *Messenger) newAcceptor() *Pipe {
	p := m.newPipe()
	p.s = session.NewAcceptor(&m.sessCfg, env{m}, p, p, receipt{&p.thr})
	p.handshake = true
	p.publish()
	return p
}

// setThrottles is called once, before the first message is received.
func (p *Pipe) setThrottles(pol msg.Policy) {
	p.thr, p.thrSet = throttles{pol.ThrottleMessages, pol.ThrottleBytes, nil}, true
	if t := p.m.throttle; t != nil {
		p.thr[2] = t
	}
}

// publish makes the session's view of the peer visible; under mu.
func (p *Pipe) publish() {
	p.info.Store(&peerInfo{
		name: p.s.PeerName(), addrs: p.s.PeerAddrs(), features: p.s.Features(),
		globalID: p.s.GlobalID(), policy: p.s.Policy(),
	})
}

// attach gives the pipe a new socket and starts its reader; under mu.
func (p *Pipe) attach(sock socket) {
	p.sock = sock
	p.gen++
	p.s.HandleTransportUp(p.m.now(), sock.remoteAddr())
	prev, done := p.readerDone, make(chan struct{})
	p.readerDone = done
	p.m.spawn(func() { p.readLoop(sock, prev, done) })
}

// loseSocket closes the socket and waits until the reader does not touch the
// session's memory; under mu, which it may give up meanwhile.
func (p *Pipe) loseSocket() {
	if p.sock != nil {
		p.sock.close()
		p.sock = nil
	}
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
	gen := p.gen
	p.loseSocket()
	if p.gen == gen {
		p.s.HandleTransportDown(p.m.now(), err, false)
	}
}
