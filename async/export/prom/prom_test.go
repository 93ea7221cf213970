package prom

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/export"
	"github.com/asyncmsgr/asyncmsgr/async/hist"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// TestScrape: a server of metrics is read before and after messages, and the values move.
func TestScrape(t *testing.T) {
	srv, cl, send := pair(t)
	url := page(t, NewCollector(Config{Messengers: []*async.Messenger{srv, cl}}))
	send(1)
	before := scrape(t, url)
	send(64)
	after := scrape(t, url)
	rise := func(name string, labels ...string) float64 {
		return number(t, after, name, labels...) - number(t, before, name, labels...)
	}
	require.EqualValues(t, 64, rise("msgr_messages_received_total", "messenger", "osd.0"))
	require.EqualValues(t, 6400, rise("msgr_payload_received_bytes_total", "messenger", "osd.0"))
	require.EqualValues(t, 64, rise("msgr_messages_sent_total", "messenger", "client.1"))
	require.EqualValues(t, 64, rise("msgr_messages_delivered_total", "messenger", "client.1"))
	require.EqualValues(t, 64, rise("msgr_dispatch_enqueued_total", "messenger", "osd.0", "band", "normal"))
	require.EqualValues(t, 6400, rise("msgr_dispatch_enqueued_payload_bytes_total",
		"messenger", "osd.0", "band", "normal"))
	require.EqualValues(t, 0, rise("msgr_connect_failures_total",
		"messenger", "client.1", "reason", "connection_refused"))
	require.EqualValues(t, 1, number(t, after, "msgr_connections", "messenger", "client.1"))
	require.EqualValues(t, 1, number(t, after, "msgr_connections_states", "messenger", "client.1", "state", "ready"))
	require.EqualValues(t, 1, number(t, after, "msgr_started", "messenger", "client.1"))
	require.EqualValues(t, 1<<20, number(t, after, "msgr_throttle_limit_bytes",
		"messenger", "osd.0", "throttle", "policy_bytes", "peer_type", "client"))
	require.EqualValues(t, 100, number(t, after, "msgr_throttle_limit_messages",
		"messenger", "osd.0", "throttle", "policy_messages", "peer_type", "client"))

	h := series(t, after, "msgr_send_to_ack_seconds", "messenger", "client.1").Histogram
	was := series(t, before, "msgr_send_to_ack_seconds", "messenger", "client.1").Histogram
	require.EqualValues(t, 4, h.GetSampleCount()-was.GetSampleCount())
	require.Greater(t, h.GetSampleSum(), was.GetSampleSum())
	require.Len(t, h.Bucket, hist.Buckets) // with that of +Inf
	require.EqualValues(t, h.GetSampleCount(), h.Bucket[len(h.Bucket)-1].GetCumulativeCount())

	// Of all workers together.
	workers := 0.0
	for _, m := range after["msgr_worker_messages_received_total"].Metric {
		if m.Label[0].GetValue() == "osd.0" {
			workers += m.Counter.GetValue()
		}
	}
	require.EqualValues(t, number(t, after, "msgr_messages_received_total", "messenger", "osd.0"), workers)
	for _, m := range (export.Options{}).Metrics() {
		require.Contains(t, after, m.Prometheus())
	}
}

// TestNoPeersInLabels: who is connected is in no label, so that the number of series stays.
func TestNoPeersInLabels(t *testing.T) {
	srv, _, send := pair(t)
	send(1)
	url := page(t, NewCollector(Config{Messengers: []*async.Messenger{srv}}))
	count := func() (n int) {
		for _, f := range scrape(t, url) {
			n += len(f.Metric)
		}
		return n
	}
	one := count()
	for i := range int64(10) {
		cl := messenger(t, entity.Client(100+i), new(sponge))
		c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
		require.NoError(t, err)
		require.NoError(t, c.Send(&msg.Message{Type: 1000}))
	}
	require.Eventually(t, func() bool { return srv.Stats().Received == 11 }, patience, time.Millisecond)
	require.Equal(t, one, count())
}

