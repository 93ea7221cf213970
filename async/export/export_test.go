package export

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/hist"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/asyncmsgr/asyncmsgr/async/stream"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/stretchr/testify/require"
)

// notExported are the numbers of async.Snapshot and connection.ConnStats that no metric tells, and why.
// Of rpc.Stats and stream.Stats there are none.
var notExported = map[string]string{
	`^Snapshot\.GlobalID$`:                                 "an identity, no measure",
	`^Snapshot\.Name\.(Type|Num)$`:                         "the label of all",
	`^Snapshot\.Stats\.Counts\.(Undeliverable|Discarded)$`: "the sums over the reasons, which are exported",
	`^Snapshot\.Stats\.Queue\.Events$`:                     "the length of the band of events, which is exported",
	`^Snapshot\.DiscardedBy\[(0|5|6|7|8|9)\]$`:             "not lost to these: see async.Snapshot",
	`^Snapshot\.Stats\.DispatchBytes$`:                     "the same as Throttle.Held",
	`^Snapshot\.Stats\.Queue\.(Len|OldestAge|Enqueued)$`:   "the sum or the maximum over the bands",
	`^Snapshot\.Stats\.Queue\.EnqueuedBy\[\d\]$`:           "the same as Bands.Enqueued",
	`^Snapshot\.Workers\[0\]\.SendToAck\.`:                 "the messenger's sum is: this is 33 series of each worker",
	ofOneWorker: "the messenger's sums are; of a worker alone its traffic, which shows how " +
		"even the load is",
	`^Conn\.(ID|GlobalID|Worker|Peer\.(Type|Num))$`: "an identity: a label without a bound",
	`^Conn\.(Received|Sent)(Bytes)?$`:               "the messenger counts it, for connections that are gone too",
	`^Conn\.(Dec|C)ompressed(From|To)$`:             "as above",
	`^Conn\.(Replayed|Faults|Resumed|Waits)$`:       "as above",
	`^Conn\.(Attempts|FaultAgo|Quiet)$`:             "tells of one peer: async/admin",
	`^Conn\.AckTime$`:                               "msgr.send_to_ack has the distribution",
	`^Conn\.(Up|Accepted)$`:                         "State says more",
	`^Conn\.(Policy|Authenticated)\.`:               "what was configured and negotiated",
}

// ofOneWorker are fields some of which are exported.
const ofOneWorker = `^Snapshot\.Workers\[0\]\.Counts\.`

// leaves calls f for each number below v, with a function that makes it another one.
func leaves(path string, v reflect.Value, f func(path string, change func())) {
	t := v.Type()
	switch t.Kind() {
	case reflect.Struct:
		if t.PkgPath() == "time" || t.PkgPath() == "net/netip" {
			return
		}
		for i := range t.NumField() {
			if t.Field(i).IsExported() {
				leaves(path+"."+t.Field(i).Name, v.Field(i), f)
			}
		}
	case reflect.Array, reflect.Slice:
		for i := range v.Len() {
			leaves(fmt.Sprintf("%s[%d]", path, i), v.Index(i), f)
		}
	case reflect.Bool:
		f(path, func() { v.SetBool(!v.Bool()) })
	case reflect.Int, reflect.Int64:
		f(path, func() { v.SetInt(v.Int() + int64(time.Second)) })
	case reflect.Uint, reflect.Uint64:
		f(path, func() { v.SetUint(v.Uint() + 1) })
	case reflect.Uint8:
		f(path, func() { v.SetUint(v.Uint() ^ 1) })
	}
}

func show(r *Reading) (lines []string) {
	for v := range r.Each {
		line := fmt.Sprintf("%s%v%v", v.Name, v.LabelValues, v.N)
		if v.Took != nil {
			line += fmt.Sprint(*v.Took)
		}
		lines = append(lines, line)
	}
	return lines
}

// scene is what is read of a messenger.
type scene struct {
	snap    async.Snapshot
	conn    connection.ConnStats
	calls   rpc.Stats
	streams stream.Stats
}

// newScene has a snapshot with one of everything that there can be any number of.
func newScene() *scene {
	return &scene{
		snap: async.Snapshot{
			Workers:       make([]async.WorkerStats, 1),
			LongCallbacks: make([]async.LongCallback, 1),
			Throttle:      dispatch.ThrottleStats{Limit: 1},
			Policies: []async.PolicyThrottles{{Type: entity.TypeOSD, Messages: dispatch.ThrottleStats{Limit: 2},
				Bytes: dispatch.ThrottleStats{Limit: 3}}},
			Pool: async.PoolStats{Size: 1},
		},
		conn: connection.ConnStats{State: msg.StateReady, WaitsFor: "dispatch"},
	}
}

func (s *scene) reading() *Reading {
	r := &Reading{snap: s.snap, calls: &s.calls, streams: &s.streams}
	r.conns.add(&s.conn)
	return r
}

// part is one of the four, by the name that it has in notExported.
func (s *scene) part(root string) reflect.Value {
	return map[string]reflect.Value{
		"Snapshot": reflect.ValueOf(&s.snap).Elem(), "Conn": reflect.ValueOf(&s.conn).Elem(),
		"Calls": reflect.ValueOf(&s.calls).Elem(), "Streams": reflect.ValueOf(&s.streams).Elem(),
	}[root]
}

