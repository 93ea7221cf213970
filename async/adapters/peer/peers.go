package peer

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/stream"
)

// Peers are the peers of one type, as a messenger reaches them. All methods may be called
// by any goroutine, but Connect and Dial not by what runs on a worker: they may look up a
// name, and Dial waits.
type Peers struct {
	m   *async.Messenger
	typ entity.Type
	mux func() (*stream.Mux, error)

	mu    sync.Mutex
	waits map[msg.Connection]map[*wait]struct{}
}

// wait is something that waits for a connection, or needs it.
type wait struct{ cancel context.CancelCauseFunc }

// New returns the peers of that type, by default (0) the messenger's own, and adds a
// dispatcher to m that takes no message. m is bound, so that they can reach it too. mux is
// where streams come from; nil means a new one, if there are streams: a messenger has one.
//
// The policy for the type must let this side call; one that does not is an error. Equals
// need one that notices a restarted peer: msg.LosslessPeerReuse.
func New(m *async.Messenger, t entity.Type, mux *stream.Mux) (*Peers, error) {
	if t == 0 {
		t = m.Name().Type
	}
	if m.PolicyFor(t).Server {
		return nil, fmt.Errorf("peer: the policy for peers of type %v never calls: "+
			"SetPolicy with msg.LosslessPeerReuse() before this", t)
	}
	p := &Peers{m: m, typ: t, waits: map[msg.Connection]map[*wait]struct{}{}}
	if p.Addr() == nil {
		return nil, fmt.Errorf("peer: the messenger is not bound: peers could not reach it")
	}
	p.mux = sync.OnceValues(func() (*stream.Mux, error) {
		if mux != nil {
			return mux, nil
		}
		return stream.New(m, stream.Options{})
	})
	m.AddDispatcherTail(p)
	return p, nil
}

// Addr is the first of the messenger's addresses; nil before it is bound.
func (p *Peers) Addr() *net.TCPAddr { return Net(p.m.Addrs()) }

// Connect returns the connection with whichever process listens at addr, "host:port" or
// what entity.ParseAddrVec reads, and begins to connect if need be; a connection that
// waits to try again tries now. It does not wait, unless the host is a name, which is looked
// up until ctx ends.
//
// The Context that it returns is for what is done next over the connection: it ends with
// ctx, and when an attempt to connect fails, whose *msg.ConnectError is its cause then
// (context.Cause; see Why). Call done when that is over.
func (p *Peers) Connect(ctx context.Context, addr string) (
	c msg.Connection, reach context.Context, done context.CancelFunc, err error,
) {
	addrs, err := Addrs(ctx, addr)
	if err != nil {
		return nil, nil, nil, err
	}
	if c, err = p.m.ConnectTo(p.typ, addrs); err != nil {
		return nil, nil, nil, err
	}
	reach, done = p.Watch(ctx, c)
	if c.State() == msg.StateBackoff {
		c.RetryNow()
	}
	return c, reach, done, nil
}

// Watch returns a Context as Connect does, for what is done over a connection that exists.
func (p *Peers) Watch(ctx context.Context, c msg.Connection) (reach context.Context, done context.CancelFunc) {
	reach, cancel := context.WithCancelCause(ctx)
	w := &wait{cancel}
	p.mu.Lock()
	if p.waits[c] == nil {
		p.waits[c] = map[*wait]struct{}{}
	}
	p.waits[c][w] = struct{}{}
	p.mu.Unlock()
	return reach, func() {
		cancel(nil)
		p.mu.Lock()
		defer p.mu.Unlock()
		if delete(p.waits[c], w); len(p.waits[c]) == 0 {
			delete(p.waits, c)
		}
	}
}

// Dispatch implements msg.Dispatcher: no message is for it.
func (p *Peers) Dispatch(*msg.Message) bool { return false }

// HandleConnectFailed implements msg.ConnectFailedHandler.
func (p *Peers) HandleConnectFailed(c msg.Connection, err *msg.ConnectError) {
	if c.IsConnected() {
		return // an earlier attempt
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.waits[c] {
		w.cancel(err)
	}
}

// Why is the error of something that was done under the Context of Connect, which says in
// addition why that ended.
func Why(reach context.Context, err error) error {
	cause := context.Cause(reach)
	if err == nil || cause == nil || cause == reach.Err() {
		return err
	}
	return fmt.Errorf("%w (%w)", cause, err)
}

// Addrs is the address vector of "host:port", looked up if host is a name, or of what
// entity.ParseAddrVec reads.
func Addrs(ctx context.Context, addr string) (entity.AddrVec, error) {
	v, parseErr := entity.ParseAddrVec(addr)
	if parseErr == nil {
		return v, nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, parseErr
	}
	n, err := net.DefaultResolver.LookupPort(ctx, "tcp", port)
	if err != nil {
		return nil, fmt.Errorf("peer: %q: %w", addr, err)
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("peer: %q: %w", addr, err)
	}
	best := ips[0].Unmap()
	for _, ip := range ips {
		if ip.Unmap().Is4() { // the one that most hosts have
			best = ip.Unmap()
			break
		}
	}
	return entity.ParseAddrVec(netip.AddrPortFrom(best, uint16(n)).String())
}

// Net is the first address of v that TCP has, for those who want a net.Addr; nil if there
// is none.
func Net(v entity.AddrVec) *net.TCPAddr {
	for _, a := range v {
		if a.AddrPort.IsValid() && a.AddrPort.Port() != 0 {
			return net.TCPAddrFromAddrPort(a.AddrPort)
		}
	}
	return nil
}
