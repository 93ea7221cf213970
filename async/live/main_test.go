package live

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
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

// echo sends every message back.
type echo struct{}

func (echo) Dispatch(m *msg.Message) bool {
	m.ReleaseAfterSend()
	_ = m.Connection().Send(m)
	return true
}

// chatter sends another message for each that comes, so there is always traffic.
type chatter struct{}

func (chatter) Dispatch(m *msg.Message) bool {
	c := m.Connection()
	m.Release()
	_ = c.Send(word())
	return true
}

func word() *msg.Message {
	m := msg.New(0x4000, 0)
	m.Data = []byte("word")
	return m
}

// talk is a server and a client that talk all the time.
func talk(t testing.TB, faults bool) (srv, cl *async.Messenger, c msg.Connection) {
	t.Helper()
	start := func(name entity.Name, p msg.Policy, d msg.Dispatcher) *async.Messenger {
		m, err := async.New(async.Config{Name: name, InitialBackoff: time.Millisecond,
			MaxBackoff: 20 * time.Millisecond, AllowFaults: faults})
		require.NoError(t, err)
		m.SetDefaultPolicy(p)
		m.AddDispatcherTail(d)
		if p.Server {
			require.NoError(t, m.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
		}
		require.NoError(t, m.Start())
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			require.NoError(t, m.Shutdown(ctx))
		})
		return m
	}
	srv = start(entity.OSD(0), msg.StatefulServer(), echo{})
	cl = start(entity.Client(7), msg.LosslessClient(), chatter{})
	c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	require.NoError(t, c.Send(word()))
	return srv, cl, c
}

// serve serves a page of messengers.
func serve(t testing.TB, cfg Config, ms ...*async.Messenger) (h *Handler, url string) {
	t.Helper()
	cfg.Messengers = func() []*async.Messenger { return ms }
	if cfg.Every == 0 {
		cfg.Every = 10 * time.Millisecond
	}
	h, err := New(cfg)
	require.NoError(t, err)
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		h.Close()
		s.Close()
	})
	return h, s.URL
}

// watcher reads what a page gets.
type watcher struct {
	t     testing.TB
	lines *bufio.Scanner
	end   func()
	hello hello
}

// watch begins to watch.
func watch(t testing.TB, url string) *watcher {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	r, err := http.NewRequestWithContext(ctx, "GET", url+"/watch", nil)
	require.NoError(t, err)
	a, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, a.StatusCode)
	require.Equal(t, "text/event-stream", a.Header.Get("Content-Type"))
	s := &watcher{t: t, lines: bufio.NewScanner(a.Body)}
	s.lines.Buffer(nil, 16<<20)
	s.end = func() {
		cancel()
		_ = a.Body.Close()
	}
	t.Cleanup(s.end)
	require.Equal(t, "hello", s.next(&s.hello))
	return s
}

// next reads an event, whose name it returns; "" at the end.
func (s *watcher) next(to any) (event string) {
	s.t.Helper()
	for s.lines.Scan() {
		if name, ok := strings.CutPrefix(s.lines.Text(), "event: "); ok {
			event = name
		}
		if data, ok := strings.CutPrefix(s.lines.Text(), "data: "); ok {
			if event == "hello" {
				to = &s.hello
			}
			require.NoError(s.t, json.Unmarshal([]byte(data), to))
			return event
		}
	}
	return ""
}

// until reads states until one is as is wanted, and returns it with all events.
func (s *watcher) until(what string, good func(*state, []event) bool) *state {
	s.t.Helper()
	events := s.hello.Events
	for {
		var x state
		switch s.next(&x) {
		case "":
			require.Fail(s.t, "the stream has ended", what)
		case "hello":
			events = s.hello.Events
			continue
		}
		events = append(events, x.Events...)
		if good(&x, events) {
			return &x
		}
	}
}
