package simnet

import (
	"fmt"
	"net/netip"
	"syscall"
)

// endpoint is one end of a stream: what a kernel keeps of a socket.
type endpoint struct {
	host       *Host // nil: not there yet
	s          *stream
	t          *transport // its user; nil while it is in a backlog or a Socket, and after Close
	socket     *socket    // likewise
	err        error      // how the connection failed
	prev, next *endpoint  // of the same host

	accepted    bool // the side that did not dial
	established bool
	finSent     bool
	eof         bool // the peer's FIN is here
	closed      bool // by Close: only the FIN is left to deliver
	gone        bool // nothing is left
}

func (e *endpoint) side() int {
	if e.accepted {
		return 1
	}
	return 0
}

func (e *endpoint) peer() *endpoint        { return &e.s.ends[1-e.side()] }
func (e *endpoint) out() *pipe             { return &e.s.pipes[e.side()] }
func (e *endpoint) in() *pipe              { return &e.s.pipes[1-e.side()] }
func (e *endpoint) local() netip.AddrPort  { return e.s.addrs[e.side()] }
func (e *endpoint) remote() netip.AddrPort { return e.s.addrs[1-e.side()] }

// unread is how many bytes can be read.
func (e *endpoint) unread() int {
	in := e.in()
	return int(in.readable() - in.read)
}

// withheld says that there are bytes which a breakpoint does not let through.
func (e *endpoint) withheld() bool { return e.in().readable() < e.in().arrived }

// hasNews says whether there is something to tell the user.
func (e *endpoint) hasNews() bool { return e.unread() > 0 || e.eof || e.err != nil }

func (e *endpoint) over() bool { return e.gone || e.err != nil }

// living says that there is an endpoint, and something of it is left.
func (e *endpoint) living() bool { return e.host != nil && !e.gone }

func (e *endpoint) writeError() error {
	switch {
	case e.err != nil:
		return e.err
	case e.finSent:
		return syscall.EPIPE
	}
	return nil
}

// got handles the arrival of a packet.
func (e *endpoint) got(pk *packet) {
	if e.err != nil {
		return
	}
	switch pk.kind {
	case SynAck:
		e.established = true
	case Data:
		in := e.in()
		in.arrived = pk.off + int64(pk.size)
		if e.closed { // nobody reads, but the FIN is not there yet
			in.consumed(int(in.arrived - in.read))
			return
		}
		in.checkStop()
	case Ack:
		out := e.out()
		out.granted = max(out.granted, pk.off)
	case Fin:
		e.eof = true
		if peer := e.peer(); peer.closed {
			peer.leave()
		}
	case Rst:
		if e.established {
			e.gotReset(syscall.ECONNRESET, e.host.chance(2))
		} else {
			e.gotReset(syscall.ECONNREFUSED, false)
		}
		return
	}
	if e.t != nil {
		e.t.mark()
	}
}

// gotReset ends the connection. keep says that what was received before can
// still be read.
func (e *endpoint) gotReset(err error, keep bool) {
	if e.over() {
		return
	}
	e.err = fmt.Errorf("simnet: %s: %w", e.remote(), err)
	e.out().forgetHeld()
	if !keep {
		e.in().arrived = e.in().read
	}
	switch {
	case e.t != nil:
		e.t.mark()
	case e.socket == nil:
		e.leave()
	}
}

// finish sends FIN, once.
func (e *endpoint) finish() {
	if !e.finSent {
		e.finSent = true
		e.out().send(Fin)
	}
}

// close ends the use of e: what was written and FIN are still delivered.
func (e *endpoint) close() {
	if e.over() {
		e.leave()
		return
	}
	if !e.established {
		e.abandon()
		return
	}
	e.closed = true
	e.t, e.socket = nil, nil
	if in := e.in(); in.arrived > in.read {
		in.consumed(int(in.arrived - in.read))
	}
	delivered := e.finSent && e.peer().eof
	e.finish()
	if delivered {
		e.leave()
	}
}

// abort sends RST and forgets everything.
func (e *endpoint) abort() {
	if !e.over() {
		if !e.established {
			e.abandon()
			return
		}
		e.out().forgetHeld()
		e.out().send(Rst)
	}
	e.leave()
}

// abandon forgets an attempt to connect.
func (e *endpoint) abandon() { e.vanish() }

// vanish forgets everything and tells nobody.
func (e *endpoint) vanish() {
	e.out().forgetHeld()
	e.leave()
}

// leave takes e from its host.
func (e *endpoint) leave() {
	if e.gone {
		return
	}
	e.gone = true
	e.t, e.socket = nil, nil
	e.host.sockets.remove(e)
	if s := e.s; !e.peer().living() {
		s.net.conns.remove(s)
		for i := range s.pipes {
			s.pipes[i].forgetHeld()
			s.pipes[i].bytes.release(&s.net.buffers)
		}
	}
}

// endpointList holds endpoints in the order of their coming.
type endpointList struct{ first, last *endpoint }

func (l *endpointList) add(e *endpoint) {
	if e.prev = l.last; e.prev == nil {
		l.first = e
	} else {
		e.prev.next = e
	}
	l.last = e
}

func (l *endpointList) remove(e *endpoint) {
	if e.prev == nil {
		l.first = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		l.last = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.prev, e.next = nil, nil
}
