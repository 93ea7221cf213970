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
)

// Peers are the peers of one type, as a messenger reaches them. All methods may be called
// by any goroutine, but not by what runs on a worker: Connect may look up a name.
type Peers struct {
	m   *async.Messenger
	typ entity.Type

	mu    sync.Mutex
	tries map[msg.Connection]map[*try]struct{}
}

// try is something that waits for a connection.
type try struct{ cancel context.CancelCauseFunc }

// New returns the peers of that type, and adds a dispatcher to m, which takes no message.
// The policy for the type must let this side call; one that does not is an error. One that
// notices a restarted peer (msg.LosslessPeerReuse) is what equals need.
func New(m *async.Messenger, t entity.Type) (*Peers, error) {
	if m.PolicyFor(t).Server {
		return nil, fmt.Errorf("peer: the policy for peers of type %v never calls: "+
			"SetPolicy(%v, msg.LosslessPeerReuse()) before this", t, t)
	}
	p := &Peers{m: m, typ: t, tries: map[msg.Connection]map[*try]struct{}{}}
	m.AddDispatcherTail(p)
	return p, nil
}

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
	reach, cancel := context.WithCancelCause(ctx)
	t := &try{cancel}
	p.mu.Lock()
	if p.tries[c] == nil {
		p.tries[c] = map[*try]struct{}{}
	}
	p.tries[c][t] = struct{}{}
	p.mu.Unlock()
	if c.State() == msg.StateBackoff {
		c.RetryNow()
	}
	return c, reach, func() {
		cancel(nil)
		p.mu.Lock()
		defer p.mu.Unlock()
		if delete(p.tries[c], t); len(p.tries[c]) == 0 {
			delete(p.tries, c)
		}
	}, nil
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
	for t := range p.tries[c] {
		t.cancel(err)
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
		if ip.Unmap().Is4() { // as net.Dial, whose first choice it is on hosts without IPv6
			best = ip.Unmap()
			break
		}
	}
	return entity.ParseAddrVec(netip.AddrPortFrom(best, uint16(n)).String())
}

// Net is the first of a messenger's addresses that TCP has, for those who want a net.Addr;
// nil if there is none.
func Net(v entity.AddrVec) *net.TCPAddr {
	for _, a := range v {
		if a.AddrPort.IsValid() && a.AddrPort.Port() != 0 {
			return net.TCPAddrFromAddrPort(a.AddrPort)
		}
	}
	return nil
}
