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

// published is what Ceph's own messengers did in this exchange.
const published = "Ceph's C++ messengers in ceph_perf_msgr on a machine of 2 cores " +
	"(64 B, 8 to 64 connections, window 64):" + `
AsyncMessenger   55 000 to 120 000 messages/s at 17 to 22 us of CPU each
SimpleMessenger  43 000 to 87 000 messages/s at 24 to 31 us of CPU each
(theirs include encoding and decoding MOSDOp and MOSDOpReply; another machine: look at the CPU first)
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
	if r.ServerEnd != nil {
		name = "client"
		r.ServerEnd.write(t, "server")
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
	fmt.Fprintf(w, "%s\t%.2f us of CPU per message (%.2f user, %.2f system), RSS %d KiB, %d threads, %d goroutines\n",
		name, e.CPU(), e.User, e.System, e.RSS, e.Threads, e.Goroutines)
}
