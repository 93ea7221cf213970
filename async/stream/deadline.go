package stream

import (
	"net"
	"os"
	"sync"
	"time"
)

// waiters are those who wait in one direction of a stream, until its deadline. The
// stream's mu guards it.
type waiters struct {
	c     *Conn
	cond  sync.Cond
	n     int
	until time.Time // the deadline; zero: none
	alarm alarm
	due   time.Time // when the alarm goes off; zero: it does not
}

func (w *waiters) init(c *Conn) {
	w.c = c
	w.cond.L = &c.mu
}

// expired is os.ErrDeadlineExceeded after the deadline.
func (w *waiters) expired() error {
	if !w.until.IsZero() && !w.c.s.x.clock.Now().Before(w.until) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// wait waits until somebody wakes, perhaps for nothing, or the deadline passes.
func (w *waiters) wait() error {
	if err := mayBlock(); err != nil {
		return err
	}
	w.arm()
	w.waitLocked()
	return nil
}

func (w *waiters) waitLocked() {
	w.n++
	w.cond.Wait()
	w.n--
}

func (w *waiters) wake() {
	if w.n > 0 {
		w.cond.Signal()
	}
}

func (w *waiters) wakeAll() {
	if w.n > 0 {
		w.cond.Broadcast()
	}
}

// arm sets the alarm to the deadline. One that goes off earlier is left: who waits looks
// again then.
func (w *waiters) arm() {
	if w.until.IsZero() || !w.due.IsZero() && !w.until.Before(w.due) {
		return
	}
	d := w.until.Sub(w.c.s.x.clock.Now())
	w.due = w.until
	if w.alarm == nil {
		w.alarm = w.c.s.x.clock.AfterFunc(d, w.fired)
	} else {
		w.alarm.Reset(d)
	}
}

func (w *waiters) fired() {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	w.due = time.Time{}
	w.wakeAll()
	if w.c.stopSend != nil && w == &w.c.writers {
		if w.expired() != nil {
			w.c.stopSend()
		} else {
			w.arm()
		}
	}
}

// set changes the deadline.
func (w *waiters) set(t time.Time) {
	w.until = t
	w.wakeAll()
	if w.c.stopSend != nil && w == &w.c.writers {
		if w.expired() != nil {
			w.c.stopSend()
		} else {
			w.arm()
		}
	}
}

// stop is the end of the alarm.
func (w *waiters) stop() {
	if w.alarm != nil && !w.due.IsZero() {
		w.alarm.Stop()
		w.due = time.Time{}
	}
}

// SetDeadline implements net.Conn: SetReadDeadline and SetWriteDeadline.
func (c *Conn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != nil {
		return c.opError("set", net.ErrClosed)
	}
	c.readers.set(t)
	c.writers.set(t)
	return nil
}

// SetReadDeadline implements net.Conn. The time is that of Options.Stack, or the machine's.
// A Read that waits when it passes, or is called after it, answers os.ErrDeadlineExceeded.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != nil {
		return c.opError("set", net.ErrClosed)
	}
	c.readers.set(t)
	return nil
}

// SetWriteDeadline implements net.Conn; see SetReadDeadline. A Write that has sent a part of
// its bytes says how many.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != nil {
		return c.opError("set", net.ErrClosed)
	}
	c.writers.set(t)
	return nil
}
