package cephperf

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Result is what a run of clients measured. A message is a request with its reply.
type Result struct {
	Transport   string  `json:"transport"`
	Server      string  `json:"server"`
	Jobs        int     `json:"jobs"`
	Window      int     `json:"window"`
	Messages    int     `json:"messages_per_job"`
	ThinkMicros float64 `json:"think_us"`
	Length      int     `json:"length"`

	// Answered counts replies, Lost the requests without one, Odd the replies to
	// nothing.
	Answered int64 `json:"answered"`
	Lost     int64 `json:"lost"`
	Odd      int64 `json:"odd"`
	// Interrupted: it was ended before all replies were there. InFlight are the requests
	// that had none then; they are not Lost.
	Interrupted bool    `json:"interrupted,omitempty"`
	InFlight    int64   `json:"in_flight,omitempty"`
	Seconds     float64 `json:"seconds"`
	Rate        float64 `json:"msgs_per_s"`
	MB          float64 `json:"mb_per_s"` // of the requests' data
	P50         float64 `json:"p50_us"`
	P99         float64 `json:"p99_us"`
	P999        float64 `json:"p999_us"`

	// Client is what the clients' process used, and the server too if it is the same
	// one; ServerEnd is nil then.
	Client    *End `json:"client,omitempty"`
	ServerEnd *End `json:"server_end,omitempty"`
	// ServerSilent: the server did not say what it has used.
	ServerSilent bool `json:"server_silent,omitempty"`
}

// CPU is that of both ends in microseconds per message.
func (r *Result) CPU() float64 {
	var us float64
	for _, e := range []*End{r.Client, r.ServerEnd} {
		if e != nil {
			us += e.CPU()
		}
	}
	return us
}

// published is what Ceph's own messenger did in this exchange; docs/BENCHMARKS.md has the
// whole table, and how it was measured.
const published = `Ceph 16.2.15's AsyncMessenger (C++), both ends, on 2 cores; CPU a message of both ends:
data     jobs x window  inline (fast dispatch)      queue
64 B     1 x 1          41 000/s at 24.6 us         18 000/s at 55.6 us
64 B     16 x 16        188 000/s at 7.2 us         111 000/s at 10.8 us
64 B     16 x 64        261 000/s at 7.0 us         154 000/s at 11.5 us
64 B     256 x 64       258 000/s at 7.7 us         113 000/s at 17.0 us
4 KiB    16 x 16        209 000/s at 8.9 us         117 000/s at 15.1 us
64 KiB   16 x 16        72 000/s at 25.5 us         46 000/s at 37.6 us
(theirs include encoding and decoding MOSDOp and MOSDOpReply; on another machine look at the CPU first)
`

// Write writes the result for people.
func (r *Result) Write(w io.Writer) error {
	fmt.Fprintf(w,
		"%s, server %s: %d jobs, window %d, %d messages each, data %d B (front %d B, reply %d B), think time %g us\n",
		r.Transport, r.Server, r.Jobs, r.Window, r.Messages, r.Length, requestFront, replyFront, r.ThinkMicros)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if r.Interrupted {
		fmt.Fprintf(t, "interrupted\tafter %d of %d messages, %d more in flight\n",
			r.Answered, r.Jobs*r.Messages, r.InFlight)
	}
	fmt.Fprintf(t, "messages\t%d answered, %d lost, %d odd in %.3f s\n", r.Answered, r.Lost, r.Odd, r.Seconds)
	fmt.Fprintf(t, "rate\t%.0f messages/s, %.1f MB/s\n", r.Rate, r.MB)
	fmt.Fprintf(t, "latency\tp50 %.0f us, p99 %.0f us, p99.9 %.0f us\n", r.P50, r.P99, r.P999)
	name := "both ends"
	switch {
	case r.ServerEnd != nil:
		name = "client"
		r.ServerEnd.write(t, "server")
	case r.ServerSilent:
		name = "client"
		fmt.Fprintln(t, "server\tdoes not say what it has used, as Ceph's does not; --pid looks at its process")
	}
	if r.Client != nil {
		r.Client.write(t, name)
	}
	if r.ServerEnd != nil {
		fmt.Fprintf(t, "both ends\t%.2f us of CPU per message\n", r.CPU())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n"+published)
	return err
}

func (e *End) write(w io.Writer, name string) {
	fmt.Fprintf(w, "%s\t%.2f us of CPU per message (%.2f user, %.2f system), RSS %d KiB, %d threads",
		name, e.CPU(), e.User, e.System, e.RSS, e.Threads)
	if e.Goroutines > 0 { // otherwise another program's, or another process looked at
		fmt.Fprintf(w, ", %d goroutines", e.Goroutines)
	}
	fmt.Fprintln(w)
}
