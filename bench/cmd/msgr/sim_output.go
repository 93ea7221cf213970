package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/asyncmsgr/asyncmsgr/bench/simulate"
)

// simOutput prints results as they come.
type simOutput struct {
	w      io.Writer
	json   bool
	single bool // there is one seed
	twice  bool
	brief  bool // no object for each run
	runs   []simJSON
	// campaign is what sim-merge reads; nil: none.
	campaign *simulate.Recorder
	failed   uint64 // the first seed that was violated, if any was
	bad      int    // how many were
	done     int
	notes    []string
}

// simJSON is a run as an object, or the sum of several.
type simJSON struct {
	Scenario   string   `json:"scenario"`
	Nodes      int      `json:"nodes"`
	Seed       uint64   `json:"seed"`
	Seeds      []uint64 `json:"seeds,omitempty"` // the first and the last
	Sent       uint64   `json:"sent"`
	Deliveries uint64   `json:"deliveries"`
	Sessions   uint64   `json:"sessions"`
	Events     uint64   `json:"events"`
	Faults     int      `json:"faults"`
	Violations int      `json:"violations"`
	Violated   []string `json:"violated,omitempty"`
	Invariants []string `json:"invariants"`
	Early      bool     `json:"ended_early,omitempty"`
	// Interrupted: of a run, it has no end; of several, there were to be more.
	Interrupted bool `json:"interrupted,omitempty"`

	VirtualS   float64   `json:"virtual_s"`
	RealS      float64   `json:"real_s"`
	EventsPerS float64   `json:"events_per_s"`
	SeedsPerS  float64   `json:"seeds_per_s,omitempty"`
	TraceHash  string    `json:"trace_hash,omitempty"` // of a run that was interrupted there is none
	Done       int       `json:"seeds_done,omitempty"` // of several
	Twice      bool      `json:"twice,omitempty"`      // each run was repeated, and the hash compared
	Runs       []simJSON `json:"runs,omitempty"`

	Campaign *simulate.Campaign `json:"campaign,omitempty"` // of a range of seeds
}

func toJSON(r *simulate.Result) simJSON {
	j := simJSON{
		Scenario: r.Scenario, Nodes: r.Nodes, Seed: r.Seed, Sent: r.Sent, Deliveries: r.Deliveries,
		Sessions: r.Sessions, Events: r.Events, Faults: r.Faults, Violations: r.Violations, Violated: r.Violated,
		Invariants: r.Invariants, Early: r.Early, Interrupted: r.Interrupted,
		VirtualS: r.Virtual.Seconds(), RealS: r.Real.Seconds(), EventsPerS: perSecond(r.Events, r.Real),
	}
	if !r.Interrupted {
		j.TraceHash = hashText(r.Hash)
	}
	return j
}

func perSecond(n uint64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

func hashText(h uint64) string { return fmt.Sprintf("%016x", h) }

// add takes the result of a seed.
func (o *simOutput) add(r simulate.Result) {
	if r.Violations > 0 {
		if o.bad++; o.bad == 1 {
			o.failed = r.Seed
		}
	}
	o.notes = r.Notes
	if !r.Interrupted {
		o.done++
		if o.campaign != nil {
			o.campaign.Add(&r)
		}
	}
	switch {
	case o.single || o.json && o.brief:
	case o.json:
		o.runs = append(o.runs, toJSON(&r))
	default:
		verdict := "ok"
		if r.Violations > 0 {
			verdict = fmt.Sprintf("%d violations", r.Violations)
		}
		if r.Interrupted {
			verdict += " until it was interrupted"
		}
		fmt.Fprintf(o.w, "seed %d: %s, %d deliveries, %d faults, %v virtual in %v, hash %s\n",
			r.Seed, verdict, r.Deliveries, r.Faults, round(r.Virtual), round(r.Real), hashText(r.Hash))
	}
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// end prints the sum.
func (o *simOutput) end(sum simulate.Result, seeds simulate.Seeds) error {
	if o.json {
		j := toJSON(&sum)
		j.Twice, j.Runs = o.twice, o.runs
		if !o.single {
			j.Seeds, j.Done = []uint64{seeds.First, seeds.Last}, o.done
			j.SeedsPerS = perSecond(uint64(o.done), sum.Real)
		}
		if o.campaign != nil {
			j.Campaign = o.campaign.End(&sum)
		}
		e := json.NewEncoder(o.w)
		e.SetIndent("", "  ")
		return e.Encode(j)
	}
	t := tabwriter.NewWriter(o.w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	if sum.Interrupted && o.single {
		row("interrupted", "at %v of virtual time: what needs an end was not checked", round(sum.Virtual))
	} else if sum.Interrupted {
		row("interrupted", "%d of %d seeds were done", o.done, seeds.Len())
	}
	if o.single {
		row("scenario", "%s, %d nodes, seed %d", sum.Scenario, sum.Nodes, sum.Seed)
	} else {
		row("scenario", "%s, up to %d nodes, %d seeds from %d to %d, %.1f seeds/s",
			sum.Scenario, sum.Nodes, o.done, seeds.First, seeds.Last, perSecond(uint64(o.done), sum.Real))
	}
	row("time", "%v virtual, %v real: %.1f times as fast",
		round(sum.Virtual), round(sum.Real), sum.Virtual.Seconds()/max(sum.Real.Seconds(), 1e-9))
	if sum.Events > 0 {
		row("events", "%d, %.0f per second of real time", sum.Events, perSecond(sum.Events, sum.Real))
	}
	row("deliveries", "%d of %d messages sent, %.0f per second of real time",
		sum.Deliveries, sum.Sent, perSecond(sum.Deliveries, sum.Real))
	if sum.Sessions > 0 {
		row("sessions", "%d times established, both ends counted", sum.Sessions)
	}
	row("faults", "%d", sum.Faults)
	if o.single {
		for _, n := range o.notes {
			row("", "%s", n)
		}
	}
	if sum.Early {
		row("", "ended early: what needs an end was not checked")
	}
	row("invariants", "%s", strings.Join(sum.Invariants, " "))
	row("violations", "%d", sum.Violations)
	if !sum.Interrupted {
		hash := hashText(sum.Hash)
		if o.twice {
			hash += ", every seed run twice"
		}
		row("trace hash", "%s", hash)
	}
	return t.Flush()
}

// outFile is a file that is written through a buffer.
type outFile struct {
	*bufio.Writer
	f *os.File
}

func newOutFile(f *os.File) *outFile { return &outFile{bufio.NewWriterSize(f, 1<<20), f} }

func (o *outFile) close() error { return errors.Join(o.Flush(), o.f.Close()) }
