package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
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

// sponge takes all.
type sponge struct{ n atomic.Int64 }

func (s *sponge) Dispatch(m *msg.Message) bool {
	s.n.Add(1)
	m.Release()
	return true
}

func messenger(
	t testing.TB, name entity.Name, p msg.Policy, d msg.Dispatcher, change ...func(*async.Config),
) *async.Messenger {
	t.Helper()
	cfg := async.Config{Name: name, InitialBackoff: 5 * time.Millisecond, MaxBackoff: 20 * time.Millisecond}
	for _, f := range change {
		f(&cfg)
	}
	m, err := async.New(cfg)
	require.NoError(t, err)
	m.SetDefaultPolicy(p)
	m.AddDispatcherTail(d)
	if !p.Lossy && p.Server {
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

// pair is a server, and a client that is connected with it.
func pair(t testing.TB, change ...func(*async.Config)) (srv, cl *async.Messenger, c msg.Connection, got *sponge) {
	t.Helper()
	got = new(sponge)
	srv = messenger(t, entity.OSD(0), msg.StatefulServer(), echo{}, change...)
	cl = messenger(t, entity.Client(1), msg.LosslessClient(), got, change...)
	c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	require.NoError(t, c.Send(&msg.Message{Type: 1000, Front: []byte("hello")}))
	require.Eventually(t, func() bool { return got.n.Load() == 1 }, patience, time.Millisecond)
	return srv, cl, c, got
}

func serve(t testing.TB, cfg Config) *Server {
	t.Helper()
	if cfg.Path == "" {
		cfg.Path = filepath.Join(t.TempDir(), "a.asok")
	}
	s, err := Listen(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// ask returns the answer, which has to be JSON.
func ask(t testing.TB, s *Server, command string) map[string]any {
	t.Helper()
	b, err := Ask(s.Path(), []byte(command), patience)
	require.NoError(t, err)
	var v map[string]any
	require.NoError(t, json.Unmarshal(b, &v), "%s", b)
	return v
}

func refused(t testing.TB, s *Server, command string) string {
	t.Helper()
	b, err := Ask(s.Path(), []byte(command), patience)
	require.NoError(t, err)
	require.True(t, IsRefusal(b), "%s", b)
	return string(b)
}

// at walks into nested objects and lists.
func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			v = v.(map[string]any)[p]
		case int:
			v = v.([]any)[p]
		}
	}
	return v
}

func TestAnswers(t *testing.T) {
	srv, cl, _, _ := pair(t)
	both := []*async.Messenger{srv, cl}
	s := serve(t, Config{Messengers: both, Version: "v1", answerMax: 1 << 20, Commands: []Command{
		{Name: "own thing", Help: "h", Args: []Arg{{Name: "x", Type: "CephInt"}}, Run: func(a Args) (any, error) {
			n, err := a.Int("x", 0)
			return map[string]int{"twice": 2 * n}, err
		}},
		{Name: "fail", Run: func(Args) (any, error) { panic("planned") }},
		{Name: "odd", Run: func(Args) (any, error) { return make(chan int), nil }},
		{Name: "huge", Run: func(Args) (any, error) { return strings.Repeat("x", 1<<20), nil }},
	}})
	require.Equal(t, "v1", ask(t, s, "version")["version"])
	require.Contains(t, ask(t, s, `{"prefix": "help"}`), "perf dump")
	require.EqualValues(t, 14, ask(t, s, "own thing 7")["twice"])
	require.EqualValues(t, 14, ask(t, s, `{"prefix":"own thing","x":7}`)["twice"])
	require.EqualValues(t, 14, ask(t, s, `{"prefix":"own  thing","x":["7"],"format":"json"}`)["twice"])
	b, err := Ask(s.Path(), []byte(`{"prefix":"0"}`), patience)
	require.NoError(t, err)
	require.Equal(t, "2", string(b))

	d := ask(t, s, "perf dump")
	require.EqualValues(t, 1, at(d, "msgr-osd.0", "received"))
	require.EqualValues(t, 1, at(d, "msgr-client.1", "sent"))
	require.EqualValues(t, 5, at(d, "msgr-client.1", "sent_bytes"))
	require.EqualValues(t, 100<<20, at(d, "throttle-msgr_dispatch_throttler-osd.0", "max"))
	sum := 0.0
	for name, l := range d {
		if strings.HasPrefix(name, "AsyncMessenger::Worker-") {
			sum += at(l, "msgr_recv_messages").(float64)
		}
	}
	require.EqualValues(t, 2, sum)
	require.Len(t, ask(t, s, `{"prefix":"perf dump","logger":"msgr-osd.0"}`), 1)
	require.Equal(t, map[string]any{"msgr-osd.0": map[string]any{"sent": 1.0}}, ask(t, s, "perf dump msgr-osd.0 sent"))

	// Each counter has a schema, and no other.
	schema := ask(t, s, "perf schema")
	require.Len(t, schema, len(d))
	for name, l := range d {
		require.Len(t, schema[name], len(l.(map[string]any)), name)
		for c := range l.(map[string]any) {
			require.Contains(t, schema[name], c)
		}
	}
	h := ask(t, s, "perf histogram dump msgr-client.1 send_ack_histogram")
	total := 0.0
	for _, n := range at(h, "msgr-client.1", "send_ack_histogram", "values").([]any) {
		total += n.(float64)
	}
	require.EqualValues(t, 1, total)
	require.Contains(t, at(ask(t, s, "perf histogram schema"), "msgr-osd.0"), "dispatch_histogram")

	m := ask(t, s, "messenger dump osd.0")
	require.Equal(t, "osd.0", at(m, "messengers", 0, "name"))
	require.EqualValues(t, 1, at(m, "messengers", 0, "connections_count"))
	require.Equal(t, "client.1", at(m, "messengers", 0, "connections", 1, "peer", "entity_name"))
	require.Equal(t, "READY", at(m, "messengers", 0, "connections", 1, "protocol", "state"))
	m = ask(t, s, `{"prefix":"messenger dump","max":1}`)
	require.Len(t, at(m, "messengers"), 2)
	require.Len(t, at(m, "messengers", 0, "connections"), 1)
	require.EqualValues(t, 1, at(m, "messengers", 0, "connections_left_out"))
	q := ask(t, s, "dispatch dump")
	require.Len(t, at(q, "osd.0", "bands"), 4)

	for command, want := range map[string]string{
		"garbage": "(22)", "{": "invalid json", "{}": "prefix", `{"prefix":7}`: "prefix",
		`{"prefix":"x"}`: "unknown command", "": "unknown command", "messenger dump osd.9": "(2)",
		"perf dump a b c": `what is "c"`, "messenger dump osd.0 x": "number of connections",
		`{"prefix":"messenger dump","max":-1}`: "number of connections",
		`{"prefix":"messenger dump","max":{}}`: "neither", `{"prefix":"messenger dump","max":[1,2]}`: "more than one",
		"own thing": "x is missing", "fail": "(5)", "odd": "(5)", "huge": "(7)", "config get": "missing",
		"config get x": "no setting", "config set x y": "no setting", "config set log_level debug": "(1)",
		`{"prefix":null}`: "unknown", "\x00": "unknown", "0 1": "what is",
	} {
		require.Contains(t, refused(t, s, command), want, "%q", command)
	}
}

func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.asok")
	s := serve(t, Config{Path: path})
	fi, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.ModeSocket|0o600, fi.Mode())
	_, err = Listen(Config{Path: path})
	require.ErrorIs(t, err, ErrInUse)
	require.Equal(t, "asyncmsgr", ask(t, s, "version")["library"], "it still answers")

	// What a process has left behind is replaced, what is no socket is not.
	stale := filepath.Join(t.TempDir(), "stale.asok")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	require.NoError(t, err)
	l.SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	require.FileExists(t, stale)
	second := serve(t, Config{Path: stale})
	ask(t, second, "version")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("precious"), 0o600))
	_, err = Listen(Config{Path: file})
	require.ErrorContains(t, err, "no socket")
	require.FileExists(t, file)
	_, err = Listen(Config{Path: filepath.Join(t.TempDir(), "no", "folder")})
	require.Error(t, err)
	_, err = Listen(Config{Path: path + strings.Repeat("x", 120)})
	require.Error(t, err)

	// Close removes its own socket, and not one that has taken its place.
	require.NoError(t, os.Remove(stale))
	third := serve(t, Config{Path: stale})
	require.NoError(t, second.Close())
	require.NoError(t, second.Close())
	ask(t, third, "version")
	require.NoError(t, third.Close())
	require.NoFileExists(t, stale)
	left, err := os.ReadDir(filepath.Dir(stale))
	require.NoError(t, err)
	require.Empty(t, left)

	_, err = Listen(Config{Path: path + "2", Commands: []Command{{Name: "perf dump", Run: s.help}}})
	require.ErrorContains(t, err, "two commands")
	_, err = Listen(Config{Path: path + "2", Commands: []Command{{Name: "a b c d", Run: s.help}}})
	require.ErrorContains(t, err, "three words")
}

