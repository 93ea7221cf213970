package osd

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/mon/wire"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// backoffsMax bounds the blocks of one connection. An OSD that has more is left, by which both
// sides forget them.
const backoffsMax = 4096

var errBackoffs = fmt.Errorf("osd: more than %d blocks (MOSDBackoff)", backoffsMax)

// errHeld is why an operation has not been sent, or was not carried out.
var errHeld = errors.New("it holds the object back (MOSDBackoff)")

// backoffs are the ranges of objects that an OSD holds back on one connection; they end with it.
// It is a state machine without I/O and without a lock.
type backoffs struct {
	blocks map[wire.PG][]wire.OSDBackoff
	n      int
}

// block notes b. A block of the same number is replaced.
func (s *backoffs) block(b wire.OSDBackoff) error {
	s.unblock(b)
	if s.n >= backoffsMax {
		return errBackoffs
	}
	if s.blocks == nil {
		s.blocks = map[wire.PG][]wire.OSDBackoff{}
	}
	s.blocks[b.PG] = append(s.blocks[b.PG], b)
	s.n++
	return nil
}

// unblock forgets the block with b's number, and says whether there was one.
func (s *backoffs) unblock(b wire.OSDBackoff) bool {
	blocks := s.blocks[b.PG]
	for i := range blocks {
		if blocks[i].ID != b.ID {
			continue
		}
		last := len(blocks) - 1
		blocks[i], blocks[last] = blocks[last], wire.OSDBackoff{}
		s.blocks[b.PG] = blocks[:last]
		if last == 0 {
			delete(s.blocks, b.PG)
		}
		s.n--
		return true
	}
	return false
}

// holds says whether o, of the placement group pg, is held back.
func (s *backoffs) holds(pg wire.PG, o wire.ObjectID) bool {
	if s == nil {
		return false
	}
	for _, b := range s.blocks[pg] {
		if b.Covers(o) {
			return true
		}
	}
	return false
}

// dispatchBackoff takes what an OSD says of a range of objects. Each Client of the messenger notes
// it; a block is answered by the first that has an operation in it, or else by an unclaimed.
func (c *Client) dispatchBackoff(m *msg.Message) bool {
	conn := m.Connection()
	b, err := wire.ParseOSDBackoff(m.Front)
	if err == nil && b.Op != wire.BackoffBlock && b.Op != wire.BackoffUnblock {
		err = fmt.Errorf("a MOSDBackoff that says %d", b.Op)
	}
	mine := false
	if err == nil {
		mine, err = c.noteBackoff(conn, b)
	}
	if err == nil && mine && b.Op == wire.BackoffBlock {
		err = acknowledge(conn, b)
	}
	if err != nil { // both sides forget all, and what was out is asked again
		c.m.Logger().Warn("osd: connection closed", "conn", conn, "err", err)
		conn.MarkDown()
		c.HandleReset(conn, err)
		return true
	}
	return mine && b.Op == wire.BackoffBlock
}

// acknowledge answers a block. A connection that does not take the answer is to be closed: then
// there is no block any more.
func acknowledge(conn msg.Connection, b wire.OSDBackoff) error {
	b.Op = wire.BackoffAckBlock
	return conn.Send(b.Message())
}

// noteBackoff notes b, wakes the operations that it is about, and says whether there are any.
func (c *Client) noteBackoff(conn msg.Connection, b wire.OSDBackoff) (mine bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.held[conn]
	switch {
	case b.Op == wire.BackoffUnblock:
		if s == nil || !s.unblock(b) {
			return false, nil // of a block before this Client
		}
		if s.n == 0 {
			delete(c.held, conn)
		}
	case s == nil:
		for other := range c.held { // what was marked down is reported by nobody
			if other.IsClosed() {
				delete(c.held, other)
			}
		}
		s = &backoffs{}
		c.held[conn] = s
		fallthrough
	default:
		if err := s.block(b); err != nil {
			return false, err
		}
	}
	for _, x := range c.ops {
		if x.conn != conn || x.pg != b.PG || !b.Covers(x.object) {
			continue
		}
		mine = true
		if b.Op == wire.BackoffBlock {
			x.dropped = true
		}
		select {
		case x.changed <- struct{}{}:
		default:
		}
	}
	return mine, nil
}

// unclaimed is the end of the chain: it answers the blocks that no Client has an operation in,
// whose operations have ended meanwhile.
type unclaimed struct{ log *slog.Logger }

// Dispatch implements msg.Dispatcher.
func (u unclaimed) Dispatch(m *msg.Message) bool {
	conn := m.Connection()
	if m.Type != wire.TypeOSDBackoff || conn.PeerType() != entity.TypeOSD {
		return false
	}
	if b, err := wire.ParseOSDBackoff(m.Front); err == nil && b.Op == wire.BackoffBlock {
		if err := acknowledge(conn, b); err != nil {
			u.log.Warn("osd: connection closed", "conn", conn, "err", err)
			conn.MarkDown()
		}
	}
	return true
}

// aim makes x an operation on conn, and says whether it may be sent.
func (c *Client) aim(x *op, conn msg.Connection, o *wire.OSDOp) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	x.conn, x.pg = conn, wire.PG{Pool: o.Pool, Seed: o.Seed}
	x.object = wire.ObjectID{Name: o.Object, Namespace: o.Namespace, Snap: wire.NoSnap, Hash: o.Hash, Pool: o.Pool}
	x.dropped = c.held[conn].holds(x.pg, x.object)
	return !x.dropped
}

// isHeld says whether x is held back, and whether it has to be sent again.
func (c *Client) isHeld(x *op) (held, dropped bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held[x.conn].holds(x.pg, x.object), x.dropped
}
