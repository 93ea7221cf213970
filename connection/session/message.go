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
	p := s.stream.dec.Preamble()
	var size int64
	for _, seg := range p.Segments[1:] {
		size += int64(seg.Len)
	}
	s.stream.charged = size
	if !s.gate.Admit(size) {
		s.stream.paused = true
		return
	}
	s.makeBody()
}

// stepMessage is the short cut for a message that has arrived as a whole: n is 0
// if step has to look.
func (s *Session) stepMessage(now time.Duration, b []byte) (n int, err error) {
	if s.state != StateReady || s.stream.again {
		return 0, nil
	}
	size, ok := s.stream.dec.WholeMessage(b)
	if !ok {
		return 0, nil
	}
	s.stream.charged = int64(size)
	if !s.gate.Admit(s.stream.charged) {
		s.stream.paused, s.stream.again = true, true
		n, _, err = s.stream.dec.Next(b[:frame.PreambleLen]) // the payload stays where it is
		return n, err
	}
	m, body := s.bufs.messages().NewBody(size)
	s.stream.body = m
	if n, err = s.stream.dec.TakeMessage(b, body); err != nil {
		return n, s.badFrame(err)
	}
	return n, s.handleMessage(now)
}

func (s *Session) makeBody() {
	if s.stream.dec.Compressed() {
		return // how much it becomes is known when it is there
	}
	m, body := s.bufs.messages().NewBody(s.stream.dec.BodyRoom())
	s.stream.body = m
	if len(body) > 0 {
		s.stream.dec.SetBody(body)
	}
}

// Resume goes on after the gate granted what it had refused; the shell then
// takes the outputs and gives the bytes it kept.
func (s *Session) Resume(now time.Duration) {
	if s.state != StateReady || !s.stream.paused || s.stream.charged < 0 {
		return
	}
	s.stream.paused = false
	s.ka.alive = now
	if s.ka.sent != 0 {
		s.ka.sent = now // the answer may lie unread
	}
	if s.stream.packed {
		if err := s.unpack(now); err != nil {
			s.fault(now, err)
			return
		}
	} else {
		s.makeBody()
	}
	s.HandleBytes(now, nil) // the frame may be complete already
}

// handleMessage is a complete MESSAGE frame (spec 3.7).
func (s *Session) handleMessage(now time.Duration) error {
	s.id.crossed = 0 // the peer knows the session
	if s.cfg.Observe != nil {
		s.cfg.Observe(s.state, frame.TagMessage)
	}
	if s.stream.dec.Aborted() {
		// "An aborted frame is silently dropped (throttles released ...)" (spec 1.4)
		s.num.hole = max(s.num.hole, s.stream.dec.Header().Seq)
		s.stream.abandon(s.gate)
		return nil
	}
	h := s.stream.dec.Header()
	if err := s.handleAck(frame.TagMessage, h.AckSeq); err != nil {
		return err
	}
	if h.Seq <= s.num.in.Seq {
		s.stream.abandon(s.gate) // a duplicate
		return nil
	}
	if h.Seq > max(s.num.in.Seq, s.num.hole)+1 && s.num.in.Seq != 0 && !s.cfg.AllowSeqGaps {
		// Something between was lost. (The origin only logs it.) A new session may
		// begin at any number: a peer that sends again what an old one left behind
		// goes on counting. An aborted frame leaves a hole, also for the
		// connections that follow.
		err := s.protocolError(frame.TagMessage, "seq %d after %d", h.Seq, s.num.in.Seq)
		if !s.policy.Lossy {
			s.resetSession()
		}
		return err
	}
	front, middle, data := s.stream.dec.Segments()
	var trace string
	if h.Reserved&frame.HasTraceContext != 0 && s.carriesTraces() {
		var err error
		if trace, middle, err = frame.CutTraceContext(middle); err != nil {
			return &ProtocolError{State: s.state, Tag: frame.TagMessage, Err: err}
		}
	}
	s.num.in.Seq = h.Seq
	s.fruitless = 0
	if !s.policy.Lossy {
		s.acks.owe(now, s.stream.charged)
	}
	m := s.stream.body
	msg.SetIncoming(m, msg.Incoming{Conn: s.conn, Receipt: s.rcpt, Seq: h.Seq, At: now, Charge: s.stream.charged})
	s.stream.body, s.stream.charged = nil, -1
	m.Type, m.TID, m.Version, m.Compat, m.DataOff = h.Type, h.TID, h.Version, h.CompatVersion, h.DataOff
	m.Priority = uint8(min(h.Priority, msg.PriorityHighest))
	m.Front, m.Middle, m.Data, m.TraceContext = front, middle, data, trace
	s.put(Output{Kind: OutDeliver, Msg: m})
	return nil
}

