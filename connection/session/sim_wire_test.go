package session

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// failer is *testing.T or *rapid.T.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// world is some nodes, the byte pipes between them and a clock that is moved by
// hand. Nothing happens by itself: every step is a move that the test picks, so
// that a test decides every interleaving and each run repeats exactly.
type world struct {
	t     failer
	now   time.Duration
	nodes []*simNode
	wires []*wire
	log   []logLine
	// rule, if set, may cut a wire when bytes are delivered.
	rule func(w *world, e *wireEnd)
	// alter, if set, may change bytes on their way in (a copy).
	alter func(e *wireEnd, b []byte) []byte
	// dialed counts the wires made so far.
	dialed int
	began  time.Duration // when a scene began
}

// wire is one TCP connection: ends[0] connected, ends[1] accepted.
type wire struct {
	n     int
	ends  [2]*wireEnd
	state wireState
}

type wireState uint8

const (
	wireDialing wireState = iota
	wireUp
	wireGone
)

// wireEnd is one side of a wire and what is on its way to it.
type wireEnd struct {
	w         *wire
	side      int
	conn      *simConn // nil: let go of it
	in        [][]byte // chunks in flight to this end, as they were written
	inBytes   int
	eof       bool // the other end closed: EOF after what is in flight
	sent, got int  // bytes written by this end, delivered to it
	deaf      bool // nothing arrives any more: what is sent here vanishes
}

func (e *wireEnd) peer() *wireEnd { return e.w.ends[1-e.side] }

func (e *wireEnd) String() string {
	return fmt.Sprintf("wire %d %c", e.w.n, "CS"[e.side])
}

func (w *world) logf(format string, args ...any) {
	if len(w.log) < 4000 {
		w.log = append(w.log, logLine{w.now, format, args})
	}
}

// logLine is formatted only when a test fails.
type logLine struct {
	at     time.Duration
	format string
	args   []any
}

func (l logLine) String() string {
	return fmt.Sprintf("%9.3f ", l.at.Seconds()) + fmt.Sprintf(l.format, l.args...)
}

func (w *world) failf(format string, args ...any) {
	w.t.Helper()
	for _, l := range w.log[max(0, len(w.log)-160):] {
		w.t.Logf("%v", l)
	}
	for _, n := range w.nodes {
		for _, c := range n.conns {
			w.t.Logf("%s: %s %v", c, c.s, c.events)
		}
	}
	w.t.Fatalf(format, args...)
}

// dial begins a wire from c to the node that has its target.
func (w *world) dial(c *simConn) {
	w.dialed++
	x := &wire{n: w.dialed}
	x.ends[0] = &wireEnd{w: x, side: 0, conn: c}
	x.ends[1] = &wireEnd{w: x, side: 1}
	c.end = x.ends[0]
	w.wires = append(w.wires, x)
	w.logf("%s dials %s: wire %d", c, c.s.Target(), x.n)
}

func (w *world) nodeAt(a entity.Addr) *simNode {
	for _, n := range w.nodes {
		if n.up && n.addr.AddrPort == a.AddrPort {
			return n
		}
	}
	return nil
}

// move is one thing that can happen next.
type move struct {
	kind moveKind
	wire *wire
	end  *wireEnd
}

type moveKind uint8

const (
	moveConnect moveKind = iota
	moveDeliver
	moveEOF
)

// moves lists what the network can do now, in a fixed order.
func (w *world) moves() (ms []move) {
	live := w.wires[:0]
	for _, x := range w.wires {
		if x.state != wireGone {
			live = append(live, x)
		}
	}
	w.wires = live
	for _, x := range w.wires {
		if x.state == wireDialing {
			ms = append(ms, move{moveConnect, x, nil})
			continue
		}
		for _, e := range x.ends {
			switch {
			case e.conn == nil || e.deaf || e.conn.stuck():
			case len(e.in) > 0:
				ms = append(ms, move{moveDeliver, x, e})
			case e.eof:
				ms = append(ms, move{moveEOF, x, e})
			}
		}
	}
	return ms
}

var errRefused = error(&NetworkError{Reason: msg.ReasonRefused, Err: errors.New("connection refused")})

func (w *world) do(m move) {
	switch m.kind {
	case moveConnect:
		w.connect(m.wire)
	case moveDeliver:
		w.deliver(m.end, len(m.end.in[0]))
	case moveEOF:
		w.logf("%s: EOF", m.end)
		w.lose(m.end, ErrPeerClosed)
	}
}

