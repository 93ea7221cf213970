package asynctest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// strictly is from where on priorities are strict; below they share.
const strictly = 64

// checkOvertaking is what L2 says of priorities.
func checkOvertaking(d *digest) (bad []string) {
	for _, c := range d.conns {
		var got []*Record
		for _, r := range c.records {
			if r.Kind != RecDelivered {
				continue
			}
			// What came in first and is more urgent is dispatched first.
			for _, before := range got[max(0, len(got)-window):] {
				if r.urgent(before) && r.cameBefore(before) {
					bad = append(bad, fmt.Sprintf("%v: it was dispatched behind less urgent ones that came later", r))
					break
				}
			}
			got = append(got, r)
		}
		// What the sender accepted first and is more urgent goes out first.
		for i, m := range c.wires {
			for _, before := range c.wires[max(0, i-window):i] {
				if m.wires[0].s == before.wires[0].s && m.sent.urgent(before.sent) && m.sent.order < before.sent.order {
					bad = append(bad, fmt.Sprintf("%v: it was written behind less urgent ones that came later", m.sent))
					break
				}
			}
		}
	}
	return bad
}

// window is how far inversions of priorities are looked for.
const window = 32

// urgent says whether the message of r goes before that of other, strictly.
func (r *Record) urgent(other *Record) bool {
	return r.Flow.Priority > other.Flow.Priority && r.Flow.Priority >= strictly
}

func (r *Record) cameBefore(other *Record) bool {
	return r.ReceivedAt < other.ReceivedAt || r.ReceivedAt == other.ReceivedAt && r.Seq < other.Seq
}

func checkL3(d *digest) (bad []string) {
	for _, s := range d.wires {
		for side := range 2 {
			var seq, ack uint64
			seen := false
			for _, w := range s.sides[side] {
				switch w.Tag {
				case frame.TagMessage:
					if want := seq + 1; seen && w.Seq != want || !seen && w.Seq != s.firstSeq(side, w.At) {
						bad = append(bad, fmt.Sprintf("stream %d, node %d to %d at %v: seq %d after %d",
							w.Stream, w.From, w.To, w.At, w.Seq, seq))
					}
					seq, seen = w.Seq, true
					fallthrough
				case frame.TagAck:
					if w.Ack < ack {
						bad = append(bad, fmt.Sprintf("stream %d, node %d to %d at %v: ack %d after %d",
							w.Stream, w.From, w.To, w.At, w.Ack, ack))
					}
					ack = w.Ack
				}
			}
		}
	}
	return bad
}

// firstSeq is the number of the first message that a side may send: behind what the
// other one said to have, or 1.
func (s *streamDigest) firstSeq(side int, before time.Duration) uint64 {
	if side == 0 {
		for _, w := range s.sides[1] {
			switch w.Tag {
			case frame.TagSessionReconnectOK:
				return w.Ack + 1
			case frame.TagServerIdent:
				return 1
			}
		}
		return 1
	}
	resumed := slices.ContainsFunc(s.sides[1], func(w *WireRecord) bool { return w.Tag == frame.TagSessionReconnectOK })
	first := uint64(1)
	for _, w := range s.sides[0] {
		if resumed && w.Tag == frame.TagSessionReconnect && w.At <= before {
			first = w.Ack + 1
		}
	}
	return first
}

func checkL4(d *digest) (bad []string) {
	for _, s := range d.wires {
		bad = append(bad, s.acksTooMuch()...)
	}
	for _, f := range d.flows {
		if f.from.lossy {
			continue
		}
		for i := range f.msgs {
			m := &f.msgs[i]
			if m.ended == nil || m.ended.Err != nil || len(m.wires) == 0 {
				continue
			}
			if !slices.ContainsFunc(m.wires, func(w wireAt) bool { return d.acked(w, m.ended.At) }) {
				bad = append(bad, fmt.Sprintf("%v, but it was not acknowledged", m.ended))
			}
		}
	}
	return bad
}

