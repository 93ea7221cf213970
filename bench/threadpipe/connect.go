package threadpipe

import (
	"fmt"
	"net/netip"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
)

// ConnectTo returns the connection with the peer and begins to connect if there is
// none. The own addresses give the loopback connection. An address without a nonce means
// whichever process listens there; see async.Messenger.ConnectTo.
func (m *Messenger) ConnectTo(t entity.Type, addrs entity.AddrVec) (msg.Connection, error) {
	return m.connect(t, addrs, false)
}

// ConnectAnon is ConnectTo that always makes a new connection, which no lookup
// finds.
func (m *Messenger) ConnectAnon(t entity.Type, addrs entity.AddrVec) (msg.Connection, error) {
	return m.connect(t, addrs, true)
}

// Lookup returns the connection with the peer, or nil.
func (m *Messenger) Lookup(addrs entity.AddrVec) msg.Connection {
	if p := m.reg.Lookup(addrs); p != nil {
		return p
	}
	return nil
}

// Loopback returns the messenger's connection to itself.
func (m *Messenger) Loopback() msg.Connection { return m.loop }

// SendTo sends x to a peer, connecting if need be; on an error x stays the caller's.
func (m *Messenger) SendTo(x *msg.Message, t entity.Type, addrs entity.AddrVec) error {
	c, err := m.ConnectTo(t, addrs)
	if err != nil {
		return err
	}
	return c.Send(x)
}

// MarkDown closes the connection with the peer that has these addresses and says
// whether there was one.
func (m *Messenger) MarkDown(addrs entity.AddrVec) bool {
	p := m.reg.Lookup(addrs)
	if p != nil {
		p.MarkDown()
	}
	return p != nil
}

// usable returns why connections cannot be made, or nil.
func (m *Messenger) usable() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch m.state {
	case stateNew:
		return msg.ErrNotStarted
	case stateClosing:
		return msg.ErrShutdown
	}
	return nil
}

func (m *Messenger) connect(t entity.Type, addrs entity.AddrVec, anon bool) (msg.Connection, error) {
	if err := m.usable(); err != nil {
		return nil, err
	}
	addrs = normal(addrs)
	target := addrs.Msgr2()
	if !anon {
		if addrs.Equal(m.Addrs()) || m.Owns(target, netip.Addr{}) {
			return m.loop, nil
		}
		if p := m.reg.Wanted(addrs); p != nil {
			return p, nil
		}
	}
	policy := m.PolicyFor(t)
	if policy.Server {
		return nil, fmt.Errorf("%w: %s %s has to connect to us", msg.ErrNoSession, t, addrs)
	}
	if target.IsBlank() || target.AddrPort.Port() == 0 || target.AddrPort.Addr().IsUnspecified() {
		return nil, fmt.Errorf("threadpipe: connect: no msgr2 address to dial in %s", addrs)
	}
	p := m.newConnector(session.Peer{Type: t, Addrs: addrs, Policy: policy})
	p.mu.Lock()
	defer p.mu.Unlock()
	if ex, err := m.reg.Add(p, addrs, anon); err != nil {
		return nil, err
	} else if ex != nil {
		m.reg.Wanted(addrs) // another goroutine, or the peer, was faster
		return ex, nil
	}
	p.s.Start(m.now())
	p.take(new(work)) // it dials before the peer's own call may find and take over the pipe
	m.spawn(p.writeLoop)
	return p, nil
}

// normal is addrs in the form that is compared: IPv4 unmapped.
func normal(addrs entity.AddrVec) entity.AddrVec {
	out := addrs.Clone()
	for i, a := range out {
		out[i] = a.Normal()
	}
	return out
}
