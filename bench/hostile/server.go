package hostile

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/tlsauth"
)

// serve is what the server is told, on standard input.
type serve struct {
	Secret []byte
}

// What the server may be asked for: what it uses, and the same after a garbage collection.
const (
	askUse  = "use"
	askTidy = "tidy"
)

// use is what it answers to each line: what it uses, and what it has said.
type use struct {
	Server      string
	RSS, Peak   int64 // KiB: now, after a garbage collection if it was asked for, and the most ever
	Descriptors int
	CPU         time.Duration
	Warnings    map[string]int // lines by message and reason
	Error       string
}

// warnings is a log handler that counts lines at Warn and above.
type warnings struct {
	mu    sync.Mutex
	lines map[string]int
}

func (*warnings) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }
func (w *warnings) WithAttrs([]slog.Attr) slog.Handler         { return w }
func (w *warnings) WithGroup(string) slog.Handler              { return w }

func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	what := r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "reason" {
			what += ": " + a.Value.String()
		}
		return true
	})
	w.mu.Lock()
	w.lines[what]++
	w.mu.Unlock()
	return nil
}

// echo sends back what it gets.
type echo struct{}

func (echo) Dispatch(m *msg.Message) bool {
	_ = m.Connection().Send(&msg.Message{Type: m.Type, Data: m.Data})
	return true
}

// runServer is the process of the server: it serves until its input ends.
func runServer(in io.Reader, out io.Writer) error {
	d, e := json.NewDecoder(in), json.NewEncoder(out)
	var o serve
	if err := d.Decode(&o); err != nil {
		return err
	}
	w := &warnings{lines: map[string]int{}}
	m, err := newServer(&o, w)
	if err != nil {
		return e.Encode(use{Error: err.Error()})
	}
	for line := askTidy; ; {
		if line == askTidy {
			debug.FreeOSMemory()
		}
		u := used(m)
		w.mu.Lock()
		u.Warnings = w.lines
		err := e.Encode(u)
		w.mu.Unlock()
		if err != nil || d.Decode(&line) != nil {
			break
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return m.Shutdown(ctx)
}

func newServer(o *serve, w slog.Handler) (*async.Messenger, error) {
	name := entity.OSD(0)
	keys, err := tlsauth.SharedSecret(entity.AuthName{Type: entity.TypeOSD, ID: "0"}, o.Secret)
	if err != nil {
		return nil, err
	}
	m, err := async.New(async.Config{
		Name: name, AuthClient: keys.Client(), AuthServer: keys.Server(), Logger: slog.New(w),
	})
	if err != nil {
		return nil, err
	}
	m.SetDefaultPolicy(msg.StatefulServer())
	m.AddDispatcherTail(echo{})
	if err := m.Bind(netip.MustParseAddrPort("127.0.0.1:0")); err != nil {
		return nil, err
	}
	return m, m.Start()
}

// used is what this process uses.
func used(m *async.Messenger) use {
	u := use{Server: m.Addrs()[0].AddrPort.String()}
	if err := u.ofSystem(); err != nil {
		u.Error = err.Error()
	}
	return u
}
