//go:build linux && (amd64 || arm64 || loong64)

package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// shipped is the logger that a program has which configures none. The tests' own replaces it
// in TestMain, after this.
var shipped = slog.New(slog.Default().Handler())

// TestTroubleshooting reproduces each symptom of docs/TROUBLESHOOTING.md, with the logger that
// a program has which configures none: what the page says is logged, and nothing else is, and
// the counters and fields that the page names say so too.
func TestTroubleshooting(t *testing.T) {
	page := map[string]symptom{}
	for _, s := range troubles(t) {
		page[s.test] = s
	}
	for _, name := range slices.Sorted(maps.Keys(scenes)) {
		s, ok := page[name]
		if !ok {
			t.Errorf("docs/TROUBLESHOOTING.md has no symptom whose test is TestTroubleshooting/%s", name)
		}
		t.Run(name, func(t *testing.T) {
			x := &scene{T: t}
			before, flags := log.Writer(), log.Flags()
			log.SetOutput(&x.book)
			log.SetFlags(0) // no date
			t.Cleanup(func() { log.SetOutput(before); log.SetFlags(flags) })
			defer x.open()
			scenes[name](x)
			x.judge(&s)
		})
	}
}

// book keeps what is logged.
type book struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// lines are what was logged.
func (b *book) lines() (all []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for l := range strings.Lines(b.buf.String()) {
		all = append(all, strings.TrimRight(l, "\n"))
	}
	return all
}

// scene is where a symptom is reproduced. Its messengers log where the page says.
type scene struct {
	*testing.T
	book       book
	messengers []*async.Messenger
	gates      []gate
}

func (x *scene) node(
	name entity.Name, p msg.Policy, d msg.Dispatcher, change ...func(*async.Config),
) *async.Messenger {
	x.Helper()
	m := messenger(x.T, name, p, d, append([]func(*async.Config){func(c *async.Config) { c.Logger = shipped }},
		change...)...)
	x.messengers = append(x.messengers, m)
	return m
}

func (x *scene) server(change ...func(*async.Config)) *async.Messenger {
	x.Helper()
	return x.node(entity.OSD(0), msg.StatefulServer(), echo{}, change...)
}

func (x *scene) client(change ...func(*async.Config)) *async.Messenger {
	x.Helper()
	return x.node(entity.Client(1), msg.LosslessClient(), new(sponge), change...)
}

// connect has m call whoever is at addrs.
func (x *scene) connect(m *async.Messenger, addrs entity.AddrVec) msg.Connection {
	x.Helper()
	c, err := m.ConnectTo(entity.TypeOSD, addrs)
	require.NoError(x, err)
	return c
}

// up is connect, and waits until the session stands.
func (x *scene) up(m *async.Messenger, addrs entity.AddrVec) msg.Connection {
	x.Helper()
	c := x.connect(m, addrs)
	x.until("connected", c.IsConnected)
	return c
}

func (x *scene) send(c msg.Connection, n int) {
	x.Helper()
	require.NoError(x, c.Send(&msg.Message{Type: 1000, Data: make([]byte, n)}))
}

func (x *scene) until(what string, cond func() bool) {
	x.Helper()
	require.Eventually(x, cond, patience, time.Millisecond, what)
}

// judge waits for what the page says, and wants nothing else.
func (x *scene) judge(page *symptom) {
	x.Helper()
	d, err := newDesk(&Config{Messengers: x.messengers, answerMax: AnswerMax})
	require.NoError(x, err)
	var wants []*regexp.Regexp
	for _, l := range page.lines {
		wants = append(wants, pattern(l))
	}
	missing := ""
	holds := func() bool {
		missing = ""
		for i, re := range wants {
			if !slices.ContainsFunc(x.book.lines(), re.MatchString) {
				missing += "\nnot logged: " + page.lines[i]
			}
		}
		sums := map[string]uint64{}
		for _, l := range d.loggers() {
			for _, c := range l.counters {
				sums[c.name] += c.n
			}
		}
		for _, c := range page.counters {
			if n, ok := sums[c]; !ok || n == 0 {
				missing += fmt.Sprintf("\ncounter %s is %d, there: %v", c, n, ok)
			}
		}
		for _, f := range page.fields {
			if !x.moved(f) {
				missing += "\nzero: " + f
			}
		}
		return missing == ""
	}
	end := time.NewTimer(patience)
	defer end.Stop()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-end.C:
			x.Fatalf("docs/TROUBLESHOOTING.md, %q:%s\nlogged:\n%s", page.title, missing,
				strings.Join(x.book.lines(), "\n"))
		}
	}
	for _, l := range x.book.lines() {
		if !slices.ContainsFunc(wants, func(re *regexp.Regexp) bool { return re.MatchString(l) }) {
			x.Errorf("docs/TROUBLESHOOTING.md, %q does not say that this is logged:\n%s", page.title, l)
		}
	}
}

// moved says whether a field of a dump is not zero, such as connections.last_error, in any of
// the messengers and connections.
func (x *scene) moved(field string) bool {
	x.Helper()
	d, err := newDesk(&Config{Messengers: x.messengers, answerMax: AnswerMax})
	require.NoError(x, err)
	var dump struct {
		Messengers []map[string]any `json:"messengers"`
	}
	require.NoError(x, json.Unmarshal(d.answer([]byte("messenger dump")), &dump))
	found := false
	for _, m := range dump.Messengers {
		has, is := look(m, strings.Split(field, "."))
		require.True(x, has || is, "messenger dump has no field %s", field)
		found = found || is
	}
	return found
}

// look says whether v has such a field at all, or has none of the list that it would be in, and
// whether it is not zero.
func look(v any, path []string) (has, set bool) {
	switch y := v.(type) {
	case []any:
		if len(y) == 0 {
			return true, false
		}
		for _, e := range y {
			h, s := look(e, path)
			has, set = has || h, set || s
		}
		return has, set
	case map[string]any:
		if len(path) == 0 {
			return true, len(y) > 0
		}
		e, ok := y[path[0]]
		if !ok {
			return false, false
		}
		return look(e, path[1:])
	}
	return len(path) == 0, len(path) == 0 && v != nil && v != "" && v != 0.0 && v != false
}

// gate holds up whoever passes, until the scene is over.
type gate chan struct{}

func (x *scene) gate() gate {
	g := make(gate)
	x.gates = append(x.gates, g)
	return g
}

// open ends the scene.
func (x *scene) open() {
	for _, g := range x.gates {
		close(g)
	}
}

func (g gate) Dispatch(m *msg.Message) bool {
	<-g
	m.Release()
	return true
}
