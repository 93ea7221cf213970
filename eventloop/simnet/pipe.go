package simnet

import "time"

// pipe is one direction of a stream. What the arrival of a packet needs is
// together at the beginning.
type pipe struct {
	s      *stream
	link   *link
	epoch  uint32 // packets of earlier epochs are lost
	no     uint32 // of the last packet
	side   uint8  // of the writer
	asking bool   // the writer waits for room

	arrived int64     // bytes that are at the reader's host
	read    int64     // bytes the reader has consumed
	frames  *framing  // nil without Config.Framer
	bytes   byteQueue // written and unread
	offered int64     // the last grant on its way, or there
	granted int64     // bytes for whose reading the writer has been told

	last  time.Duration // arrival of the last packet
	stall *stall        // what cannot go on; nil: nothing
}

// packet is what is under way. They are used again; see Network.newPacket.
type packet struct {
	p     *pipe
	next  *packet // in the list of unused ones
	hit   *Hit    // a breakpoint that is to stop it
	off   int64   // of data in the stream; of an ack: how much was read
	size  int32
	epoch uint32
	no    uint32
	kind  Kind
	// answer marks a RST that answers a packet: who sent that repeats it until the
	// answer comes, so it is not lost.
	answer bool
}

func (p *pipe) newPacket(kind Kind, off int64, size int) *packet {
	n := p.s.net
	pk := n.packets
	if pk == nil {
		pk = new(packet)
	} else {
		n.packets = pk.next
	}
	*pk = packet{p: p, kind: kind, epoch: p.epoch, no: p.no, off: off, size: int32(size)}
	return pk
}

// free gives a packet back.
func (pk *packet) free() {
	n := pk.p.s.net
	*pk = packet{next: n.packets}
	n.packets = pk
}

// data is what the packet carries.
func (pk *packet) data() []byte {
	if pk.kind != Data {
		return nil
	}
	return pk.p.bytes.slice(pk.off, int(pk.size))
}

// describe is the packet as rules see it.
func (pk *packet) describe() Packet {
	p := pk.p
	s := p.s
	return Packet{
		Kind: pk.kind, Conn: s.id, From: p.from(), To: p.to(),
		FromHost: s.machines[p.side].index, ToHost: s.machines[1-p.side].index,
		Src: s.addrs[p.side], Dst: s.addrs[1-p.side],
		FromDialer: p.side == 0, Offset: pk.off, Data: pk.data(), Now: s.net.Now(),
	}
}

// from and to are the names of hosts.
func (p *pipe) from() string { return p.s.machines[p.side].name }
func (p *pipe) to() string   { return p.s.machines[1-p.side].name }

// reader is the endpoint that p leads to.
func (p *pipe) reader() *endpoint { return &p.s.ends[1-p.side] }

// window is how much may be under way or unread.
func (p *pipe) window() int64 { return int64(p.s.net.cfg.Window) }

// sent is how many bytes were written.
func (p *pipe) sent() int64 { return p.bytes.end() }

func (p *pipe) room() int { return int(p.window() - (p.sent() - p.granted)) }

// readable is up to where the reader may read.
func (p *pipe) readable() int64 {
	if p.frames != nil && len(p.frames.stops) > 0 {
		return min(p.arrived, p.frames.stops[0].limit)
	}
	return p.arrived
}

// write takes n bytes of the slices, at most room.
func (p *pipe) write(bufs [][]byte, n int) {
	h := p.s.ends[p.side].host
	off := p.sent()
	p.bytes.append(&p.s.net.buffers, p.read, n, bufs)
	var hits []*Hit
	if p.frames != nil {
		hits = p.find(p.bytes.slice(off, n), off)
	}
	for n > 0 {
		size := n
		if h.chance(4) {
			size = 1 + h.below(n)
		}
		var hit *Hit
		if len(hits) > 0 && hits[0].Frame.Offset <= off {
			hit, hits = hits[0], hits[1:]
		}
		if len(hits) > 0 {
			size = min(size, max(int(hits[0].Frame.Offset-off), 1))
		}
		p.sendAt(Data, off, size, hit)
		off += int64(size)
		n -= size
	}
}

// blocked: the writer has more than was taken and waits for an Ack.
func (p *pipe) blocked() {
	p.asking = true
	p.mayGrant()
}

