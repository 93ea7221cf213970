package async

import (
	"sync/atomic"

	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// counts are what the messenger counts across connections.
type counts struct {
	acceptErrors  atomic.Uint64
	discarded     atomic.Uint64
	undeliverable atomic.Uint64
	panics        atomic.Uint64
	slow          atomic.Uint64
}

// Stats is a snapshot of what a messenger counted since New.
type Stats struct {
	// Messages and payload bytes received over the network, and those encoded for
	// it; a message that is sent again counts again, and in Replayed.
	Received, ReceivedBytes uint64
	Sent, SentBytes         uint64
	Replayed                uint64
	// Delivered are sendings that ended well, Undeliverable those that did not.
	Delivered, Undeliverable uint64
	// Discarded are received messages that were dropped before dispatch: of
	// connections closed or reset, or by Shutdown.
	Discarded      uint64
	FastDispatched uint64
	// Connected and Accepted count sessions becoming ready, Faults lost transports.
	Connected, Accepted, Faults   uint64
	Resets, RemoteResets, Refused uint64
	// ThrottleWaits counts how often reading was stopped for lack of room.
	ThrottleWaits uint64
	Panics        uint64
	// SlowFastDispatches is how often fast dispatch held up a worker for longer
	// than FastDispatchLimit.
	SlowFastDispatches uint64
	// AcceptErrors are failures of accept (see ListenConfig.OnError), Turned away
	// are accepted sockets closed because of HandshakesMax.
	AcceptErrors, TurnedAway uint64
	// Connections and Handshakes are what exists now.
	Connections, Handshakes int
	// DispatchBytes is what the dispatch throttle holds now.
	DispatchBytes int64
	Queue         dispatch.Stats
}

// Stats returns a snapshot; the numbers are of slightly different moments.
func (m *Messenger) Stats() Stats {
	s := Stats{
		Undeliverable: m.counts.undeliverable.Load(),
		Discarded:     m.counts.discarded.Load(),
		Panics:        m.counts.panics.Load(),
		AcceptErrors:  m.counts.acceptErrors.Load(),
		Queue:         m.queue.Stats(),
	}
	for i := range m.shared.Stats {
		w := &m.shared.Stats[i]
		s.Received += w.Received.Load()
		s.ReceivedBytes += w.ReceivedBytes.Load()
		s.Sent += w.Sent.Load()
		s.SentBytes += w.SentBytes.Load()
		s.Replayed += w.Replayed.Load()
		s.FastDispatched += w.FastDispatched.Load()
		s.Delivered += w.Delivered.Load()
		s.Connected += w.Connected.Load()
		s.Accepted += w.Accepted.Load()
		s.Faults += w.Faults.Load()
		s.Resets += w.Resets.Load()
		s.RemoteResets += w.RemoteResets.Load()
		s.Refused += w.Refused.Load()
		s.ThrottleWaits += w.ThrottleWaits.Load()
	}
	m.reg.mu.Lock()
	s.Connections, s.Handshakes, s.TurnedAway = len(m.reg.all), m.reg.handshakes, m.reg.refused
	m.reg.mu.Unlock()
	if m.throttle != nil {
		s.DispatchBytes = m.throttle.Stats().Held
	}
	return s
}
