package session

import (
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// Flags of ceph_msg_header2 as C++ peers send them: COMPLETE | NOCRC (spec 1.6).
const headerFlags = 3

// admitMessage takes the throttles before the payload is read, or pauses
// (docs/PROTOCOL.md 4.4).
func (s *Session) admitMessage() {
	p := s.dec.Preamble()
	var size int64
	for _, seg := range p.Segments[1:] {
		size += int64(seg.Len)
	}
	s.charged = size
	if !s.gate.Admit(size) {
		s.paused = true
		return
	}
	s.makeBody()
}

// stepMessage is the short cut for a message that has arrived as a whole: n is 0
// if step has to look.
func (s *Session) stepMessage(now time.Duration, b []byte) (n int, err error) {
	if s.state != StateReady || s.again {
		return 0, nil
	}
	size, ok := s.dec.WholeMessage(b)
	if !ok {
		return 0, nil
	}
	s.charged = int64(size)
	if !s.gate.Admit(s.charged) {
		s.paused, s.again = true, true
		n, _, err = s.dec.Next(b[:frame.PreambleLen]) // the payload stays where it is
		return n, err
	}
	m, body := s.recycler.NewBody(size)
	s.body = m
	if n, err = s.dec.TakeMessage(b, body); err != nil {
		return n, s.badFrame(err)
	}
	return n, s.handleMessage(now)
}

func (s *Session) makeBody() {
	m, body := s.recycler.NewBody(int(s.charged))
	s.body = m
	if len(body) > 0 {
		s.dec.SetBody(body)
	}
}

// Resume goes on after the gate granted what it had refused; the shell then
// takes the outputs and gives the bytes it kept.
func (s *Session) Resume(now time.Duration) {
	if s.state != StateReady || !s.paused || s.charged < 0 {
		return
	}
	s.paused = false
	s.alive = now
	if s.kaSent != 0 {
		s.kaSent = now // the answer may lie unread
	}
	s.makeBody()
	s.HandleBytes(now, nil) // the frame may be complete already
}

// handleMessage is a complete MESSAGE frame (spec 3.7).
func (s *Session) handleMessage(now time.Duration) error {
	s.crossed = 0 // the peer knows the session
	if s.cfg.Observe != nil {
		s.cfg.Observe(s.state, frame.TagMessage)
	}
	if s.dec.Aborted() {
		// "An aborted frame is silently dropped (throttles released ...)" (spec 1.4)
		s.holeSeq = max(s.holeSeq, s.dec.Header().Seq)
		s.abandonMessage()
		return nil
	}
	h := s.dec.Header()
	if err := s.handleAck(frame.TagMessage, h.AckSeq); err != nil {
		return err
	}
	if h.Seq <= s.in.Seq {
		s.abandonMessage() // a duplicate
		return nil
	}
	if h.Seq > max(s.in.Seq, s.holeSeq)+1 && s.in.Seq != 0 && !s.cfg.AllowSeqGaps {
		// Something between was lost. (The origin only logs it.) A new session may
		// begin at any number: a peer that sends again what an old one left behind
		// goes on counting. An aborted frame leaves a hole, also for the
		// connections that follow.
		err := s.protocolError(frame.TagMessage, "seq %d after %d", h.Seq, s.in.Seq)
		if !s.policy.Lossy {
			s.resetSession()
		}
		return err
	}
	s.in.Seq = h.Seq
	s.fruitless = 0
	if !s.policy.Lossy {
		s.owe(now, s.charged)
	}
	m := s.body
	msg.SetIncoming(m, msg.Incoming{Conn: s.conn, Receipt: s.rcpt, Seq: h.Seq, At: now, Charge: s.charged})
	s.body, s.charged = nil, -1
	m.Type, m.TID, m.Version, m.Compat, m.DataOff = h.Type, h.TID, h.Version, h.CompatVersion, h.DataOff
	m.Priority = uint8(min(h.Priority, msg.PriorityHighest))
	m.Front, m.Middle, m.Data = s.dec.Segments()
	s.put(Output{Kind: OutDeliver, Msg: m})
	return nil
}

// readyAck handles an ACK frame.
func (s *Session) readyAck(_ time.Duration, payload []byte) error {
	var f frame.Ack
	if err := f.Parse(payload); err != nil { // not by parse: it would allocate
		return &ProtocolError{State: s.state, Tag: f.Tag(), Err: err}
	}
	return s.handleAck(f.Tag(), f.Seq)
}

// handleAck trims the sent list (spec 3.7). An acknowledgement of something that
// was not wholly written is a lie; believing it would free memory that is still
// being sent.
func (s *Session) handleAck(tag frame.Tag, seq uint64) error {
	if s.policy.Lossy || seq <= s.ackedSeq {
		return nil
	}
	if seq > s.maxSeq {
		return s.protocolError(tag, "ack of %d, sent %d", seq, s.maxSeq)
	}
	for i := range s.sent.len() {
		x := s.sent.at(i)
		if x.seq > seq {
			break
		}
		if x.end == 0 || x.end > s.written {
			return s.protocolError(tag, "ack of %d, which is not sent yet", seq)
		}
	}
	s.acked(seq)
	return nil
}

func (s *Session) acked(seq uint64) {
	if seq > s.ackedSeq {
		s.ackedSeq = seq
		s.fruitless = 0
	}
	for s.sent.len() > 0 && s.sent.at(0).seq <= seq {
		s.finish(s.sent.pop().m, nil)
		s.resend = max(0, s.resend-1)
	}
}

// readyKeepalive answers KEEPALIVE2 with the same stamp (spec 3.7).
func (s *Session) readyKeepalive(_ time.Duration, payload []byte) error {
	var f frame.Keepalive
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	s.kaReply, s.kaStamp = true, f.Stamp
	s.emit(OutKeepalive)
	return nil
}

func (s *Session) readyKeepaliveAck(_ time.Duration, payload []byte) error {
	var f frame.KeepaliveAck
	if err := s.parse(&f, payload); err != nil {
		return err
	}
	s.kaSent = 0
	s.needSeldom().lastKeepaliveAck = f.Stamp
	s.emit(OutKeepaliveAck)
	return nil
}

// Fill encodes what is to be sent into b, up to about limit bytes and the number
// of buffers that one write takes, in the order of the origin's writer (spec
// 5.2): handshake, keepalives, messages to be sent again, then the queue by
// priority, and an ACK if nothing else carried it. It reports whether there is
// more.
func (s *Session) Fill(now time.Duration, b *frame.Batch, limit int) (more bool) {
	if !s.up {
		return false
	}
	start := b.Len()
	if h := s.hs; h != nil && len(h.tx) > 0 {
		b.AppendRaw(h.tx)
		h.tx = nil
		if s.state == StateReady {
			s.hs = nil
		}
	}
	if s.state != StateReady {
		s.encoded += uint64(b.Len() - start)
		return false
	}
	base := s.encoded - uint64(start) // stream position of b's first byte
	s.fillKeepalives(now, b)
	full := func() bool { return b.Len() >= limit || b.NumBuffers() >= buffersMax }
	for s.resend < s.sent.len() && !full() {
		x := s.sent.at(s.resend)
		s.resend++
		s.filledReplayed++
		s.encode(b, x.m, x.seq)
		x.end = base + uint64(b.Len())
	}
	for s.resend == s.sent.len() && s.queue.n > 0 && !full() {
		m := s.queue.pop()
		if err := begin(m, now); err != nil {
			s.finish(m, err)
			continue
		}
		s.outSeq++
		s.encode(b, m, s.outSeq)
		s.sent.push(sending{m: m, seq: s.outSeq, end: base + uint64(b.Len())})
		s.resend++
	}
	if s.OwesAck() && (!s.ackHeld || b.Len() > start) && !full() {
		s.ackSent()
		s.enc.AppendControl(b, &s.in)
	}
	s.encoded += uint64(b.Len() - start)
	return s.WantsWrite()
}

// Filled counts what Fill encoded.
type Filled struct{ Messages, Bytes, Replayed uint64 }

// TakeFilled returns what was encoded since the last call.
func (s *Session) TakeFilled() Filled {
	f := Filled{Messages: uint64(s.filledMessages), Bytes: s.filledBytes, Replayed: uint64(s.filledReplayed)}
	s.filledMessages, s.filledBytes, s.filledReplayed = 0, 0, 0
	return f
}

// buffersMax leaves room below IOV_MAX for the segments of one more message.
const buffersMax = 1000

func (s *Session) fillKeepalives(now time.Duration, b *frame.Batch) {
	if s.kaReply {
		s.kaReply = false
		s.enc.AppendControl(b, &frame.KeepaliveAck{Stamp: s.kaStamp})
	}
	if s.kaWant {
		s.kaWant = false
		s.enc.AppendControl(b, &frame.Keepalive{Stamp: s.stampOf(now)})
		if s.stuck() {
			return // nobody reads the answer
		}
		if s.kaSent == 0 {
			s.kaSent, s.kaQueued = max(now, 1), true
		}
	}
}

func (s *Session) encode(b *frame.Batch, m *msg.Message, seq uint64) {
	compat := m.Compat
	if compat == 0 {
		compat = m.Version
	}
	if s.cfg.CheckPayloads && !msg.Intact(m) {
		s.put(Output{Kind: OutChanged, Msg: m})
	}
	s.maxSeq = max(s.maxSeq, seq)
	s.ackSent() // by the header
	s.filledMessages++
	s.filledBytes += uint64(m.PayloadLen())
	h := frame.Header{
		Seq: seq, TID: m.TID, Type: m.Type, Priority: uint16(m.Priority), Version: m.Version,
		DataOff: m.DataOff, AckSeq: s.in.Seq, Flags: headerFlags, CompatVersion: compat,
	}
	s.enc.AppendMessage(b, &h, m.Front, m.Middle, m.Data)
}

// HandleRoom tells that a network that was full takes bytes again: the peer has made
// room, it lives. Written does that by itself, unless the shell has to call it for bytes
// that the network is still to take.
func (s *Session) HandleRoom(now time.Duration) {
	if s.up {
		s.alive = now
	}
}

// Written tells that the network took n more bytes of what Fill produced, if not all
// of them because it is full. Taking more after that means that the peer has made
// room: it lives. On a lossy session Written ends the sending of the messages that
// the bytes complete.
func (s *Session) Written(now time.Duration, n int) {
	s.written += uint64(n)
	if n > 0 && s.full {
		s.HandleRoom(now)
	}
	s.full = s.written < s.encoded
	if s.kaQueued && !s.kaWant && !s.full { // it has left, with all that was encoded behind it
		s.kaQueued, s.kaSent = false, max(now, 1)
	}
	if !s.policy.Lossy || s.state != StateReady {
		return
	}
	for s.sent.len() > 0 {
		x := s.sent.at(0)
		if x.end == 0 || x.end > s.written {
			break
		}
		s.finish(s.sent.pop().m, nil)
		s.resend--
	}
}
