package rpc_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/asyncmsgr/asyncmsgr/eventloop/netpollstack"
)

func TestMain(m *testing.M) {
	flag.Parse()
	msg.PoisonBuffers = flag.Lookup("test.bench").Value.String() == ""
	slog.SetDefault(slog.New(slog.DiscardHandler)) // tests break everything
	// Examples share these, which stay.
	if _, err := async.DefaultStack(); err != nil {
		panic(err)
	}
	if _, err := async.DefaultExecutor(); err != nil {
		panic(err)
	}
	leakOptions = append(leakOptions, goleak.IgnoreCurrent())
	goleak.VerifyTestMain(movers{m}, leakOptions...)
}

// movers are the tests, which together have to move every counter.
type movers struct{ m *testing.M }

var moved struct {
	mu  sync.Mutex
	all map[string]bool
}

// watch notes which counters of n have moved by the end of the test.
func watch(t testing.TB, n *rpc.Node) {
	t.Cleanup(func() {
		moved.mu.Lock()
		defer moved.mu.Unlock()
		if moved.all == nil {
			moved.all = map[string]bool{}
		}
		counts := reflect.ValueOf(n.Stats().Counts)
		for i := range counts.NumField() {
			name := counts.Type().Field(i).Name
			moved.all[name] = moved.all[name] || counts.Field(i).Uint() > 0
		}
	})
}

// Run runs the tests, and fails if all of them pass and a counter has not moved.
func (m movers) Run() int {
	code := m.m.Run()
	whole := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.bench").Value.String() == "" &&
		flag.Lookup("test.skip").Value.String() == "" && flag.Lookup("test.list").Value.String() == ""
	if code == 0 && whole {
		for name, is := range moved.all {
			if !is {
				fmt.Printf("FAIL: no test moves Stats.%s\n", name)
				code = 1
			}
		}
	}
	return code
}

var leakOptions = []goleak.Option{
	// netpoll's pollers live as long as the process, and so do goroutines of ants.
	goleak.IgnoreAnyFunction("github.com/cloudwego/netpoll.(*defaultPoll).Wait"),
	goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
	goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"),
	goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*goWorker).run.func1"),
}

// patience is how long a test waits for something that has to come.
const patience = 30 * time.Second

// echo is the type of requests that the server of a pair answers with their body.
const echo = 0x1001

// pair is a client and a server over real sockets.
type pair struct {
	t              testing.TB
	client, server *rpc.Node
	conn           msg.Connection // the client's
	logs           *logbook       // of both
}

type pairOptions struct {
	client, server         rpc.Options
	clientPol, serverPol   msg.Policy
	clientConf, serverConf func(*async.Config)
	first                  msg.Dispatcher // of the client, before its node
}

func newPair(t testing.TB, change ...func(*pairOptions)) *pair {
	t.Helper()
	o := pairOptions{clientPol: msg.LosslessPeer(), serverPol: msg.LosslessPeer()}
	for _, f := range change {
		f(&o)
	}
	if _, bench := t.(*testing.B); !bench { // which has a goroutine of its own
		t.Cleanup(func() { goleak.VerifyNone(t, leakOptions...) })
	}
	stack, err := netpollstack.Open(netpollstack.Config{Workers: 2})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stack.Close()) })
	p := &pair{t: t, logs: &logbook{}}
	start := func(name entity.Name, pol msg.Policy, opts rpc.Options, conf func(*async.Config),
		first msg.Dispatcher) *rpc.Node {

		cfg := async.Config{Name: name, Stack: stack, Logger: slog.New(p.logs), InitialBackoff: 5 * time.Millisecond}
		if conf != nil {
			conf(&cfg)
		}
		m, err := async.New(cfg)
		require.NoError(t, err)
		m.SetDefaultPolicy(pol)
		n, err := rpc.New(m, opts)
		require.NoError(t, err)
		if first != nil {
			m.AddDispatcherHead(first)
		}
		require.NoError(t, m.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
		require.NoError(t, m.Start())
		watch(t, n)
		t.Cleanup(func() { require.NoError(t, m.Shutdown(timeout(t))) })
		return n
	}
	p.server = start(entity.OSD(1), o.serverPol, o.server, o.serverConf, nil)
	p.client = start(entity.OSD(2), o.clientPol, o.client, o.clientConf, o.first)
	require.NoError(t, p.server.HandleRaw(echo, func(_ context.Context, r *rpc.Request) ([]byte, error) {
		return r.Body, nil
	}))
	p.conn, err = p.client.Messenger().ConnectTo(entity.TypeOSD, p.server.Messenger().Addrs())
	require.NoError(t, err)
	return p
}

// back is the server's connection with the client.
func (p *pair) back() (found msg.Connection) {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		found = p.server.Messenger().Lookup(p.client.Messenger().Addrs())
		return found != nil && found.IsConnected()
	}, patience, time.Millisecond)
	return found
}

func timeout(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits for what counters say.
func eventually(t testing.TB, cond func() bool) {
	t.Helper()
	require.Eventually(t, cond, patience, time.Millisecond)
}

// logbook keeps what was logged.
type logbook struct {
	mu    sync.Mutex
	lines []slog.Record
}

func (l *logbook) Enabled(context.Context, slog.Level) bool { return true }
func (l *logbook) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logbook) WithGroup(string) slog.Handler            { return l }
func (l *logbook) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, r.Clone())
	return nil
}

// having returns how many lines have that message.
func (l *logbook) having(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.lines {
		if r.Message == text {
			n++
		}
	}
	return n
}
