package demo

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest/faultkit"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// securely is Report.Mode of a secure run.
var securely = auth.ModeName(auth.ModeSecure)

// Report is what a run found. Its JSON form is what msgr demo --json prints.
type Report struct {
	OK bool `json:"ok"`
	// Interrupted: it was ended before its time. OK is then about what happened until
	// that.
	Interrupted bool `json:"interrupted,omitempty"`
	// Drained: each messenger ended when everything that was sent had arrived.
	Drained bool `json:"drained"`

	Seed    uint64  `json:"seed"`
	Seconds float64 `json:"seconds"`
	OSDs    int     `json:"osds"`
	// Clients is how many there are, Busy how many of them work all the time.
	Clients int   `json:"clients"`
	Busy    int   `json:"busy"`
	Classes []Row `json:"classes"`
	// Method and Mode are those of every connection; "tls" and "secure" with
	// Config.Secure. Handshakes is how many accepted connections authenticated so.
	Method     string `json:"method"`
	Mode       string `json:"mode"`
	Handshakes uint64 `json:"handshakes"`

	// Ops is the sum of all classes; an operation is a round trip.
	Ops uint64 `json:"ops"`
	// Cuts is how many connections were cut, by kind and direction, and how many
	// of them during a handshake.
	Cuts          uint64            `json:"cuts"`
	CutKinds      map[string]uint64 `json:"cut_kinds"`
	HandshakeCuts uint64            `json:"handshake_cuts"`
	Sessions      int               `json:"sessions"`
	// Reconnects counts sessions that became ready again, or, lossy ones, anew.
	Reconnects uint64 `json:"reconnects"`
	Faults     uint64 `json:"faults"`
	Replayed   uint64 `json:"replayed"`
	Lent       uint64 `json:"lent"` // writes by their sender, on a worker that slept
	Lost       uint64 `json:"lost"`
	Duplicated uint64 `json:"duplicated"`
	// LossyResets are sessions that broke and said so, LossyDropped the polls
	// and answers that went with them, as they may.
	LossyResets   uint64 `json:"lossy_resets"`
	LossyDropped  uint64 `json:"lossy_dropped"`
	ThrottleWaits uint64 `json:"throttle_waits"`

	// Objects, Copies and CopyBytes are what was verified at the end;
	// NotRecovered the cold copies that recovery did not come to.
	Objects      int    `json:"objects"`
	Copies       int    `json:"copies"`
	CopyBytes    uint64 `json:"copy_bytes"`
	NotRecovered int    `json:"not_recovered"`

	GoroutinesBefore int `json:"goroutines_before"`
	GoroutinesDuring int `json:"goroutines_during"`
	GoroutinesAfter  int `json:"goroutines_after"`
	ThreadsBefore    int `json:"threads_before"`
	Threads          int `json:"threads"`
	RSSKiB           int `json:"rss_kib"`

	// Failures is how many promises were broken, FirstFailures some in words.
	Failures      uint64   `json:"failures"`
	FirstFailures []string `json:"first_failures,omitempty"`
}

// Row is a class of traffic. Latencies are of round trips, in milliseconds.
type Row struct {
	Class        string  `json:"class"`
	Promise      string  `json:"promise"`
	Ops          uint64  `json:"ops"`
	OpsPerSecond float64 `json:"ops_per_second"`
	MBPerSecond  float64 `json:"mb_per_second"`
	P50ms        float64 `json:"p50_ms"`
	P99ms        float64 `json:"p99_ms"`
	MaxMs        float64 `json:"max_ms"`
}

// fill reads the counters, before the messengers are gone.
func (d *demo) fill(r *Report, before usage) {
	d.used.raise(usageNow())
	for c := range numClasses {
		row := d.meters[c].row(c, max(time.Millisecond, time.Duration(r.Seconds*float64(time.Second))))
		r.Classes = append(r.Classes, row)
		r.Ops += row.Ops
	}
	r.Cuts, r.HandshakeCuts, r.CutKinds = d.stack.Cuts(), d.cuts.handshake.Load(), map[string]uint64{}
	for k := range d.cuts.kinds {
		r.CutKinds[faultkit.CutKind(k).String()] = d.cuts.kinds[k].Load()
	}
	for k := range d.cuts.dirs {
		r.CutKinds[faultkit.CutDir(k).String()] = d.cuts.dirs[k].Load()
	}
	r.Handshakes = d.keys.handshakes.Load()
	connected := uint64(0)
	for _, m := range slices.Concat(d.messengers, d.gone) {
		s := m.Stats()
		connected += s.Connected
		r.Faults += s.Faults
		r.Replayed += s.Replayed
		r.Lent += s.Lent
		r.ThrottleWaits += s.ThrottleWaits
		if s.Panics > 0 {
			d.oracle.Failed("%s: %d panics", m.Name(), s.Panics)
		}
		if s.Queue.Unhandled > 0 {
			d.oracle.Failed("%s: %d messages that nobody handles", m.Name(), s.Queue.Unhandled)
		}
	}
	began := uint64(r.Sessions) + uint64(d.restarts.Load())*uint64(d.cfg.OSDs)
	r.Reconnects = max(connected, began) - began
	r.LossyResets, _ = d.manager.counts()
	_, r.LossyDropped = d.oracle.Missing()
	r.GoroutinesBefore, r.GoroutinesDuring = before.goroutines, d.used.goroutines
	r.ThreadsBefore, r.Threads, r.RSSKiB = before.threads, d.used.threads, d.used.rssKiB
}

