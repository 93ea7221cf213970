package otelmsgr

import (
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/export"
	"github.com/asyncmsgr/asyncmsgr/async/hist"
)

// ScopeName is the instrumentation scope of metrics and spans.
const ScopeName = "github.com/asyncmsgr/asyncmsgr/async/export/otel"

// Config is what is observed.
type Config struct {
	// Messengers are told of under the names of export.Names: the attribute "messenger".
	Messengers []*async.Messenger
	// Options are those of all exporters.
	export.Options
}

// instruments are those of Options.Metrics, by name: one of the two has it.
type instruments struct {
	ints   map[string]metric.Int64Observable
	floats map[string]metric.Float64Observable
}

// Register makes an observable instrument of each metric that cfg asks for (Options.Metrics) and
// that is no histogram, and observes it when metrics are collected: one snapshot of each messenger,
// and one look at each of its connections (see export.Read). What is in seconds is a float64, all
// else an int64. The slices of cfg are copied. The registration ends with Unregister, or with the
// meter's provider. Any goroutine.
func Register(meter metric.Meter, cfg Config) (metric.Registration, error) {
	in := instruments{map[string]metric.Int64Observable{}, map[string]metric.Float64Observable{}}
	var all []metric.Observable
	for _, m := range cfg.Metrics() {
		if m.Kind == export.Histogram {
			continue
		}
		x, err := in.add(meter, &m)
		if err != nil {
			return nil, err
		}
		all = append(all, x)
	}
	messengers, names := slices.Clone(cfg.Messengers), export.Names(cfg.Messengers)
	cfg.Nodes, cfg.Muxes = slices.Clone(cfg.Nodes), slices.Clone(cfg.Muxes)
	return meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for i, m := range messengers {
			for v := range export.Read(m, cfg.Options).Each {
				in.observe(o, v, attributes(names[i], v))
			}
		}
		return nil
	}, all...)
}

func (in *instruments) add(meter metric.Meter, m *export.Metric) (x metric.Observable, err error) {
	unit, help := metric.WithUnit(m.Unit), metric.WithDescription(m.Help)
	counter := m.Kind == export.Counter
	switch {
	case m.Unit == export.Seconds && counter:
		in.floats[m.Name], err = meter.Float64ObservableCounter(m.Name, unit, help)
	case m.Unit == export.Seconds:
		in.floats[m.Name], err = meter.Float64ObservableGauge(m.Name, unit, help)
	case counter:
		in.ints[m.Name], err = meter.Int64ObservableCounter(m.Name, unit, help)
	default:
		in.ints[m.Name], err = meter.Int64ObservableGauge(m.Name, unit, help)
	}
	if f := in.floats[m.Name]; f != nil {
		return f, err
	}
	return in.ints[m.Name], err
}

func (in *instruments) observe(o metric.Observer, v export.Value, set attribute.Set) {
	with := metric.WithAttributeSet(set)
	if f := in.floats[v.Name]; f != nil {
		o.ObserveFloat64(f, v.N, with)
	} else if n := in.ints[v.Name]; n != nil {
		o.ObserveInt64(n, int64(v.N), with)
	}
}

// attributes are the labels of a value.
func attributes(messenger string, v export.Value) attribute.Set {
	all := make([]attribute.KeyValue, 0, 1+len(v.Labels))
	all = append(all, attribute.String(export.LabelMessenger, messenger))
	for i, name := range v.Labels {
		all = append(all, attribute.String(name, v.LabelValues[i]))
	}
	return attribute.NewSet(all...)
}

// NewProducer gives the histograms of async/export to a Reader of the SDK:
//
//	sdkmetric.NewPeriodicReader(exporter, sdkmetric.WithProducer(otelmsgr.NewProducer(cfg)))
//
// They are cumulative, from the time of this call on as far as collectors are told: so call it when the
// messengers are new, since what they counted before is in the histograms too. Any goroutine.
func NewProducer(cfg Config) sdkmetric.Producer {
	cfg.Messengers = slices.Clone(cfg.Messengers)
	cfg.SkipConnections, cfg.Nodes, cfg.Muxes = true, nil, nil // no histogram is of these
	return &producer{cfg, export.Names(cfg.Messengers), time.Now()}
}

type producer struct {
	cfg   Config
	names []string
	since time.Time
}

// Produce implements sdkmetric.Producer.
func (p *producer) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	points, now := map[string][]metricdata.HistogramDataPoint[float64]{}, time.Now()
	for i, m := range p.cfg.Messengers {
		for v := range export.Read(m, p.cfg.Options).Each {
			if v.Kind == export.Histogram {
				point := histogram(v.Took)
				point.Attributes, point.StartTime, point.Time = attributes(p.names[i], v), p.since, now
				points[v.Name] = append(points[v.Name], point)
			}
		}
	}
	s := metricdata.ScopeMetrics{Scope: instrumentation.Scope{Name: ScopeName}}
	for _, m := range export.Metrics() {
		if all := points[m.Name]; len(all) > 0 {
			s.Metrics = append(s.Metrics, metricdata.Metrics{
				Name: m.Name, Description: m.Help, Unit: m.Unit,
				Data: metricdata.Histogram[float64]{DataPoints: all, Temporality: metricdata.CumulativeTemporality},
			})
		}
	}
	return []metricdata.ScopeMetrics{s}, nil
}

// histogram is h in seconds. OpenTelemetry counts what is at a bound below it, and async/hist above it.
func histogram(h *hist.Durations) (p metricdata.HistogramDataPoint[float64]) {
	p.Bounds = make([]float64, hist.Buckets-1)
	for i := range p.Bounds {
		p.Bounds[i] = hist.Limit(i).Seconds()
	}
	p.BucketCounts = slices.Clone(h.Counts[:])
	p.Count, p.Sum = h.Count(), float64(h.Sum)/1e9
	return p
}
