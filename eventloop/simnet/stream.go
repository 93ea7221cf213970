package simnet

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// stream is a connection: two endpoints and a pipe in each direction. Index 0 is
// the dialer's side, and the pipe it writes.
type stream struct {
	net        *Network
	id         uint64
	pipes      [2]pipe
	ends       [2]endpoint // the second comes with the SYN
	addrs      [2]netip.AddrPort
	machines   [2]*machine
	prev, next *stream // in Network.conns
	listed     bool
	rules      []*Fault // about this connection alone
}

// connect sends a SYN.
func (n *Network) connect(h *Host, local, remote netip.AddrPort) *endpoint {
	n.lastID++
	s := &stream{
		net: n, id: n.lastID,
		addrs:    [2]netip.AddrPort{local, remote},
		machines: [2]*machine{h.machine, n.byAddr[remote.Addr()]},
	}
	for i := range s.pipes {
		s.pipes[i] = pipe{s: s, side: uint8(i), link: n.link(s.machines[i], s.machines[1-i])}
		if n.cfg.Framer != nil {
			s.pipes[i].frames = &framing{framer: n.cfg.Framer(s.conn(), i == 0)}
		}
	}
	e := s.newEndpoint(0, h)
	s.pipes[0].send(Syn)
	return e
}

func (s *stream) newEndpoint(side int, h *Host) *endpoint {
	e := &s.ends[side]
	*e = endpoint{host: h, s: s, accepted: side == 1}
	s.net.conns.add(s)
	h.sockets.add(e)
	return e
}

// streamList holds streams in the order of their IDs.
type streamList struct {
	first, last *stream
	len         int
}

func (l *streamList) add(s *stream) {
	if s.listed {
		return
	}
	s.listed = true
	l.len++
	s.prev = l.last
	for s.prev != nil && s.prev.id > s.id {
		s.prev = s.prev.prev
	}
	if s.prev == nil {
		s.next, l.first = l.first, s
	} else {
		s.next, s.prev.next = s.prev.next, s
	}
	if s.next == nil {
		l.last = s
	} else {
		s.next.prev = s
	}
}

func (l *streamList) remove(s *stream) {
	if !s.listed {
		return
	}
	s.listed = false
	l.len--
	if s.prev == nil {
		l.first = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next == nil {
		l.last = s.prev
	} else {
		s.next.prev = s.prev
	}
	s.prev, s.next = nil, nil
}

// reset ends the connection for both sides, now.
func (s *stream) reset() {
	for i := range s.ends {
		s.pipes[i].drop()
		if e := &s.ends[i]; e.host != nil {
			e.gotReset(syscall.ECONNRESET, true)
		}
	}
}

func (s *stream) gotSyn(h *Host) {
	l := h.listenerAt(s.addrs[1])
	switch {
	case l == nil || h.state != running:
		s.pipes[1].send(Rst)
	case len(l.backlog) >= l.cfg.Backlog:
		s.net.After(time.Second, func() { // the kernel drops it; the dialer tries again
			if s.ends[0].living() {
				s.pipes[0].send(Syn)
			}
		})
	default:
		e := s.newEndpoint(1, h)
		e.established = true
		s.pipes[1].send(SynAck)
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

func (s *stream) conn() Conn {
	return Conn{ID: s.id, From: s.machines[0].name, To: s.machines[1].name, Src: s.addrs[0], Dst: s.addrs[1], s: s}
}

// Kill resets the connection at both ends, now.
func (c Conn) Kill() {
	c.s.net.note("kill", fmt.Sprint(c.ID))
	c.s.reset()
}

// Forget takes the connection from one of its hosts, From or To, as a crash of
// that end alone would: its user sees ETIMEDOUT, and the peer, which is not told,
// has a half-open connection until it writes and gets RST.
func (c Conn) Forget(host string) {
	c.s.net.note("forget", fmt.Sprintf("%d %s", c.ID, host))
	for i := range c.s.ends {
		if e := &c.s.ends[i]; c.s.machines[i].name == host && e.living() {
			e.gotReset(syscall.ETIMEDOUT, false)
			return // the dialer's end, if a host is connected with itself
		}
	}
}

// Conns are the connections that have at least one living end, by their IDs.
func (n *Network) Conns() []Conn {
	all := make([]Conn, 0, n.conns.len)
	for s := n.conns.first; s != nil; s = s.next {
		all = append(all, s.conn())
	}
	return all
}

// NumConns is how many connections Conns would return, and ConnAt the one at place i of
// them, from 0 up: for who wants one of many.
func (n *Network) NumConns() int { return n.conns.len }

// ConnAt: see NumConns.
func (n *Network) ConnAt(i int) Conn {
	if i < 0 || i >= n.conns.len {
		panic(fmt.Sprintf("simnet: connection %d of %d", i, n.conns.len))
	}
	s := n.conns.first
	if i < n.conns.len/2 {
		for range i {
			s = s.next
		}
		return s.conn()
	}
	s = n.conns.last
	for range n.conns.len - 1 - i {
		s = s.prev
	}
	return s.conn()
}

// Conns are those of Network.Conns with a living end at h, by their IDs.
func (h *Host) Conns() (all []Conn) {
	for e := h.sockets.first; e != nil; e = e.next {
		all = append(all, e.s.conn())
	}
	slices.SortFunc(all, func(a, b Conn) int { return cmp.Compare(a.ID, b.ID) })
	return slices.CompactFunc(all, func(a, b Conn) bool { return a.ID == b.ID }) // with itself
}
