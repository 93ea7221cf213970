package workload

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// childEnv holds an order, as JSON, in the processes of contestants.
const childEnv = "MSGR_BENCH_CHILD"

// order is what a process of a contestant is to be.
type order struct {
	Contestant string
	Server     string // its address, for a client; "" for the server
	Scenario   Scenario
	Seconds    float64
	Rate       float64 // messages a second that an open loop sends

	patience time.Duration // of the parent
}

func (o *order) duration() time.Duration { return seconds(o.Seconds) }

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// warmUp is how long a client runs before anything counts: half the measurement,
// within these bounds.
func (o *order) warmUp() time.Duration {
	return min(max(o.duration()/2, 75*time.Millisecond), 300*time.Millisecond, o.duration())
}

// What the parent asks of a process, a line each.
const (
	askUse   = "use"   // what the process has used
	askTidy  = "tidy"  // the same after it gave back memory that it does not need
	askBegin = "begin" // the same, and peaks count from now on
	askGo    = "go"    // of a client: measure
	askCount = "count" // of a client: measure for countFor, while system calls are counted
)

// countFor is how long system calls are counted.
const countFor = 100 * time.Millisecond

// answer is one line that a process of a contestant prints.
type answer struct {
	Error string `json:",omitempty"`
	Addr  string `json:",omitempty"`
	Usage usage
	Result
}

// Result is what a client measured.
type Result struct {
	Msgs           int64
	Seconds        float64
	Total          int64   // messages while usage was measured, 0: Msgs
	P50, P99, P999 float64 // microseconds
	// Lost, Duplicated and Drain (in milliseconds, -1 for never) are for Faults.
	Lost, Duplicated int64
	Drain            float64
	Before           usage
}

// RunChild makes this process one of a contestant, if it was started for that, and
// does not return then. Every program that calls Run calls it first, in an init
// function or in TestMain.
func RunChild(all []Contestant) {
	text, ok := os.LookupEnv(childEnv)
	if !ok {
		return
	}
	// A terminal's interrupt reaches all its processes. What becomes of this one its
	// parent decides: it kills it, or is gone, and then the input ends.
	signal.Ignore(os.Interrupt)
	out := json.NewEncoder(os.Stdout)
	_ = out.Encode(answer{}) // it runs
	if err := child(text, all, bufio.NewScanner(os.Stdin), out); err != nil {
		_ = out.Encode(answer{Error: err.Error()})
		os.Exit(1)
	}
	os.Exit(0)
}

func child(text string, all []Contestant, in *bufio.Scanner, out *json.Encoder) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	if err := raiseFiles(); err != nil {
		return err
	}
	allowTracing()
	for _, c := range all {
		if c.Name != o.Contestant {
			continue
		}
		if o.Server == "" {
			return serve(c, o, in, out)
		}
		return call(c, o, in, out)
	}
	return fmt.Errorf("no contestant %q", o.Contestant)
}

// serve answers every line on in with what the process uses.
func serve(c Contestant, o order, in *bufio.Scanner, out *json.Encoder) error {
	serve := c.Serve
	if o.Scenario.Kind == FanOut {
		serve = c.ServeAll
	}
	s, err := serve(o.Scenario.Options)
	if err != nil {
		return err
	}
	if err := out.Encode(answer{Addr: s.Addr()}); err != nil {
		return err
	}
	for in.Scan() {
		var u usage
		switch in.Text() {
		case askBegin:
			u, err = begin()
		default:
			u, err = use(in.Text() == askTidy)
		}
		if err != nil {
			return err
		}
		if err := out.Encode(answer{Usage: u}); err != nil {
			return err
		}
	}
	return s.Stop()
}

// call connects and warms up, then for each line on in measures and prints what
// came out, and ends with in.
func call(c Contestant, o order, in *bufio.Scanner, out *json.Encoder) error {
	dial := c.Dial
	if o.Scenario.Kind == FanOut && c.DialAll != nil {
		dial = c.DialAll
	}
	client, err := dial(o.Server, o.Scenario.Options)
	if err != nil {
		return err
	}
	l, err := newLoad(client, &o)
	if err != nil {
		return err
	}
	if err := l.connect(); err != nil {
		return err
	}
	l.start()
	if !o.Scenario.idle() {
		time.Sleep(o.warmUp())
	}
	if err := out.Encode(answer{}); err != nil {
		return err
	}
	for in.Scan() {
		d := o.duration()
		if in.Text() == askCount {
			d = countFor
		}
		a, err := l.measure(d)
		if err != nil {
			return err
		}
		if err := out.Encode(a); err != nil {
			return err
		}
	}
	l.stop()
	return client.Stop()
}