func (w *world) connect(x *wire) {
	c := x.ends[0].conn
	n := w.nodeAt(c.s.Target())
	if n == nil {
		x.state = wireGone
		c.end = nil
		w.logf("%s refused", c)
		c.s.HandleTransportDown(w.now, errRefused)
		c.settle()
		return
	}
	x.state = wireUp
	a := n.newConn()
	a.s = NewAcceptor(&n.cfg, n, a, nil, nil)
	a.s.SetBuffers(&n.bufs)
	a.end, x.ends[1].conn = x.ends[1], a
	w.logf("wire %d up: %s - %s", x.n, c, a)
	a.s.HandleTransportUp(w.now, c.n.addr.AddrPort, n.addr.AddrPort)
	a.settle()
	if x.ends[0].conn == c {
		c.s.HandleTransportUp(w.now, n.addr.AddrPort, c.n.addr.AddrPort)
		c.settle()
	}
}

// deliver hands the next n bytes of the first chunk to the end.
func (w *world) deliver(e *wireEnd, n int) {
	b := e.in[0][:n]
	if e.in[0] = e.in[0][n:]; len(e.in[0]) == 0 {
		e.in = e.in[1:]
	}
	e.inBytes -= n
	e.got += n
	if w.alter != nil {
		b = w.alter(e, append([]byte(nil), b...))
	}
	w.logf("%s gets %d bytes (%d)", e, n, e.got)
	e.conn.feed(b)
	if p := e.peer(); p.conn != nil {
		p.conn.flush() // there is room again
	}
	if w.rule != nil {
		w.rule(w, e)
	}
}

// deliverAll hands over everything in flight to e.
func (w *world) deliverAll(e *wireEnd) {
	for len(e.in) > 0 && e.conn != nil && !e.conn.stuck() {
		w.deliver(e, len(e.in[0]))
	}
}

// lose makes the owner of e lose its transport.
func (w *world) lose(e *wireEnd, err error) {
	c := e.conn
	if c == nil {
		return
	}
	c.letGo()
	c.s.HandleTransportDown(w.now, err)
	c.settle()
}

var errCut = error(&NetworkError{Reason: msg.ReasonClosed, Err: errors.New("connection reset by peer")})

// cut breaks the wire for both ends at once; all in flight is lost.
func (w *world) cut(x *wire) {
	w.logf("wire %d cut", x.n)
	x.state = wireGone
	for _, e := range x.ends {
		e.in, e.inBytes = nil, 0
	}
	w.lose(x.ends[0], errCut)
	w.lose(x.ends[1], errCut)
}

// cutOneWay loses what is in flight to e; the other direction arrives.
func (w *world) cutOneWay(e *wireEnd) {
	w.logf("%s loses what is in flight", e)
	e.in, e.inBytes = nil, 0
	e.deaf = true
	w.deliverAll(e.peer())
	w.cut(e.w)
}

// closed is called when a connection lets go of its end.
func (e *wireEnd) closed() {
	e.conn = nil
	e.in, e.inBytes = nil, 0
	p := e.peer()
	p.eof = true
	if p.conn == nil || e.w.state == wireDialing {
		e.w.state = wireGone
	}
}

// nextDeadline is the earliest of all sessions.
func (w *world) nextDeadline() (at time.Duration, ok bool) {
	for _, n := range w.nodes {
		for _, c := range n.conns {
			if d, has := c.s.Deadline(); has && (!ok || d < at) {
				at, ok = d, true
			}
		}
	}
	return at, ok
}

// advance moves the clock and fires what is due.
func (w *world) advance(to time.Duration) {
	if to > w.now {
		w.now = to
	}
	for _, n := range w.nodes {
		for _, c := range n.conns {
			if at, ok := c.s.Deadline(); ok && at <= w.now {
				w.logf("%s timeout in %s", c, c.s.State())
				c.s.HandleTimeout(w.now)
				c.settle()
				if at, ok := c.s.Deadline(); ok && at <= w.now {
					w.failf("%s: deadline %v has passed at %v and HandleTimeout left it: a hot loop", c, at, w.now)
				}
			}
		}
	}
}

// run lets everything happen in order until nothing is left to do before
// the clock reaches until. It fails if that takes more than steps moves.
func (w *world) run(until time.Duration, steps int) {
	for ; steps > 0; steps-- {
		if ms := w.moves(); len(ms) > 0 {
			w.do(ms[0])
			continue
		}
		at, ok := w.nextDeadline()
		if !ok || at > until {
			w.now = max(w.now, until)
			return
		}
		w.advance(at)
	}
	w.failf("no rest after all steps: a livelock")
}

func addrPort(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 6800)
}
