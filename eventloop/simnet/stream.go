package simnet

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// stream is a connection: two endpoints and a pipe in each direction. Index 0 is
// the dialer's side, and the pipe it writes.
type stream struct {
	net   *Network
	id    uint64
	ends  [2]*endpoint // the second comes with the SYN
	pipes [2]pipe
	addrs [2]netip.AddrPort
	hosts [2]string
}

// connect sends a SYN.
func (n *Network) connect(h *Host, local, remote netip.AddrPort) *endpoint {
	n.lastID++
	s := &stream{net: n, id: n.lastID, addrs: [2]netip.AddrPort{local, remote}, hosts: [2]string{h.name, n.byAddr[remote.Addr()].name}}
	for i := range s.pipes {
		s.pipes[i] = pipe{s: s, side: i}
	}
	e := s.newEndpoint(0, h)
	s.pipes[0].send(Syn, nil)
	return e
}

func (s *stream) newEndpoint(side int, h *Host) *endpoint {
	e := &endpoint{host: h, s: s, side: side, local: s.addrs[side], remote: s.addrs[1-side], out: &s.pipes[side], in: &s.pipes[1-side]}
	s.ends[side] = e
	s.net.conns[s.id] = s
	h.sockets = append(h.sockets, e)
	return e
}

// streams are the connections by their id.
func (n *Network) streams() []*stream {
	all := make([]*stream, 0, len(n.conns))
	for _, s := range n.conns {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *stream) int { return int(int64(a.id) - int64(b.id)) })
	return all
}

// reset ends the connection for both sides, now.
func (s *stream) reset() {
	for i, e := range s.ends {
		s.pipes[i].drop()
		if e != nil {
			e.gotReset(syscall.ECONNRESET, true)
		}
	}
}

// pipe is one direction of a stream.
type pipe struct {
	s    *stream
	side int // of the writer

	sent    int64 // bytes written
	granted int64 // bytes for whose reading the writer has been told
	read    int64 // bytes the reader has consumed
	offered int64 // the last grant on its way, or there
	asking  bool  // the writer waits for room

	last  time.Duration // arrival of the last packet
	epoch uint64        // packets of earlier epochs are lost
	no    uint64        // of the last packet
	held  []*packet     // by no
}

// packet is what is under way.
type packet struct {
	p     *pipe
	kind  Kind
	epoch uint64
	no    uint64
	off   int64 // of data in the stream; of an ack: how much was read
	data  []byte
}

// window is how much may be under way or unread.
func (p *pipe) window() int64 { return int64(p.s.net.cfg.Window) }

func (p *pipe) room() int { return int(p.window() - (p.sent - p.granted)) }

// write takes bytes, at most room.
func (p *pipe) write(data []byte) {
	h := p.s.ends[p.side].host
	for len(data) > 0 {
		n := len(data)
		if h.chance(4) {
			n = 1 + h.rand.IntN(n)
		}
		off := p.sent
		p.sent += int64(n)
		p.sendAt(Data, off, data[:n:n])
		data = data[n:]
	}
}

// blocked: the writer has more than was taken and waits for an Ack.
func (p *pipe) blocked() {
	if p.read > p.offered || p.room() > 0 {
		p.grant()
	} else {
		p.asking = true
	}
}

// consumed: the reader has taken n bytes.
func (p *pipe) consumed(n int) {
	p.read += int64(n)
	if p.asking || p.read-p.offered >= p.window()/4 {
		p.grant()
	}
}

// grant tells the writer how far the reader is, through the other direction.
func (p *pipe) grant() {
	p.asking, p.offered = false, p.read
	p.s.pipes[1-p.side].sendAt(Ack, p.read, nil)
}

func (p *pipe) send(kind Kind, data []byte) { p.sendAt(kind, p.sent, data) }

func (p *pipe) sendAt(kind Kind, off int64, data []byte) {
	p.no++
	pk := &packet{p: p, kind: kind, epoch: p.epoch, no: p.no, off: off, data: data}
	if len(p.held) > 0 && kind != Rst {
		p.held = append(p.held, pk)
		return
	}
	p.route(pk)
}

// drop loses everything under way.
func (p *pipe) drop() {
	p.epoch++
	p.held = nil
}

// retry sends what was stalled again.
func (p *pipe) retry() {
	held := p.held
	p.held = nil
	for _, pk := range held {
		if len(p.held) > 0 {
			p.held = append(p.held, pk)
		} else if pk.epoch == p.epoch {
			p.route(pk)
		}
	}
}

