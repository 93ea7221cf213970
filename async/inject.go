package async

import (
	"slices"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// Faults breaks the messenger's connections on purpose; nil unless Config.AllowFaults is set.
func (m *Messenger) Faults() *connection.Injector { return m.shared.Inject }

// injected says whether something else than its dispatch happens to a received message: it is
// swallowed, or arrives late. On the worker.
func (m *Messenger) injected(c *connection.Conn, x *msg.Message) bool {
	if m.shared.Inject.Swallow(c.PeerType()) {
		m.drop(c, x)
		return true
	}
	late := m.shared.Inject.Delay(c.PeerType(), x.Type)
	return m.delays[c.Worker().ID()].put(c, x, late)
}

// delayLine is what arrives late on one worker; that worker's. What it holds counts in the throttles, and
// so has their bounds.
type delayLine struct {
	m     *Messenger
	w     eventloop.Worker
	timer eventloop.Timer
	line  []delayed // by the time that they are due
	last  map[*connection.Conn]lastDelayed
}

type delayed struct {
	c   *connection.Conn
	x   *msg.Message
	due time.Duration
}

// lastDelayed is the last message of a connection in the line: none overtakes it.
type lastDelayed struct {
	due time.Duration
	n   int // of the connection's messages in the line
}

func newDelays(m *Messenger) []*delayLine {
	lines := make([]*delayLine, m.cfg.Stack.NumWorkers())
	for i := range lines {
		lines[i] = &delayLine{m: m, w: m.cfg.Stack.Worker(i), last: map[*connection.Conn]lastDelayed{}}
		lines[i].timer.Init(lines[i])
	}
	return lines
}

// put keeps x for that long, if it is late or behind one that is.
func (d *delayLine) put(c *connection.Conn, x *msg.Message, late time.Duration) bool {
	last := d.last[c]
	if late <= 0 && last.n == 0 {
		return false
	}
	due := max(d.w.Now()+late, last.due)
	at, _ := slices.BinarySearchFunc(d.line, due, func(y delayed, due time.Duration) int {
		if y.due <= due {
			return -1
		}
		return 1
	})
	d.line = slices.Insert(d.line, at, delayed{c, x, due})
	d.last[c] = lastDelayed{due, last.n + 1}
	if at == 0 {
		d.w.SetTimer(&d.timer, due)
	}
	return true
}

// HandleTimer implements eventloop.TimerHandler.
func (d *delayLine) HandleTimer(now time.Duration) {
	for len(d.line) > 0 && d.line[0].due <= now {
		y := d.take(0)
		if len(d.line) > 0 { // before the callback, which may end the goroutine
			d.w.SetTimer(&d.timer, max(d.line[0].due, now))
		}
		sink{d.m}.deliver(y.c, y.x)
		sink{d.m}.EndOfBatch(y.c)
		connection.Rearm(y.c) // which gives back what fast dispatch has taken in advance
	}
}

func (d *delayLine) take(i int) delayed {
	y := d.line[i]
	d.line = slices.Delete(d.line, i, i+1)
	if last := d.last[y.c]; last.n > 1 {
		d.last[y.c] = lastDelayed{last.due, last.n - 1}
	} else {
		delete(d.last, y.c)
	}
	return y
}

// dropDelayed drops what came of a session that the peer has reset. On the worker.
func (m *Messenger) dropDelayed(c *connection.Conn) {
	if m.delays == nil {
		return
	}
	d := m.delays[c.Worker().ID()]
	for i := 0; i < len(d.line) && d.last[c].n > 0; {
		if d.line[i].c != c {
			i++
			continue
		}
		y := d.take(i)
		m.drop(y.c, y.x)
	}
}

// endDelays drops all that is left on worker i, when no connection is. On that worker.
func (m *Messenger) endDelays(i int) {
	if m.delays == nil {
		return
	}
	d := m.delays[i]
	d.w.StopTimer(&d.timer)
	for len(d.line) > 0 {
		y := d.take(len(d.line) - 1)
		m.drop(y.c, y.x)
	}
}