// acksTooMuch lists acknowledgements of what was never sent.
func (s *streamDigest) acksTooMuch() (bad []string) {
	for side := range 2 {
		var sent, claimed uint64
		i := 0
		other := s.sides[1-side]
		for _, w := range s.sides[side] {
			for i < len(other) && other[i].At <= w.At {
				if other[i].Tag == frame.TagMessage {
					sent = max(sent, other[i].Seq)
				}
				i++
			}
			switch w.Tag {
			case frame.TagSessionReconnect, frame.TagSessionReconnectOK:
				claimed = w.Ack
			case frame.TagMessage, frame.TagAck:
				if w.Ack > max(sent, claimed) {
					bad = append(bad, fmt.Sprintf("stream %d, node %d to %d at %v: ack %d of %d",
						w.Stream, w.From, w.To, w.At, w.Ack, max(sent, claimed)))
				}
			}
		}
	}
	return bad
}

// acked says whether a transmission was acknowledged until t: on its stream, or
// when a later one resumed the session.
func (d *digest) acked(x wireAt, t time.Duration) bool {
	for _, w := range x.s.sides[1-x.side] {
		if w.At <= t && w.At >= x.at && w.Ack >= x.seq && (w.Tag == frame.TagMessage || w.Tag == frame.TagAck) {
			return true
		}
	}
	a, b := x.s.from, x.s.to
	writer := a
	if x.side == 1 {
		writer = b
	}
	for _, pair := range [][2]int{{a, b}, {b, a}} {
		for _, s := range d.pairs[pair] {
			for _, side := range s.sides {
				for _, w := range side {
					if w.At <= t && w.At >= x.at && w.From != writer && w.Ack >= x.seq &&
						(w.Tag == frame.TagSessionReconnect || w.Tag == frame.TagSessionReconnectOK) {
						return true
					}
				}
			}
		}
	}
	return false
}

func checkL5(d *digest) (bad []string) {
	ready := map[connKey]time.Duration{}
	for _, c := range d.conns {
		if r := c.at(0, RecReady); r != nil {
			ready[c.connKey] = r.At
		}
	}
	for _, f := range d.flows {
		for i := range f.msgs {
			m := &f.msgs[i]
			if m.ended == nil || !errors.Is(m.ended.Err, msg.ErrRemoteReset) {
				continue
			}
			if f.from.count(RecRemoteReset) == 0 && !f.from.marked && d.toTheEnd(f.from.lifeKey) {
				bad = append(bad, fmt.Sprintf("%v, but the user was not told of it", m.ended))
			}
			for _, r := range m.got {
				if r.At > m.ended.At && ready[connKey{lifeKey{r.Node, r.Life}, r.Conn}] > m.ended.At {
					bad = append(bad, fmt.Sprintf("%v, after it was reported dropped", r))
				}
			}
		}
	}
	return append(bad, checkResets(d)...)
}

// Messages that were written before a session was lost are not sent again in the
// next one, which has another cookie.
func checkResets(d *digest) (bad []string) {
	for _, f := range d.flows {
		for i := range f.msgs {
			m := &f.msgs[i]
			if len(m.wires) == 0 || m.ended == nil || m.ended.Err != nil {
				continue
			}
			for _, r := range f.from.records {
				if r.Kind != RecRemoteReset || m.ended.At <= r.At {
					continue
				}
				if ready := f.from.begins(r); ready == nil || m.wires[0].at < ready.At {
					bad = append(bad, fmt.Sprintf("%v, though it belonged to the session that was lost: %v",
						m.ended, r))
				}
			}
		}
	}
	for _, s := range d.wires {
		for _, reset := range s.sides[1] {
			if reset.Tag != frame.TagSessionReset || !reset.Full {
				continue
			}
			var cookie uint64
			for _, w := range s.sides[0] {
				if w.Tag == frame.TagSessionReconnect && w.At <= reset.At {
					cookie = w.Cookie
				}
				if w.Tag == frame.TagClientIdent && w.At > reset.At && w.Cookie == cookie {
					bad = append(bad, fmt.Sprintf("stream %d, node %d to %d at %v: "+
						"a new session with the cookie of the old one", w.Stream, w.From, w.To, w.At))
				}
			}
		}
	}
	return bad
}

func checkB1(d *digest) []string { return d.h.Broken }
