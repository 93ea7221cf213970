package memberlist

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// swapTransport stands where NetTransport stood: the adapter, on a messenger of its own.
type swapTransport struct {
	*msgr_Transport
	m *async.Messenger
}

// swapName is that of a node, which is the same when the node is started anew.
func swapName(ip netip.Addr) entity.Name {
	h := fnv.New32()
	h.Write(ip.AsSlice())
	return entity.OSD(int64(h.Sum32() >> 1))
}

func newSwapTransport(nc *NetTransportConfig) (*swapTransport, error) {
	if len(nc.BindAddrs) != 1 {
		return nil, errors.New("at least one bind address is required")
	}
	ip := netip.IPv6Unspecified() // as NetTransport, to which what cannot be read is no address
	if x := net.ParseIP(nc.BindAddrs[0]); x != nil {
		ip, _ = netip.AddrFromSlice(x)
		ip = ip.Unmap()
	} else if x, err := netip.ParseAddrPort(nc.BindAddrs[0] + ":0"); err == nil {
		ip = x.Addr()
	}
	m, err := async.New(async.Config{
		Name: swapName(ip), Logger: slog.New(slog.DiscardHandler), BindRetries: -1,
	})
	if err != nil {
		return nil, err
	}
	m.SetPolicy(entity.TypeOSD, msg.LosslessPeerReuse())
	if err := m.Bind(netip.AddrPortFrom(ip, uint16(nc.BindPort))); err != nil {
		return nil, fmt.Errorf("failed to start TCP listener on %q port %d: %w", ip, nc.BindPort, err)
	}
	t, err := msgr_New(m, msgr_Options{})
	if err != nil {
		return nil, err
	}
	return &swapTransport{t, m}, m.Start()
}

func (s *swapTransport) GetAutoBindPort() int { return int(s.m.Addrs()[0].AddrPort.Port()) }

func (s *swapTransport) Shutdown() error {
	err := s.msgr_Transport.Shutdown()
	return errors.Join(err, s.m.Shutdown(context.Background()))
}

// IngestPacket is what NetTransport has besides, by the interface of a test.
func (s *swapTransport) IngestPacket(conn net.Conn, addr net.Addr, now time.Time, shouldClose bool) error {
	if shouldClose {
		defer conn.Close()
	}
	b, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	if len(b) < 1 {
		return fmt.Errorf("packet too short (%d bytes) %s", len(b), LogAddress(addr))
	}
	return nil
}

// swapSocket stands where a test's UDP socket stood.
type swapSocket struct {
	*swapTransport
	until time.Time
}

func listenUDP(t *testing.T) *swapSocket {
	s, err := newSwapTransport(&NetTransportConfig{BindAddrs: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	return &swapSocket{swapTransport: s}
}

func (s *swapSocket) LocalAddr() net.Addr {
	return &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1).To4(), Port: s.GetAutoBindPort()}
}

func (s *swapSocket) WriteTo(b []byte, addr net.Addr) (int, error) {
	_, err := s.swapTransport.WriteTo(b, addr.String())
	return len(b), err
}

func (s *swapSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	wait := time.Hour
	if !s.until.IsZero() {
		wait = time.Until(s.until)
	}
	select {
	case p := <-s.PacketCh():
		return copy(b, p.Buf), p.From, nil
	case <-time.After(wait):
		return 0, nil, context.DeadlineExceeded
	}
}

func (s *swapSocket) SetDeadline(t time.Time) error { s.until = t; return nil }
func (s *swapSocket) Close() error                  { return s.Shutdown() }

// swapListener stands where a test's TCP listener stood.
type swapListener struct {
	*swapTransport
	until time.Time
}

func swapListen(a *net.TCPAddr) (*swapListener, error) {
	s, err := newSwapTransport(&NetTransportConfig{BindAddrs: []string{a.IP.String()}, BindPort: a.Port})
	if err != nil {
		return nil, err
	}
	return &swapListener{swapTransport: s}, nil
}

func (l *swapListener) SetDeadline(t time.Time) error { l.until = t; return nil }
func (l *swapListener) Close() error                  { return l.Shutdown() }

func (l *swapListener) AcceptTCP() (net.Conn, error) {
	select {
	case c := <-l.StreamCh():
		return c, nil
	case <-time.After(time.Until(l.until)):
		return nil, context.DeadlineExceeded
	}
}

// swapDial stands where a test dialled by TCP.
func swapDial(addr string) (net.Conn, error) {
	s, err := newSwapTransport(&NetTransportConfig{BindAddrs: []string{"127.0.0.1"}})
	if err != nil {
		return nil, err
	}
	c, err := s.DialTimeout(addr, 5*time.Second)
	return &swapConn{c, s}, err
}

type swapConn struct {
	net.Conn
	s *swapTransport
}

func (c *swapConn) Close() error { return errors.Join(c.Conn.Close(), c.s.Shutdown()) }
