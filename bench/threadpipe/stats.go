package threadpipe

import (
	"sync/atomic"

	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// countStripes is how many sets of counters the connections of a messenger share,
// so that their threads rarely write to the same cache line. A power of two.
const countStripes = 16

// counts are what some connections of a messenger counted.
type counts struct {
	received, receivedBytes, sent, sentBytes, replayed  atomic.Uint64
	delivered, undeliverable, fast                      atomic.Uint64
	connected, accepted, faults                         atomic.Uint64
	resets, remoteResets, refused, throttleWaits, drops atomic.Uint64
	_                                                   [64]byte
}

// countsOf returns the counters of the connection with that id.
func (m *Messenger) countsOf(id uint64) *counts { return &m.counts[id%countStripes] }

// Stats is a snapshot of what a messenger counted since New; the fields mean what
// they mean in async.Stats.
type Stats struct {
	Received, ReceivedBytes       uint64
	Sent, SentBytes               uint64
	Replayed                      uint64
	Delivered, Undeliverable      uint64
	Discarded                     uint64
	FastDispatched                uint64
	Connected, Accepted, Faults   uint64
	Resets, RemoteResets, Refused uint64
	ThrottleWaits                 uint64
	Panics                        uint64
	AcceptErrors, TurnedAway      uint64
	Connections, Handshakes       int
	DispatchBytes                 int64
	Queue                         dispatch.Stats
	// Threads is how many readers, writers, accepters, dispatch and loopback threads
	// run now.
	Threads int
}

// Stats returns a snapshot; the numbers are of slightly different moments.
func (m *Messenger) Stats() Stats {
	s := Stats{
		Discarded: m.discarded.Load(), Panics: m.panics.Load(), AcceptErrors: m.acceptErrors.Load(),
		Queue: m.queue.Stats(), Threads: int(m.threads.Load()),
	}
	for i := range m.counts {
		c := &m.counts[i]
		s.Received += c.received.Load()
		s.ReceivedBytes += c.receivedBytes.Load()
		s.Sent += c.sent.Load()
		s.SentBytes += c.sentBytes.Load()
		s.Replayed += c.replayed.Load()
		s.Delivered += c.delivered.Load()
		s.Undeliverable += c.undeliverable.Load()
		s.FastDispatched += c.fast.Load()
		s.Connected += c.connected.Load()
		s.Accepted += c.accepted.Load()
		s.Faults += c.faults.Load()
		s.Resets += c.resets.Load()
		s.RemoteResets += c.remoteResets.Load()
		s.Refused += c.refused.Load()
		s.ThrottleWaits += c.throttleWaits.Load()
		s.Discarded += c.drops.Load()
	}
	m.reg.mu.Lock()
	s.Connections, s.Handshakes, s.TurnedAway = len(m.reg.all), len(m.reg.handshakes), m.reg.refused
	m.reg.mu.Unlock()
	if m.throttle != nil {
		s.DispatchBytes = m.throttle.Stats().Held
	}
	return s
}

// discardedItem counts messages that the queue dropped; events are nobody's loss.
func (m *Messenger) discardedItem(it *dispatch.Item) {
	if it.Kind == dispatch.KindMessage {
		m.discarded.Add(1)
	}
}
