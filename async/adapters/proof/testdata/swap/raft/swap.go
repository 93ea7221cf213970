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
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// swapTransport stands where a transport stood: the adapter, on a messenger of its own,
// which it shuts down.
//
// It is a LoopbackTransport besides, as tests want it: who is not connected is not sent to.
type swapTransport struct {
	*msgr_Transport
	m *async.Messenger

	mu        sync.Mutex
	open      bool // to all
	to        map[ServerAddress]bool
	pipelines map[AppendPipeline]ServerAddress
}

func (s *swapTransport) Connect(to ServerAddress, _ Transport) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to[to] = true
}

func (s *swapTransport) Disconnect(to ServerAddress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.to, to)
	for p, of := range s.pipelines {
		if of == to {
			_ = p.Close()
			delete(s.pipelines, p)
		}
	}
}

func (s *swapTransport) DisconnectAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.to)
	for p := range s.pipelines {
		_ = p.Close()
	}
	clear(s.pipelines)
}

func (s *swapTransport) allowed(to ServerAddress) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open || s.to[to] {
		return nil
	}
	return fmt.Errorf("failed to connect to peer: %v", to)
}

func (s *swapTransport) AppendEntriesPipeline(id ServerID, to ServerAddress) (AppendPipeline, error) {
	if err := s.allowed(to); err != nil {
		return nil, err
	}
	p, err := s.msgr_Transport.AppendEntriesPipeline(id, to)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pipelines[p] = to
	}
	return p, err
}

func (s *swapTransport) AppendEntries(id ServerID, to ServerAddress, args *AppendEntriesRequest,
	resp *AppendEntriesResponse) error {
	return s.then(to, func() error { return s.msgr_Transport.AppendEntries(id, to, args, resp) })
}

func (s *swapTransport) RequestVote(id ServerID, to ServerAddress, args *RequestVoteRequest,
	resp *RequestVoteResponse) error {
	return s.then(to, func() error { return s.msgr_Transport.RequestVote(id, to, args, resp) })
}

func (s *swapTransport) RequestPreVote(id ServerID, to ServerAddress, args *RequestPreVoteRequest,
	resp *RequestPreVoteResponse) error {
	return s.then(to, func() error { return s.msgr_Transport.RequestPreVote(id, to, args, resp) })
}

func (s *swapTransport) TimeoutNow(id ServerID, to ServerAddress, args *TimeoutNowRequest,
	resp *TimeoutNowResponse) error {
	return s.then(to, func() error { return s.msgr_Transport.TimeoutNow(id, to, args, resp) })
}

func (s *swapTransport) InstallSnapshot(id ServerID, to ServerAddress, args *InstallSnapshotRequest,
	resp *InstallSnapshotResponse, data io.Reader) error {
	return s.then(to, func() error { return s.msgr_Transport.InstallSnapshot(id, to, args, resp, data) })
}

func (s *swapTransport) then(to ServerAddress, f func() error) error {
	if err := s.allowed(to); err != nil {
		return err
	}
	return f()
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
		Name: entity.OSD(int64(h.Sum32() >> 1)), Logger: slog.New(slog.DiscardHandler),
		BindRetryDelay: 50 * time.Millisecond, BindRetries: 40, InitialBackoff: 20 * time.Millisecond,
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
	return &swapTransport{
		msgr_Transport: t, m: m, to: map[ServerAddress]bool{}, pipelines: map[AppendPipeline]ServerAddress{},
	}, m.Start()
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
	return addr, t
}

// swapTCPTransport has the signature of NewTCPTransport.
func swapTCPTransport(addr string, _ net.Addr, _ int, timeout time.Duration, _ io.Writer) (*swapTransport, error) {
	s, err := newSwapTransport(addr, timeout, 0)
	if err == nil {
		s.open = true
	}
	return s, err
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
	l, err := msgr_NewStreamLayer(m, nil)
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
