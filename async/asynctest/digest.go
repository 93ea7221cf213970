package asynctest

import (
	"slices"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest/promise"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// digest is a history sorted by what the checkers ask for.
type digest struct {
	h     *History
	flows []*flowDigest // in the order of their first message
	conns []*connDigest // in the order of their first record
	nodes map[lifeKey]*lifeDigest
	wires []*streamDigest
	pairs map[[2]int][]*streamDigest // by [from, to] of the dialer
	own   map[[2]int]bool            // whether the policy of [node] for [peer] is lossy
	found map[string][]string        // what the judges of package promise found, by letter

	byFlow map[Flow]*flowDigest
	byConn map[connKey]*connDigest
}

type lifeKey struct {
	node int
	life uint32
}

type lifeDigest struct {
	down, marked bool // it crashed; it marked something down
	refused      int
	end          *NodeEnd
}

type connKey struct {
	lifeKey
	conn uint64
}

// flowDigest is what became of the messages of a flow; number n is in msgs[n-1].
type flowDigest struct {
	Flow
	promise.Delivery
	from *connDigest
	msgs []msgDigest
}

type msgDigest struct {
	sent, ended *Record
	got         []*Record
	wires       []wireAt
}

// wireAt is one transmission of a message.
type wireAt struct {
	s    *streamDigest
	side int
	seq  uint64
	at   time.Duration
}

// connDigest is what happened to a Connection object.
type connDigest struct {
	connKey
	promise.Callbacks
	peer    int
	records []*Record
	marked  bool
	wires   []*msgDigest // first transmissions, in order
	// What its sessions were: it is the accepting side's policy that counts. One that
	// never had a session is what its own policy says.
	lossy, lossless bool
}

// streamDigest is what a TCP connection carried; index 0 is what the dialer wrote.
type streamDigest struct {
	id       uint64
	from, to int
	sides    [2][]*WireRecord
}

func newDigest(h *History) *digest {
	d := &digest{
		h: h, nodes: map[lifeKey]*lifeDigest{}, pairs: map[[2]int][]*streamDigest{}, own: map[[2]int]bool{},
		byFlow: map[Flow]*flowDigest{}, byConn: map[connKey]*connDigest{},
	}
	for i := range h.Records {
		r := &h.Records[i]
		k := lifeKey{r.Node, r.Life}
		n := d.life(k)
		var c *connDigest
		if r.Conn != 0 {
			if c = d.conn(r); c == nil {
				c = &connDigest{connKey: connKey{k, r.Conn}, peer: r.Peer}
				d.byConn[c.connKey] = c
				d.conns = append(d.conns, c)
			}
			if r.Peer >= 0 {
				c.peer = r.Peer
				d.own[[2]int{r.Node, r.Peer}] = r.OwnLossy
			}
			c.records = append(c.records, r)
		}
		switch r.Kind {
		case RecSent:
			if c.peer < 0 { // it is not connected yet
				c.peer = r.Flow.To
			}
			f := d.byFlow[r.Flow]
			if f == nil {
				f = &flowDigest{Flow: r.Flow, from: c}
				d.byFlow[r.Flow] = f
				d.flows = append(d.flows, f)
			}
			f.msgs = append(f.msgs, msgDigest{sent: r})
		case RecEnded:
			if m := d.byFlow[r.Flow].msg(r.Num); m != nil {
				m.ended = r
			}
		case RecDelivered:
			if m := d.byFlow[r.Flow].msg(r.Num); m != nil {
				m.got = append(m.got, r)
			}
		case RecMarkDown:
			c.marked, n.marked = true, true
		case RecRefused:
			n.refused++
		case RecDown:
			n.down = true
		}
	}
	for _, c := range d.conns {
		c.judge()
	}
	for i := range h.Ends {
		e := &h.Ends[i]
		d.life(lifeKey{e.Node, e.Life}).end = e
	}
	d.addWires()
	d.observe()
	return d
}

func (d *digest) addWires() {
	streams := map[uint64]*streamDigest{}
	for i := range d.h.Wire {
		w := &d.h.Wire[i]
		s := streams[w.Stream]
		if s == nil {
			s = &streamDigest{id: w.Stream, from: w.From, to: w.To}
			if !w.FromDialer {
				s.from, s.to = w.To, w.From
			}
			streams[w.Stream] = s
			d.wires = append(d.wires, s)
			d.pairs[[2]int{s.from, s.to}] = append(d.pairs[[2]int{s.from, s.to}], s)
		}
		side := 0
		if !w.FromDialer {
			side = 1
		}
		s.sides[side] = append(s.sides[side], w)
		if w.Tag != frame.TagMessage || w.Num == 0 {
			continue
		}
		if f := d.byFlow[w.Flow]; f != nil && f.msg(w.Num) != nil {
			m := f.msg(w.Num)
			if len(m.wires) == 0 {
				f.from.wires = append(f.from.wires, m)
			}
			m.wires = append(m.wires, wireAt{s, side, w.Seq, w.At})
		}
	}
}

// msg is message num of a flow, or nil.
func (f *flowDigest) msg(num uint64) *msgDigest {
	if f == nil || num == 0 || num > uint64(len(f.msgs)) {
		return nil
	}
	return &f.msgs[num-1]
}

func (d *digest) life(k lifeKey) *lifeDigest {
	n := d.nodes[k]
	if n == nil {
		n = &lifeDigest{}
		d.nodes[k] = n
	}
	return n
}

// unlike says whether one of two nodes has a lossy policy for the other, and not the
// other way round. Then the kind of a session depends on who calls. A client that had
// lossy sessions in mind names no cookie, so that the other side takes a second attempt
// to make the first session for a restart; and when both call at once one may have a
// lossless session that for the other one was lossy, and is over.
func (d *digest) unlike(a, b int) bool {
	x, known := d.own[[2]int{a, b}]
	y, too := d.own[[2]int{b, a}]
	return known && too && x != y
}

// toTheEnd says whether a life was not ended by a crash.
func (d *digest) toTheEnd(k lifeKey) bool { return !d.nodes[k].down }

// conn is the connection that a record is about, nil if none.
func (d *digest) conn(r *Record) *connDigest {
	return d.byConn[connKey{lifeKey{r.Node, r.Life}, r.Conn}]
}

// judge finds out what the sessions of a connection were.
func (c *connDigest) judge() {
	for _, r := range c.records {
		if r.Kind == RecReady {
			c.lossy, c.lossless = c.lossy || r.Lossy, c.lossless || !r.Lossy
		}
	}
	if !c.lossy && !c.lossless {
		c.lossy = c.records[0].Lossy
		c.lossless = !c.lossy
	}
}

// count is how many records of a kind a connection has.
func (c *connDigest) count(kinds ...RecordKind) (n int) {
	for _, r := range c.records {
		if slices.Contains(kinds, r.Kind) {
			n++
		}
	}
	return n
}

// at is the record of a kind, the first not before t, or nil.
func (c *connDigest) at(t time.Duration, kinds ...RecordKind) *Record {
	for _, r := range c.records {
		if r.At >= t && slices.Contains(kinds, r.Kind) {
			return r
		}
	}
	return nil
}

// begins is the record of the session becoming ready that followed the one whose loss
// is told by reset, nil if none did. Events are told in their order, so before the loss
// as many sessions had become ready as were told of before it.
func (c *connDigest) begins(reset *Record) *Record {
	told := 0
	for _, r := range c.records[:slices.Index(c.records, reset)] {
		if r.Kind == RecConnect || r.Kind == RecAccept {
			told++
		}
	}
	for _, r := range c.records {
		if r.Kind != RecReady {
			continue
		}
		if told == 0 {
			return r
		}
		told--
	}
	return nil
}
