package simnet

import (
	"fmt"
	"net/netip"
	"syscall"
)

// endpoint is one end of a stream: what a kernel keeps of a socket.
type endpoint struct {
	host          *Host
	s             *stream
	side          int
	local, remote netip.AddrPort
	out, in       *pipe
	t             *transport // its user; nil while it is in a backlog or a Socket, and after Close
	socket        *socket    // likewise

	established bool
	finSent     bool
	eof         bool  // the peer's FIN is here
	closed      bool  // by Close: only the FIN is left to deliver
	gone        bool  // nothing is left
	err         error // how the connection failed

	chunks [][]byte // received and unread
	bytes  int      // in chunks
}

func (e *endpoint) unread() int { return e.bytes }

// hasNews says whether there is something to tell the user.
func (e *endpoint) hasNews() bool { return e.bytes > 0 || e.eof || e.err != nil }

func (e *endpoint) over() bool { return e.gone || e.err != nil }

// take moves bytes from the buffer to b, as many as fit.
func (e *endpoint) take(b []byte) int {
	n := 0
	for n < len(b) && len(e.chunks) > 0 {
		k := copy(b[n:], e.chunks[0])
		n += k
		if e.chunks[0] = e.chunks[0][k:]; len(e.chunks[0]) == 0 {
			e.chunks[0] = nil
			e.chunks = e.chunks[1:]
		}
	}
	e.bytes -= n
	return n
}

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
		if e.closed { // nobody reads, but the FIN is not there yet
			e.in.consumed(len(pk.data))
			return
		}
		e.chunks = append(e.chunks, pk.data)
		e.bytes += len(pk.data)
	case Ack:
		e.out.granted = max(e.out.granted, pk.off)
	case Fin:
		e.eof = true
		if peer := e.s.ends[1-e.side]; peer.closed {
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
	e.err = fmt.Errorf("simnet: %s: %w", e.remote, err)
	e.out.held = nil
	if !keep {
		e.chunks, e.bytes = nil, 0
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
		e.out.send(Fin, nil)
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
	n := e.bytes
	e.chunks, e.bytes = nil, 0
	if n > 0 {
		e.in.consumed(n)
	}
	delivered := e.finSent && e.s.ends[1-e.side] != nil && e.s.ends[1-e.side].eof
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
		e.out.held = nil
		e.out.send(Rst, nil)
	}
	e.leave()
}

// abandon forgets an attempt to connect.
func (e *endpoint) abandon() { e.vanish() }

// vanish forgets everything and tells nobody.
func (e *endpoint) vanish() {
	e.out.held = nil
	e.leave()
}

// leave takes e from its host.
func (e *endpoint) leave() {
	if e.gone {
		return
	}
	e.gone = true
	e.t, e.socket = nil, nil
	e.chunks, e.bytes = nil, 0
	for i, other := range e.host.sockets {
		if other == e {
			e.host.sockets = append(e.host.sockets[:i:i], e.host.sockets[i+1:]...)
			break
		}
	}
	if peer := e.s.ends[1-e.side]; peer == nil || peer.gone {
		delete(e.host.net.conns, e.s.id)
	}
}
