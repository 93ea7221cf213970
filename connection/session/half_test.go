package session

import (
	"fmt"
	"net/netip"
	"reflect"
	"time"
)

// A node sees nothing of another one but what arrives. So a world of two nodes is two
// halves and what is in flight between them, and what a half does next depends on nothing
// but this half. The exploration runs each step of a half once, however many states of the
// world have this half in them (explore_test.go).

// half is one node with its ends of wires. The other ends are stubs: the bytes for them are
// what the node has sent. An end has the number of its wire, the lowest that is free.
type half struct {
	w    *world
	n    *simNode
	peer netip.AddrPort // of the other node
}

// what may happen to a half.
type what uint8

const (
	whatDeliver what = iota // bytes arrive at an end
	whatUp                  // the transport that it dialled is up
	whatEOF                 // the other end has closed
	whatAccept              // it accepts a transport
	whatDown                // a transport breaks
	whatTime                // time passes, and what is due then fires
)

func (k what) String() string {
	return [...]string{"bytes", "up", "eof", "accept", "cut", "time"}[k]
}

// effect is what a step has done to one end.
type effect struct {
	end    int
	sent   [][]byte
	closed bool // let go of
	dialed bool // a new end, of a wire that nobody has accepted yet
	taken  bool // a new end, of the wire that was accepted
}

// halve makes the half of a node of w.
func halve(w *world, side int) *half {
	w = cloneOf(w)
	n := w.nodes[side]
	h := &half{w: w, n: n, peer: w.nodes[1-side].addr.AddrPort}
	w.nodes = []*simNode{n}
	var mine []*wire
	for _, x := range w.wires {
		for k, e := range x.ends {
			if x.state == wireGone || e.conn == nil || e.conn.n != n {
				continue
			}
			x.n, e.in, e.inBytes, e.eof, e.deaf = len(mine), nil, 0, false, false
			x.ends[1-k] = stub(x, 1-k)
			mine = append(mine, x)
			break
		}
	}
	w.wires, w.dialed = mine, 0
	return h
}

// stub is an end of which only what arrives there counts.
func stub(x *wire, side int) *wireEnd { return &wireEnd{w: x, side: side, conn: new(simConn)} }

// own is the node's end of x, far the other one.
func (h *half) own(x *wire) *wireEnd { return x.ends[h.side(x)] }
func (h *half) far(x *wire) *wireEnd { return x.ends[1-h.side(x)] }

func (h *half) side(x *wire) int {
	if c := x.ends[0].conn; c != nil && c.n == nil {
		return 1 // there is the stub
	}
	return 0
}

// wire is the one with the number.
func (h *half) wire(end int) *wire {
	for _, x := range h.w.wires {
		if x.n == end {
			return x
		}
	}
	panic(fmt.Sprintf("no end %d", end))
}

// copy is h for somebody who runs it.
func (h *half) copy(t failer) *half {
	h = cloneOf(h)
	h.w.t = t
	return h
}

// step has h do something, and says what came of it, and how often it dialled.
func (h *half) step(k what, end int, bytes []byte, later time.Duration) (fx []effect, dials int) {
	w, before := h.w, len(h.w.wires)
	switch k {
	case whatDeliver:
		e := h.own(h.wire(end))
		e.in, e.inBytes = [][]byte{bytes}, len(bytes)
		if w.deliver(e, len(bytes)); len(e.in) > 0 {
			w.failf("%d bytes were left", e.inBytes)
		}
	case whatUp:
		x := h.wire(end)
		c := h.own(x).conn
		x.state = wireUp
		c.s.HandleTransportUp(w.now, h.peer, h.n.addr.AddrPort)
		c.settle()
	case whatEOF:
		w.lose(h.own(h.wire(end)), ErrPeerClosed)
	case whatDown:
		x := h.wire(end)
		e := h.own(x)
		x.state = wireGone
		w.lose(e, errCut)
	case whatAccept:
		before++
		x := &wire{n: -1, state: wireUp}
		a := h.n.newConn()
		a.s = NewAcceptor(&h.n.cfg, h.n, a, nil, nil)
		a.s.SetBuffers(&h.n.bufs)
		a.end = &wireEnd{w: x, side: 1, conn: a}
		x.ends = [2]*wireEnd{stub(x, 0), a.end}
		w.wires = append(w.wires, x)
		a.s.HandleTransportUp(w.now, h.peer, h.n.addr.AddrPort)
		a.settle()
	case whatTime:
		w.advance(w.now + later)
	}
	dials, w.dialed = w.dialed, 0
	return h.effects(k, before), dials
}

