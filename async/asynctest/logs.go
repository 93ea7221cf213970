package asynctest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// What is kept of the messengers' logs, and what of that a failed test shows: beyond
// it the oldest lines are lost.
const (
	linesKept   = 64  // of each node
	linesShown  = 100 // of all
	panicsKept  = 4   // of all, the first ones
	stackShown  = 4 << 10
	attrTooLong = 512 // what is longer than that is cut
)

// logs keeps the last lines that the messengers of a cluster have logged.
type logs struct {
	mu     sync.Mutex
	nodes  []nodeLines
	count  uint64 // lines that have been logged
	panics []string
}

// nodeLines are the last lines of a node, in a ring.
type nodeLines struct {
	ring [linesKept]logLine
	next int
}

type logLine struct {
	no    uint64 // among those of all nodes, from 1 up
	level slog.Level
	text  string
}

// faultMessage is the line that a connection logs for each fault, at Debug, with the
// error as "err".
const faultMessage = "connection fault"

// nodeLog is the slog.Handler of one life of a node.
type nodeLog struct {
	n     *Node
	inner slog.Handler // that of the test; nil: none
}

// newNodeLog keeps what n logs, and passes it on to what the test has configured.
func newNodeLog(n *Node, configured *slog.Logger) *slog.Logger {
	h := &nodeLog{n: n}
	if configured != nil {
		h.inner = configured.Handler()
	}
	return slog.New(h)
}

func (h *nodeLog) passes(level slog.Level) bool {
	return h.inner != nil && h.inner.Enabled(context.Background(), level)
}

// Enabled implements slog.Handler.
func (h *nodeLog) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || h.n.Cluster.History != nil || h.passes(level)
}

// WithAttrs implements slog.Handler. All that a node logs is about itself, so what is
// kept goes without.
func (h *nodeLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	if h.inner == nil {
		return h
	}
	return &nodeLog{n: h.n, inner: h.inner.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h *nodeLog) WithGroup(name string) slog.Handler {
	if h.inner == nil {
		return h
	}
	return &nodeLog{n: h.n, inner: h.inner.WithGroup(name)}
}

// Handle implements slog.Handler.
func (h *nodeLog) Handle(ctx context.Context, r slog.Record) error {
	switch {
	case h.n.Down: // a job that slept is being ended
	case r.Level >= slog.LevelInfo:
		h.n.Cluster.logs.keep(h.n, &r)
	case r.Message == faultMessage && h.n.Cluster.History != nil:
		h.n.fault(&r)
	}
	if h.passes(r.Level) {
		return h.inner.Handle(ctx, r)
	}
	return nil
}

// keep takes a line. It is written now, because what it is about changes.
func (l *logs) keep(n *Node, r *slog.Record) {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %v %v: %s", n.Cluster.Net.Now(), n.Host.Name(), r.Level, r.Message)
	var panicked bool
	var stack string
	r.Attrs(func(a slog.Attr) bool {
		v := a.Value.Resolve().String()
		switch a.Key {
		case "stack":
			stack = v[:min(len(v), stackShown)]
			return true
		case "panic":
			panicked = true
		}
		fmt.Fprintf(&b, " %s=%s", a.Key, v[:min(len(v), attrTooLong)])
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	for len(l.nodes) <= n.Index {
		l.nodes = append(l.nodes, nodeLines{})
	}
	of := &l.nodes[n.Index]
	of.ring[of.next%linesKept] = logLine{l.count, r.Level, b.String()}
	of.next++
	if panicked && len(l.panics) < panicsKept {
		l.panics = append(l.panics, b.String()+"\n"+stack)
	}
}

// last are the last lines of that level and above of all nodes, the oldest first.
func (l *logs) last(level slog.Level) (text []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []logLine
	for i := range l.nodes {
		for _, line := range l.nodes[i].ring {
			if line.no > 0 && line.level >= level {
				lines = append(lines, line)
			}
		}
	}
	slices.SortFunc(lines, func(a, b logLine) int { return int(a.no) - int(b.no) })
	if n := len(lines) - linesShown; n > 0 {
		text = append(text, fmt.Sprintf("... and %d lines before", n))
		lines = lines[n:]
	}
	for _, line := range lines {
		text = append(text, line.text)
	}
	return text
}

// show logs what the messengers had to complain about.
func (c *Cluster) show() {
	c.tb.Helper()
	if lines := c.logs.last(slog.LevelWarn); len(lines) > 0 {
		c.tb.Logf("asynctest: the messengers' logs, warnings and errors:\n%s", strings.Join(lines, "\n"))
	}
}

// PlanPanic tells that a callback of a node is about to panic, as the test means it to.
// Any other panic fails the test.
func (c *Cluster) PlanPanic() {
	c.planned++
	c.disturb(2)
	if c.History != nil {
		c.History.Panics++
	}
}

// panics is how many callbacks have panicked, and how many were meant to.
func (c *Cluster) panics() (n, planned uint64) {
	n = c.panicked
	for _, node := range c.Nodes {
		if !node.Down {
			n += node.Stats().Panics
		}
	}
	planned = c.planned
	if c.History != nil {
		planned = max(planned, c.History.Panics)
	}
	return n, planned
}

// checkPanics fails the test if callbacks have panicked that were not to.
func (c *Cluster) checkPanics() {
	c.tb.Helper()
	if n, planned := c.panics(); n > planned {
		c.tb.Errorf("asynctest: %d panics in callbacks, %d planned (seed %d); the first ones:\n%s",
			n, planned, c.opt.Seed, strings.Join(c.logs.panics, "\n"))
	}
}
