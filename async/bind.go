package async

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// ErrBound: the messenger is bound already.
var ErrBound = errors.New("msgr: already bound")

// nonceStep is what Rebind adds to the nonce (spec 5.5).
const nonceStep = 1_000_000

// Bind listens on one or several addresses, which together become the
// messenger's address vector. Port 0 takes a free port: from BindPortMin..Max if
// those are set, else the kernel's choice. When no port is free it says so in the log
// and tries again BindRetries times; the error wraps syscall.EADDRINUSE. Call it
// before Start; it blocks while it waits.
//
// 0.0.0.0 stands for all IPv4 addresses of the host, and [::] for all there are, as
// with net.Listen (together with an IPv4 address, [::] is IPv6 only). Peers reach the
// messenger at any of them. It is known by Config.Advertise, or else by the address
// from which the host reaches others (one of each family), from the beginning.
func (m *Messenger) Bind(addrs ...netip.AddrPort) error {
	return m.BindContext(context.Background(), addrs...)
}

// BindContext is Bind that gives up when ctx ends.
func (m *Messenger) BindContext(ctx context.Context, addrs ...netip.AddrPort) error {
	if err := mayWait(); err != nil {
		return err
	}
	m.bindMu.Lock()
	defer m.bindMu.Unlock()
	if len(m.boundTo) > 0 {
		return ErrBound
	}
	return m.bind(ctx, addrs, nil)
}

// bind tries to listen until that succeeds or there were enough tries; under
// bindMu. It does not hold mu while it waits.
func (m *Messenger) bind(ctx context.Context, addrs []netip.AddrPort, avoid map[uint16]bool) error {
	if len(addrs) == 0 {
		return errors.New("msgr: bind: no address")
	}
	for try := 0; ; try++ {
		err := m.tryBind(addrs, avoid)
		if err == nil {
			m.boundTo = slices.Clone(addrs)
			return nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) || try >= m.cfg.BindRetries {
			return err
		}
		m.log.Warn("bind: address in use, trying again", "err", err,
			"attempt", fmt.Sprintf("%d of %d", try+1, m.cfg.BindRetries+1), "next attempt in", m.cfg.BindRetryDelay,
			"hint", "another program listens there, or an earlier one of this has not ended yet")
		if ended := sleep(ctx, m.cfg.BindRetryDelay); ended != nil {
			return fmt.Errorf("%w; given up: %w", err, ended)
		}
	}
}

// tryBind listens and takes the addresses, which peers that connect at once see.
func (m *Messenger) tryBind(addrs []netip.AddrPort, avoid map[uint16]bool) error {
	at, err := m.bindOnce(addrs, avoid)
	if err != nil {
		return err
	}
	for _, b := range at.Bound {
		if b.Addr().IsUnspecified() && len(m.cfg.Advertise) == 0 {
			m.log.Info("bound to all addresses; Config.Advertise says what peers are to call this messenger",
				"bound", b, "known as", at.Addrs)
		}
	}
	return nil
}

func (m *Messenger) bindOnce(addrs []netip.AddrPort, avoid map[uint16]bool) (*connection.Place, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state == stateClosing {
		return nil, msg.ErrShutdown
	}
	only6 := slices.ContainsFunc(addrs, func(a netip.AddrPort) bool { return a.Addr().Unmap().Is4() })
	ls, err := m.listenAll(addrs, avoid, only6)
	if err != nil {
		return nil, err
	}
	m.listeners = ls
	bound := make([]netip.AddrPort, len(ls))
	for i, l := range ls {
		bound[i] = l.Addr()
	}
	at := m.listening(bound, only6)
	m.identity.Move(at)
	return at, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *Messenger) listenAll(
	addrs []netip.AddrPort, avoid map[uint16]bool, only6 bool,
) (ls []eventloop.Listener, err error) {
	for _, a := range addrs {
		l, err := m.listen(a, avoid, only6)
		if err != nil {
			for _, l := range ls {
				_ = l.Close()
			}
			return nil, fmt.Errorf("msgr: bind %s: %w", a, err)
		}
		ls = append(ls, l)
	}
	return ls, nil
}

// listen opens one listener, looking for a port if none is given.
func (m *Messenger) listen(a netip.AddrPort, avoid map[uint16]bool, only6 bool) (eventloop.Listener, error) {
	lo, hi := a.Port(), a.Port()
	if lo == 0 && m.cfg.BindPortMin != 0 {
		lo, hi = m.cfg.BindPortMin, max(m.cfg.BindPortMin, m.cfg.BindPortMax)
	}
	lc := eventloop.ListenConfig{
		Backlog: m.cfg.ListenBacklog, Socket: m.cfg.Socket, V6Only: only6,
		OnError: func(err error) {
			m.counts.AcceptErrors.Add(1)
			m.log.Warn("accept", "err", err)
		},
	}
	var err error = syscall.EADDRINUSE
	tries := 0
	for port := int(lo); port <= int(hi); {
		if lo != 0 && avoid[uint16(port)] {
			port++
			continue
		}
		var l eventloop.Listener
		l, err = m.cfg.Stack.Listen(netip.AddrPortFrom(a.Addr(), uint16(port)), lc, m.accepted)
		if err == nil {
			if !avoid[l.Addr().Port()] {
				return l, nil
			}
			_ = l.Close() // the kernel chose one to be avoided
			if tries++; tries < 64 {
				continue
			}
			err = syscall.EADDRINUSE
		} else if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, err
		}
		port++
	}
	return nil, err
}

// Rebind takes new ports, not those to avoid nor the ones it has, and a new
// nonce, so that peers see a new incarnation; all connections are marked down.
// After an error the messenger does not listen; Rebind may be called again.
func (m *Messenger) Rebind(avoid ...uint16) error {
	if err := mayWait(); err != nil {
		return err
	}
	m.bindMu.Lock()
	defer m.bindMu.Unlock()
	if len(m.boundTo) == 0 {
		return errors.New("msgr: rebind: not bound")
	}
	av := map[uint16]bool{}
	for _, p := range avoid {
		av[p] = true
	}
	m.mu.Lock()
	if m.state == stateClosing {
		m.mu.Unlock()
		return msg.ErrShutdown
	}
	for _, l := range m.listeners {
		av[l.Addr().Port()] = true
		_ = l.Close()
	}
	m.listeners = nil
	m.nonce += nonceStep
	m.mu.Unlock()
	m.closeAll(msg.ErrMarkedDown)
	addrs := make([]netip.AddrPort, len(m.boundTo))
	for i, a := range m.boundTo {
		addrs[i] = netip.AddrPortFrom(a.Addr(), 0)
	}
	return m.bind(context.Background(), addrs, av)
}
