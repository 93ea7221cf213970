package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type cutKind uint8

const (
	cutBoth   cutKind = iota // both ends at once, all in flight is lost
	cutOneWay                // in flight this way is lost, the other way arrives
	cutStall                 // this way vanishes silently from now on
	cutFin                   // this way ends with FIN, the other way arrives and then ends too
	numCutKinds
)

func (k cutKind) String() string { return [...]string{"both", "oneway", "stall", "fin"}[k] }

// cutAt cuts the n-th wire when off bytes were delivered to that side.
type cutAt struct {
	wire, side, off int
	kind            cutKind
}

// apply is a rule of the world. Offsets are exact because chunks are split there.
func (c cutAt) apply(w *world, x *wire) {
	e := x.ends[c.side]
	switch c.kind {
	case cutBoth:
		w.cut(x)
	case cutOneWay:
		w.cutOneWay(e)
	case cutFin:
		w.logf("%s reads EOF", e)
		e.in, e.inBytes = nil, 0
		w.lose(e, ErrPeerClosed)
	case cutStall:
		w.logf("%s goes deaf", e)
		e.in, e.inBytes, e.deaf = nil, 0, true
	}
}

// runCuts runs w to rest and makes each cut at its offset. It returns the number
// of cuts made.
func runCuts(w *world, until time.Duration, cuts []cutAt) (made int) {
	next := 0
	for range 20000 {
		if next < len(cuts) {
			c := cuts[next]
			if x := findWire(w, c.wire); x != nil && x.state == wireUp && x.ends[c.side].got == c.off {
				next++
				made++
				c.apply(w, x)
				continue
			}
		}
		ms := w.moves()
		if len(ms) == 0 {
			at, ok := w.nextDeadline()
			if !ok || at > until {
				return made
			}
			w.advance(at)
			continue
		}
		m := ms[0]
		if m.kind == moveDeliver && next < len(cuts) {
			c := cuts[next]
			if m.wire.n == c.wire && m.end.side == c.side && m.end.got < c.off {
				w.deliver(m.end, min(len(m.end.in[0]), c.off-m.end.got))
				continue
			}
		}
		w.do(m)
	}
	w.failf("no rest: a livelock")
	return made
}

func findWire(w *world, n int) *wire {
	for _, x := range w.wires {
		if x.n == n {
			return x
		}
	}
	return nil
}

// cutScene is one client, one server, a four-segment message and two others.
func cutScene(t failer, p pairing) (w *world, a, b *simNode, c *simConn) {
	w, a, b = pair(t, p)
	for _, n := range w.nodes {
		n.cfg.KeepaliveInterval, n.cfg.KeepaliveTimeout = 2*time.Second, time.Second
	}
	c = a.connectTo(b)
	c.sendMsg(message(1, 127, 20, 30, 40))
	c.sendMsg(message(2, 127, 5, 0, 1))
	return w, a, b, c
}

// reply has the server answer the first message that it gets.
func (w *world) replyOnce(b *simNode) {
	w.rule = func(w *world, e *wireEnd) {
		if len(b.got) == 0 {
			return
		}
		for _, c := range b.open() {
			if c.isReady() {
				w.rule = nil
				c.sendMsg(message(100, 127, 20, 30, 40))
				return
			}
		}
	}
}

const cutUntil = 60 * time.Second

