package session

import (
	"net/netip"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// stream is one transport, a TCP connection, and how far its two directions are. The
// session that takes another one's place takes its stream, as a value (TakeOver).
type stream struct {
	enc     frame.Encoder
	dec     frame.Decoder
	hs      *handshake // until READY, and until the handshake's last frame was taken by Fill
	up      bool       // the transport is established
	paused  bool       // waiting for the gate or for arbitration
	again   bool       // dec.Next is due, even without bytes
	full    bool       // the network did not take all that was encoded
	packed  bool       // a message is complete, and waits for room to be decompressed
	written uint64     // bytes taken by the network
	encoded uint64     // bytes encoded

	body    *msg.Message // being received
	charged int64        // taken from the gate for the message being read; -1: nothing
}

// reset makes it the stream of no transport. What is in body and charged has to be given
// back before (abandon).
func (x *stream) reset(l frame.Limits) {
	*x = stream{charged: -1}
	x.dec.Init(l)
	x.dec.SetPreAuth(true)
}

// abandon gives back what was taken for a message that is not complete.
func (x *stream) abandon(g Gate) {
	if x.charged >= 0 {
		g.Abandon(x.charged)
		x.charged = -1
	}
	if x.body != nil {
		x.body.Release()
		x.body = nil
	}
}

// handshake is what only lives between TCP connect and READY.
type handshake struct {
	remote     netip.AddrPort
	local      netip.Addr  // of this side
	named      entity.Addr // what an accepted peer asked for
	banner     []byte      // the peer's, while incomplete
	tx         []byte      // encoded and not yet handed to Fill
	rxBytes    int
	recRx      bool // record received bytes for the signature
	recTx      bool
	rxLog      []byte
	txLog      []byte
	client     auth.ClientExchange
	server     auth.ServerExchange
	slow       bool         // the exchange's methods are called by others: see step.go
	step       *AuthStep    // the one that is waited for; nil: none is
	asked      auth.Request // the client's last one, without its payload
	result     auth.Result  // until the peer has signed
	incoming   Incoming
	outcome    Outcome // of Settle, which the shell is carrying out
	lost       bool    // Replace: the peer lost its session
	authRounds int
	retries    int
	refused    bool // the accepted peer was told that it will not get what it asked for
}

// resetStream forgets everything that belongs to one TCP connection.
func (s *Session) resetStream() {
	h := s.stream.hs
	s.dropPacking()
	s.stream.reset(s.cfg.Limits)
	s.ka.reset()
	s.box.rewind()
	if h != nil {
		h.endExchange()
	}
}

// dropTransport gives the transport up, if there is one, and what was taken for
// a message that is not complete.
func (s *Session) dropTransport() {
	s.stream.abandon(s.gate)
	if s.stream.up || s.state == StateConnecting {
		s.emit(OutCloseTransport)
	}
	s.resetStream()
}

// Written tells that the network took n more bytes of what Fill produced, if not all
// of them because it is full. Taking more after that means that the peer has made
// room: it lives. On a lossy session Written ends the sending of the messages that
// the bytes complete.
func (s *Session) Written(now time.Duration, n int) {
	s.stream.written += uint64(n)
	if n > 0 && s.stream.full {
		s.HandleRoom(now)
	}
	s.stream.full = s.stream.written < s.stream.encoded
	if !s.stream.full {
		s.ka.left(now)
	}
	if !s.policy.Lossy || s.state != StateReady {
		return
	}
	for s.box.sent.len() > 0 {
		x := s.box.sent.at(0)
		if x.end == 0 || x.end > s.stream.written {
			break
		}
		s.finish(s.box.sent.pop().m, nil)
		s.box.resend--
	}
}

// HandleRoom tells that a network that was full takes bytes again: the peer has made
// room, it lives. Written does that by itself, unless the shell has to call it for bytes
// that the network is still to take.
func (s *Session) HandleRoom(now time.Duration) {
	if s.stream.up {
		s.ka.alive = now
	}
}

// queueControl encodes a handshake frame; Fill hands it to the network.
func (s *Session) queueControl(c frame.Control) {
	b := s.bufs.Batch()
	s.stream.enc.AppendControl(b, c)
	for _, p := range b.Buffers() {
		s.queueRaw(p)
	}
	s.bufs.PutBatch(b)
}

func (s *Session) queueRaw(p []byte) {
	h := s.stream.hs
	h.tx = append(h.tx, p...)
	if h.recTx {
		h.txLog = append(h.txLog, p...)
	}
}
