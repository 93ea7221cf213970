package threadpipe

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
)

// nonceStep is what Rebind adds to the nonce (docs/PROTOCOL.md 5.5).
const nonceStep = 1_000_000

// rebindTries bounds how often Rebind asks the kernel for a port that is not among
// those to avoid.
const rebindTries = 64

// Bind listens on one or several addresses, which together become the messenger's
// address vector; before Start. Port 0 takes a free port.
func (m *Messenger) Bind(addrs ...netip.AddrPort) error {
	m.bindMu.Lock()
	defer m.bindMu.Unlock()
	if len(m.boundTo) > 0 {
		return errors.New("threadpipe: already bound")
	}
	return m.bind(addrs, nil)
}

// Rebind takes new ports, not those to avoid nor the ones it has, and a new nonce,
// so that peers see a new incarnation; all connections are marked down. After an
// error the messenger does not listen; Rebind may be called again.
func (m *Messenger) Rebind(avoid ...uint16) error {
	m.bindMu.Lock()
	defer m.bindMu.Unlock()
	if len(m.boundTo) == 0 {
		return errors.New("threadpipe: rebind: not bound")
	}
	m.mu.Lock()
	if m.state == stateClosing {
		m.mu.Unlock()
		return msg.ErrShutdown
	}
	avoid = slices.Clone(avoid)
	for _, l := range m.listeners {
		avoid = append(avoid, l.addr().Port())
		l.close()
	}
	m.listeners = nil
	m.nonce += nonceStep
	m.mu.Unlock()
	m.closeAll(msg.ErrMarkedDown)
	addrs := make([]netip.AddrPort, len(m.boundTo))
	for i, a := range m.boundTo {
		addrs[i] = netip.AddrPortFrom(a.Addr(), 0)
	}
	return m.bind(addrs, avoid)
}

// bind listens and takes the addresses, which peers that connect at once see; under
// bindMu.
func (m *Messenger) bind(addrs []netip.AddrPort, avoid []uint16) error {
	if len(addrs) == 0 {
		return errors.New("threadpipe: bind: no address")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state == stateClosing {
		return msg.ErrShutdown
	}
	var ls []listener
	var bound []netip.AddrPort
	for _, a := range addrs {
		l, err := m.listen(a, avoid)
		if err != nil {
			for _, l := range ls {
				l.close()
			}
			return fmt.Errorf("threadpipe: bind %s: %w", a, err)
		}
		ls = append(ls, l)
		bound = append(bound, l.addr())
	}
	m.listeners, m.boundTo = ls, slices.Clone(addrs)
	m.Move(listening(bound, m.nonce))
	if m.state == stateStarted {
		for _, l := range ls {
			m.spawn(func() { m.acceptLoop(l) })
		}
	}
	return nil
}

// listening is where a messenger is that listens at those addresses.
func listening(bound []netip.AddrPort, nonce uint32) *connection.Place {
	p := &connection.Place{Nonce: nonce, Bound: bound}
	for _, b := range bound {
		p.Addrs = append(p.Addrs, entity.Addr{Type: entity.AddrMsgr2, Nonce: nonce, AddrPort: b}.Normal())
	}
	return p
}

func (m *Messenger) listen(a netip.AddrPort, avoid []uint16) (listener, error) {
	for range rebindTries {
		l, err := m.net.listen(a)
		if err != nil || !slices.Contains(avoid, l.addr().Port()) {
			return l, err
		}
		l.close()
	}
	return nil, syscall.EADDRINUSE
}

// acceptLoop is the accepter of one listener, until that is closed.
func (m *Messenger) acceptLoop(l listener) {
	for {
		sock, err := l.accept()
		if err != nil {
			if l.closed() {
				return
			}
			m.countsOf(0).AcceptErrors.Add(1)
			m.log.Warn("accept", "err", err)
			t := time.NewTimer(10 * time.Millisecond) // out of descriptors, most likely
			select {
			case <-t.C:
				continue
			case <-m.ctx.Done():
				t.Stop()
				return
			}
		}
		if !m.accepted(l, sock) {
			sock.close()
		}
	}
}

// accepted begins the handshake of an accepted socket, unless there is no room for it.
func (m *Messenger) accepted(l listener, sock socket) bool {
	p := m.newAcceptor()
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.closed() {
		return false
	}
	limits := connection.HandshakeLimits{Max: m.cfg.HandshakesMax, MaxPerHost: m.cfg.HandshakesMax}
	displaced, err := m.reg.AddHandshake(p, sock.remoteAddr().Addr(), limits)
	if displaced != nil {
		m.countsOf(0).TurnedAway.Add(1)
		displaced.giveUp(session.ErrCrowdedOut)
	}
	if err != nil {
		if m.usable() == nil {
			m.countsOf(0).TurnedAway.Add(1)
			m.failures.AcceptFailed(m.now(), "a peer could not connect", sock.remoteAddr(),
				msg.ReasonFull, err)
		}
		return false
	}
	m.LearnAddr(entity.Addr{Type: entity.AddrMsgr2, AddrPort: sock.localAddr()})
	r := p.attach(sock)
	m.spawn(r.run)
	m.spawn(p.writeLoop)
	return true
}