// checkCut is the oracle of a scene that has come to rest.
func checkCut(w *world, p pairing, a, b *simNode, c *simConn, name string) {
	fail := func(format string, args ...any) {
		w.t.Helper()
		w.failf("%s: %s", name, fmt.Sprintf(format, args...))
	}
	w.agree()
	for _, n := range w.nodes {
		for _, x := range n.conns {
			if x.admitted != 0 || x.waiting {
				fail("%s: gate holds %d", x, x.admitted)
			}
		}
	}
	if !p.lossy {
		if c.s.State() == StateStandby {
			// What a server holds waits for an idle client to come back.
			c.s.Keepalive(w.now)
			c.settle()
			w.runFor(cutUntil)
		}
		if fmt.Sprint(b.got) != "[1 2]" || fmt.Sprint(a.got) != "[100]" {
			fail("delivered %v and %v", b.got, a.got)
		}
		if len(b.open()) != 1 || !c.isReady() && c.s.State() != StateStandby {
			fail("not in a session: %v", c.s)
		}
		for _, n := range w.nodes {
			for _, x := range n.conns {
				if x.remote+x.resets > 0 && x.ready > 0 {
					fail("%s: reset: %v", x, x.events)
				}
				for id, err := range x.done {
					if err != nil {
						fail("%s: message %d finished with %v", x, id, err)
					}
				}
			}
		}
		if len(c.done) != 2 || len(b.open()[0].done) != 1 {
			fail("not finished: %v %v", c.done, b.open()[0].done)
		}
		return
	}
	// Lossy: a prefix, each at most once; a reset on each side that was ready on
	// the wire that broke.
	if s := fmt.Sprint(b.got); s != "[]" && s != "[1]" && s != "[1 2]" {
		fail("delivered %v", b.got)
	}
	if len(a.got) > 1 {
		fail("delivered %v", a.got)
	}
	for _, n := range w.nodes {
		for _, x := range n.conns {
			want := 0
			if x.closed && x.ready > 0 {
				want = 1
			}
			if x.resets != want || x.remote != 0 || x.ready > 1 {
				fail("%s: %d resets, ready %d times: %v", x, x.resets, x.ready, x.events)
			}
		}
	}
	if len(c.done) != 2 {
		fail("%d of 2 messages finished", len(c.done))
	}
	if len(b.got) < 2 && c.resets == 0 {
		fail("lost without a reset: delivered %v", b.got)
	}
}

// TestCutEverywhere cuts the byte pipe at every offset, in either direction, of
// the handshake, of a four-segment message and of what follows it.
func TestCutEverywhere(t *testing.T) {
	for _, p := range pairings {
		t.Run(p.name, func(t *testing.T) {
			w, _, b, _ := cutScene(t, p)
			w.replyOnce(b)
			w.run(time.Second, 10000)
			totals := [2]int{w.wires[0].ends[0].got, w.wires[0].ends[1].got}
			require.Greater(t, totals[0], 500)
			for kind := range numCutKinds {
				step := slow
				if !long && kind != cutBoth {
					step = 7 * slow
				}
				for side := range 2 {
					for off := 0; off <= totals[side]; off += step {
						runCutScene(t, p, []cutAt{{1, side, off, kind}})
					}
				}
			}
		})
	}
}

func runCutScene(t failer, p pairing, cuts []cutAt) {
	w, a, b, c := cutScene(t, p)
	w.replyOnce(b)
	if made := runCuts(w, cutUntil, cuts); made == 0 {
		t.Fatalf("%s %v: no cut was made", p.name, cuts)
	}
	checkCut(w, p, a, b, c, fmt.Sprint(p.name, cuts))
}

// TestCutTwice cuts again during the reconnection.
func TestCutTwice(t *testing.T) {
	every1, every2 := 17, 13
	if !long {
		every1, every2 = 151*slow, 83
	}
	for _, p := range pairings {
		if p.lossy {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			for side1 := range 2 {
				for off1 := 5; off1 < 900; off1 += every1 {
					for side2 := range 2 {
						for off2 := 3; off2 < 900; off2 += every2 {
							kind := cutKind((off1 + off2) % int(numCutKinds))
							w, a, b, c := cutScene(t, p)
							w.replyOnce(b)
							cuts := []cutAt{{1, side1, off1, kind}, {2, side2, off2, kind}}
							runCuts(w, cutUntil, cuts)
							checkCut(w, p, a, b, c, fmt.Sprint(p.name, cuts))
						}
					}
				}
			}
		})
	}
}
