package expvars

import (
	"context"
	"encoding/json"
	"expvar"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/export"
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

func messenger(t testing.TB, name entity.Name, d msg.Dispatcher) *async.Messenger {
	t.Helper()
	m, err := async.New(async.Config{Name: name})
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

// ask reads the variable as a program does that gets /debug/vars.
func ask(t testing.TB, v expvar.Var) (all map[string]map[string]any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(v.String()), &all), "%s", v.String())
	return all
}

// TestValues: what a live messenger tells, before and after messages.
func TestValues(t *testing.T) {
	got := new(sponge)
	srv := messenger(t, entity.OSD(0), got)
	cl, same := messenger(t, entity.Client(1), new(sponge)), messenger(t, entity.Client(1), new(sponge))
	v := New(Config{Messengers: []*async.Messenger{srv, cl, same}})
	before := ask(t, v)
	require.Len(t, before, 3)
	require.Contains(t, before, "client.1#2")
	require.EqualValues(t, 0, before["osd.0"]["msgr_messages_received_total"])

	c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	for range 32 {
		require.NoError(t, c.Send(&msg.Message{Type: 1000, Front: make([]byte, 100)}))
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, c.Flush(ctx))
	require.Eventually(t, func() bool { return srv.Stats().Queue.Dispatched >= 32 }, patience, time.Millisecond)
	after := ask(t, v)
	require.EqualValues(t, 32, after["osd.0"]["msgr_messages_received_total"])
	require.EqualValues(t, 3200, after["osd.0"]["msgr_payload_received_bytes_total"])
	require.EqualValues(t, 1, after["client.1"]["msgr_connections_states"].(map[string]any)["ready"])
	limits := after["osd.0"]["msgr_throttle_limit_messages"].(map[string]any)
	require.EqualValues(t, 100, limits["policy_messages,client"])
	ack := after["client.1"]["msgr_send_to_ack_seconds"].(map[string]any)
	require.EqualValues(t, 2, ack["count"])
	require.Greater(t, ack["sum"], 0.0)
	require.GreaterOrEqual(t, ack["p999"], ack["p50"])
	for _, m := range (export.Options{}).Metrics() {
		require.Contains(t, after["osd.0"], m.Prometheus())
	}
	require.NotContains(t, v.String(), "\n")

	shutdown(t, cl)
	require.EqualValues(t, 0, ask(t, v)["client.1"]["msgr_started"])
	require.EqualValues(t, 32, ask(t, v)["client.1"]["msgr_messages_sent_total"])
}

// TestNothing: no messenger is an empty object, and no look at connections leaves their metrics out.
func TestNothing(t *testing.T) {
	require.Equal(t, "{}", New(Config{}).String())
	m := messenger(t, entity.Client(1), new(sponge))
	v := New(Config{Messengers: []*async.Messenger{m}, Options: export.Options{SkipConnections: true}})
	require.NotContains(t, ask(t, v)["client.1"], "msgr_connections_states")
	require.Contains(t, ask(t, v)["client.1"], "msgr_connections")
}

func ExampleNew() {
	m, err := async.New(async.Config{Name: entity.OSD(3)})
	if err != nil {
		panic(err)
	}
	expvar.Publish("msgr", New(Config{Messengers: []*async.Messenger{m}}))
	if err := m.Start(); err != nil {
		panic(err)
	}
	// http.ListenAndServe("127.0.0.1:6060", nil) has it under /debug/vars now.
	text := expvar.Get("msgr").String()
	fmt.Println(strings.HasPrefix(text, `{"osd.3":{"msgr_messages_received_total":0,`))
	if err := m.Shutdown(context.Background()); err != nil {
		panic(err)
	}
	// Output: true
}
