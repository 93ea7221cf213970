package admin

import (
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/hist"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/asyncmsgr/asyncmsgr/async/stream"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// Kinds of perf counters: Ceph's bits of what a value is.
const (
	kindGauge   = 2      // a number that rises and falls
	kindCounter = 2 | 8  // one that rises
	kindMean    = 1 | 4  // a sum of seconds, and how many there are
	kindHist    = 16 | 2 // only in perf histogram dump
)

// Priorities: what `ceph daemonperf` shows unasked is 8 and above.
const (
	useful      = 5
	interesting = 8
)

// logger is a group of counters.
type logger struct {
	name     string
	counters []counter
}

type counter struct {
	name, nick, help, units string
	kind, priority          int
	n                       uint64
	took                    *hist.Durations
}

// loggers are all counters now, in an order that is always the same.
func (d *desk) loggers() (all []logger) {
	var snaps []async.Snapshot
	for _, m := range d.messengers {
		snaps = append(snaps, m.Snapshot())
	}
	all = workerLoggers(snaps)
	for i, m := range d.messengers {
		all = append(all, messengerLoggers(m.name, &snaps[i])...)
		for i, n := range m.nodes {
			all = append(all, callLogger("rpc-"+again(m.name, i), n.Stats()))
		}
		for i, x := range m.muxes {
			all = append(all, streamLogger("stream-"+again(m.name, i), x.Stats()))
		}
	}
	return all
}

// workerLoggers has Ceph's names. The messengers of a process usually share their stack: of each
// worker the counts of all are added up.
func workerLoggers(snaps []async.Snapshot) (all []logger) {
	for i := 0; ; i++ {
		var w async.WorkerStats
		found := false
		for _, s := range snaps {
			if i >= len(s.Workers) {
				continue
			}
			x := s.Workers[i]
			found, w.Load, w.Activity = true, x.Load, x.Activity
			w.Received, w.ReceivedBytes = w.Received+x.Received, w.ReceivedBytes+x.ReceivedBytes
			w.Sent, w.SentBytes = w.Sent+x.Sent, w.SentBytes+x.SentBytes
			w.Connected += x.Connected + x.Accepted - x.Resumed
			w.SendToAck.Merge(&x.SendToAck)
		}
		if !found {
			return all
		}
		all = append(all, logger{fmt.Sprintf("AsyncMessenger::Worker-%d", i), workerCounters(&w)})
	}
}

func workerCounters(w *async.WorkerStats) []counter {
	const (
		c, g = kindCounter, kindGauge
		u, x = useful, interesting
	)
	ack := "From Send to acknowledged or written, one message in sixteen"
	return []counter{
		{"msgr_recv_messages", "recv", "Network received messages", "none", c, x, w.Received, nil},
		{"msgr_send_messages", "send", "Network sent messages", "none", c, x, w.Sent, nil},
		{"msgr_recv_bytes", "rbyt", "Network received bytes", "bytes", c, x, w.ReceivedBytes, nil},
		{"msgr_send_bytes", "sbyt", "Network sent bytes", "bytes", c, x, w.SentBytes, nil},
		{"msgr_created_connections", "", "Created connection number", "none", c, u, w.Connected, nil},
		{"msgr_active_connections", "conn", "Active connection number", "none", g, u, uint64(w.Load), nil},
		{"msgr_send_ack_lat", "lat", ack, "none", kindMean, u, 0, &w.SendToAck},
		{"wakeups", "", "How often the worker woke up", "none", c, u, w.Activity.Wakeups, nil},
		{"rounds", "", "How often it looked at its sockets", "none", c, u, w.Activity.Rounds, nil},
		{"events", "", "What it found there", "none", c, u, w.Activity.Events, nil},
		{"tasks", "", "Posted tasks that it ran", "none", c, u, w.Activity.Tasks, nil},
		{"posted", "", "Posted tasks that wait", "none", g, u, uint64(w.Activity.Posted), nil},
		{"in_round_us", "", "For how long a callback has held it up", "none", g, u,
			uint64(w.Activity.InRound.Microseconds()), nil},
	}
}

var bandNames = [dispatch.Bands]string{
	dispatch.BandEvents: "events", dispatch.BandHigh: "high", dispatch.BandNormal: "normal",
	dispatch.BandWeighted: "weighted",
}

// count is a counter that has no more to say than its name.
func count(name string, n uint64) counter {
	c := counter{name: name, kind: kindCounter, units: "none", priority: useful, n: n}
	if strings.HasSuffix(name, "_bytes") || strings.HasPrefix(name, "bytes_") {
		c.units = "bytes"
	}
	return c
}

func gauge(name, nick string, n uint64) counter {
	c := count(name, n)
	c.kind, c.nick = kindGauge, nick
	return c
}

func messengerLoggers(name string, s *async.Snapshot) []logger {
	took := func(name, nick, help string, h *hist.Durations) counter {
		return counter{name: name, nick: nick, help: help, units: "none", kind: kindMean, priority: useful, took: h}
	}
	own := logger{name: "msgr-" + name}
	add := func(c ...counter) { own.counters = append(own.counters, c...) }
	add(countsOf(reflect.ValueOf(s.Stats.Counts))...)
	for i := range s.UndeliverableBy {
		add(count("undeliverable_"+msg.Loss(i).String(), s.UndeliverableBy[i]))
	}
	for _, l := range []msg.Loss{msg.LossMarkedDown, msg.LossReset, msg.LossRemoteReset, msg.LossShutdown} {
		add(count("discarded_"+l.String(), s.DiscardedBy[l]))
	}
	q := &s.Queue
	add(gauge("connections", "conn", uint64(s.Connections)), gauge("handshakes", "hs", uint64(s.Handshakes)),
		gauge("absent", "", uint64(s.Absent)), gauge("send_bytes_held", "", uint64(s.SendBytes)),
		gauge("dispatch_queue_len", "dq", uint64(q.Len)),
		gauge("dispatch_queue_age_us", "dage", uint64(q.OldestAge.Microseconds())),
		gauge("dispatching", "", uint64(q.Dispatching)), gauge("dispatch_jobs", "", uint64(q.Drainers)),
		gauge("dispatch_stuck", "stck", uint64(q.Stuck)),
		count("dispatch_stuck_total", q.StuckTotal), count("dispatched", q.Dispatched),
		count("dispatched_in_place", q.InPlace), count("dispatch_stayed", q.Stayed),
		count("dispatch_unhandled", q.Unhandled), count("dispatch_jobs_refused", q.Refused),
		count("dispatch_stand_ins", q.StandIns))
	for i, b := range s.Bands {
		add(count("enqueued_"+bandNames[i], b.Enqueued), count("enqueued_"+bandNames[i]+"_bytes", b.EnqueuedBytes),
			gauge("queued_"+bandNames[i], "", uint64(b.Len)))
	}
	add(took("queue_wait_lat", "wait", "From enqueued to dispatched", &s.QueueWait),
		took("dispatch_lat", "disp", "What callbacks took", &s.DispatchTime),
		took("send_ack_lat", "lat", "From Send to acknowledged or written, one message in sixteen", &s.SendToAck),
		gauge("pool_running", "", uint64(s.Pool.Running)), gauge("pool_waiting", "", uint64(s.Pool.Waiting)))
	all := []logger{own, throttleLogger("throttle-msgr_dispatch_throttler-"+name, s.Throttle)}
	for _, p := range s.Policies {
		of := "default"
		if p.Type != 0 {
			of = p.Type.String()
		}
		for what, t := range map[string]dispatch.ThrottleStats{"bytes": p.Bytes, "messages": p.Messages} {
			if t != (dispatch.ThrottleStats{}) {
				all = append(all, throttleLogger("throttle-"+of+"_"+what+"-"+name, t))
			}
		}
	}
	return all
}

func throttleLogger(name string, t dispatch.ThrottleStats) logger {
	return logger{name, []counter{
		{"val", "", "Currently taken", "none", kindGauge, useful, uint64(t.Held), nil},
		{"max", "", "Max value for throttle", "none", kindGauge, useful, uint64(t.Limit), nil},
		{"peak", "", "The most that was ever taken", "none", kindGauge, useful, uint64(t.Peak), nil},
		{"waiting", "", "Connections that wait", "none", kindGauge, useful, uint64(t.Waiting), nil},
		{"waits", "", "How often one had to wait", "none", kindCounter, useful, t.Waits, nil},
	}}
}

// callLogger is what a Node counts.
func callLogger(name string, s rpc.Stats) logger {
	return logger{name, append(countsOf(reflect.ValueOf(s.Counts)),
		gauge("out", "out", uint64(s.Out)), gauge("running", "run", uint64(s.Running)),
		gauge("bodies", "body", uint64(s.Bodies)))}
}

// streamLogger is what a Mux counts.
func streamLogger(name string, s stream.Stats) logger {
	l := logger{name: name}
	for v, i := reflect.ValueOf(s), 0; i < v.NumField(); i++ {
		if f := v.Field(i); f.CanUint() {
			l.counters = append(l.counters, count(snake(v.Type().Field(i).Name), f.Uint()))
		}
	}
	unread, promised := gauge("unread", "unrd", uint64(s.Unread)), gauge("promised", "", uint64(s.Promised))
	unread.units, promised.units = "bytes", "bytes"
	l.counters = append(l.counters, gauge("streams", "strm", uint64(s.Streams)), unread, promised)
	return l
}

// countsOf are the fields of a struct of counts, under their names.
func countsOf(v reflect.Value) (all []counter) {
	for i := range v.NumField() {
		name := snake(v.Type().Field(i).Name)
		if f := v.Field(i); f.Kind() == reflect.Array {
			for r := range f.Len() {
				reason := strings.ReplaceAll(msg.Reason(r).String(), " ", "_")
				all = append(all, count(name+"_"+reason, f.Index(r).Uint()))
			}
		} else {
			all = append(all, count(name, f.Uint()))
		}
	}
	return all
}

// snake is a name of Go's as counters have it: ThrottleWaits, throttle_waits.
func snake(s string) string {
	var b strings.Builder
	for i, r := range s {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// each calls f for the counters that are meant, by logger and by what name gives; those without
// a name are left out.
func (d *desk) each(args Args, name func(c *counter) string, f func(c *counter) any) (any, error) {
	all := map[string]map[string]any{}
	only, onlyCounter := args.Get("logger"), args.Get("counter")
	for _, l := range d.loggers() {
		if only != "" && only != l.name {
			continue
		}
		all[l.name] = map[string]any{}
		for i := range l.counters {
			c := &l.counters[i]
			if as := name(c); as != "" && (onlyCounter == "" || onlyCounter == as) {
				all[l.name][as] = f(c)
			}
		}
	}
	return all, nil
}

func counterName(c *counter) string { return c.name }

// mean is a kindMean, in seconds.
type mean struct {
	AvgCount uint64  `json:"avgcount"`
	Sum      seconds `json:"sum"`
	AvgTime  seconds `json:"avgtime"`
}

// seconds are written as Ceph does: with nine digits behind the point.
type seconds time.Duration

// MarshalJSON implements json.Marshaler.
func (s seconds) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%d.%09d", int64(s)/1e9, int64(s)%1e9), nil
}

func (d *desk) perfDump(args Args) (any, error) {
	return d.each(args, counterName, func(c *counter) any {
		if c.kind == kindMean {
			return mean{c.took.Count(), seconds(c.took.Sum), seconds(c.took.Mean())}
		}
		return c.n
	})
}

// schema is what Ceph says of a counter.
type schema struct {
	Type        int    `json:"type"`
	MetricType  string `json:"metric_type"`
	ValueType   string `json:"value_type"`
	Description string `json:"description"`
	Nick        string `json:"nick"`
	Priority    int    `json:"priority"`
	Units       string `json:"units"`
}

func (d *desk) perfSchema(args Args) (any, error) {
	return d.each(args, counterName, func(c *counter) any {
		s := schema{c.kind, "gauge", "integer", c.help, c.nick, c.priority, c.units}
		switch c.kind {
		case kindCounter:
			s.MetricType = "counter"
		case kindMean:
			s.ValueType = "real-integer-pair"
		}
		return s
	})
}

// axis is that of a histogram; its ranges are whole us.
type axis struct {
	Name      string   `json:"name"`
	Min       int      `json:"min"`
	QuantSize int      `json:"quant_size"`
	Buckets   int      `json:"buckets"`
	ScaleType string   `json:"scale_type"`
	Ranges    []bounds `json:"ranges"`
}

type bounds struct {
	Min *int64 `json:"min,omitempty"`
	Max *int64 `json:"max,omitempty"`
}

var nanoAxis = func() axis {
	a := axis{Name: "Latency (nsec)", QuantSize: int(hist.Limit(0)), Buckets: hist.Buckets, ScaleType: "log2"}
	for i := range hist.Buckets {
		var r bounds
		if i > 0 {
			from := int64(hist.Limit(i - 1))
			r.Min = &from
		}
		if i < hist.Buckets-1 {
			to := int64(hist.Limit(i)) - 1
			r.Max = &to
		}
		a.Ranges = append(a.Ranges, r)
	}
	return a
}()

// histogramName is "" for a counter without one.
func histogramName(c *counter) string {
	if c.took == nil {
		return ""
	}
	return strings.TrimSuffix(c.name, "_lat") + "_histogram"
}

func (d *desk) histogramDump(args Args) (any, error) {
	return d.each(args, histogramName, func(c *counter) any {
		return struct {
			Axes   []axis               `json:"axes"`
			Values [hist.Buckets]uint64 `json:"values"`
		}{[]axis{nanoAxis}, c.took.Counts}
	})
}

func (d *desk) histogramSchema(args Args) (any, error) {
	return d.each(args, histogramName, func(c *counter) any {
		return schema{kindHist, "counter", "integer-histogram", c.help, "", c.priority, c.units}
	})
}
