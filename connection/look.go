package connection

import (
	"net/netip"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
)

// ConnStats is what is known of one connection: what it counted since it was made, and what
// it holds now. The numbers are of slightly different moments. A duration that says for how
// long something has been so is 0 if it is not.
type ConnStats struct {
	ID       uint64
	Peer     entity.Name
	Addrs    entity.AddrVec
	GlobalID uint64 // of the peer
	// Local and Remote are the ends of the last transport; Up says whether it is there.
	Local, Remote netip.AddrPort
	Up            bool
	// Accepted: it began with a socket that the peer opened. Loopback: it is the
	// messenger's connection to itself, which has no worker and counts nothing on a network.
	Accepted, Loopback bool
	Worker             int // its worker's ID; -1: it has none
	Policy             msg.Policy
	Authenticated      entity.Authenticated

	State msg.ConnState
	// SessionState is the state of the session, in the words of docs/PROTOCOL.md 3.3, and
	// Step what happens in it, in plain ones: where a connection that does not come up is.
	SessionState, Step string

	// Received and Sent are messages, with their payload bytes; a message that is sent again
	// counts again, and in Replayed.
	Received, ReceivedBytes uint64
	Sent, SentBytes         uint64
	Replayed                uint64
	// Faults are transports that were lost, those of attempts that failed included; Resumed
	// is how often the session was ready again after that.
	Faults, Resumed uint64
	// Attempts is how often this side has tried to connect, as of the last fault, since the
	// session was of use; 0 while it is ready.
	Attempts uint64
	// LastError is why the transport was lost, or did not come up, the last time, and FaultAgo
	// how long that is ago.
	LastError error
	FaultAgo  time.Duration

	// Compression is the algorithm that was agreed on when the session was ready last, "" for
	// none; then Uncompressed is why, if this side offers it (async.Config.Compression).
	Compression, Uncompressed string
	// CompressedFrom are the bytes of segments that were compressed, CompressedTo what they
	// became; DecompressedFrom and DecompressedTo are of what was received.
	CompressedFrom, CompressedTo     uint64
	DecompressedFrom, DecompressedTo uint64

	// Held is what the connection holds for sending, until it is acknowledged (lossless) or
	// written, and Stalled for how long none of that has had its end.
	Held      int
	HeldBytes int64
	Stalled   time.Duration
	// AckTime is how long messages take from Send to their end, a moving mean of one in sixteen.
	AckTime time.Duration
	// Dispatching are received messages that wait for dispatch, or are being dispatched.
	Dispatching int
	// Waits is how often reading was stopped for want of room in a throttle, Waiting for how
	// long it is stopped now, and WaitsFor for which: "connection", "policy messages",
	// "policy bytes", "dispatch".
	Waits    uint64
	Waiting  time.Duration
	WaitsFor string

	// Quiet is for how long no message was received, since one was; up to a millisecond more.
	Quiet                           time.Duration
	LastKeepalive, LastKeepaliveAck time.Time
}

// Look is what is known of c, at the stack's time now. Any goroutine; it takes c's lock for a
// moment, and asks nothing of the worker: so it tells of a connection whose worker is stuck.
func Look(c *Conn, now time.Duration) (s ConnStats) {
	i := c.Seen.peer.Load()
	state := session.State(c.Seen.state.Load())
	s = ConnStats{
		ID: c.ID(), Peer: i.name, Addrs: i.addrs, GlobalID: i.globalID, Local: i.local, Remote: i.remote,
		Up: c.IsConnected(), Accepted: i.accepted, Policy: i.policy, State: c.State(), SessionState: state.String(),
		Step: state.Step(), LastError: c.LastError(), Dispatching: int(c.queued.Load()),
		LastKeepalive: c.LastKeepalive(), LastKeepaliveAck: c.LastKeepaliveAck(),
	}
	if i.authed != nil {
		s.Authenticated = *i.authed
	}
	if s.State == msg.StateClosed {
		s.SessionState, s.Step = session.StateClosed.String(), ""
	}
	x := &c.traffic
	s.Received, s.ReceivedBytes = x.received.Load(), x.receivedBytes.Load()
	s.Sent, s.SentBytes = x.sent.Load(), x.sentBytes.Load()
	s.AckTime = time.Duration(x.ackTime.Load()) * time.Microsecond
	if s.Received > 0 {
		s.Quiet = max(now-time.Duration(x.lastIn.Load()), 0)
	}
	if r := x.trouble.Load(); r != nil {
		s.trouble(r, now)
	}
	s.showCompression(c, i.compression)
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Worker = c.w.ID()
	s.Held, s.HeldBytes = c.account.Held()
	if since := c.account.since; s.Held > 0 && since > 0 {
		s.Stalled = max(now-since, 0)
	}
	return s
}

func (s *ConnStats) trouble(r *rare, now time.Duration) {
	s.Faults, s.Resumed, s.Replayed, s.Waits = r.faults.Load(), r.resumed.Load(), r.replayed.Load(), r.waits.Load()
	if s.State != msg.StateReady {
		s.Attempts = r.attempts.Load()
	}
	if at := r.faultAt.Load(); at > 0 {
		s.FaultAgo = max(now-time.Duration(at), 0)
	}
	if at := r.waitSince.Load(); at > 0 {
		s.Waiting, s.WaitsFor = max(now-time.Duration(at), 0), throttleNames[r.waitFor.Load()]
	}
}
