package stream

import (
	"net"
	"os"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// waiters are those who wait in one direction of a stream, until its deadline. The
// stream's mu guards it.
//
// The deadline is a time of day of the messenger's clock. The timer for it is a worker's, and
// is set when somebody begins to wait; it is left when the deadline moves further away, as it
// does with each request of a server, and is set anew when it has fired too early.
type waiters struct {
	c     *Conn
	cond  sync.Cond
	n     int
	until time.Time       // the deadline; zero: none
	due   time.Duration   // when the timer fires, or was asked to, in the stack's time; 0: it does not
	timer eventloop.Timer // the worker's
}

func (w *waiters) init(c *Conn) {
	w.c = c
	w.cond.L = &c.mu
	w.timer.Init(w)
}

// expired is os.ErrDeadlineExceeded after the deadline.
func (w *waiters) expired() error {
	if !w.until.IsZero() && !w.c.s.x.m.Clock().Wall().Before(w.until) {
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

// arm has the timer fire at the deadline, or before.
func (w *waiters) arm() {
	if w.until.IsZero() {
		return
	}
	m := w.c.s.x.m
	at := m.Stack().Clock().Now() + max(w.until.Sub(m.Clock().Wall()), 1)
	if w.due == 0 || at < w.due {
		w.due = at
		w.post()
	}
}

// post has the worker set the timer to due. Refused: the stack is closed, and with it all
// connections.
func (w *waiters) post() { _ = w.c.s.worker.Post(w) }

// Run implements eventloop.Task.
func (w *waiters) Run() {
	w.c.mu.Lock()
	at := w.due
	w.c.mu.Unlock()
	if at == 0 {
		w.c.s.worker.StopTimer(&w.timer)
	} else {
		w.c.s.worker.SetTimer(&w.timer, at)
	}
}

// HandleTimer implements eventloop.TimerHandler.
func (w *waiters) HandleTimer(time.Duration) {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	w.due = 0
	w.lookLocked()
}

// set changes the deadline.
func (w *waiters) set(t time.Time) {
	w.until = t
	w.lookLocked()
}

// lookLocked has all who wait look whether the deadline has passed.
func (w *waiters) lookLocked() {
	w.wakeAll()
	if w == &w.c.writers && w.c.stopSend != nil {
		if w.expired() != nil {
			w.c.stopSend()
		} else {
			w.arm()
		}
	}
}

// stop is the end of the timer.
func (w *waiters) stop() {
	if w.due != 0 {
		w.due = 0
		w.post()
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

// SetReadDeadline implements net.Conn. The time is that of the messenger's clock
// (Config.Clock, Stack.Clock), which is the machine's unless the network is simulated.
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