// TestBadClients: whoever does not do as he should is cut off, and others are answered.
func TestBadClients(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	s := serve(t, Config{Timeout: 300 * time.Millisecond, Commands: []Command{
		{Name: "big", Run: func(Args) (any, error) { return big, nil }},
	}})
	dial := func(send string) net.Conn {
		c, err := net.Dial("unix", s.Path())
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		_, _ = io.WriteString(c, send)
		return c
	}
	rest := func(c net.Conn) []byte {
		require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
		b, err := io.ReadAll(c)
		if err != nil {
			require.False(t, errors.Is(err, os.ErrDeadlineExceeded), "it is not cut off")
		}
		return b
	}
	require.Empty(t, rest(dial("")), "says nothing")
	require.Empty(t, rest(dial(`{"prefix": "ver`)), "half a command")
	require.Contains(t, string(rest(dial(strings.Repeat("x", CommandMax+4096)))), "(7)")
	require.Contains(t, string(rest(dial("\x01\x02\xff garbage\x00"))), "(22)")
	c := dial("version\nmore")
	require.Contains(t, string(rest(c)), "asyncmsgr")
	dial(`{"prefix":"version"`).Close()
	// As many as there may be that do not read: they are cut off, and then there is room.
	var all []net.Conn
	for range ConnsMax {
		all = append(all, dial("big\x00"))
	}
	require.NotNil(t, ask(t, s, "version"))
	cut := 0
	for _, c := range all {
		if len(rest(c)) < len(big) {
			cut++
		}
	}
	require.NotZero(t, cut)
}