// TestEveryNumberIsExported: each number of the snapshots, and of what counts calls and streams,
// moves a metric, or stands in notExported.
func TestEveryNumberIsExported(t *testing.T) {
	used, tried := map[string]bool{}, 0
	try := func(root string) {
		var paths []string
		leaves(root, newScene().part(root), func(path string, _ func()) {
			paths = append(paths, path)
		})
		for _, want := range paths {
			s := newScene()
			before := show(s.reading())
			leaves(root, s.part(root), func(path string, change func()) {
				if path == want {
					change()
				}
			})
			moved := !slices.Equal(before, show(s.reading()))
			var why string
			for pattern := range notExported {
				if regexp.MustCompile(pattern).MatchString(want) {
					why = pattern
				}
			}
			tried++
			switch {
			case !moved && why == "":
				t.Errorf("%s is not exported: make a metric of it, or say in notExported why not", want)
			case !moved:
				used[why] = true
			case why != "" && why != ofOneWorker:
				t.Errorf("%s is exported, and in notExported as %s", want, why)
			}
		}
	}
	for _, root := range []string{"Snapshot", "Conn", "Calls", "Streams"} {
		try(root)
	}
	for pattern := range notExported {
		if !used[pattern] {
			t.Errorf("notExported: nothing is %s", pattern)
		}
	}
	require.Greater(t, tried, 300)
}

// TestNames: names are unique in both styles, no Prometheus name is one that a histogram has
// already, and all have what the formats want.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	add := func(name string) {
		require.False(t, seen[name], "%s twice", name)
		seen[name] = true
	}
	name := regexp.MustCompile(`^msgr(\.[a-z]+(_[a-z]+)*)+$`)
	for _, m := range Metrics() {
		require.Regexp(t, name, m.Name)
		require.NotEmpty(t, m.Help, m.Name)
		require.False(t, strings.HasSuffix(m.Help, "."), m.Name)
		require.NotEmpty(t, m.Unit, m.Name)
		add(m.Name)
		p := m.Prometheus()
		add(p)
		if m.Kind == Histogram {
			require.Equal(t, Seconds, m.Unit)
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				add(p + suffix)
			}
		}
		for _, l := range m.Labels {
			require.Contains(t, []string{
				LabelWorker, LabelBand, LabelReason, LabelState, LabelThrottle, LabelPeerType,
			}, l)
		}
	}
	require.Equal(t, "msgr_payload_received_bytes_total", find(t, "msgr.payload.received").Prometheus())
	require.Equal(t, "msgr_dispatch_wait_seconds", find(t, "msgr.dispatch.wait").Prometheus())
	require.Equal(t, "msgr_connections", find(t, "msgr.connections").Prometheus())
	require.Equal(t, "counter", Counter.String())
	require.Equal(t, "histogram", Histogram.String())
}

func find(t *testing.T, name string) *Metric {
	for _, m := range Metrics() {
		if m.Name == name {
			return &m
		}
	}
	require.Fail(t, "no metric", name)
	return nil
}

// TestEach: each value has as many labels as its metric, none comes twice, each metric comes,
// who has enough is left alone, and the look at the connections can be left out.
func TestEach(t *testing.T) {
	s := newScene()
	r := s.reading()
	came, series := map[string]bool{}, map[string]bool{}
	for v := range r.Each {
		require.Len(t, v.LabelValues, len(v.Labels), v.Name)
		require.Equal(t, v.Kind == Histogram, v.Took != nil, v.Name)
		require.NotContains(t, v.LabelValues, "", v.Name)
		key := fmt.Sprint(v.Name, v.LabelValues)
		require.False(t, series[key], key)
		came[v.Name], series[key] = true, true
	}
	require.Len(t, came, len(Metrics()))
	connections := len(stateNames) + int(numStops) + 5
	without := *r
	without.skip = true
	require.Len(t, show(&without), len(series)-connections)
	require.Len(t, show(&Reading{snap: s.snap}), len(series)-len(rpcTable)-len(streamTable))
	for stop := range 30 {
		n := 0
		for range r.Each {
			if n == stop {
				break
			}
			n++
		}
		require.Equal(t, stop, n)
	}
	h := new(hist.Durations)
	h.Add(time.Second)
	s.snap.SendToAck = *h
	for v := range s.reading().Each {
		if v.Name == "msgr.send_to_ack" {
			require.EqualValues(t, 1, v.Took.Count())
		}
	}
}

// TestThrottleNames: each throttle that ConnStats names has a place in the metric, and as one label.
func TestThrottleNames(t *testing.T) {
	for name, i := range stops {
		require.Equal(t, strings.ReplaceAll(name, " ", "_"), stopNames[i])
		var totals connTotals
		totals.add(&connection.ConnStats{WaitsFor: name, Waiting: time.Second})
		require.Equal(t, 1, totals.throttled[i])
	}
	require.Len(t, stops, int(numStops))
}

// TestPartsOfWorkers: of a worker alone these are told.
func TestPartsOfWorkers(t *testing.T) {
	s := newScene()
	w := &s.snap.Workers[0]
	w.Received, w.ReceivedBytes, w.Sent, w.SentBytes = 11, 12, 13, 14
	got := show(s.reading())
	for _, want := range []string{"messages.received[0]11", "payload.received[0]12", "messages.sent[0]13",
		"payload.sent[0]14"} {
		require.True(t, slices.ContainsFunc(got, func(l string) bool { return l == "msgr.worker."+want }), want)
	}
}
