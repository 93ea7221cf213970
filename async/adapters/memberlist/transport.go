package memberlistmsgr

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/adapters/peer"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/stream"
	"github.com/hashicorp/memberlist"
)

const (
	typePacket = msg.TypeMemberlistFirst
	owner      = "async/adapters/memberlist"
)

// Options of a Transport. The zero value works.
type Options struct {
	// PeerType is the type of the peers; 0: the messenger's own.
	PeerType entity.Type
	// Mux is where streams come from; nil: a new one for the messenger. A messenger has
	// one Mux, which several users may share.
	Mux *stream.Mux
	// PacketLife is for how long a packet may wait to be sent; 0 means 2 s. Then it is
	// dropped, as a datagram would have been.
	PacketLife time.Duration
	// PacketQueue bounds the packets that were received and that memberlist has not taken;
	// 0 means 1024. At the bound the newest is dropped, and counted (Dropped).
	PacketQueue int
	// Logger; nil means slog.Default().
	Logger *slog.Logger
}

// Transport is a memberlist.NodeAwareTransport. Any goroutine may call its methods.
type Transport struct {
	o       Options
	peers   *peer.Peers
	ln      net.Listener
	packets chan *memberlist.Packet
	streams chan net.Conn

	dropped  atomic.Uint64
	closed   chan struct{}
	close    func() error
	accepted sync.WaitGroup
}

var _ memberlist.NodeAwareTransport = (*Transport)(nil)

// New returns a transport on m, which is bound, so that peers can reach it, and whose policy
// for its peers should be msg.LosslessPeerReuse. m stays the caller's: shut it down after
// the Memberlist. The types of messages are reserved (msg.TypeMemberlistFirst).
func New(m *async.Messenger, o Options) (*Transport, error) {
	if o.PacketLife == 0 {
		o.PacketLife = 2 * time.Second
	}
	if o.PacketQueue == 0 {
		o.PacketQueue = 1024
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	t := &Transport{
		o: o, closed: make(chan struct{}),
		packets: make(chan *memberlist.Packet, o.PacketQueue), streams: make(chan net.Conn),
	}
	err := m.ReserveTypes(owner, msg.TypeMemberlistFirst, msg.TypeMemberlistLast)
	if err != nil {
		return nil, err
	}
	if t.peers, err = peer.New(m, o.PeerType, o.Mux); err == nil {
		t.ln, err = t.peers.Listen("memberlist")
	}
	if err != nil {
		m.ReleaseTypes(owner, msg.TypeMemberlistFirst, msg.TypeMemberlistLast)
		return nil, err
	}
	t.close = sync.OnceValue(func() error {
		close(t.closed)
		err := t.ln.Close()
		t.accepted.Wait()
		m.ReleaseTypes(owner, msg.TypeMemberlistFirst, msg.TypeMemberlistLast)
		return err
	})
	m.AddDispatcherTail((*receiver)(t))
	t.accepted.Go(t.accept)
	return t, nil
}

// FinalAdvertiseAddr implements memberlist.Transport: what is given, or else what the
// messenger is known by.
func (t *Transport) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	if ip == "" {
		a := t.peers.Addr()
		return a.IP, a.Port, nil
	}
	x := net.ParseIP(ip)
	if x == nil {
		return nil, 0, fmt.Errorf("memberlistmsgr: %q is no IP address to advertise", ip)
	}
	if four := x.To4(); four != nil {
		x = four
	}
	return x, port, nil
}

// WriteTo implements memberlist.Transport.
func (t *Transport) WriteTo(b []byte, addr string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: addr})
}

// WriteToAddress implements memberlist.NodeAwareTransport. It copies b, and returns when
// the packet is queued. An error says that it is not: the queue is full
// (msg.ErrQueueFull), addr cannot be read, or the messenger is shut down.
func (t *Transport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	c, _, done, err := t.peers.Connect(context.Background(), a.Addr)
	if err != nil {
		return time.Time{}, err
	}
	defer done()
	m := msg.New(typePacket, len(b))
	copy(m.Front, b)
	m.Deadline = time.Now().Add(t.o.PacketLife)
	if err := c.Send(m); err != nil {
		m.Release()
		return time.Time{}, err
	}
	return time.Now(), nil
}

// PacketCh implements memberlist.Transport.
func (t *Transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// Dropped is how many packets were received and dropped, for want of a taker.
func (t *Transport) Dropped() uint64 { return t.dropped.Load() }

// DialTimeout implements memberlist.Transport.
func (t *Transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport. It fails before the time is
// over when the peer's host refuses the connection, as a dial does.
func (t *Transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.peers.DialTimeout(a.Addr, "memberlist", timeout)
}

// StreamCh implements memberlist.Transport.
func (t *Transport) StreamCh() <-chan net.Conn { return t.streams }

// Shutdown implements memberlist.Transport. Streams that exist go on.
func (t *Transport) Shutdown() error { return t.close() }

// accept hands on the streams that peers dial.
func (t *Transport) accept() {
	for {
		c, err := t.ln.Accept()
		if err != nil {
			return // the listener, or the messenger, is closed
		}
		select {
		case t.streams <- c:
		case <-t.closed:
			_ = c.Close()
		}
	}
}

// receiver is the Transport as a dispatcher: packets are taken on the worker.
type receiver Transport

// Dispatch implements msg.Dispatcher: all packets are fast dispatched.
func (r *receiver) Dispatch(*msg.Message) bool { return false }

// CanFastDispatch implements msg.FastDispatcher.
func (r *receiver) CanFastDispatch(m *msg.Message) bool { return m.Type == typePacket }

// FastDispatch implements msg.FastDispatcher.
func (r *receiver) FastDispatch(m *msg.Message) {
	from := peer.Net(m.Connection().PeerAddrs())
	if len(m.Front) == 0 || len(m.Middle)+len(m.Data) > 0 || from == nil {
		r.o.Logger.Warn("memberlistmsgr: a packet that is none was dropped", "from", m.Connection(),
			"front", len(m.Front), "middle", len(m.Middle), "data", len(m.Data))
		return
	}
	select {
	case <-r.closed:
		return
	default:
	}
	select {
	case r.packets <- &memberlist.Packet{Buf: m.Front, From: from, Timestamp: time.Now()}:
	default:
		r.dropped.Add(1)
	}
}
