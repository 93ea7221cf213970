package otelmsgr

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/otlptranslator"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/export"
	"github.com/asyncmsgr/asyncmsgr/async/hist"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// sponge takes all.
type sponge struct{ n atomic.Int64 }

func (s *sponge) Dispatch(m *msg.Message) bool {
	s.n.Add(1)
	m.Release()
	return true
}

// collected are the values of one collection: by name and attributes, with what kind it is.
type collected map[string]any

func collect(t testing.TB, r sdkmetric.Reader) collected {
	t.Helper()
	all, err := tryCollect(r)
	require.NoError(t, err)
	return all
}

func tryCollect(r sdkmetric.Reader) (collected, error) {
	var rm metricdata.ResourceMetrics
	if err := r.Collect(context.Background(), &rm); err != nil {
		return nil, err
	}
	all := collected{}
	put := func(m metricdata.Metrics, set attribute.Set, v any) {
		enc := set.Encoded(attribute.DefaultEncoder())
		all[fmt.Sprintf("%s{%s}", m.Name, enc)] = v
		all[m.Name] = m.Unit
	}
	for _, s := range rm.ScopeMetrics {
		if s.Scope.Name != ScopeName {
			return nil, errors.New("another scope: " + s.Scope.Name)
		}
		for _, m := range s.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					put(m, p.Attributes, p.Value)
				}
			case metricdata.Gauge[int64]:
				for _, p := range d.DataPoints {
					put(m, p.Attributes, p.Value)
				}
			case metricdata.Gauge[float64]:
				for _, p := range d.DataPoints {
					put(m, p.Attributes, p.Value)
				}
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					put(m, p.Attributes, p)
				}
			default:
				return nil, fmt.Errorf("%s is a %T", m.Name, d)
			}
		}
	}
	return all, nil
}

// watch is a reader of the metrics of those messengers, as a program has it.
func watch(t testing.TB, cfg Config) sdkmetric.Reader {
	t.Helper()
	r := sdkmetric.NewManualReader(sdkmetric.WithProducer(NewProducer(cfg)))
	p := sdkmetric.NewMeterProvider(sdkmetric.WithReader(r))
	reg, err := Register(p.Meter(ScopeName), cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, reg.Unregister())
		require.NoError(t, p.Shutdown(context.Background()))
	})
	return r
}

// TestMetrics: a live messenger is collected before and after messages, by several at once, and
// after it was shut down.
func TestMetrics(t *testing.T) {
	got := new(sponge)
	srv := messenger(t, entity.OSD(0), msg.StatefulServer(), func(m *async.Messenger) {
		m.SetPolicyThrottlers(entity.TypeClient, dispatch.NewThrottle(100), dispatch.NewThrottle(1<<20))
		m.AddDispatcherTail(got)
	})
	cl := messenger(t, entity.Client(1), msg.LosslessClient(), func(*async.Messenger) {})
	r := watch(t, Config{Messengers: []*async.Messenger{srv, cl}})
	c := connect(t, cl, srv)
	before := collect(t, r)
	require.EqualValues(t, 0, before["msgr.messages.received{messenger=osd.0}"])
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for range 10 {
				if _, err := tryCollect(r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 32 {
		require.NoError(t, c.Send(&msg.Message{Type: 1000, Front: make([]byte, 100)}))
	}
	require.NoError(t, c.Flush(timeout(t)))
	require.Eventually(t, func() bool { return got.n.Load() == 32 }, patience, time.Millisecond)
	all.Wait()
	shutdown(t, cl)
	after := collect(t, r)
	require.Equal(t, int64(32), after["msgr.messages.received{messenger=osd.0}"])
	require.Equal(t, int64(3200), after["msgr.payload.received{messenger=osd.0}"])
	require.Equal(t, int64(32), after["msgr.dispatch.enqueued{band=normal,messenger=osd.0}"])
	require.Equal(t, int64(100),
		after["msgr.throttle.limit_messages{messenger=osd.0,peer_type=client,throttle=policy_messages}"])
	require.Equal(t, int64(0), after["msgr.started{messenger=client.1}"])
	h := after["msgr.send_to_ack{messenger=client.1}"].(metricdata.HistogramDataPoint[float64])
	require.EqualValues(t, 2, h.Count)
	require.Positive(t, h.Sum)
	require.Len(t, h.BucketCounts, len(h.Bounds)+1)
	require.True(t, h.Time.After(h.StartTime))
	for _, m := range (export.Options{}).Metrics() {
		require.Equal(t, m.Unit, after[m.Name], m.Name)
	}
}

func TestMetricsWithoutConnections(t *testing.T) {
	m := messenger(t, entity.Client(1), msg.LosslessClient(), func(*async.Messenger) {})
	r := watch(t, Config{Messengers: []*async.Messenger{m}, Options: export.Options{SkipConnections: true}})
	got := collect(t, r)
	require.NotContains(t, got, "msgr.connections.states")
	require.Contains(t, got, "msgr.connections")
}

// TestPrometheusNames: what Prometheus makes of the names is what async/export/prom calls them.
func TestPrometheusNames(t *testing.T) {
	namer := otlptranslator.MetricNamer{WithMetricSuffixes: true}
	kinds := map[export.Kind]otlptranslator.MetricType{
		export.Counter: otlptranslator.MetricTypeMonotonicCounter, export.Gauge: otlptranslator.MetricTypeGauge,
		export.Histogram: otlptranslator.MetricTypeHistogram,
	}
	for _, m := range export.Metrics() {
		got, err := namer.Build(otlptranslator.Metric{Name: m.Name, Unit: m.Unit, Type: kinds[m.Kind]})
		require.NoError(t, err)
		require.Equal(t, m.Prometheus(), got)
	}
}

func TestHistogram(t *testing.T) {
	var h hist.Durations
	all := []time.Duration{0, 3 * time.Microsecond, time.Millisecond, time.Hour}
	sum := 0.0
	for _, d := range all {
		h.Add(d)
		sum += d.Seconds()
	}
	p := histogram(&h)
	require.EqualValues(t, len(all), p.Count)
	require.InDelta(t, sum, p.Sum, 1e-9)
	for _, d := range all {
		i := hist.Bucket(d)
		require.EqualValues(t, 1, p.BucketCounts[i])
		if i < len(p.Bounds) {
			require.Less(t, d.Seconds(), p.Bounds[i])
		}
	}
}

// refusing is a meter that makes no instrument.
type refusing struct{ noop.Meter }

var errRefusing = errors.New("no instrument")

func (refusing) Int64ObservableCounter(
	string, ...metric.Int64ObservableCounterOption,
) (metric.Int64ObservableCounter, error) {
	return nil, errRefusing
}

func TestRegisterFails(t *testing.T) {
	_, err := Register(refusing{}, Config{})
	require.ErrorIs(t, err, errRefusing)
}