// route asks the rules and sends a packet on its way.
func (p *pipe) route(pk *packet) {
	s, n := p.s, p.s.net
	from, to := s.hosts[p.side], s.hosts[1-p.side]
	var v Verdict
	if len(n.rules) > 0 {
		v = n.judge(&Packet{
			Kind: pk.kind, Conn: s.id, From: from, To: to, Src: s.addrs[p.side], Dst: s.addrs[1-p.side],
			FromDialer: p.side == 0, Offset: pk.off, Data: pk.data, Now: n.Now(),
		})
	}
	n.record(pk, "send", v.act)
	switch v.act {
	case actStall:
		if pk.kind != Rst {
			p.held = append(p.held, pk)
		}
		return
	case actReset:
		s.reset()
		return
	case actRefuse:
		if pk.kind == Syn {
			s.pipes[1].send(Rst, nil)
		} else {
			s.reset()
		}
		return
	case actCut:
		p.deliver(&packet{p: p, kind: Data, epoch: pk.epoch, off: pk.off, data: pk.data[:min(v.at, len(pk.data))]}, 0)
		epochs := [2]uint64{s.pipes[0].epoch, s.pipes[1].epoch}
		n.schedule(p.last, actionFunc(func() {
			if epochs == [2]uint64{s.pipes[0].epoch, s.pipes[1].epoch} {
				s.reset()
			}
		}), 0)
		return
	case actFlip:
		if len(pk.data) > 0 {
			bit := v.at % (8 * len(pk.data))
			pk.data = slices.Clone(pk.data)
			pk.data[bit/8] ^= 1 << (bit % 8)
		}
	}
	p.deliver(pk, v.after)
}

// deliver schedules the arrival, behind everything before it.
func (p *pipe) deliver(pk *packet, extra time.Duration) {
	n := p.s.net
	now := n.Now()
	l := n.link(p.s.hosts[p.side], p.s.hosts[1-p.side])
	p.last = max(p.last, now+l.delay(now, len(pk.data))+extra)
	n.schedule(p.last, pk, 0)
}

// happen is the arrival.
func (pk *packet) happen(uint64) {
	p := pk.p
	s, n := p.s, p.s.net
	if pk.epoch != p.epoch {
		return
	}
	h := n.byAddr[s.addrs[1-p.side].Addr()]
	if h.state == crashed {
		if pk.kind != Rst {
			p.keep(pk)
		}
		return
	}
	n.record(pk, "recv", actPass)
	if pk.kind == Syn {
		s.gotSyn(h)
		return
	}
	e := s.ends[1-p.side]
	if e == nil || e.gone || e.host != h {
		if pk.kind != Rst && pk.kind != Ack {
			s.pipes[1-p.side].send(Rst, nil)
		}
		return
	}
	e.got(pk)
}

// keep puts a packet that arrived nowhere where it will be tried again.
func (p *pipe) keep(pk *packet) {
	i := len(p.held)
	for i > 0 && p.held[i-1].no > pk.no {
		i--
	}
	p.held = slices.Insert(p.held, i, pk)
}

func (s *stream) gotSyn(h *Host) {
	l := h.listenerAt(s.addrs[1])
	switch {
	case l == nil || h.state != running:
		s.pipes[1].send(Rst, nil)
	case len(l.backlog) >= l.cfg.Backlog:
		s.net.After(time.Second, func() { // the kernel drops it; the dialer tries again
			if s.ends[0] != nil && !s.ends[0].gone {
				s.pipes[0].send(Syn, nil)
			}
		})
	default:
		e := s.newEndpoint(1, h)
		e.established = true
		s.pipes[1].send(SynAck, nil)
		l.backlog = append(l.backlog, e)
		if !l.queued {
			l.queued = true
			l.w.mark(l)
		}
	}
}

// Conn is a connection, see Network.Conns.
type Conn struct {
	ID uint64
	// From dialled, To accepts: names of hosts, and the ends of the connection.
	From, To string
	Src, Dst netip.AddrPort
	s        *stream
}

// Kill resets the connection at both ends, now.
func (c Conn) Kill() {
	c.s.net.note("kill", fmt.Sprint(c.ID))
	c.s.reset()
}

// Conns are the connections that have at least one living end, by their IDs.
func (n *Network) Conns() []Conn {
	var all []Conn
	for _, s := range n.streams() {
		all = append(all, Conn{ID: s.id, From: s.hosts[0], To: s.hosts[1], Src: s.addrs[0], Dst: s.addrs[1], s: s})
	}
	return all
}