// effects collects what was done to the ends, of which the first ones were there before,
// and keeps those that are still held.
func (h *half) effects(k what, before int) (fx []effect) {
	var held []*wire
	for i, x := range h.w.wires {
		if i >= before {
			continue
		}
		far := h.far(x)
		f := effect{end: x.n, sent: far.in, closed: h.own(x).conn == nil}
		if f.taken = x.n < 0; f.taken {
			f.end = -1
		}
		far.in, far.inBytes, far.eof = nil, 0, false
		if !f.closed {
			held = append(held, x)
		}
		if f.closed || f.sent != nil || f.taken {
			fx = append(fx, f)
		}
	}
	fresh := h.w.wires[before:]
	for i := range fx {
		if fx[i].taken && !fx[i].closed { // it has no number yet
			held[len(held)-1].n = -1
			fx[i].end = number(held)
		}
	}
	for _, x := range fresh {
		if x.state == wireGone || x.ends[0].conn == nil {
			continue // given up in the step that dialled
		}
		x.n = -1
		x.ends[1] = stub(x, 1)
		held = append(held, x)
		fx = append(fx, effect{end: number(held), dialed: true})
	}
	h.w.wires = held
	h.forget()
	return fx
}

// forget drops connections that are closed and tell nothing any more.
func (h *half) forget() {
	var conns []*simConn
	for _, c := range h.n.conns {
		if !c.closed || c.remote+c.resets > 0 || len(c.done) > 0 {
			conns = append(conns, c)
		}
	}
	h.n.conns = conns
}

// number gives the last of the wires the lowest number that is free.
func number(xs []*wire) int {
	last := xs[len(xs)-1]
	for last.n = 0; ; last.n++ {
		free := true
		for _, x := range xs[:len(xs)-1] {
			free = free && x.n != last.n
		}
		if free {
			return last.n
		}
	}
}

// next is how long it is until something is due.
func (h *half) next() (in time.Duration, ok bool) {
	at, ok := h.w.nextDeadline()
	return max(0, at-h.w.now), ok
}

// print appends everything that what the half does depends on, and what it has done as
// far as checks look at it.
func (h *half) print(p *printer) {
	p.num(uint64(h.n.name[0]))
	h.n.print(p, h.w.wires)
}

func (n *simNode) print(p *printer, wires []*wire) {
	p.num(n.gseq)
	p.value("", reflect.ValueOf(n.rng))
	p.value("", reflect.ValueOf(n.got))
	for _, c := range n.conns {
		if p.num(boolNum(c.closed)); c.closed {
			p.num(boolNum(c.remote+c.resets > 0 && c.s.Announced()))
			p.b = fmt.Append(p.b, c.done)
			continue
		}
		p.num(boolNum(c.id == 1))
		p.num(uint64(c.ready))
		p.num(boolNum(c.remote+c.resets > 0))
		p.b = fmt.Append(p.b, c.done, c.key)
		p.num(uint64(len(c.stash)))
		p.b = append(p.b, c.stash...)
		p.num(uint64(c.admitted))
		p.fields(reflect.ValueOf(c.s).Elem())
		p.num(boolNum(c.end != nil))
		for _, x := range wires {
			if c.end != nil && c.end.w == x {
				p.num(uint64(x.n))
				p.num(uint64(x.state))
				p.num(uint64(c.end.side))
			}
		}
	}
}