// conclude is the verdict.
func (d *demo) conclude(r *Report) {
	r.Lost, r.Duplicated = d.oracle.lost.Load(), d.oracle.duplicated.Load()
	r.Failures, r.FirstFailures = d.oracle.Failures()
	r.OK = r.Failures == 0 && r.Lost == 0 && r.Duplicated == 0
}

// Write prints the report as a table whose last line is Line.
func (r *Report) Write(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tw, "class\tops\tops/s\tMB/s\tp50 ms\tp99 ms\tmax ms\t  promise, kept under %d cuts\n", r.Cuts)
	for _, c := range r.Classes {
		fmt.Fprintf(tw, "%s\t%d\t%.0f\t%.1f\t%.2f\t%.2f\t%.1f\t  %s\n",
			c.Class, c.Ops, c.OpsPerSecond, c.MBPerSecond, c.P50ms, c.P99ms, c.MaxMs, c.Promise)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%d osds, %d clients (%d busy), %d sessions, %.1f s, seed %d\n",
		r.OSDs, r.Clients, r.Busy, r.Sessions, r.Seconds, r.Seed)
	if r.Mode == securely {
		fmt.Fprintf(w, "secure     everything was encrypted (AES-128-GCM): method %s, mode %s, "+
			"%d handshakes by a secret that all share\n", r.Method, r.Mode, r.Handshakes)
	} else {
		fmt.Fprintf(w, "not secure method %s, mode %s: checksums only; %d handshakes\n", r.Method, r.Mode, r.Handshakes)
	}
	fmt.Fprintf(w, "cuts       %d: %d rst, %d fin, %d fin unnoticed; %d writing, %d reading; %d during a handshake\n",
		r.Cuts, r.CutKinds["rst"], r.CutKinds["fin"], r.CutKinds["vanish"],
		r.CutKinds["write"], r.CutKinds["read"], r.HandshakeCuts)
	fmt.Fprintf(w, "sessions   %d reconnects after %d faults, %d messages sent again, %d writes by their sender, "+
		"%d waits for throttles\n",
		r.Reconnects, r.Faults, r.Replayed, r.Lent, r.ThrottleWaits)
	fmt.Fprintf(w, "lossy      %d sessions broke, each told once; %d messages went with them\n",
		r.LossyResets, r.LossyDropped)
	fmt.Fprintf(w, "verified   %d objects, %d copies, %.1f MB; %d cold copies not recovered yet\n",
		r.Objects, r.Copies, float64(r.CopyBytes)/1e6, r.NotRecovered)
	if r.Drained {
		fmt.Fprintf(w, "drained    every messenger ended when all that was sent had been acknowledged\n")
	}
	fmt.Fprintf(w, "process    goroutines %d before, %d during, %d after; threads %d before, %d during; %.0f MiB\n",
		r.GoroutinesBefore, r.GoroutinesDuring, r.GoroutinesAfter, r.ThreadsBefore, r.Threads, float64(r.RSSKiB)/1024)
	for _, f := range r.FirstFailures {
		fmt.Fprintf(w, "FAILED     %s\n", f)
	}
	if n := r.Failures - uint64(len(r.FirstFailures)); n > 0 {
		fmt.Fprintf(w, "FAILED     and %d more\n", n)
	}
	_, err := fmt.Fprintf(w, "\n%s\n", r.Line())
	return err
}

// Line is the report in one line, "demo: ok ..." or "demo: FAILED ..."; of a run that
// was interrupted "demo: interrupted, ok so far ..." or "demo: interrupted, FAILED ...".
// That of a secure run ends with its mode and the number of its handshakes.
func (r *Report) Line() string {
	verdict := "ok"
	switch {
	case !r.OK && r.Interrupted:
		verdict = "interrupted, FAILED"
	case !r.OK:
		verdict = "FAILED"
	case r.Interrupted:
		verdict = "interrupted, ok so far"
	}
	line := fmt.Sprintf(
		"demo: %s ops=%d cuts=%d reconnects=%d replayed=%d lost=%d duplicated=%d goroutines=%d/%d threads=%d",
		verdict, r.Ops, r.Cuts, r.Reconnects, r.Replayed, r.Lost, r.Duplicated, r.GoroutinesBefore,
		r.GoroutinesDuring, r.Threads)
	if r.Mode == securely {
		line += fmt.Sprintf(" mode=%s handshakes=%d", r.Mode, r.Handshakes)
	}
	return line
}
