package hostile

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/tlsauth"
)

// Config is what Run does.
type Config struct {
	// Kinds are the names of those to run; none: all.
	Kinds []string
	// Connections is how many the attackers have, and Duration for how long they are
	// watched once all of them have begun.
	Connections int
	Duration    time.Duration
	Seed        uint64
	// Began, if not nil, is told of each kind before it.
	Began func(Kind)
}

// Row is what came of one kind.
type Row struct {
	Kind string `json:"kind"`
	Does string `json:"does"`
	// Connections is how many attackers there are, Open how many of their connections
	// were, AttemptsPerSecond how often they came.
	Connections       int     `json:"connections"`
	Open              int64   `json:"open"`
	AttemptsPerSecond float64 `json:"attempts_per_s"`
	// KiBPerConnection is what the server's memory has grown by, after a garbage
	// collection, for each of the attackers' connections, PeakKiB the most that it ever
	// was beyond what it was without them, Descriptors the most it had.
	KiBPerConnection float64 `json:"kib_per_connection"`
	PeakKiB          int64   `json:"peak_kib"`
	Descriptors      int     `json:"descriptors"`
	// CPU is how many processors the server kept busy.
	CPU float64 `json:"cpu"`
	// Honest handshakes: how many there were, how many failed, and how long they took from
	// ConnectTo to the first answer.
	Honest       int64   `json:"honest"`
	HonestFailed int     `json:"honest_failed"`
	P50          float64 `json:"p50_ms"`
	P99          float64 `json:"p99_ms"`
	// Warnings are the lines that the server wrote, by what they say.
	Warnings map[string]int `json:"warnings"`
	Lines    int            `json:"lines"`
	// Failed is why there is nothing else in the row.
	Failed string `json:"failed,omitempty"`
}

// ErrKind: there is no such kind.
var ErrKind = errors.New("no such kind")

// handshakeMax is how long an honest handshake is waited for.
const handshakeMax = 10 * time.Second

