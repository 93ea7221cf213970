package async

import (
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// Stats is a snapshot: what a messenger counted since New, and what it holds now.
type Stats struct {
	connection.Counts[uint64]

	// Connections and Handshakes are what exists now; Absent are the connections among
	// them that wait for peers which alone can come back.
	Connections, Handshakes, Absent int
	// DispatchBytes is what the dispatch throttle holds now.
	DispatchBytes int64
	// SendBytes is what all connections hold for sending, beyond 64 KiB each.
	SendBytes int64
	Queue     dispatch.Stats
}

// Stats returns a snapshot; the numbers are of slightly different moments.
func (m *Messenger) Stats() Stats {
	s := Stats{Counts: connection.Sum(m.shared.Stats, &m.counts), Queue: m.queue.Stats()}
	s.Connections, s.Handshakes, s.Absent = m.reg.Counts()
	if m.throttle != nil {
		s.DispatchBytes = m.throttle.Stats().Held
	}
	if t := m.shared.Options.Send.Total; t != nil {
		s.SendBytes = t.Held()
	}
	return s
}
