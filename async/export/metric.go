package export

import (
	"slices"
	"strings"
)

// Kind says how the numbers of a metric go on.
type Kind uint8

// The kinds.
const (
	// Counter: since New, it only rises.
	Counter Kind = iota
	// Gauge: what is so now.
	Gauge
	// Histogram: durations, counted since New in the buckets of async/hist.
	Histogram
)

// String is the kind in one word.
func (k Kind) String() string { return [...]string{"counter", "gauge", "histogram"}[k] }

// The units, as UCUM and OpenTelemetry write them. What is in braces is what is counted, and
// no unit: Prometheus' names do not have it.
const (
	Seconds     = "s"
	Bytes       = "By"
	messages    = "{message}"
	connections = "{connection}"
	sessions    = "{session}"
	callbacks   = "{callback}"
	items       = "{item}"
	jobs        = "{job}"
	times       = "{time}"
	tasks       = "{task}"
	messengers  = "{messenger}"
	calls       = "{call}"
	requests    = "{request}"
	replies     = "{reply}"
	bodies      = "{body}"
	chunks      = "{chunk}"
	streams     = "{stream}"
)

// The labels, beside LabelMessenger of all metrics.
const (
	// LabelMessenger is the name of the messenger: see Names.
	LabelMessenger = "messenger"
	// LabelWorker is the ID of a worker of the stack.
	LabelWorker = "worker"
	// LabelBand is a band of priorities: "events", "high", "normal", "weighted".
	LabelBand = "band"
	// LabelReason is a msg.Loss, or a msg.Reason with underscores.
	LabelReason = "reason"
	// LabelState is the state of connections: "connecting", "ready", "backoff", "standby", "closed".
	LabelState = "state"
	// LabelThrottle is which throttle: "dispatch", "policy_messages", "policy_bytes", "connection".
	LabelThrottle = "throttle"
	// LabelPeerType is the type of peers whose policy a throttle is of: "osd"; "default" for
	// those without a policy of their own, and "any" for the throttles of dispatch.
	LabelPeerType = "peer_type"
)

// Metric is one name, and what the numbers under it mean.
type Metric struct {
	// Name is in OpenTelemetry's style, without a unit: "msgr.payload.received". See Prometheus.
	Name string
	// Unit is Seconds, Bytes, or in braces what is counted.
	Unit string
	Kind Kind
	// Help is a sentence without its full stop.
	Help string
	// Labels are those beside LabelMessenger, in the order of Value.Labels.
	Labels []string
	// Connections says that it comes from the look at all connections: Options.SkipConnections
	// leaves it out.
	Connections bool
}

// Prometheus is the name with underscores and with its unit, and with _total if it is a
// Counter: "msgr_payload_received_bytes_total". It is what Prometheus makes of Name, Unit
// and Kind when it is given OpenTelemetry's metrics.
func (m *Metric) Prometheus() string {
	name := strings.ReplaceAll(m.Name, ".", "_")
	switch m.Unit {
	case Seconds:
		name += "_seconds"
	case Bytes:
		name += "_bytes"
	}
	if m.Kind == Counter {
		name += "_total"
	}
	return name
}

// Metrics are all metrics, in an order that is always the same; those of calls and streams are
// among them. The slice is the caller's, and the slices of labels are not to be changed. Any
// goroutine. See Options.Metrics.
func Metrics() []Metric { return metrics(func(*entry) bool { return true }) }

// Metrics are those of all metrics that Read can find with o, in the same order: without those of
// the connections if they are skipped, and with those of calls and of streams if there are Nodes
// and Muxes. It costs a slice, which is the caller's as that of the function of that name. Any
// goroutine, while nobody changes o.
func (o Options) Metrics() []Metric {
	return metrics(func(e *entry) bool {
		switch {
		case e.from == ofNode:
			return len(o.Nodes) > 0
		case e.from == ofMux:
			return len(o.Muxes) > 0
		default:
			return !e.Connections || !o.SkipConnections
		}
	})
}

func metrics(wanted func(*entry) bool) []Metric {
	all := make([]Metric, 0, len(table))
	for i := range table {
		if e := &table[i]; wanted(e) {
			m := e.Metric
			m.Labels = slices.Clip(m.Labels)
			all = append(all, m)
		}
	}
	return all
}
