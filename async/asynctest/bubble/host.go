package bubble

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// Host is one life of a simulated machine: the stack, the executor and the chance of a
// messenger. Any goroutine of the bubble may call all methods.
type Host struct {
	*simnet.Host
	w      *World
	life   int
	ctx    context.Context
	cancel context.CancelFunc

	mu   sync.Mutex
	rand *rand.PCG
}

var _ interface {
	eventloop.Stack
	eventloop.Hosted
} = (*Host)(nil)

// Host adds a machine to the network. The name must be new.
func (w *World) Host(name string, cfg simnet.HostConfig) *Host {
	var h *Host
	w.Do(func() { h = w.newHost(w.Net.AddHost(name, cfg), 0) })
	return h
}

func (w *World) newHost(sim *simnet.Host, life int) *Host {
	name := fnv.New64a()
	_, _ = fmt.Fprintf(name, "bubble %s %d", sim.Name(), life)
	h := &Host{Host: sim, w: w, life: life, rand: rand.NewPCG(w.seed, name.Sum64())}
	h.ctx, h.cancel = context.WithCancel(w.ctx)
	w.mu.Lock()
	w.hosts = append(w.hosts, h)
	w.mu.Unlock()
	return h
}

// Context ends when the host is closed, crashes or is killed, and with the test: for what
// blocks on goroutines of the host, which a crash does not end by itself.
func (h *Host) Context() context.Context { return h.ctx }

// Go runs f on a goroutine that belongs to the host. A panic in it fails the test. f should
// end when ctx does, which is Context: a crash ends no goroutine by itself.
func (h *Host) Go(f func(ctx context.Context)) {
	go func() {
		defer h.w.catch("a goroutine of host " + h.Name())
		f(h.ctx)
	}()
}

// Submit has a job run soon on a goroutine of its own, where it may block
// (dispatch.Executor). It begins between two events of the network, in an order that comes
// from the seed; while the host is paused it waits, and after a crash it does not
// begin any more. It never refuses.
func (h *Host) Submit(run func()) error {
	return h.Host.Submit(func() {
		go func() {
			defer h.w.catch("a job of host " + h.Name())
			run()
		}()
	})
}

// Rand gives numbers from the seed, for Config.Rand of what runs here. They are a sequence
// of their own: who draws more of them does not change what the network draws.
func (h *Host) Rand() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rand.Uint64()
}

// Logger is for Config.Logger of what runs here: it writes to the test's log, with virtual
// time and the host's name.
func (h *Host) Logger() *slog.Logger {
	short := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
			return slog.Duration("at", a.Value.Time().Sub(h.w.start))
		}
		return a
	}
	handler := slog.NewTextHandler(h.w.t.Output(), &slog.HandlerOptions{ReplaceAttr: short})
	return slog.New(handler).With("host", h.Name())
}

// Close implements eventloop.Stack: an orderly end, as of a process that exits.
// Its connections are closed. What runs on a worker must not call it.
func (h *Host) Close() error {
	h.w.try(func() { _ = h.Host.Close() })
	h.cancel()
	return nil
}

// Crash is a power failure: the host is gone at once, and nobody is told but Context.
func (h *Host) Crash() {
	h.w.Do(h.Host.Crash)
	h.cancel()
}

// Kill is the sudden death of the process: its connections are reset.
func (h *Host) Kill() {
	h.w.Do(h.Host.Kill)
	h.cancel()
}

// Pause stops what runs on the network's goroutine, and jobs that have not begun, until
// Resume (simnet.Host.Pause); goroutines of the host go on.
func (h *Host) Pause() { h.w.Do(h.Host.Pause) }

// Resume ends Pause.
func (h *Host) Resume() { h.w.Do(h.Host.Resume) }

// SetClock changes how wrong the host's clock is (simnet.Host.SetClock). It is that of
// its workers and of what asks the messenger; package time goes right.
func (h *Host) SetClock(skew, drift time.Duration) {
	h.w.Do(func() { h.Host.SetClock(skew, drift) })
}

// Down says whether the host has crashed, or was killed, and not come back.
func (h *Host) Down() (down bool) {
	h.w.Do(func() { down = h.Host.Down() })
	return down
}

// Restart gives the machine its next life, with the same name and addresses, and
// nothing else. The host must have crashed or been closed.
func (h *Host) Restart() *Host {
	var next *Host
	h.w.Do(func() { next = h.w.newHost(h.Host.Restart(), h.life+1) })
	return next
}
