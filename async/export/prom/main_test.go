package prom

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	// The default stack and executor live as long as the process.
	if _, err := async.DefaultStack(); err != nil {
		panic(err)
	}
	if _, err := async.DefaultExecutor(); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(),
		goleak.IgnoreAnyFunction("github.com/cloudwego/netpoll.(*defaultPoll).Wait"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"),
		goleak.IgnoreAnyFunction("github.com/asyncmsgr/asyncmsgr/dispatch.(*AntsPool).run"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*goWorker).run.func1"))
}

// patience is how long a test waits for something that has to come.
const patience = 30 * time.Second

// sponge takes all.
type sponge struct{ n atomic.Int64 }

func (s *sponge) Dispatch(m *msg.Message) bool {
	s.n.Add(1)
	m.Release()
	return true
}

func messenger(t testing.TB, name entity.Name, d msg.Dispatcher, change ...func(*async.Config)) *async.Messenger {
	t.Helper()
	cfg := async.Config{Name: name, InitialBackoff: 5 * time.Millisecond, MaxBackoff: 20 * time.Millisecond}
	for _, f := range change {
		f(&cfg)
	}
	m, err := async.New(cfg)
	require.NoError(t, err)
	m.AddDispatcherTail(d)
	m.SetDefaultPolicy(msg.LosslessClient())
	if name.Type == entity.TypeOSD {
		m.SetDefaultPolicy(msg.StatefulServer())
		m.SetPolicyThrottlers(entity.TypeClient, dispatch.NewThrottle(100), dispatch.NewThrottle(1<<20))
		require.NoError(t, m.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
	}
	require.NoError(t, m.Start())
	t.Cleanup(func() { shutdown(t, m) })
	return m
}

func shutdown(t testing.TB, m *async.Messenger) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, m.Shutdown(ctx))
}

// pair is a server, and a client that is connected with it. send sends n messages of 100 bytes
// and waits until the server has them and the client knows.
func pair(t testing.TB, change ...func(*async.Config)) (srv, cl *async.Messenger, send func(n int)) {
	t.Helper()
	got := new(sponge)
	srv = messenger(t, entity.OSD(0), got, change...)
	cl = messenger(t, entity.Client(1), new(sponge), change...)
	c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	return srv, cl, func(n int) {
		t.Helper()
		want := got.n.Load() + int64(n)
		for range n {
			require.NoError(t, c.Send(&msg.Message{Type: 1000, Front: make([]byte, 100)}))
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, c.Flush(ctx))
		require.Eventually(t, func() bool { return got.n.Load() == want }, patience, time.Millisecond)
	}
}

// page is a server of the metrics of one collector, as a program has it.
func page(t testing.TB, c *Collector) string {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	require.NoError(t, reg.Register(c))
	s := httptest.NewServer(promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		s.Close()
	})
	return s.URL
}

// tryScrape reads the page as Prometheus does. Any goroutine.
func tryScrape(url string) (map[string]*dto.MetricFamily, error) {
	r, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(r.Body)
		return nil, fmt.Errorf("%s: %s", r.Status, text)
	}
	p := expfmt.NewTextParser(model.LegacyValidation)
	return p.TextToMetricFamilies(r.Body)
}

func scrape(t testing.TB, url string) map[string]*dto.MetricFamily {
	t.Helper()
	families, err := tryScrape(url)
	require.NoError(t, err)
	return families
}

// series is the one series of that name whose labels have these values.
func series(t testing.TB, families map[string]*dto.MetricFamily, name string, labels ...string) *dto.Metric {
	t.Helper()
	f := families[name]
	require.NotNil(t, f, name)
	var found []*dto.Metric
	for _, m := range f.Metric {
		has := map[string]string{}
		for _, l := range m.Label {
			has[l.GetName()] = l.GetValue()
		}
		match := true
		for i := 0; i < len(labels); i += 2 {
			match = match && has[labels[i]] == labels[i+1]
		}
		if match {
			found = append(found, m)
		}
	}
	require.Len(t, found, 1, "%s %v", name, labels)
	return found[0]
}

func number(t testing.TB, families map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	t.Helper()
	m := series(t, families, name, labels...)
	if m.Counter != nil {
		return m.Counter.GetValue()
	}
	require.NotNil(t, m.Gauge, name)
	return m.Gauge.GetValue()
}
