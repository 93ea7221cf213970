package asynctest

import (
	"encoding/binary"
	"slices"

	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// tap writes down the frames that nodes send (History.Wire). It is a rule of the
// network that never has an opinion. What is encrypted or compressed it does not see.
type tap struct {
	c       *Cluster
	streams map[tapKey]*tapStream
	// In the packet that is being looked at: tags of frames that end there, and messages
	// that are there as a whole.
	seen  []frame.Tag
	alike []span
}

// span is a piece of a packet.
type span struct{ from, to int }

// saw says whether a frame with that tag ends in the packet that rules are being
// asked about (or its first 192 bytes, if it is longer).
func (t *tap) saw(tag frame.Tag) bool { return slices.Contains(t.seen, tag) }

type tapKey struct {
	conn       uint64
	fromDialer bool
}

// tapStream is one direction of a TCP connection.
type tapStream struct {
	next int64                   // offset of the next byte
	fed  int64                   // offset up to where at is
	last [frame.PreambleLen]byte // of the frame before
	at   tapState
	buf  []byte
	need int // length at which buf is complete
	skip int // bytes of the frame behind it
}

type tapState uint8

const (
	tapBanner tapState = iota
	tapPreamble
	tapBody
	tapBlind // secure mode, or something that is no frame
)

// tapKeep is how much of a frame behind the preamble is looked at: a control
// payload, or a header and the front of a tracked message.
const tapKeep = 192

func newTap(c *Cluster) *tap { return &tap{c: c, streams: map[tapKey]*tapStream{}} }

// rule implements simnet.Rule.
func (t *tap) rule(p *simnet.Packet) simnet.Verdict {
	t.seen, t.alike = t.seen[:0], t.alike[:0]
	switch p.Kind {
	case simnet.Syn:
		h, from, to := t.c.History, t.c.byHost[p.From], t.c.byHost[p.To]
		if h.dialled(p, t.c.Nodes[from], t.c.Nodes[to]); h.Healed > 0 {
			h.Dials[[2]int{from, to}]++
		}
	case simnet.Data:
		k := tapKey{p.Conn, p.FromDialer}
		s := t.streams[k]
		if s == nil {
			s = &tapStream{need: bannerLen}
			t.streams[k] = s
		}
		if p.Offset == s.next { // not a stalled one that is tried again
			s.next += int64(len(p.Data))
			t.feed(s, p)
		}
	}
	return simnet.Pass()
}

func (t *tap) feed(s *tapStream, p *simnet.Packet) {
	for b := p.Data; len(b) > 0 && s.at != tapBlind; {
		if n := min(s.need-len(s.buf), len(b)); n > 0 {
			s.buf = append(s.buf, b[:n]...)
			s.fed += int64(n)
			if b = b[n:]; len(s.buf) < s.need {
				return
			}
			t.complete(s, p)
			continue
		}
		n := min(s.skip, len(b))
		s.skip -= n
		s.fed += int64(n)
		if b = b[n:]; s.skip == 0 {
			s.expect(tapPreamble, frame.PreambleLen)
		}
	}
}

func (s *tapStream) expect(at tapState, need int) {
	s.at, s.need = at, need
	if at != tapBody {
		s.buf = s.buf[:0]
	}
}

// complete handles a buffer that has what was needed.
func (t *tap) complete(s *tapStream, p *simnet.Packet) {
	switch s.at {
	case tapBanner:
		s.expect(tapPreamble, frame.PreambleLen)
	case tapPreamble:
		n := bodyLen(s.buf)
		if n < 0 {
			s.at, s.buf = tapBlind, nil
			return
		}
		t.compare(s, p, n)
		s.expect(tapBody, frame.PreambleLen+min(n, tapKeep))
		s.skip = n - (s.need - frame.PreambleLen)
		if n == 0 { // a frame without payload
			t.frame(s, p)
			s.expect(tapPreamble, frame.PreambleLen)
		}
	case tapBody:
		t.frame(s, p)
		if s.at != tapBlind && s.skip == 0 {
			s.expect(tapPreamble, frame.PreambleLen)
		}
	}
}

// compare notes a message that is in the packet as a whole and has the same preamble as
// the one before, so that its receiver may take it at a stroke. n is what follows the
// preamble.
func (t *tap) compare(s *tapStream, p *simnet.Packet, n int) {
	pre := [frame.PreambleLen]byte(s.buf)
	from := int(s.fed-p.Offset) - frame.PreambleLen
	to := from + frame.PreambleLen + n
	if frame.Tag(pre[0]) == frame.TagMessage && pre == s.last && from >= 0 && to <= len(p.Data) {
		t.alike = append(t.alike, span{from, to})
	}
	s.last = pre
}

// bodyLen is how much follows a preamble of crc mode (docs/PROTOCOL.md 1.3), or -1.
func bodyLen(pre []byte) int {
	tag, segs := frame.Tag(pre[0]), int(pre[1])
	if !tag.Known() || segs < 1 || segs > frame.MaxSegments {
		return -1
	}
	n := 0
	for i := range segs {
		n += int(binary.LittleEndian.Uint32(pre[2+6*i:]))
	}
	if binary.LittleEndian.Uint32(pre[2:]) > 0 {
		n += 4 // crc of the first segment
	}
	if segs > 1 {
		n += frame.EpilogueLen
	}
	return n
}

// frame writes down the frame that begins with s.buf.
func (t *tap) frame(s *tapStream, p *simnet.Packet) {
	r := WireRecord{
		At: p.Now, Stream: p.Conn, FromDialer: p.FromDialer, From: t.c.byHost[p.From], To: t.c.byHost[p.To],
		Tag: frame.Tag(s.buf[0]),
	}
	t.seen = append(t.seen, r.Tag)
	seg := int(binary.LittleEndian.Uint32(s.buf[2:]))
	b := s.buf[frame.PreambleLen:]
	switch r.Tag {
	case frame.TagMessage:
		var h frame.Header
		if h.Parse(b) != nil {
			return
		}
		r.Seq, r.Ack = h.Seq, h.AckSeq
		if front := b[min(seg+4, len(b)):]; h.Type == TypeTracked && len(front) >= trackedLen {
			r.Flow, r.Num = parseTracked(front)
		}
	case frame.TagAck:
		r.Ack = binary.LittleEndian.Uint64(b)
	case frame.TagSessionReconnect, frame.TagSessionReconnectOK:
		if seg > len(b) {
			return // addresses without end
		}
		r.Ack = binary.LittleEndian.Uint64(b[seg-8:])
		if r.Tag == frame.TagSessionReconnect {
			r.ConnectSeq, r.Cookie = binary.LittleEndian.Uint64(b[seg-16:]), binary.LittleEndian.Uint64(b[seg-40:])
			r.ServerCookie, r.GlobalSeq = binary.LittleEndian.Uint64(b[seg-32:]), binary.LittleEndian.Uint64(b[seg-24:])
		}
	case frame.TagClientIdent:
		if seg > len(b) {
			return
		}
		r.Cookie = binary.LittleEndian.Uint64(b[seg-8:])
	case frame.TagSessionRetry:
		r.ConnectSeq = binary.LittleEndian.Uint64(b)
	case frame.TagSessionReset:
		r.Full = b[0] != 0
	case frame.TagCompressionRequest, frame.TagCompressionDone:
		if b[0] != 0 { // what follows may be compressed
			s.at, s.buf = tapBlind, nil
		}
	case frame.TagAuthDone:
		if binary.LittleEndian.Uint32(b[8:]) == auth.ModeSecure {
			for _, fromDialer := range []bool{false, true} {
				if other := t.streams[tapKey{p.Conn, fromDialer}]; other != nil {
					other.at, other.buf = tapBlind, nil
				}
			}
		}
	}
	h := t.c.History
	h.Wire = append(h.Wire, r)
}
