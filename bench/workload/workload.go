// Package workload compares ways to exchange messages. A contestant is a server
// that sends back what it gets and a client with many connections; they run in
// processes of their own, made by running this binary again. Rounds of all
// contestants alternate, so that what slows the machine down meets all of them,
// and what counts is the ratio to the reference in the same round.
package workload

import (
	"fmt"
	"slices"
	"strings"
)

// Contestant is one way to exchange messages.
type Contestant struct {
	Name string
	// Serve starts a server on a port of 127.0.0.1 of its choice.
	Serve func(o Options) (Server, error)
	// Dial returns a client of the server with that address, not yet connected.
	Dial func(addr string, o Options) (Client, error)
	// Env is added to the environment of both processes: "GOMAXPROCS=64".
	Env []string
	// Skip, if not nil, says why the contestant cannot take part in s, or "".
	Skip func(s Scenario) string
}

// Options vary how a contestant is built, beyond what is typical for it. The zero value
// means its defaults; what a contestant does not know it leaves aside, and its Skip
// says so for scenarios that are about it.
type Options struct {
	Messengers int // how many share the workers of a process
	Workers    int // event loops
	DrainWidth int // how many dispatch at a time
}

// Server sends every message back to where it came from.
type Server interface {
	Addr() string
	Stop() error
}

// Client has connections to one server.
type Client interface {
	// Connect opens n connections, numbered from 0, and returns when all are ready
	// to be used. answered is called for every answer, one at a time for each
	// connection, with the slot of the request; it calls Send.
	Connect(n int, answered func(conn, slot int)) error
	// Send sends payload, which does not change, over a connection and returns
	// without waiting for the answer. A connection has a slot in flight only once.
	Send(conn, slot int, payload []byte) error
	Stop() error
}

// Scenario is what the contestants do.
type Scenario struct {
	Name        string
	Connections int
	Size        int // of a payload, in bytes
	Window      int // requests in flight on each connection; 0: nothing is sent
	Options     Options
}

// Scenarios returns all scenarios.
func Scenarios() []Scenario {
	out := []Scenario{{Name: "ping-pong", Connections: 1, Size: 64, Window: 1}}
	for _, window := range []int{1, 16, 256} {
		for _, size := range []int{64, 4 << 10, 64 << 10} {
			out = append(out, Scenario{Name: fmt.Sprintf("pipelined/%d/%s", window, sizeName(size)), Connections: 4, Size: size, Window: window})
		}
	}
	return append(out, Scenario{Name: "idle", Connections: 1000, Size: 0, Window: 0})
}

func sizeName(n int) string {
	if n >= 1<<10 {
		return fmt.Sprintf("%dKiB", n>>10)
	}
	return fmt.Sprintf("%dB", n)
}

// Select returns the scenarios with these names, or whose name begins with one of
// them and a slash; all for no names.
func Select(names []string) ([]Scenario, error) {
	all := Scenarios()
	if len(names) == 0 {
		return all, nil
	}
	var out []Scenario
	for _, s := range all {
		if slices.ContainsFunc(names, func(n string) bool { return s.Name == n || strings.HasPrefix(s.Name, n+"/") }) {
			out = append(out, s)
		}
	}
	for _, n := range names {
		if !slices.ContainsFunc(out, func(s Scenario) bool { return s.Name == n || strings.HasPrefix(s.Name, n+"/") }) {
			var known []string
			for _, s := range all {
				known = append(known, s.Name)
			}
			return nil, fmt.Errorf("no scenario %q; there are %s", n, strings.Join(known, ", "))
		}
	}
	return out, nil
}
