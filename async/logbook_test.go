package async

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
)

// logbook keeps what is logged, as lines of text.
type logbook struct {
	mu  sync.Mutex
	buf bytes.Buffer
	on  func() // told of each line
}

func (b *logbook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer func() {
		if b.on != nil {
			b.on()
		}
	}()
	return b.buf.Write(p)
}

// logger returns a Logger that writes into the book, from Info on.
func (b *logbook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

// lines are those that have all the words.
func (b *logbook) lines(words ...string) (found []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
line:
	for l := range strings.Lines(b.buf.String()) {
		for _, w := range words {
			if !strings.Contains(l, w) {
				continue line
			}
		}
		found = append(found, l)
	}
	return found
}

// withLog has the node log into a book of its own, which wakes the test.
func (l *lab) withLog(b *logbook) func(*Config) {
	b.on = l.notify
	return func(c *Config) { c.Logger = b.logger() }
}

// brokenLogger panics whenever something is logged.
func brokenLogger() *slog.Logger { return slog.New(brokenHandler{slog.DiscardHandler}) }

type brokenHandler struct{ slog.Handler }

func (brokenHandler) Enabled(context.Context, slog.Level) bool  { return true }
func (brokenHandler) Handle(context.Context, slog.Record) error { panic("planned") }
func (h brokenHandler) WithAttrs([]slog.Attr) slog.Handler      { return h }
func (h brokenHandler) WithGroup(string) slog.Handler           { return h }
