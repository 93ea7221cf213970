package async

import (
	"cmp"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/hist"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// losses are messages that were not delivered, or not dispatched, by why not.
type losses struct {
	shutdown             atomic.Bool // Shutdown was called
	unsent, undispatched [msg.NumLosses]connection.SharedCounter
}

// Snapshot is all that a messenger knows of itself but for its connections: what it counted
// since New, and what it holds now. See Messenger.ConnectionStats for those.
type Snapshot struct {
	Time     time.Time
	Name     entity.Name
	Addrs    entity.AddrVec
	GlobalID uint64
	// Life is "new", "started" or "closing".
	Life string

	Stats
	// UndeliverableBy and DiscardedBy are Undeliverable and Discarded by msg.Loss. What was
	// received is lost to LossMarkedDown, LossReset, LossRemoteReset and LossShutdown alone.
	UndeliverableBy, DiscardedBy [msg.NumLosses]uint64
	Workers                      []WorkerStats

	// Bands are what waits for dispatch, by band of priorities: dispatch.BandEvents,
	// BandHigh, BandNormal, BandWeighted.
	Bands [dispatch.Bands]dispatch.Band
	// QueueWait is for how long messages and events waited for dispatch, DispatchTime how
	// long callbacks took, as far as that is measured (dispatch.Look), and SendToAck
	// how long messages took from Send to their end: acknowledged (lossless) or written
	// (lossy). One message in sixteen of a connection is measured.
	QueueWait, DispatchTime, SendToAck hist.Durations
	// LongCallbacks are the callbacks that were seen running for 100 ms or longer.
	LongCallbacks []LongCallback

	// Throttle is the dispatch throttle, zero if there is no bound. SendBytesMax is the
	// bound of SendBytes, 0 if there is none.
	Throttle     dispatch.ThrottleStats
	SendBytesMax int64
	// Policies are the throttles of policies, the default policy's first: those that are a
	// *dispatch.Throttle.
	Policies []PolicyThrottles
	// Pool is Config.Executor, if that is a *dispatch.AntsPool. Others may use it as well.
	Pool PoolStats
}

// WorkerStats is what one worker of the stack did for this messenger, and in Activity what it
// did for all who share the stack.
type WorkerStats struct {
	ID int
	// Load is the number of sockets that it serves, of all messengers.
	Load int
	connection.Counts[uint64]
	SendToAck hist.Durations
	// Activity is zero for stacks that do not tell (eventloop.Watched).
	Activity eventloop.Activity
}

// LongCallback is a callback that has been running for long.
type LongCallback struct {
	Conn     string // empty: none
	Callback string
	For      time.Duration // a lower bound: it was not looked at all the time
}

// PolicyThrottles are the throttles of the policy for one type of peers; 0 stands for types
// that have no policy of their own. A zero ThrottleStats means that there is none.
type PolicyThrottles struct {
	Type            entity.Type
	Messages, Bytes dispatch.ThrottleStats
}

// PoolStats is an executor's.
type PoolStats struct{ Running, Waiting, Size int }

// longCallback is how long a callback runs at least to be a LongCallback.
const longCallback = 100 * time.Millisecond

var lifeNames = [...]string{stateNew: "new", stateStarted: "started", stateClosing: "closing"}

// Snapshot is a snapshot; the numbers are of slightly different moments. Any goroutine,
// callbacks included; it takes short locks, and waits for no worker.
func (m *Messenger) Snapshot() Snapshot {
	look := m.queue.Look()
	s := Snapshot{
		Time: m.cfg.Clock.Wall(), Name: m.cfg.Name, Addrs: m.Addrs(), GlobalID: m.GlobalID(),
		Stats: m.Stats(), Workers: m.workerStats(),
		Bands: look.Bands, QueueWait: look.Wait, DispatchTime: look.Run,
		SendToAck:     connection.SumSendToAck(m.shared.Stats),
		LongCallbacks: m.longCallbacks(), Policies: m.policyThrottles(),
	}
	m.mu.Lock()
	s.Life = lifeNames[m.state]
	m.mu.Unlock()
	for i := range s.UndeliverableBy {
		s.UndeliverableBy[i], s.DiscardedBy[i] = m.losses.unsent[i].Load(), m.losses.undispatched[i].Load()
	}
	if m.throttle != nil {
		s.Throttle = m.throttle.Stats()
	}
	if m.shared.Options.Send.Total != nil {
		s.SendBytesMax = m.cfg.SendTotalBytes
	}
	if p, ok := m.cfg.Executor.(*dispatch.AntsPool); ok {
		s.Pool = PoolStats{Running: p.Running(), Waiting: p.Waiting(), Size: p.Size()}
	}
	return s
}

func (m *Messenger) workerStats() []WorkerStats {
	out := make([]WorkerStats, m.cfg.Stack.NumWorkers())
	watched, _ := m.cfg.Stack.(eventloop.Watched)
	for i := range out {
		st := &m.shared.Stats[i]
		out[i] = WorkerStats{
			ID: i, Load: m.cfg.Stack.Worker(i).Load(), Counts: st.Load(), SendToAck: st.LoadSendToAck(),
		}
		if watched != nil {
			out[i].Activity = watched.Activity(i)
		}
	}
	return out
}

func (m *Messenger) longCallbacks() (out []LongCallback) {
	for _, f := range m.queue.Stuck(longCallback) {
		c := LongCallback{Callback: f.Kind.String(), For: f.For}
		if f.Conn != nil {
			c.Conn = f.Conn.String()
		}
		out = append(out, c)
	}
	return out
}

func (m *Messenger) policyThrottles() (out []PolicyThrottles) {
	other, byType := m.identity.All()
	byType[0] = other
	for t, p := range byType {
		x := PolicyThrottles{Type: t}
		messages, a := p.ThrottleMessages.(*dispatch.Throttle)
		bytes, b := p.ThrottleBytes.(*dispatch.Throttle)
		if a {
			x.Messages = messages.Stats()
		}
		if b {
			x.Bytes = bytes.Stats()
		}
		if a || b {
			out = append(out, x)
		}
	}
	slices.SortFunc(out, func(a, b PolicyThrottles) int { return cmp.Compare(a.Type, b.Type) })
	return out
}

// ConnectionStats are the connections of Connections, each with what is known of it when its
// turn comes; the loopback connection comes first. Any goroutine, callbacks included. No worker
// is asked or stopped: each connection's lock is held for as long as it takes to read a few
// numbers, and the registry's, for which who connects waits, once, while it is copied.
func (m *Messenger) ConnectionStats() iter.Seq2[msg.Connection, connection.ConnStats] {
	return func(yield func(msg.Connection, connection.ConnStats) bool) {
		if !yield(m.loop, m.loop.look()) {
			return
		}
		clock := m.cfg.Stack.Clock()
		for _, c := range m.reg.Snapshot() {
			if !yield(c, connection.Look(c, clock.Now())) {
				return
			}
		}
	}
}

// look is what is known of the connection to itself.
func (l *loopback) look() connection.ConnStats {
	s := connection.ConnStats{
		ID: l.ID(), Peer: l.PeerName(), Addrs: l.PeerAddrs(), Up: l.IsConnected(), Loopback: true, Worker: -1,
		Policy: l.Policy(), State: l.State(),
	}
	s.Held, s.HeldBytes = l.SendQueue()
	return s
}
