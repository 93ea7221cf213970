// Package prom is a Prometheus collector of messengers. It is a module of its own, so that who
// imports the library does not inherit Prometheus' client.
//
//	registry.MustRegister(prom.NewCollector(prom.Config{Messengers: []*async.Messenger{m}}))
//	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
//
// The metrics are those of async/export: their names begin with msgr_, have base units (seconds,
// bytes) and, if they are counters, end in _total. docs/grafana/asyncmsgr.json is a dashboard for them.
//
// # Cardinality
//
// No label has the address or the name of a peer: how many series there are does not grow with
// the number of connections. For a messenger these are some 220 series, 11 more for each worker, and 5 more
// for each throttle; 32 for calls, if Config.Nodes has its rpc.Node, and 18 for streams, if Config.Muxes
// has its stream.Mux. What a single connection does is told by Messenger.ConnectionStats and by async/admin.
package prom

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/export"
	"github.com/asyncmsgr/asyncmsgr/async/hist"
)

// Config is what a Collector collects.
type Config struct {
	// Messengers are told of, in this order, under the names of export.Names: the label messenger.
	// They may be shut down before the collector is unregistered: then their last numbers stay.
	Messengers []*async.Messenger
	// Options are those of all exporters. Calls and streams of the messengers are told of by their
	// Nodes and Muxes.
	export.Options
}

// Collector is a prometheus.Collector. It has no state beyond its Config: any number of goroutines
// may collect at a time, and several registries may have it.
type Collector struct {
	cfg   Config
	names []string
	// descs are those of Options.Metrics, by name.
	descs map[string]*prometheus.Desc
	order []string
}

// NewCollector returns a collector. The slices of messengers, nodes and muxes are copied.
func NewCollector(cfg Config) *Collector {
	cfg.Messengers = slices.Clone(cfg.Messengers)
	cfg.Nodes, cfg.Muxes = slices.Clone(cfg.Nodes), slices.Clone(cfg.Muxes)
	c := &Collector{cfg: cfg, names: export.Names(cfg.Messengers), descs: map[string]*prometheus.Desc{}}
	for _, m := range cfg.Metrics() {
		labels := append([]string{export.LabelMessenger}, m.Labels...)
		c.descs[m.Name] = prometheus.NewDesc(m.Prometheus(), m.Help, labels, nil)
		c.order = append(c.order, m.Name)
	}
	return c
}

// Describe implements prometheus.Collector: what it describes is all that Collect ever sends.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	for _, name := range c.order {
		to <- c.descs[name]
	}
}

// Collect implements prometheus.Collector. Of each messenger it takes one snapshot, and looks at
// each connection once (see export.Read). Any goroutine.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	for i, m := range c.cfg.Messengers {
		labels := []string{c.names[i]}
		for v := range export.Read(m, c.cfg.Options).Each {
			to <- metric(c.descs[v.Name], v, append(labels[:1], v.LabelValues...))
		}
	}
}

// metric is a value as Prometheus has it. The labels are copied.
func metric(desc *prometheus.Desc, v export.Value, labels []string) prometheus.Metric {
	switch v.Kind {
	case export.Histogram:
		buckets, count := cumulative(v.Took)
		sum := float64(v.Took.Sum) / 1e9
		return prometheus.MustNewConstHistogram(desc, count, sum, buckets, labels...)
	case export.Counter:
		return prometheus.MustNewConstMetric(desc, prometheus.CounterValue, v.N, labels...)
	default:
		return prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v.N, labels...)
	}
}

// bounds are the upper bounds of the buckets in seconds, but for the last bucket, which has none. Prometheus
// counts what is at a bound below it, and async/hist above it: durations are in ns, so that is one in a
// thousand ns at most.
var bounds = func() (b [hist.Buckets - 1]float64) {
	for i := range b {
		b[i] = hist.Limit(i).Seconds()
	}
	return b
}()

// cumulative has for each bound what is below it, and how many there are in all.
func cumulative(h *hist.Durations) (buckets map[float64]uint64, count uint64) {
	buckets = make(map[float64]uint64, len(bounds))
	for i, n := range h.Counts {
		count += n
		if i < len(bounds) {
			buckets[bounds[i]] = count
		}
	}
	return buckets, count
}
