package live

import (
	"errors"
	"fmt"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/asyncmsgr/asyncmsgr/async/stream"
)

// Bounds.
const (
	// ViewersMax is how many pages watch at a time; further ones are refused.
	ViewersMax = 16
	// NodesMax is how many nodes the ring has; what is beyond that is folded into one node for
	// each type.
	NodesMax = 16
	// SessionsMax is how many sessions are listed one by one: those in trouble first, then the
	// busiest. GroupsMax is how many lines the sums by type and state have.
	SessionsMax, GroupsMax = 100, 64
	// EventsMax is how many events of the timeline are kept.
	EventsMax = 300
	// DefaultEvery is the default of Config.Every.
	DefaultEvery = time.Second
)

const (
	// costMax is the part of the time that looking may take, one in so many: otherwise the time
	// between two looks is longer.
	costMax = 25
	// writeMax is for how long a viewer may take to read what was written.
	writeMax = 5 * time.Second
	// eventsPerLook is how many events of one kind are listed one by one in a look.
	eventsPerLook = 8
)

// Config configures a Handler. Messengers is required.
type Config struct {
	// Messengers returns those that are shown; it is called for each look, by one goroutine.
	// Messengers of one name are one node.
	Messengers func() []*async.Messenger
	// Nodes and Muxes, if set, return what counts calls and streams: the page has a tile more for each.
	// They are called for each look, by one goroutine.
	Nodes func() []*rpc.Node
	Muxes func() []*stream.Mux
	// Title is what the page says of whose messengers they are.
	Title string
	// Hosts are the names, without a port, by which the page may be asked for, beside loopback
	// ones; "*" stands for all. If there are none, requests from other machines are refused.
	Hosts []string
	// Cut offers to cut the sessions between two nodes, of messengers whose Config.AllowFaults is
	// set: they lose their transports, as if the network had failed.
	Cut bool
	// Actions are what else may be done to a node.
	Actions []Action
	// Condition, if set, says what was done to a node, in a word or two; "": nothing. It is called
	// for each node of each look.
	Condition func(node string) string
	// Every is the time between two looks, at least; 0 means DefaultEvery.
	Every time.Duration
}

// Action is something that may be done to a node of the page.
type Action struct {
	// Name is what a request calls it, such as "stall"; Label is on the button.
	Name, Label string
	// For says whether it is offered for a node now. It is called for each node of each look.
	For func(node string) bool
	// Do does it, and returns at once; an error is shown. It is called by the goroutine of a
	// request, several at a time, only for nodes that For agrees to.
	Do func(node string) error
}

var errConfig = errors.New("live: configuration")

func (c *Config) check() error {
	if c.Messengers == nil {
		return fmt.Errorf("%w: Messengers is missing", errConfig)
	}
	names := map[string]bool{cutName: true}
	for _, a := range c.Actions {
		if a.Name == "" || a.Label == "" || a.For == nil || a.Do == nil || names[a.Name] {
			return fmt.Errorf("%w: action %q: a name of its own, Label, For and Do are required", errConfig, a.Name)
		}
		names[a.Name] = true
	}
	if c.Every < 0 {
		return fmt.Errorf("%w: Every is %v", errConfig, c.Every)
	}
	if c.Every == 0 {
		c.Every = DefaultEvery
	}
	return nil
}