// TestLint: Prometheus' own rules for names and help.
func TestLint(t *testing.T) {
	srv, cl, send := pair(t)
	send(1)
	reg := prometheus.NewPedanticRegistry()
	require.NoError(t, reg.Register(NewCollector(Config{Messengers: []*async.Messenger{srv, cl}})))
	problems, err := testutil.GatherAndLint(reg)
	require.NoError(t, err)
	require.Empty(t, problems)
}

// TestAtOnce: many scrape while messages are sent, and while one messenger is shut down, whose last
// numbers stay.
func TestAtOnce(t *testing.T) {
	srv, cl, send := pair(t)
	send(16)
	extra := messenger(t, entity.Client(2), new(sponge))
	url := page(t, NewCollector(Config{Messengers: []*async.Messenger{srv, cl, extra}}))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 10 {
				got, err := tryScrape(url)
				if err != nil {
					t.Error(err)
				} else if got["msgr_messages_received_total"].Metric[2].Counter.GetValue() < 16 {
					t.Error("messages that were received before are not counted:", got["msgr_messages_received_total"])
				}
			}
		})
	}
	all.Go(func() { shutdown(t, extra) })
	send(100)
	all.Wait()
	shutdown(t, cl)
	after := scrape(t, url)
	require.EqualValues(t, 0, number(t, after, "msgr_started", "messenger", "client.1"))
	require.EqualValues(t, 1, number(t, after, "msgr_started", "messenger", "osd.0"))
	require.EqualValues(t, 116, number(t, after, "msgr_messages_sent_total", "messenger", "client.1"))
}

// TestSameName: two messengers of one name, as those of a server for two networks, and one that was never started.
func TestSameName(t *testing.T) {
	a, b := messenger(t, entity.OSD(7), new(sponge)), messenger(t, entity.OSD(7), new(sponge))
	never, err := async.New(async.Config{Name: entity.OSD(8)})
	require.NoError(t, err)
	url := page(t, NewCollector(Config{Messengers: []*async.Messenger{a, b, never}}))
	got := scrape(t, url)
	require.EqualValues(t, 1, number(t, got, "msgr_started", "messenger", "osd.7"))
	require.EqualValues(t, 1, number(t, got, "msgr_started", "messenger", "osd.7#2"))
	require.EqualValues(t, 0, number(t, got, "msgr_started", "messenger", "osd.8"))
	shutdown(t, never)
}

// TestWithoutConnections: what takes a look at each connection can be left out.
func TestWithoutConnections(t *testing.T) {
	m := messenger(t, entity.Client(1), new(sponge))
	got := scrape(t, page(t, NewCollector(Config{
		Messengers: []*async.Messenger{m}, Options: export.Options{SkipConnections: true},
	})))
	for _, x := range (export.Options{}).Metrics() {
		_, there := got[x.Prometheus()]
		if len(x.Labels) == 0 || x.Connections {
			require.Equal(t, !x.Connections, there, x.Name)
		}
	}
}

// TestBuckets: a duration is below the bound of its bucket, and not below the one before.
func TestBuckets(t *testing.T) {
	var h hist.Durations
	all := []time.Duration{0, time.Microsecond, 3 * time.Microsecond, time.Millisecond, time.Second, time.Hour}
	for _, d := range all {
		h.Add(d)
	}
	buckets, count := cumulative(&h)
	require.EqualValues(t, len(all), count)
	require.Len(t, buckets, hist.Buckets-1)
	for le, n := range buckets {
		below := 0
		for _, d := range all {
			if d.Seconds() < le {
				below++
			}
		}
		require.EqualValues(t, below, n, "%v", le)
	}
}

func ExampleNewCollector() {
	m, err := async.New(async.Config{Name: entity.OSD(3)})
	if err != nil {
		panic(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(NewCollector(Config{Messengers: []*async.Messenger{m}}))
	if err := m.Start(); err != nil {
		panic(err)
	}
	// http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	families, err := registry.Gather()
	if err != nil {
		panic(err)
	}
	for _, f := range families {
		if f.GetName() == "msgr_started" {
			fmt.Println(f.GetName(), f.Metric[0].GetGauge().GetValue())
		}
	}
	if err := m.Shutdown(context.Background()); err != nil {
		panic(err)
	}
	// Output: msgr_started 1
}
