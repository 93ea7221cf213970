// Package workload compares ways to exchange messages. A contestant is a server
// that sends back what it gets and a client with many connections; they run in
// processes of their own, made by running this binary again. Rounds of all
// contestants alternate, so that what slows the machine down meets all of them,
// and what counts is the ratio to the reference in the same round.
package workload

import "slices"

// Contestant is one way to exchange messages.
type Contestant struct {
	Name string
	// Is says what it is, in a sentence, and Lacks what it does not do that others are
	// measured with, or "": for the reader of a report.
	Is, Lacks string
	// Serve starts a server on a port of 127.0.0.1 of its choice.
	Serve func(o Options) (Server, error)
	// Dial returns a client of the server with that address, not yet connected.
	Dial func(addr string, o Options) (Client, error)
	// ServeAll and DialAll are Serve and Dial for the FanOut kind: the server sends what it
	// gets over one connection over all. Without ServeAll the contestant does not take part,
	// without DialAll its clients are those of Dial.
	ServeAll func(o Options) (Server, error)
	DialAll  func(addr string, o Options) (Client, error)
	// Env is added to the environment of both processes: "GOMAXPROCS=64".
	Env []string
	// Extra contestants are left out of the quick selection, which has little time.
	Extra bool
	// Guest contestants take part in the scenarios that name them only.
	Guest bool
	// Skip, if not nil, says why the contestant cannot take part in s, or "".
	Skip func(s Scenario) string
	// Tunable says that the contestant knows Options. One that does not is skipped
	// in scenarios that are about them.
	Tunable bool
	// Priorities says that its clients are PrioritySenders.
	Priorities bool
}

// Options vary how a contestant is built, beyond what is typical for it. The zero
// value means its defaults.
type Options struct {
	Messengers int // how many serve, in one process and sharing its workers
	Workers    int // event loops of each process
	DrainWidth int // how many connections are dispatched from the queue at a time
	// Lossy is for the sessions of messengers: nothing is acknowledged. Who has no sessions
	// acknowledges nothing anyway.
	Lossy bool
}

// tuning is o without what all contestants can do.
func (o Options) tuning() Options {
	o.Lossy = false
	return o
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
	// without waiting for the answer. slot, from 0 to 2^31-1, comes back with it; a
	// connection has a slot in flight only once. An error means that the message
	// was not sent and will not be.
	Send(conn, slot int, payload []byte) error
	Stop() error
}

// PrioritySender is a Client whose messages can overtake each other.
type PrioritySender interface {
	// SendHigh is Send with a priority above that of Send.
	SendHigh(conn, slot int, payload []byte) error
}

// Kind is what a scenario measures.
type Kind string

// The kinds of scenarios.
const (
	// Closed keeps a window of requests in flight on every connection.
	Closed Kind = ""
	// Idle opens connections and sends nothing: memory, goroutines and threads.
	Idle Kind = "idle"
	// Open sends at times that do not depend on answers. Latency counts from when
	// a message was to be sent, whatever kept it from being sent then.
	Open Kind = "open"
	// Priority is a trickle of small urgent messages among bulk that fills the
	// queues of the same connection. Latency is that of the trickle.
	Priority Kind = "priority"
	// Faults cuts all connections at full load.
	Faults Kind = "faults"
	// FanOut has the server send each message over all connections, the next one when all
	// have it. What is counted is what comes out, over any of them.
	FanOut Kind = "fan-out"
)

// Scenario is what the contestants do.
type Scenario struct {
	Name        string
	Kind        Kind
	Connections int
	Size        int // of a payload, in bytes
	// Window is how many requests each connection has in flight; in the Open kind at
	// most, later ones wait in the client.
	Window int
	// InFlight, if not 0, bounds the requests in flight on all connections together.
	// Window is 1 then, and the connections take turns.
	InFlight int
	// Load is the offered load of the Open kind, as a part of the most that the
	// contestant did in a closed loop.
	Load float64
	// High gives the trickle of the Priority kind a priority of its own.
	High bool
	// Ablation leaves out contestants without priorities in the Priority kind.
	Ablation bool
	// Only, if not nil, are the contestants that take part. The others have no row.
	Only []string
	// Seconds is how long a measurement takes; 0: what Config says.
	Seconds float64
	Options Options
}

// among returns those of all that take part in s.
func (s *Scenario) among(all []Contestant) []Contestant {
	if s.Only == nil {
		return slices.DeleteFunc(slices.Clone(all), func(c Contestant) bool { return c.Guest })
	}
	return slices.DeleteFunc(slices.Clone(all), func(c Contestant) bool { return !slices.Contains(s.Only, c.Name) })
}

// idle is whether s has no messages.
func (s *Scenario) idle() bool { return s.Kind == Idle || s.Window == 0 }

// rising is whether more of what contestants are compared by is better.
func (s *Scenario) rising() bool { return !s.idle() && s.Kind != Open && s.Kind != Priority }
