package threadpipe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// network is what the two flavours differ in.
type network interface {
	listen(at netip.AddrPort) (listener, error)
	// dial blocks until it has connected; ctx may end it early.
	dial(ctx context.Context, to netip.AddrPort, timeout time.Duration) (socket, error)
	newWaker() waker
}

type listener interface {
	addr() netip.AddrPort
	accept() (socket, error)
	close() // accept returns
	closed() bool
}

// socket is one connection. read is called by one goroutine, writev by one, close
// by any, more than once too.
type socket interface {
	// read blocks until there is something; 0 bytes without an error are the end.
	// With brief it gives up after about stallLimit: errStalled.
	read(b []byte, brief bool) (int, error)
	// writev writes everything and returns how many bytes that were; or it gives up
	// after about stallLimit with what it has written, and errStalled: writeRest goes on.
	writev(bufs [][]byte) (int, error)
	writeRest() (int, error)
	// close makes read and writev return.
	close()
	// remoteAddr is the peer's address, localAddr that of this side.
	remoteAddr() netip.AddrPort
	localAddr() netip.AddrPort
}

// stallLimit is after how long a blocked thread looks at the session's deadline.
const stallLimit = 500 * time.Millisecond

// errStalled: the peer did not go on for stallLimit, or not to the end.
var errStalled = errors.New("threadpipe: stalled")

// waker lets one goroutine or thread sleep until another wakes it. A wake without
// a sleeper ends the next wait.
type waker interface {
	wake()
	// wait returns after a wake or after d; negative: no limit. It may return
	// without a reason.
	wait(d time.Duration)
	// close ends what wait left behind; after the last wait.
	close()
}

// netNetwork is the flavour of goroutines and package net.
type netNetwork struct{}

func (netNetwork) listen(at netip.AddrPort) (listener, error) {
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	return &netListener{l: l}, nil
}

func (netNetwork) dial(ctx context.Context, to netip.AddrPort, timeout time.Duration) (socket, error) {
	d := net.Dialer{Timeout: timeout, KeepAlive: -1}
	c, err := d.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	return &netSocket{c: c.(*net.TCPConn)}, nil
}

func (netNetwork) newWaker() waker { return newChanWaker() }

type netListener struct {
	l  *net.TCPListener
	no atomic.Bool // closed
}

func (l *netListener) addr() netip.AddrPort { return addrPort(l.l.Addr()) }
func (l *netListener) closed() bool         { return l.no.Load() }

func (l *netListener) close() {
	l.no.Store(true)
	_ = l.l.Close()
}

func (l *netListener) accept() (socket, error) {
	c, err := l.l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return &netSocket{c: c}, nil
}

func addrPort(a net.Addr) netip.AddrPort {
	ap := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// chanWaker wakes a goroutine.
type chanWaker struct {
	ch    chan struct{}
	timer *time.Timer // nil: never armed
	at    time.Time   // when it fires
}

func newChanWaker() *chanWaker { return &chanWaker{ch: make(chan struct{}, 1)} }

func (w *chanWaker) wake() {
	select {
	case w.ch <- struct{}{}:
	default:
	}
}

// wait leaves a timer running that fires before d is over: sessions move their
// deadlines on with every byte, and an early return is harmless.
func (w *chanWaker) wait(d time.Duration) {
	if d >= 0 {
		now := time.Now()
		at := now.Add(d)
		switch {
		case w.timer == nil:
			w.timer, w.at = time.AfterFunc(d, w.wake), at
		case at.Before(w.at) || !now.Before(w.at):
			w.timer.Reset(d)
			w.at = at
		}
	}
	<-w.ch
}

func (w *chanWaker) close() {
	if w.timer != nil {
		w.timer.Stop()
	}
}
