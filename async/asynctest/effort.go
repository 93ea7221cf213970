package asynctest

import (
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// Effort is what the life of a messenger has cost.
type Effort struct {
	// Faults, Replayed, Resets and RemoteResets are those of async.Stats, Sent those
	// messages that were not replayed.
	Faults, Replayed, Sent, Resets, RemoteResets uint64
	// Retries and RetryGlobals are how often it was told SESSION_RETRY and
	// SESSION_RETRY_GLOBAL, by attempts that it had not given up.
	Retries, RetryGlobals uint64
	// Timeouts are the faults because a peer was silent for too long, Refusals those
	// because it lacks features, or is another process than the one that was meant.
	Timeouts, Refusals uint64
	// Rekeys are connections that it gave up because their keys were used up.
	Rekeys uint64
	// Rejected are messages that were taken for ones that the peer does not take.
	Rejected uint64
}

func (e *Effort) add(other *Effort) {
	e.Faults += other.Faults
	e.Replayed += other.Replayed
	e.Sent += other.Sent
	e.Resets += other.Resets
	e.RemoteResets += other.RemoteResets
	e.Retries += other.Retries
	e.RetryGlobals += other.RetryGlobals
	e.Timeouts += other.Timeouts
	e.Refusals += other.Refusals
	e.Rekeys += other.Rekeys
	e.Rejected += other.Rejected
}

// StreamRecord is a TCP connection, or an attempt to make one.
type StreamRecord struct {
	At       time.Duration
	From, To int
	// Harmed says that the test, or a fault it put into force, broke the connection,
	// held it up or altered what it carried.
	Harmed bool
}

// ProtocolErrorRecord says that a node found a peer in breach of the protocol.
type ProtocolErrorRecord struct {
	At   time.Duration
	Node int
	Err  error
}

// observe counts frames of note that a node handles, and is told to f.
func (n *Node) observe(f func(session.State, frame.Tag)) func(session.State, frame.Tag) {
	return func(st session.State, tag frame.Tag) {
		switch tag {
		case frame.TagSessionRetry:
			n.effort.Retries++
		case frame.TagSessionRetryGlobal:
			n.effort.RetryGlobals++
		}
		if f != nil {
			f(st, tag)
		}
	}
}

// fault notes why a connection of the node broke, as the messenger's log has it.
func (n *Node) fault(r *slog.Record) {
	r.Attrs(func(a slog.Attr) bool {
		err, ok := a.Value.Any().(error)
		if a.Key != "err" || !ok {
			return true
		}
		h := n.Cluster.History
		switch {
		case isWrongPeer(err): // honest: an address outlives a process
			n.effort.Refusals++
		case errors.Is(err, session.ErrProtocol):
			h.ProtocolErrors = append(h.ProtocolErrors, ProtocolErrorRecord{n.Cluster.Net.Now(), n.Index, err})
		case errors.Is(err, session.ErrIdleTimeout), errors.Is(err, session.ErrReadyTimeout),
			errors.Is(err, session.ErrKeepaliveTimeout):
			n.effort.Timeouts++
		case errors.Is(err, session.ErrMissingFeatures):
			n.effort.Refusals++
		}
		return false
	})
}

// isWrongPeer says whether another process was meant than the one that was found.
func isWrongPeer(err error) bool {
	var wrong *msg.WrongPeerError
	var p *session.ProtocolError
	return errors.As(err, &wrong) ||
		errors.As(err, &p) && (p.Tag == frame.TagClientIdent && strings.HasPrefix(p.Reason, "target ") ||
			p.Tag == frame.TagServerIdent && strings.HasPrefix(p.Reason, "server is "))
}

// spent is the effort of a node's life so far.
func (n *Node) spent(s *async.Stats) Effort {
	e := n.effort
	e.Rekeys = s.Rekeys
	e.Faults, e.Replayed, e.Sent = s.Faults, s.Replayed, s.Sent-s.Replayed
	e.Resets, e.RemoteResets, e.Rejected = s.Resets, s.RemoteResets, s.Rejected
	return e
}

// dialled notes a new stream.
func (h *History) dialled(p *simnet.Packet, from, to *Node) {
	if p.Conn != uint64(len(h.Streams))+1 {
		return // a SYN that is sent again
	}
	h.Streams = append(h.Streams, StreamRecord{At: p.Now, From: from.Index, To: to.Index, Harmed: from.Down || to.Down})
}

// harm notes that something was done to a stream.
func (c *Cluster) harm(id uint64) {
	if h := c.History; h != nil && id <= uint64(len(h.Streams)) {
		h.Streams[id-1].Harmed = true
	}
}

// disturb notes that something was done to a messenger, for which so many connections may
// have to be made: of two nodes either may call.
func (c *Cluster) disturb(connections int) {
	if c.History != nil {
		c.History.Disturbed += connections
	}
}

// watched is a rule of faults whose doings are noted.
func (c *Cluster) watched(rule simnet.Rule) simnet.Rule {
	if c.History == nil {
		return rule
	}
	return func(p *simnet.Packet) simnet.Verdict {
		v := rule(p)
		switch v.String() {
		case "", "deliver":
			return v
		case "flip":
			c.History.Flips[c.byHost[p.To]]++
		}
		c.harm(p.Conn)
		return v
	}
}

// Reset resets a TCP connection at both ends.
func (c *Cluster) Reset(conn simnet.Conn) {
	c.harm(conn.ID)
	conn.Kill()
}

// Sever resets the TCP connections between two nodes.
func (c *Cluster) Sever(a, b int) {
	from, to := c.Nodes[a].Host.Name(), c.Nodes[b].Host.Name()
	for _, conn := range c.Net.Conns() {
		if conn.From == from && conn.To == to || conn.From == to && conn.To == from {
			c.Reset(conn)
		}
	}
}

// Forget takes a TCP connection from one of its nodes; the other one does not notice
// (see simnet.Conn.Forget).
func (c *Cluster) Forget(conn simnet.Conn, i int) {
	c.harm(conn.ID)
	conn.Forget(c.Nodes[i].Host.Name())
}
