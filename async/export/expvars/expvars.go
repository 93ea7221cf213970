// Package expvars tells of messengers by the standard library's expvar. It is a package of its
// own since importing expvar registers a handler for /debug/vars in http.DefaultServeMux, and brings
// net/http: who imports async has neither.
//
//	expvar.Publish("msgr", expvars.New(expvars.Config{Messengers: []*async.Messenger{m}}))
//
// What is told are the metrics of async/export, as an object for each messenger:
//
//	"msgr": {"osd.0": {
//		"msgr_connections": 3,
//		"msgr_connections_states": {"ready": 3, "connecting": 0, "backoff": 0, "standby": 0, "closed": 0},
//		"msgr_throttle_held_bytes": {"dispatch,any": 0, "policy_bytes,client": 4096},
//		"msgr_dispatch_wait_seconds": {"count": 2, "sum": 0.000003, "p50": 0.000002048, "p99": ..., "p999": ...}}}
//
// Names and units are those of Prometheus. A metric with labels is an object by their values;
// the quantiles are bounds of buckets, up to twice the truth. expvar has no way to take a variable
// back: it keeps its messengers, shut down or not, for as long as the process lives.
package expvars

import (
	"bytes"
	"encoding/json"
	"expvar"
	"io"
	"slices"
	"strings"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/export"
	"github.com/asyncmsgr/asyncmsgr/async/hist"
)

// Config is what a variable tells of.
type Config struct {
	// Messengers have the names of export.Names.
	Messengers []*async.Messenger
	// Options are those of all exporters.
	export.Options
}

// New returns a variable whose value is read when it is asked for: one snapshot of each messenger, and one
// look at each of its connections (see export.Read). Any goroutine may ask. It registers nothing: that is
// for expvar.Publish, or for a handler of the caller's. The slices of cfg are copied.
func New(cfg Config) expvar.Var {
	cfg.Messengers = slices.Clone(cfg.Messengers)
	cfg.Nodes, cfg.Muxes = slices.Clone(cfg.Nodes), slices.Clone(cfg.Muxes)
	return &variable{cfg, export.Names(cfg.Messengers)}
}

type variable struct {
	cfg   Config
	names []string
}

// String is the value as JSON, on one line.
func (v *variable) String() string {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range v.cfg.Messengers {
		comma(&b, i)
		put(&b, v.names[i])
		b.WriteByte(':')
		object(&b, export.Read(m, v.cfg.Options))
	}
	b.WriteByte('}')
	return b.String()
}

// object writes the values of one messenger. Those of one metric come one after the other.
func object(b *bytes.Buffer, r *export.Reading) {
	b.WriteByte('{')
	var open *export.Metric // the metric whose values with labels are being written
	first := true
	for v := range r.Each {
		if open == v.Metric {
			b.WriteByte(',')
		} else {
			if open != nil {
				b.WriteByte('}')
				open = nil
			}
			if !first {
				b.WriteByte(',')
			}
			first = false
			put(b, v.Prometheus())
			b.WriteByte(':')
			if len(v.LabelValues) > 0 {
				b.WriteByte('{')
				open = v.Metric
			}
		}
		if open != nil {
			put(b, strings.Join(v.LabelValues, ","))
			b.WriteByte(':')
		}
		if v.Took != nil {
			put(b, summaryOf(v.Took))
		} else {
			put(b, v.N)
		}
	}
	if open != nil {
		b.WriteByte('}')
	}
	b.WriteByte('}')
}

// summary is a histogram in short, in seconds.
type summary struct {
	Count uint64  `json:"count"`
	Sum   float64 `json:"sum"`
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
}

func summaryOf(h *hist.Durations) summary {
	q := func(q float64) float64 { return h.Quantile(q).Seconds() }
	return summary{h.Count(), float64(h.Sum) / 1e9, q(0.5), q(0.99), q(0.999)}
}

func comma(b *bytes.Buffer, i int) {
	if i > 0 {
		b.WriteByte(',')
	}
}

// put writes a name or a number as JSON.
func put(w io.Writer, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and finite numbers have no errors
	}
	_, _ = w.Write(b) // to a bytes.Buffer, which takes all
}
