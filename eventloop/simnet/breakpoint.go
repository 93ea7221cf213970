package simnet

import (
	"fmt"
	"slices"
	"time"
)

// Op is what a host does with a frame.
type Op uint8

// What a Breakpoint waits for.
const (
	// Writes stops a frame that the host has written before anything of it is sent.
	Writes Op = iota
	// Reads stops a frame that has begun to arrive at the host before anything of it
	// is handed over.
	Reads
)

func (o Op) String() string { return [...]string{"writes", "reads"}[o] }

// Breakpoint stops frames; see Network.Break.
type Breakpoint struct {
	net   *Network
	name  string
	host  string
	op    Op
	match func(f Frame, c Conn) bool
	hits  []*Hit // not resumed
}

// Break stops the frames that a host reads or writes and match accepts (nil: all),
// of those written from now on: when such a frame is reached, Run and RunUntil
// return a *Hit. The frame, and what follows on that direction of its connection,
// stays where it is until Hit.Resume; all else goes on when the network is run
// again. The Framer of the configuration finds the frames; a frame whose first
// bytes were sent before it could be told what it is stops where it is then.
func (n *Network) Break(name, host string, op Op, match func(f Frame, c Conn) bool) *Breakpoint {
	if n.cfg.Framer == nil {
		panic("simnet: a breakpoint needs Config.Framer")
	}
	n.note("break", fmt.Sprintf("%s: %s %v", name, host, op))
	b := &Breakpoint{net: n, name: name, host: host, op: op, match: match}
	n.breaks = append(n.breaks, b)
	return b
}

// Tag accepts frames with that tag, for Break.
func Tag(tag uint8) func(Frame, Conn) bool {
	return func(f Frame, _ Conn) bool { return f.Tag == tag }
}

// Remove takes the breakpoint away and resumes all that it stopped.
func (b *Breakpoint) Remove() {
	n := b.net
	n.breaks = slices.DeleteFunc(n.breaks, func(other *Breakpoint) bool { return other == b })
	n.hits = slices.DeleteFunc(n.hits, func(h *Hit) bool { return h.bp == b })
	for len(b.hits) > 0 {
		b.hits[0].Resume()
	}
}

// Hit is a frame at a breakpoint. As an error it says that Run or RunUntil stopped
// for it.
type Hit struct {
	// Breakpoint is the name given to Break, Host and Op what it waited for.
	Breakpoint string
	Host       string
	Op         Op
	Frame      Frame
	Conn       Conn
	// At is when it was reached.
	At time.Duration

	bp      *Breakpoint
	pipe    *pipe
	limit   int64 // of what may be read
	reached bool
	resumed bool
}

func (h *Hit) Error() string {
	return fmt.Sprintf("simnet: breakpoint %s at %v: %s %v %s (tag %d, %d bytes at offset %d of connection %d)",
		h.Breakpoint, h.At, h.Host, h.Op, h.Frame.Name, h.Frame.Tag, h.Frame.Size, h.Frame.Offset, h.Conn.ID)
}

// Resume lets the frame go on. It may be repeated.
func (h *Hit) Resume() {
	if h.resumed {
		return
	}
	h.resumed = true
	h.bp.hits = slices.DeleteFunc(h.bp.hits, func(other *Hit) bool { return other == h })
	p := h.pipe
	if h.Op == Writes {
		p.release(h)
		return
	}
	p.frames.stops = slices.DeleteFunc(p.frames.stops, func(other *Hit) bool { return other == h })
	p.checkStop()
	if e := p.reader(); e.living() && e.t != nil {
		e.t.mark()
	}
}

// breakAt is a new hit if there is a breakpoint for the frame.
func (p *pipe) breakAt(op Op, f Frame) *Hit {
	host := p.from()
	if op == Reads {
		host = p.to()
	}
	for _, b := range p.s.net.breaks {
		if c := p.s.conn(); b.op == op && b.host == host && (b.match == nil || b.match(f, c)) {
			h := &Hit{Breakpoint: b.name, Host: host, Op: op, Frame: f, Conn: c, bp: b, pipe: p}
			b.hits = append(b.hits, h)
			return h
		}
	}
	return nil
}

// checkStop reports a frame that is not to be read when it is there.
func (p *pipe) checkStop() {
	if p.frames != nil && len(p.frames.stops) > 0 && p.arrived > p.frames.stops[0].limit {
		p.s.net.reached(p.frames.stops[0])
	}
}

// reached reports a hit, once.
func (n *Network) reached(h *Hit) {
	if !h.reached {
		h.reached, h.At = true, n.Now()
		n.note("hit", fmt.Sprintf("%s: %s %v %s, connection %d", h.Breakpoint, h.Host, h.Op, h.Frame.Name, h.Conn.ID))
		n.hits = append(n.hits, h)
	}
}

// NextHit is the first breakpoint that was reached and is not reported yet, nil if
// there is none: for those who use Step.
func (n *Network) NextHit() *Hit {
	if len(n.hits) == 0 {
		return nil
	}
	h := n.hits[0]
	n.hits = n.hits[1:]
	return h
}
