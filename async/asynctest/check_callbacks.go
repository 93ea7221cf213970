package asynctest

import (
	"errors"
	"fmt"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

func checkC1(d *digest) (bad []string) {
	for _, c := range d.conns {
		ready, told := 0, 0
		for _, r := range c.records {
			switch r.Kind {
			case RecReady:
				ready++
			case RecConnect, RecAccept:
				if told++; told > ready {
					bad = append(bad, fmt.Sprintf("%v, without a session that became ready", r))
				}
			case RecDelivered:
				if told == 0 && r.Flow.From != r.Flow.To { // a messenger knows itself
					bad = append(bad, fmt.Sprintf("%v, before the user was told of the connection", r))
				}
			}
		}
		if told < ready && !c.marked && d.toTheEnd(c.lifeKey) {
			bad = append(bad, fmt.Sprintf("node %d.%d conn %d: ready %d times, told %d times", c.node, c.life, c.conn, ready, told))
		}
	}
	return bad
}

func checkC2(d *digest) (bad []string) {
	for _, c := range d.conns {
		resets, broken := c.count(RecReset), 0
		for _, r := range c.records {
			if r.Kind == RecEnded && errors.Is(r.Err, msg.ErrReset) {
				broken++
			}
		}
		switch {
		case resets > 1:
			bad = append(bad, fmt.Sprintf("node %d.%d conn %d: %d resets", c.node, c.life, c.conn, resets))
		case broken > 0 && resets == 0 && !c.marked && d.toTheEnd(c.lifeKey):
			bad = append(bad, fmt.Sprintf("node %d.%d conn %d: %d messages lost by a reset that was not told", c.node, c.life, c.conn, broken))
		}
		if c.marked {
			for _, r := range c.records {
				if r.Kind == RecReset && c.closed.Kind == RecMarkDown {
					bad = append(bad, fmt.Sprintf("%v, after a mark down", r))
				}
			}
		}
	}
	for k, n := range d.nodes {
		if n.end != nil && n.end.Alive && (uint64(n.refused) > n.end.Refused || uint64(n.refused) < n.end.Refused && !n.marked) {
			bad = append(bad, fmt.Sprintf("node %d.%d: refused %d times, told %d times", k.node, k.life, n.end.Refused, n.refused))
		}
	}
	return bad
}

func checkC3(d *digest) (bad []string) {
	for _, c := range d.conns {
		over := false
		var begins time.Duration // by the node's clock: the session after the last remote reset
		for _, r := range c.records {
			switch r.Kind {
			case RecDelivered, RecConnect, RecAccept, RecRemoteReset:
				if over {
					bad = append(bad, fmt.Sprintf("%v, after %v", r, c.closed))
				}
				if r.Kind == RecRemoteReset {
					begins = 1<<63 - 1
					if ready := c.begins(r); ready != nil {
						begins = ready.Local
					}
				}
				if r.Kind == RecDelivered && r.Flow.From != r.Flow.To && r.ReceivedAt < begins {
					bad = append(bad, fmt.Sprintf("%v, of a session that was lost", r))
				}
			case RecReset, RecMarkDown:
				over = true
			}
		}
	}
	gone := map[lifeKey]*Record{}
	for i := range d.h.Records {
		r := &d.h.Records[i]
		k := lifeKey{r.Node, r.Life}
		switch r.Kind {
		case RecShutdown, RecDown:
			gone[k] = r
		case RecEnded, RecHealed, RecUp:
		default:
			if end := gone[k]; end != nil {
				bad = append(bad, fmt.Sprintf("%v, after %v", r, end))
			}
		}
	}
	return bad
}

func checkC4(d *digest) (bad []string) {
	for _, f := range d.flows {
		for i := range f.msgs {
			m := &f.msgs[i]
			if len(m.got) == 0 && !d.excused(f, m) {
				bad = append(bad, fmt.Sprintf("%v: it is lost, and neither side was told (end: %v)", m.sent, m.ended))
			}
		}
	}
	for _, c := range d.conns {
		if c.peer >= 0 && (d.h.IsTainted(c.node, c.peer) || d.unlike(c.node, c.peer)) || c.count(RecDisposable) > 0 {
			continue
		}
		for _, r := range c.records {
			if (r.Kind == RecReset && !r.Lossy || r.Kind == RecRemoteReset) && !errors.Is(r.Err, ErrPlanned) {
				bad = append(bad, fmt.Sprintf("%v, though the peer has lost nothing", r))
			}
		}
	}
	return bad
}

// ErrPlanned marks resets that a test has brought about on purpose.
var ErrPlanned = errors.New("asynctest: planned")

// excused says whether the loss of a message was told, or is part of a crash.
func (d *digest) excused(f *flowDigest, m *msgDigest) bool {
	t := m.sent.At
	if d.lossAt(f.from, t) {
		return true
	}
	for _, c := range d.conns {
		if c.node == f.To && c.peer == f.From && d.lossAt(c, t) {
			return true
		}
	}
	return false
}

// lossAt says whether a connection ended, or its node did, at t or later.
func (d *digest) lossAt(c *connDigest, t time.Duration) bool {
	return !d.toTheEnd(c.lifeKey) || c.at(t, RecReset, RecRemoteReset, RecMarkDown) != nil
}