// carriesTraces says whether the peer understands frame.HasTraceContext. It is asked when a message is
// encoded, since what waits may be sent to another process than the one it was queued for.
func (s *Session) carriesTraces() bool { return s.features&msg.FeatureTraceContext != 0 }

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
	if s.policy.Lossy || seq <= s.num.acked {
		return nil
	}
	if seq > s.num.max {
		return s.protocolError(tag, "ack of %d, sent %d", seq, s.num.max)
	}
	for i := range s.box.sent.len() {
		x := s.box.sent.at(i)
		if x.seq > seq {
			break
		}
		if x.end == 0 || x.end > s.stream.written {
			return s.protocolError(tag, "ack of %d, which is not sent yet", seq)
		}
	}
	s.acked(seq)
	return nil
}

func (s *Session) acked(seq uint64) {
	if seq > s.num.acked {
		s.num.acked = seq
		s.fruitless = 0
	}
	s.box.sent.touch(seq)
	for s.box.sent.len() > 0 && s.box.sent.at(0).seq <= seq {
		s.finish(s.box.sent.pop().m, nil)
		s.box.resend = max(0, s.box.resend-1)
	}
}

// Fill encodes what is to be sent into b, up to about limit bytes and the number
// of buffers that one write takes, in the order of the origin's writer (spec
// 5.2): handshake, keepalives, messages to be sent again, then the queue by
// priority, and an ACK if nothing else carried it. It reports whether there is
// more. Should nothing be encoded any more (frame.Encoder.Err, ErrRekey), the transport is given up, and b empty.
func (s *Session) Fill(now time.Duration, b *frame.Batch, limit int) (more bool) {
	if !s.stream.up {
		return false
	}
	start := b.Len()
	if h := s.stream.hs; h != nil && len(h.tx) > 0 {
		b.AppendRaw(h.tx)
		h.tx = nil
		if s.state == StateReady {
			s.stream.hs = nil
		}
	}
	if s.state != StateReady {
		s.stream.encoded += uint64(b.Len() - start)
		return false
	}
	if s.sealedEnough() {
		if s.stream.written == s.stream.encoded {
			s.fault(now, ErrRekey)
		}
		return false
	}
	base := s.stream.encoded - uint64(start) // stream position of b's first byte
	s.fillKeepalives(now, b)
	full := func() bool { return b.Len() >= limit || b.NumBuffers() >= buffersMax }
	for s.box.resend < s.box.sent.len() && !full() {
		x := s.box.sent.at(s.box.resend)
		s.box.resend++
		s.box.filledReplayed++
		s.encode(b, x.m, x.seq)
		x.end = base + uint64(b.Len())
	}
	for k := 0; s.box.resend == s.box.sent.len() && s.box.queue.n > 0 && !full(); k++ {
		if k%touchedAhead == 0 {
			s.box.queue.touch()
		}
		m := s.box.queue.pop()
		if err := begin(m, now); err != nil {
			s.finish(m, err)
			continue
		}
		seq := s.num.next()
		s.encode(b, m, seq)
		s.box.sent.push(sending{m: m, seq: seq, end: base + uint64(b.Len())})
		s.box.resend++
	}
	if s.OwesAck() && (!s.acks.held || b.Len() > start) && !full() {
		s.acks.reset()
		s.stream.enc.AppendControl(b, &s.num.in)
	}
	if err := s.stream.enc.Err(); err != nil {
		b.Reset() // it holds what must not be written
		s.fault(now, s.ownError("encoding", err))
		return false
	}
	s.stream.encoded += uint64(b.Len() - start)
	return s.WantsWrite()
}

// buffersMax leaves room below IOV_MAX for the segments of one more message.
const buffersMax = 1000

func (s *Session) encode(b *frame.Batch, m *msg.Message, seq uint64) {
	compat := m.Compat
	if compat == 0 {
		compat = m.Version
	}
	if s.cfg.CheckPayloads && !msg.Intact(m) {
		s.put(Output{Kind: OutChanged, Msg: m})
	}
	s.num.max = max(s.num.max, seq)
	s.acks.reset() // by the header
	s.box.filledMessages++
	s.box.filledBytes += uint64(m.PayloadLen())
	h := frame.Header{
		Seq: seq, TID: m.TID, Type: m.Type, Priority: uint16(m.Priority), Version: m.Version,
		DataOff: m.DataOff, AckSeq: s.num.in.Seq, Flags: headerFlags, CompatVersion: compat,
	}
	if m.TraceContext != "" && s.carriesTraces() {
		h.Reserved |= frame.HasTraceContext
		s.stream.enc.AppendMessage(b, &h, m.Front, frame.PrependTraceContext(m.TraceContext, m.Middle), m.Data)
		return
	}
	if x := msg.SharedOf(m); x != nil && s.stream.enc.WantsSums() {
		s.stream.enc.AppendSummed(b, &h, m.Front, m.Middle, m.Data, x.Sums(frame.SegmentCRC))
		return
	}
	s.stream.enc.AppendMessage(b, &h, m.Front, m.Middle, m.Data)
}
