package raft

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// swapTransport stands where a transport stood: the adapter, on a messenger of its own,
// which it shuts down.
type swapTransport struct {
	*msgr_Transport
	m *async.Messenger
}

// InmemTransport stands where the one in memory stood, by the name that tests have for it.
type InmemTransport = swapTransport

// swapMessenger is bound and not started. A node that is started anew, at the same port, has
// the same name.
func swapMessenger(addr string) (*async.Messenger, error) {
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, err
	}
	ip, _ := netip.AddrFromSlice(a.IP)
	if a.IP == nil {
		ip = netip.IPv4Unspecified()
	}
	port := uint16(a.Port)
	if port == 0 {
		if port, err = swapPort(); err != nil {
			return nil, err
		}
	}
	h := fnv.New32()
	fmt.Fprint(h, ip, port)
	m, err := async.New(async.Config{
		Name: entity.OSD(int64(h.Sum32() >> 1)), Logger: slog.New(slog.DiscardHandler), BindRetryDelay: 50 * time.Millisecond,
		BindRetries: 40, InitialBackoff: 20 * time.Millisecond,
	})
	if err != nil {
		return nil, err
	}
	m.SetPolicy(entity.TypeOSD, msg.LosslessPeerReuse())
	return m, m.Bind(netip.AddrPortFrom(ip.Unmap(), port))
}

// swapPort is a port that is free now.
func swapPort() (uint16, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port), nil
}

func newSwapTransport(addr string, timeout time.Duration, inFlight int) (*swapTransport, error) {
	m, err := swapMessenger(addr)
	if err != nil {
		return nil, err
	}
	t, err := msgr_New(m, msgr_Options{Timeout: timeout, MaxInFlight: inFlight})
	if err != nil {
		return nil, err
	}
	return &swapTransport{t, m}, m.Start()
}

func (s *swapTransport) Close() error {
	err := s.msgr_Transport.Close()
	return errors.Join(err, s.m.Shutdown(context.Background()))
}

// NewInmemAddr is an address where nobody listens.
func NewInmemAddr() ServerAddress {
	port, err := swapPort()
	if err != nil {
		panic(err)
	}
	return ServerAddress(fmt.Sprintf("127.0.0.1:%d", port))
}

// NewInmemTransport is a transport that reaches nobody before Connect, as the one in memory.
func NewInmemTransport(addr ServerAddress) (ServerAddress, *InmemTransport) {
	if addr == "" {
		addr = NewInmemAddr()
	}
	t, err := newSwapTransport(string(addr), 500*time.Millisecond, 130)
	if err != nil {
		panic(err)
	}
	t.DisconnectAll()
	return addr, t
}

// swapTCPTransport has the signature of NewTCPTransport.
func swapTCPTransport(addr string, _ net.Addr, _ int, timeout time.Duration, _ io.Writer) (*swapTransport, error) {
	return newSwapTransport(addr, timeout, 0)
}

// swapLayer stands where a TCP listener, and the dialling beside it, stood.
type swapLayer struct {
	*msgr_StreamLayer
	m    *async.Messenger
	open bool // bound to no address in particular
}

func swapListen(addr string) (*swapLayer, error) {
	m, err := swapMessenger(addr)
	if err != nil {
		return nil, err
	}
	l, err := msgr_NewStreamLayer(m, msgr_Options{})
	if err != nil {
		return nil, err
	}
	a, _ := net.ResolveTCPAddr("tcp", addr)
	return &swapLayer{l, m, a.IP == nil || a.IP.IsUnspecified()}, m.Start()
}

// Addr is, as that of a TCP listener, the address that was bound.
func (l *swapLayer) Addr() net.Addr {
	if l.open {
		return &net.TCPAddr{Port: l.msgr_StreamLayer.Addr().(*net.TCPAddr).Port}
	}
	return l.msgr_StreamLayer.Addr()
}

func (l *swapLayer) Close() error {
	err := l.msgr_StreamLayer.Close()
	return errors.Join(err, l.m.Shutdown(context.Background()))
}