// consumed: the reader has taken n bytes.
func (p *pipe) consumed(n int) {
	p.read += int64(n)
	p.bytes.consumed(&p.s.net.buffers, p.read)
	p.mayGrant()
}

// mayGrant lets the writer go on if it is worth it: a quarter of the window is free
// again, or nothing is left under way that would free more. (As in TCP: a writer that is
// told of each byte would send packets of a byte each.)
func (p *pipe) mayGrant() {
	if p.read-p.offered >= p.window()/4 || p.asking && p.read == p.sent() && p.read > p.offered {
		p.grant()
	}
}

// grant tells the writer how far the reader is, through the other direction.
func (p *pipe) grant() {
	p.asking, p.offered = false, p.read
	p.s.pipes[1-p.side].sendAt(Ack, p.read, 0, nil)
}

func (p *pipe) send(kind Kind) { p.sendAt(kind, p.sent(), 0, nil) }

// refuse answers a packet with RST.
func (p *pipe) refuse() {
	p.no++
	pk := p.newPacket(Rst, p.sent(), 0)
	pk.answer = true
	p.pass(pk)
}

func (p *pipe) sendAt(kind Kind, off int64, size int, hit *Hit) {
	p.no++
	pk := p.newPacket(kind, off, size)
	pk.hit = hit
	p.pass(pk)
}

// route asks the rules and sends a packet on its way.
func (p *pipe) route(pk *packet) {
	s, n := p.s, p.s.net
	if hit := pk.hit; hit != nil {
		pk.hit = nil
		n.record(pk, tookOff, Verdict{act: actHold}, hit.Breakpoint)
		p.hold(pk, hit.Breakpoint, hit)
		n.reached(hit)
		return
	}
	var v Verdict
	var f *Fault
	by := ""
	if len(n.rules) > 0 {
		if v, f = n.judge(pk); f != nil {
			by = f.name
		}
		if v.act == actFlip && pk.kind == Data {
			flip(pk.data(), v.at) // before it is recorded
		}
	}
	n.record(pk, tookOff, v, by)
	switch v.act {
	case actStall:
		if f.lifted { // by itself
			p.route(pk)
			return
		}
		p.hold(pk, by, f)
	case actHold:
		p.hold(pk, v.gate.name, v.gate)
		v.gate.pipes = append(v.gate.pipes, p)
	case actReset:
		pk.free()
		s.reset()
	case actRefuse:
		if pk.kind == Syn {
			s.pipes[1].send(Rst)
		} else {
			s.reset()
		}
		pk.free()
	case actCut:
		pk.size = int32(min(max(v.at, 0), int(pk.size)))
		if p.deliver(pk, 0); pk.kind != Data {
			pk.epoch-- // it is lost
		}
		epochs := [2]uint32{s.pipes[0].epoch, s.pipes[1].epoch}
		n.schedule(p.last, actionFunc(func() {
			if epochs == [2]uint32{s.pipes[0].epoch, s.pipes[1].epoch} {
				s.reset()
			}
		}), 0)
	default:
		p.deliver(pk, v.after)
	}
}

func flip(data []byte, bit int) {
	if len(data) > 0 {
		bit %= 8 * len(data)
		data[bit/8] ^= 1 << (bit % 8)
	}
}

// deliver schedules the arrival, behind everything before it.
func (p *pipe) deliver(pk *packet, extra time.Duration) {
	n := p.s.net
	now := n.Now()
	p.last = max(p.last, now+p.link.delay(now, int(pk.size))+extra)
	n.schedule(p.last, pk, 0)
}

// happen is the arrival.
func (pk *packet) happen(uint64) {
	p := pk.p
	s, n := p.s, p.s.net
	if pk.epoch != p.epoch {
		pk.free()
		return
	}
	e := p.reader()
	there := e.living() && pk.kind != Syn // and its host runs
	h := e.host
	if !there {
		if h = s.machines[1-p.side].host; h.state == crashed {
			p.keep(pk)
			return
		}
	}
	n.record(pk, landed, Verdict{}, "")
	n.arriving = true
	switch {
	case there:
		e.got(pk)
	case pk.kind == Syn:
		s.gotSyn(h)
	case pk.kind != Rst && pk.kind != Ack:
		s.pipes[1-p.side].refuse()
	}
	pk.free()
	n.arriving = false
	if w := n.due; w != nil {
		n.due = nil
		w.round()
	}
}
