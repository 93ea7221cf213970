package threadpipe

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// Pipe is one peer. It implements msg.Connection.
type Pipe struct {
	id   uint64
	m    *Messenger
	wake waker // of the writer

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
	corked      bool          // it dispatches: the writer is woken afterwards
	direct      bool          // it reads into the session's memory
	directSince time.Duration // since when
	arbitrate   bool          // the session waits for arbitration
	readerDone  chan struct{} // closed when the last reader has ended
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
	p := &Pipe{id: m.lastID.Add(1), m: m, wake: m.net.newWaker()}
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

// work is what user code is to be told, collected under mu and done without it.
type work struct {
	list  []session.Output
	era   uint32
	items []dispatch.Item
	// fast are the bytes that were fast dispatched.
	fast int64
}

// dropDeliveries forgets the messages of a session that was lost.
func (w *work) dropDeliveries() {
	w.list = slices.DeleteFunc(w.list, func(o session.Output) bool {
		if o.Kind != session.OutDeliver {
			return false
		}
		drop(o.Msg)
		return true
	})
}

// drop discards a received message.
func drop(x *msg.Message) {
	msg.TicketFor(x).Done()
	x.Release()
}

// take carries out what the session wants done, and leaves to w what calls user
// code; under mu.
func (p *Pipe) take(w *work) {
	n, bytes := 0, int64(0)
	w.era = p.era.Load()
	for {
		o, ok := p.s.NextOutput()
		if !ok {
			break
		}
		switch o.Kind {
		case session.OutDeliver:
			w.list = append(w.list, o)
		case session.OutFinish:
			n++
			bytes += int64(o.Msg.PayloadLen())
			if p.writing {
				p.held = append(p.held, o)
			} else {
				w.list = append(w.list, o)
			}
		case session.OutConnected, session.OutAccepted:
			p.readied(o, w)
		case session.OutRemoteReset:
			w.era = p.era.Add(1)
			w.dropDeliveries()
			p.m.queue.Discard(p.id, false)
			p.event(dispatch.KindRemoteReset, nil)
		default:
			p.carryOut(o)
		}
	}
	if n > 0 {
		p.nmsgs -= n
		p.nbytes -= bytes
		p.wakeSenders()
	}
	p.kick()
}

func (p *Pipe) carryOut(o session.Output) {
	switch o.Kind {
	case session.OutDial:
		p.dialNow = true
	case session.OutCloseTransport:
		p.dialNow = false
		if p.sock != nil {
			p.sock.close()
			p.sock = nil
		}
		p.connected.Store(false)
	case session.OutArbitrate:
		p.arbitrate = true
	case session.OutFault:
		p.connected.Store(false)
		p.m.log.Debug("connection fault", "pipe", p, "err", o.Err)
	case session.OutRefused:
		p.event(dispatch.KindRefused, o.Err)
	case session.OutClosed:
		p.ended(o.Err)
	case session.OutKeepalive:
		p.lastKA.Store(time.Now().UnixNano())
	case session.OutKeepaliveAck:
		p.lastKAAck.Store(p.s.LastKeepaliveAck().UnixNano())
	}
}

func (p *Pipe) event(k dispatch.Kind, err error) {
	if !p.isClosed.Load() {
		p.enqueueEvent(k, err)
	}
}

func (p *Pipe) enqueueEvent(k dispatch.Kind, err error) {
	_ = p.m.queue.EnqueueBatch([]dispatch.Item{dispatch.EventItem(k, p, err)}) // refused: discarded there
}

func (p *Pipe) readied(o session.Output, w *work) {
	if !p.thrSet { // accepted: the policy is known by now
		p.setThrottles(p.s.Policy())
	}
	p.publish()
	p.m.reg.readied(p)
	if p.closed != nil {
		return
	}
	p.connected.Store(true)
	if o.Kind == session.OutConnected {
		p.enqueueEvent(dispatch.KindConnect, nil)
	} else {
		p.enqueueEvent(dispatch.KindAccept, nil)
	}
	w.list = append(w.list, o)
}

// ended: the session is over. reason is nil after Close.
func (p *Pipe) ended(reason error) {
	p.gone = true
	p.connected.Store(false)
	if p.sock != nil {
		p.sock.close()
		p.sock = nil
	}
	first := p.closeFor(reason)
	p.m.reg.remove(p)
	if first && p.s.Announced() {
		p.enqueueEvent(dispatch.KindReset, p.closed)
	}
}

// closeFor sets why the pipe is closed and says whether that was not known yet;
// under mu.
func (p *Pipe) closeFor(reason error) bool {
	if p.closed != nil {
		return false
	}
	if reason == nil {
		reason = msg.ErrReset
	}
	p.closed = reason
	p.isClosed.Store(true)
	p.wakeSenders()
	return true
}

// perform tells user code; without mu.
func (p *Pipe) perform(w *work) {
	m := p.m
	for i, o := range w.list {
		w.list[i] = session.Output{}
		switch o.Kind {
		case session.OutDeliver:
			p.deliver(o.Msg, w)
		case session.OutFinish:
			p.finish(o.Msg, o.Err)
		case session.OutConnected:
			m.chain.FastConnect(p)
		case session.OutAccepted:
			m.chain.FastAccept(p)
		}
	}
	w.list = w.list[:0]
	if w.fast > 0 && p.thr[dispatchStage] != nil {
		p.thr[dispatchStage].Release(w.fast)
	}
	w.fast = 0
	if len(w.items) > 0 {
		_ = m.queue.EnqueueBatch(w.items) // refused: discarded there, by Shutdown
		clear(w.items)
		w.items = w.items[:0]
	}
}

func (p *Pipe) deliver(x *msg.Message, w *work) {
	if p.isClosed.Load() || p.era.Load() != w.era {
		drop(x)
		return
	}
	size := int64(x.PayloadLen()) // x may be gone afterwards
	if p.m.chain.FastOwing(x) == dispatch.Unhandled {
		w.items = append(w.items, dispatch.Item{
			Kind: dispatch.KindMessage, Priority: x.Priority, Class: p.id, Msg: x, Conn: p,
		})
		return
	}
	p.thr.release(dispatchStage, size)
	w.fast += size
}

// finish ends the sending of x.
func (p *Pipe) finish(x *msg.Message, err error) {
	if r := msg.NotifySent(p, x, err); r != nil {
		p.m.userPanicked(p, r, nil)
	}
	if err != nil {
		p.m.chain.Undeliverable(p, x, err)
	}
	(*msg.Recycler)(nil).Sent(x)
}

// ID implements msg.Connection.
func (p *Pipe) ID() uint64 { return p.id }

// IsConnected implements msg.Connection.
func (p *Pipe) IsConnected() bool { return p.connected.Load() }

// IsClosed implements msg.Connection.
func (p *Pipe) IsClosed() bool { return p.isClosed.Load() }

// IsLoopback implements msg.Connection.
func (p *Pipe) IsLoopback() bool { return false }

// PeerName implements msg.Connection.
func (p *Pipe) PeerName() entity.Name { return p.info.Load().name }

// PeerType implements msg.Connection.
func (p *Pipe) PeerType() entity.Type { return p.info.Load().name.Type }

// PeerAddrs implements msg.Connection.
func (p *Pipe) PeerAddrs() entity.AddrVec { return p.info.Load().addrs }

// PeerGlobalID implements msg.Connection.
func (p *Pipe) PeerGlobalID() uint64 { return p.info.Load().globalID }

// Features implements msg.Connection.
func (p *Pipe) Features() uint64 { return p.info.Load().features }

// Policy implements msg.Connection.
func (p *Pipe) Policy() msg.Policy { return p.info.Load().policy }

// LastKeepalive implements msg.Connection.
func (p *Pipe) LastKeepalive() time.Time { return fromNanos(p.lastKA.Load()) }

// LastKeepaliveAck implements msg.Connection.
func (p *Pipe) LastKeepaliveAck() time.Time { return fromNanos(p.lastKAAck.Load()) }

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

// SetValue implements msg.Connection.
func (p *Pipe) SetValue(v any) {
	p.mu.Lock()
	p.value = v
	p.mu.Unlock()
}

// Value implements msg.Connection.
func (p *Pipe) Value() any {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.value
}

// String implements msg.Connection.
func (p *Pipe) String() string {
	i := p.info.Load()
	state := "connecting"
	switch {
	case p.IsClosed():
		state = "closed"
	case p.IsConnected():
		state = "connected"
	}
	return fmt.Sprintf("pipe %d %s %s %s", p.id, i.name, i.addrs, state)
}

// LogValue makes slog print String only when it logs.
func (p *Pipe) LogValue() slog.Value { return slog.StringValue(p.String()) }