// Run runs the kinds one after the other, each against a server of its own. It returns
// what it has when ctx ends.
func Run(ctx context.Context, cfg Config) ([]Row, error) {
	all := Kinds()
	for _, name := range cfg.Kinds {
		if !slices.ContainsFunc(all, func(k Kind) bool { return k.Name == name }) {
			return nil, fmt.Errorf("%w: %q", ErrKind, name)
		}
	}
	var rows []Row
	for _, k := range all {
		if len(cfg.Kinds) > 0 && !slices.Contains(cfg.Kinds, k.Name) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return rows, err
		}
		if cfg.Began != nil {
			cfg.Began(k)
		}
		row, err := runKind(ctx, &cfg, k)
		if err != nil && ctx.Err() != nil {
			return rows, ctx.Err()
		}
		if err != nil {
			row.Failed = err.Error()
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func runKind(ctx context.Context, cfg *Config, k Kind) (row Row, err error) {
	row = Row{Kind: k.Name, Does: k.Does, Connections: cfg.Connections}
	secret := make([]byte, 32)
	rand.Read(secret)
	srv, before, err := start[use](ctx, "server", serve{Secret: secret})
	if err != nil {
		return row, err
	}
	defer func() { err = errors.Join(err, srv.end()) }()
	if before.Error != "" {
		return row, errors.New(before.Error)
	}
	h, err := newHonest(before.Server, secret)
	if err != nil {
		return row, err
	}
	defer h.end()
	if _, err := h.handshake(ctx); err != nil {
		return row, fmt.Errorf("the honest client cannot log in: %w", err)
	}
	if before, err = srv.ask(askTidy); err != nil {
		return row, err
	}
	foes, a, err := start[attacked](ctx, "attackers", attack{
		Server: before.Server, Secret: secret, Kind: k.Name, Connections: cfg.Connections, Seed: cfg.Seed,
	})
	if err != nil {
		return row, err
	}
	defer func() { _ = foes.end() }()
	if a.Error != "" {
		return row, errors.New(a.Error)
	}
	for began := time.Now(); a.Attempts < int64(cfg.Connections) && time.Since(began) < 20*time.Second; {
		time.Sleep(100 * time.Millisecond)
		if a, err = foes.ask(askUse); err != nil {
			return row, err
		}
	}
	return row, watch(ctx, cfg, &row, srv, foes, h, before)
}

// watch measures while the attack goes on.
func watch(
	ctx context.Context, cfg *Config, row *Row, srv *process[use], foes *process[attacked], h *honest, before use,
) error {
	first, err := foes.ask(askUse)
	if err != nil {
		return err
	}
	began, err := srv.ask(askUse)
	if err != nil {
		return err
	}
	from := time.Now()
	hist := hdrhistogram.New(1, handshakeMax.Microseconds(), 3)
	for looked := from; time.Since(from) < cfg.Duration; {
		d, err := h.handshake(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			row.HonestFailed++
		}
		_ = hist.RecordValue(min(d, handshakeMax).Microseconds())
		if time.Since(looked) < 500*time.Millisecond {
			continue
		}
		looked = time.Now()
		u, err := srv.ask(askUse)
		if err != nil {
			return err
		}
		row.Descriptors = max(row.Descriptors, u.Descriptors)
	}
	took := time.Since(from).Seconds()
	last, err := foes.ask(askUse)
	if err != nil {
		return err
	}
	u, err := srv.ask(askUse)
	if err != nil {
		return err
	}
	row.CPU = (u.CPU - began.CPU).Seconds() / took
	if u, err = srv.ask(askTidy); err != nil {
		return err
	}
	row.Open, row.AttemptsPerSecond = last.Open, float64(last.Attempts-first.Attempts)/took
	row.KiBPerConnection = float64(max(0, u.RSS-before.RSS)) / float64(cfg.Connections)
	row.PeakKiB, row.Descriptors = u.Peak-before.RSS, max(row.Descriptors, u.Descriptors)
	row.Honest, row.P50, row.P99 = hist.TotalCount(), ms(hist.ValueAtQuantile(50)), ms(hist.ValueAtQuantile(99))
	row.Warnings = u.Warnings
	for _, n := range u.Warnings {
		row.Lines += n
	}
	return nil
}

func ms(us int64) float64 { return float64(us) / 1e3 }

// honest is a client that makes one handshake after the other.
type honest struct {
	m      *async.Messenger
	server entity.AddrVec
	got    chan struct{}
}

func newHonest(server string, secret []byte) (*honest, error) {
	addr, err := netip.ParseAddrPort(server)
	if err != nil {
		return nil, err
	}
	keys, err := tlsauth.SharedSecret(entity.AuthName{Type: entity.TypeClient, ID: "honest"}, secret)
	if err != nil {
		return nil, err
	}
	m, err := async.New(async.Config{
		Name: entity.Client(1), AuthClient: keys.Client(), Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		InitialBackoff: 10 * time.Millisecond, MaxBackoff: 100 * time.Millisecond,
	})
	if err != nil {
		return nil, err
	}
	h := &honest{m: m, got: make(chan struct{}, 1), server: entity.AddrVec{{Type: entity.AddrMsgr2, AddrPort: addr}}}
	h.server[0].AnyNonce = true
	m.SetDefaultPolicy(msg.LosslessClient())
	m.AddDispatcherTail(h)
	return h, m.Start()
}

// Dispatch is the answer.
func (h *honest) Dispatch(*msg.Message) bool {
	select {
	case h.got <- struct{}{}:
	default:
	}
	return true
}

// handshake connects, says something, waits for the answer, and closes. Attempts that are
// turned away are made again, as any client does; that counts.
func (h *honest) handshake(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	c, err := h.m.ConnectTo(entity.TypeOSD, h.server)
	if err != nil {
		return 0, err
	}
	defer c.MarkDown()
	if err := c.Send(&msg.Message{Type: 1000, Data: []byte("hello")}); err != nil {
		return 0, err
	}
	select {
	case <-h.got:
		return time.Since(began), nil
	case <-ctx.Done():
		return time.Since(began), ctx.Err()
	case <-time.After(handshakeMax):
		return handshakeMax, errors.New("no answer")
	}
}

func (h *honest) end() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = h.m.Shutdown(ctx)
}
