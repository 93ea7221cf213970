package export

import (
	"fmt"
	"slices"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/hist"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/asyncmsgr/asyncmsgr/async/stream"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// Options are what exporters can be told; the zero value reads all.
type Options struct {
	// SkipConnections leaves out what takes a look at each connection: those metrics whose
	// Connections is set. It takes about 1 us for each connection: docs/OBSERVING.md.
	SkipConnections bool
	// Nodes count calls, and Muxes streams: the Stats of the one that is on the messenger that is
	// read are told of under the same LabelMessenger. Those on other messengers are passed over,
	// so that one list of each does for all messengers of a process. None is nil. To ask a Node
	// takes about 30 us; a Mux looks at each of its streams, at about 0.1 us each:
	// docs/OBSERVING.md. The slices are the caller's, who does not change them while Read looks
	// at them; the exporters below this package copy them.
	Nodes []*rpc.Node
	Muxes []*stream.Mux
}

// Reading is what was read of one messenger, at about one time. It does not change, and any
// goroutine may read it.
type Reading struct {
	snap  async.Snapshot
	conns connTotals
	skip  bool
	// calls and streams are nil if nothing on the messenger counts them.
	calls   *rpc.Stats
	streams *stream.Stats
}

// Value is one number, or one histogram.
type Value struct {
	*Metric
	// LabelValues belong to Metric.Labels, one each.
	LabelValues []string
	// N is the number of a Counter or a Gauge, in Unit.
	N float64
	// Took is the histogram of a Histogram; nil for the other kinds. It is not to be changed.
	Took *hist.Durations
}

// connTotals are sums and maxima over all connections.
type connTotals struct {
	states           [msg.StateClosed + 1]int
	held             int
	heldBytes        int64
	dispatching      int
	longestStall     time.Duration
	throttled        [numStops]int
	longestThrottled time.Duration
}

// The throttles that stop a connection, by what ConnStats.WaitsFor says.
const (
	stopConnection = iota
	stopMessages
	stopBytes
	stopDispatch
	numStops
)

var stops = map[string]int{
	"connection": stopConnection, "policy messages": stopMessages, "policy bytes": stopBytes, "dispatch": stopDispatch,
}

var stopNames = [numStops]string{"connection", "policy_messages", "policy_bytes", "dispatch"}

// Read reads m: one Snapshot, and one look at each connection; and the Stats of its Node and of its Mux, if
// o names them. Any goroutine, callbacks, handlers of calls and interceptors included.
func Read(m *async.Messenger, o Options) *Reading {
	r := &Reading{snap: m.Snapshot(), skip: o.SkipConnections}
	if i := slices.IndexFunc(o.Nodes, func(n *rpc.Node) bool { return n.Messenger() == m }); i >= 0 {
		s := o.Nodes[i].Stats()
		r.calls = &s
	}
	if i := slices.IndexFunc(o.Muxes, func(x *stream.Mux) bool { return x.Messenger() == m }); i >= 0 {
		s := o.Muxes[i].Stats()
		r.streams = &s
	}
	if o.SkipConnections {
		return r
	}
	for _, c := range m.ConnectionStats() {
		r.conns.add(&c)
	}
	return r
}

// add adds what is known of one connection. That to itself is in the sums, but not among the states.
func (t *connTotals) add(c *connection.ConnStats) {
	if !c.Loopback {
		t.states[min(c.State, msg.StateClosed)]++
	}
	t.held += c.Held
	t.heldBytes += c.HeldBytes
	t.dispatching += c.Dispatching
	t.longestStall = max(t.longestStall, c.Stalled)
	if i, known := stops[c.WaitsFor]; known && c.Waiting > 0 {
		t.throttled[i]++
	}
	t.longestThrottled = max(t.longestThrottled, c.Waiting)
}

// Each calls yield for each value until it returns false, in an order that is always the same.
// LabelValues is yield's only until it returns.
func (r *Reading) Each(yield func(Value) bool) {
	going := true
	var labels []string
	for i := range table {
		e := &table[i]
		if e.Connections && r.skip {
			continue
		}
		if e.took != nil {
			going = yield(Value{Metric: &e.Metric, Took: e.took(r)})
		} else {
			e.read(r, func(n float64, values ...string) {
				if going {
					labels = append(labels[:0], values...)
					going = yield(Value{Metric: &e.Metric, LabelValues: labels, N: n})
				}
			})
		}
		if !going {
			return
		}
	}
}

// Names are the names of the messengers, for LabelMessenger. The second of the same name is
// NAME#2, as in async/admin: two messengers of one process can share a name, as those for the
// public and the private network of a server do. Any goroutine.
func Names(all []*async.Messenger) []string {
	names, seen := make([]string, len(all)), map[string]int{}
	for i, m := range all {
		names[i] = m.Name().String()
		if seen[names[i]]++; seen[names[i]] > 1 {
			names[i] = fmt.Sprintf("%s#%d", names[i], seen[names[i]])
		}
	}
	return names
}

var bandNames = [dispatch.Bands]string{
	dispatch.BandEvents: "events", dispatch.BandHigh: "high", dispatch.BandNormal: "normal",
	dispatch.BandWeighted: "weighted",
}

// stateNames are the states in one word each.
var stateNames = [msg.StateClosed + 1]string{
	msg.StateConnecting: "connecting", msg.StateReady: "ready", msg.StateBackoff: "backoff",
	msg.StateStandby: "standby", msg.StateClosed: "closed",
}
