package workload

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
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
}

func (o *order) duration() time.Duration { return time.Duration(o.Seconds * float64(time.Second)) }

// warmUp is how long a client runs before anything counts, or half the measurement
// if that is less.
const warmUp = 300 * time.Millisecond

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
	P50, P99, P999 float64 // microseconds
	Before         usage
}

// RunChild makes this process one of a contestant, if it was started for that, and
// does not return then. Every program that calls Run calls it first, in an init
// function or in TestMain.
func RunChild(all []Contestant) {
	text, ok := os.LookupEnv(childEnv)
	if !ok {
		return
	}
	out := json.NewEncoder(os.Stdout)
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

// serve answers every line on in with what the process uses. With the line "tidy"
// it gives memory back before.
func serve(c Contestant, o order, in *bufio.Scanner, out *json.Encoder) error {
	s, err := c.Serve(o.Scenario.Options)
	if err != nil {
		return err
	}
	if err := out.Encode(answer{Addr: s.Addr()}); err != nil {
		return err
	}
	for in.Scan() {
		u, err := use(in.Text() == "tidy")
		if err != nil {
			return err
		}
		if err := out.Encode(answer{Usage: u}); err != nil {
			return err
		}
	}
	return s.Stop()
}

// call connects and warms up, then for a line on in measures and prints what came
// out, and ends with in.
func call(c Contestant, o order, in *bufio.Scanner, out *json.Encoder) error {
	client, err := c.Dial(o.Server, o.Scenario.Options)
	if err != nil {
		return err
	}
	l, err := newLoop(client, o.Scenario)
	if err != nil {
		return err
	}
	l.start()
	if o.Scenario.Window > 0 {
		time.Sleep(min(warmUp, o.duration()/2))
	}
	if err := out.Encode(answer{}); err != nil {
		return err
	}
	for in.Scan() {
		a, err := l.measure(o.duration())
		if err != nil {
			return err
		}
		if err := out.Encode(a); err != nil {
			return err
		}
	}
	l.stopped.Store(true)
	return client.Stop()
}

func (l *loop) measure(d time.Duration) (a answer, err error) {
	if l.s.Window == 0 {
		a.Usage, err = use(true)
		return a, err
	}
	if a.Before, err = use(false); err != nil {
		return a, err
	}
	l.reset()
	began := time.Now()
	time.Sleep(d)
	// A busy machine may have left a connection without its turn: only one that
	// stays without an answer is broken.
	for limit := time.Now().Add(max(d, 2*time.Second)); time.Now().Before(limit); time.Sleep(5 * time.Millisecond) {
		if _, starved, _ := l.sum(); starved == 0 {
			break
		}
	}
	msgs, starved, h := l.sum()
	a.Seconds = time.Since(began).Seconds()
	if a.Usage, err = use(false); err != nil {
		return a, err
	}
	if e := l.failed.Load(); e != nil {
		return a, fmt.Errorf("send: %w", *e)
	}
	if starved > 0 {
		return a, fmt.Errorf("%d of %d connections had no answer", starved, len(l.lanes))
	}
	us := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1000 }
	a.Msgs, a.P50, a.P99, a.P999 = msgs, us(50), us(99), us(99.9)
	return a, nil
}
