package simnet

import (
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

type state uint8

const (
	failing    state = iota // has no endpoint, waits for its HandleClosed
	connecting              // SYN sent
	open
	broken // Write failed: waits for Close
	dead
)

// transport implements eventloop.Transport.
type transport struct {
	w       *worker
	h       eventloop.Handler
	s       *stream   // for the addresses
	e       *endpoint // nil when failing or dead
	err     error     // why it fails
	timer   eventloop.Timer
	state   state
	dialer  bool // its side of s
	kernel  bool // the timer is the kernel's, not DialConfig.Timeout
	paused  bool
	eof     bool // HandleEOF was called
	full    bool // no room, or not connected yet
	wanting bool // HandleFlush is to be called
	queued  bool // in w.dirty
	marked  bool // in w.ready
}

// mark has the transport looked at in the next round.
func (t *transport) mark() {
	if !t.marked && t.state != dead && t.state != broken {
		t.marked = true
		t.w.mark(t)
	}
}

func (t *transport) failLater(err error) {
	t.state, t.err = failing, err
	t.mark()
}

// HandleTimer implements eventloop.TimerHandler: the dial took too long.
func (t *transport) HandleTimer(time.Duration) {
	if t.state == connecting {
		err := eventloop.ErrDialTimeout
		if t.kernel {
			err = fmt.Errorf("simnet: connect %s: %w", t.RemoteAddr(), syscall.ETIMEDOUT)
		}
		t.e.abandon()
		t.fail(err)
	}
}

// service handles what has happened to the socket since the last round.
func (t *transport) service() {
	t.marked = false
	switch t.state {
	case failing:
		t.fail(t.err)
	case connecting:
		switch {
		case t.e.err != nil:
			t.fail(t.e.err)
		case t.e.established:
			t.connected()
		}
	case open:
		if e := t.e; e.err != nil && (t.paused || t.eof || e.unread() == 0) {
			t.fail(e.err)
			return
		}
		if t.full && t.e.out().room() > 0 {
			t.full = false
			t.queue()
		}
		if !t.paused && !t.eof {
			t.read()
		}
	}
}

func (t *transport) connected() {
	t.w.timers.Stop(&t.timer)
	t.state, t.full = open, false
	t.h.HandleConnected(t)
	if t.state == open {
		if t.wanting {
			t.queue()
		}
		if t.e.hasNews() {
			t.mark()
		}
	}
}

func (t *transport) fail(err error) {
	h := t.h
	if e := t.kill(); e != nil {
		e.leave()
	}
	h.HandleClosed(err)
}

// kill takes t out of the worker and returns its endpoint, nil if it had none.
func (t *transport) kill() *endpoint {
	e := t.e
	if e != nil {
		t.w.timers.Stop(&t.timer)
		t.w.load.Add(-1)
		e.t = nil
	}
	t.state, t.e, t.h = dead, nil, nil
	return e
}

// read receives until the socket is empty, ends, or had its budget.
func (t *transport) read() {
	w := t.w
	for budget := readBudget; budget > 0; {
		e := t.e
		if e.unread() == 0 {
			break
		}
		direct := t.h.ReadInto()
		if t.state != open {
			return
		}
		scratch := w.host.net.scratch
		n := min(e.unread(), len(direct)+len(scratch))
		stop := w.host.chance(8)
		if stop {
			n = 1 + w.host.below(n)
		}
		in := e.in()
		unread := in.bytes.slice(in.read, n)
		landed := copy(direct, unread)
		rest := scratch[:copy(scratch, unread[landed:])]
		in.consumed(n)
		budget -= n
		t.h.HandleRead(landed, rest)
		if t.state != open || t.paused {
			return
		}
		if stop {
			break
		}
	}
	e := t.e
	switch {
	case e.unread() > 0 || e.err != nil:
		t.mark()
	case e.eof && !e.withheld():
		t.eof = true
		t.h.HandleEOF()
	}
}

func (t *transport) queue() {
	t.wanting = true
	if !t.queued {
		t.queued = true
		t.w.dirty = append(t.w.dirty, t)
		t.w.wakeAt(t.w.host.net.Now())
	}
}

func (t *transport) flush() {
	t.queued = false
	if t.state != open || t.full || !t.wanting {
		return
	}
	t.wanting = false
	t.h.HandleFlush()
}

func (t *transport) side() int {
	if t.dialer {
		return 0
	}
	return 1
}

func (t *transport) LocalAddr() netip.AddrPort  { return t.s.addrs[t.side()] }
func (t *transport) RemoteAddr() netip.AddrPort { return t.s.addrs[1-t.side()] }

// Write implements eventloop.Transport.
func (t *transport) Write(bufs [][]byte) (int, error) {
	switch t.state {
	case open:
	case connecting:
		return 0, nil
	default:
		return 0, eventloop.ErrTransportClosed
	}
	if err := t.e.writeError(); err != nil {
		t.state = broken
		return 0, fmt.Errorf("simnet: write: %w", err)
	}
	total := 0
	for _, b := range bufs {
		total += len(b)
	}
	if total == 0 {
		return 0, nil
	}
	n := min(total, max(t.e.out().room(), 0))
	if one := t.w.host.net.cfg.ShortWrites; n > 0 && one > 0 && t.w.host.chance(one) {
		n = 1 + t.w.host.below(n)
	}
	if n > 0 {
		t.e.out().write(bufs, n)
	}
	if n < total {
		t.full = true
		t.e.out().blocked()
	}
	return n, nil
}

func (t *transport) WantFlush() {
	if t.full {
		t.wanting = true
	} else if t.state == open {
		t.queue()
	}
}

func (t *transport) PauseRead() { t.paused = true }

func (t *transport) ResumeRead() {
	if t.paused {
		t.paused = false
		if t.state == open && t.e.hasNews() {
			t.mark()
		}
	}
}

func (t *transport) CloseWrite() error {
	if t.state != open {
		return eventloop.ErrTransportClosed
	}
	if err := t.e.writeError(); err != nil {
		return fmt.Errorf("simnet: shutdown: %w", err)
	}
	t.e.finish()
	return nil
}

func (t *transport) Close() {
	established := t.state == open || t.state == broken
	if e := t.kill(); e != nil && established {
		e.close()
	} else if e != nil {
		e.abandon()
	}
}

func (t *transport) Abort() {
	if e := t.kill(); e != nil {
		e.abort()
	}
}

func (t *transport) Detach() (eventloop.Socket, error) {
	switch t.state {
	case connecting, failing:
		return nil, fmt.Errorf("eventloop: detach: %w", syscall.ENOTCONN)
	case open:
		w := t.w
		return newSocket(t.kill(), w), nil
	}
	return nil, eventloop.ErrTransportClosed
}
