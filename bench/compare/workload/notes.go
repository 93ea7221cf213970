package workload

import (
	"fmt"
	"slices"
)

// note adds a sentence for the reader, once.
func (r *runner) note(text string) {
	if text != "" && !slices.Contains(r.res.Notes, text) {
		r.res.Notes = append(r.res.Notes, text)
	}
}

// about says what the name of s does not.
func (s *Scenario) about() string {
	switch {
	case s.InFlight > 0:
		return fmt.Sprintf(
			"Where connections times size is more than %d MiB, connections take turns, "+
				"so that no more than that is in flight: the window is 1, or 0 while others have their turn.",
			inFlightMax>>20)
	case s.idle():
		return "Idle connections: memory is what the server's process has more than after a first connection came " +
			"and went, both after a garbage collection, by the number of connections. " +
			"The kernel's memory for sockets is not in it."
	}
	switch s.Kind {
	case Priority:
		return fmt.Sprintf(
			"Priorities: latencies are those of a trickle of %d messages of %d B a second, from when each was due; "+
				"messages a second are those of the bulk on the same connection.", trickleRate, trickleSize)
	case FanOut:
		return "Fan-out: the client sends a message over one connection, the server sends it over all, and the next " +
			"one follows when it has come out of each. Messages a second, CPU and latency are of what comes out. " +
			"In fan-out/lossless the messengers acknowledge each message, a write and a read more, and lose none; " +
			"in fan-out/lossy, and the others in both, nothing is acknowledged."
	case Faults:
		return "Faults: at full load every TCP connection of the client's process is shut down at once. " +
			"Lost are accepted requests that never got an answer, in the worst round. " +
			"Messages a second and latencies are from before the cut, CPU is until the end."
	default:
		return ""
	}
}
