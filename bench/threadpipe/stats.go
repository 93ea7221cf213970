package threadpipe

import (
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// countStripes is how many sets of counters the connections of a messenger share,
// so that their threads rarely write to the same cache line. A power of two.
const countStripes = 16

// counts are what some connections of a messenger counted.
type counts struct {
	connection.Counts[connection.SharedCounter]
	_ [64]byte
}

// countsOf returns the counters of the connection with that id; 0 is the messenger.
func (m *Messenger) countsOf(id uint64) *counts { return &m.counts[id%countStripes] }

// Stats is a snapshot: what a messenger counted since New, and what it holds now; the
// fields mean what they mean in async.Stats. SlowFastDispatches stays 0: a fast dispatcher
// holds up its own connection only. So does Lent: there are no workers.
type Stats struct {
	connection.Counts[uint64]

	Connections, Handshakes, Absent int
	DispatchBytes, SendBytes        int64
	Queue                           dispatch.Stats
	// Threads is how many readers, writers, accepters, dispatch and loopback threads
	// run now.
	Threads int
}

// Stats returns a snapshot; the numbers are of slightly different moments.
func (m *Messenger) Stats() Stats {
	var all [countStripes]*connection.Counts[connection.SharedCounter]
	for i := range m.counts {
		all[i] = &m.counts[i].Counts
	}
	s := Stats{Counts: connection.Sum(nil, all[:]...), Queue: m.queue.Stats(), Threads: int(m.threads.Load())}
	s.Connections, s.Handshakes, s.Absent = m.reg.Counts()
	if m.throttle != nil {
		s.DispatchBytes = m.throttle.Stats().Held
	}
	if t := m.sendLimits.Total; t != nil {
		s.SendBytes = t.Held()
	}
	return s
}

// discardedItem counts messages that the queue dropped; events are nobody's loss.
func (m *Messenger) discardedItem(it *dispatch.Item) {
	if it.Kind == dispatch.KindMessage {
		m.countsOf(0).Discarded.Add(1)
	}
}