// TestCloseWhileAsked: Close cuts off who is being answered.
func TestCloseWhileAsked(t *testing.T) {
	s := serve(t, Config{Timeout: time.Hour})
	var all sync.WaitGroup
	for range 2 * ConnsMax { // more than there is room for
		c, err := net.Dial("unix", s.Path())
		require.NoError(t, err)
		defer c.Close()
		_, err = io.WriteString(c, "half")
		require.NoError(t, err)
		all.Go(func() { _, _ = io.Copy(io.Discard, c) })
	}
	require.NoError(t, s.Close())
	all.Wait()
}

// TestAskBadServers: what answers is not believed.
func TestAskBadServers(t *testing.T) {
	_, err := Ask(filepath.Join(t.TempDir(), "none"), []byte("x"), time.Second)
	require.ErrorIs(t, err, os.ErrNotExist)
	for what, answer := range map[string][]byte{
		"nothing": nil, "half a length": {0, 0}, "half an answer": {0, 0, 0, 9, 'x'}, "a huge one": {255, 0, 0, 0},
	} {
		path := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", path)
		require.NoError(t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			_, _ = readCommand(c)
			_, _ = c.Write(answer)
		}()
		_, err = Ask(path, []byte("x"), patience)
		require.Error(t, err, what)
		require.NoError(t, l.Close())
		<-done
	}
}

// FuzzAnswer: no command breaks the desk, nor is the answer anything but JSON or an error.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{"help", "0", `{"prefix":"perf dump","logger":"x"}`,
		`{"prefix":"config set","var":"x","val":[1]}`, `{"prefix":["help"]}`, "config set ms_inject_delay_max 1e999"} {
		f.Add([]byte(s))
	}
	d, err := newDesk(&Config{Logger: slog.New(slog.DiscardHandler), answerMax: AnswerMax})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, command []byte) {
		a := d.answer(command)
		if !IsRefusal(a) && !json.Valid(bytes.TrimSpace(a)) {
			t.Fatalf("%q: %q", command, a)
		}
	})
}
