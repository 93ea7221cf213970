package async

import (
	"log/slog"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async/callback"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// What packages that build on a messenger (async/rpc and the like) need to know of it, so
// that they go by its clock, its chance and its log, on simulated networks too.

// Stack is the network that the messenger is on: Config.Stack, or the default one.
func (m *Messenger) Stack() eventloop.Stack { return m.cfg.Stack }

// Clock is the messenger's clock: Config.Clock, or the stack's.
func (m *Messenger) Clock() eventloop.Clock { return m.cfg.Clock }

// Logger is where the messenger says what fails: Config.Logger, or what was the default at New.
func (m *Messenger) Logger() *slog.Logger { return m.log }

// Rand64 is chance from where the messenger has it: Config.Rand, or crypto/rand.
func (m *Messenger) Rand64() uint64 { return m.rand64() }

// Owns says whether c is a connection of this messenger, the loopback one included.
func (m *Messenger) Owns(c msg.Connection) bool {
	switch c := c.(type) {
	case *connection.Conn:
		return c != nil && c.Shared() == &m.shared
	case *loopback:
		return c == m.loop
	}
	return false
}

// WatchClosed has f told of each connection that is closed for good, for whatever reason,
// MarkDown and Shutdown among them, which no dispatcher hears of; and of the loopback connection
// each time that it is marked down, with what was on its way lost. Send has answered
// ErrClosed since before that (but for the loopback connection, which stays open). reason is
// ErrMarkedDown, ErrShutdown, or why the session ended. f runs on the
// connection's worker or on the goroutine that closed it, is not told twice, and must not
// block. Call it before Start.
func (m *Messenger) WatchClosed(f func(c msg.Connection, reason error)) {
	m.closed.mu.Lock()
	defer m.closed.mu.Unlock()
	m.closed.told = append(m.closed.told[:len(m.closed.told):len(m.closed.told)], f)
}

// closedWatch is who is told of closed connections.
type closedWatch struct {
	mu   sync.Mutex
	told []func(c msg.Connection, reason error) // replaced, never changed
}

func (w *closedWatch) all() []func(c msg.Connection, reason error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.told
}

// tellClosed tells those who watch.
func (m *Messenger) tellClosed(c msg.Connection, reason error) {
	for _, f := range m.closed.all() {
		m.tellWatcher(f, c, reason)
	}
}

func (m *Messenger) tellWatcher(f func(msg.Connection, error), c msg.Connection, reason error) {
	returned := false
	defer m.guard("what WatchClosed was given", &returned)
	callback.OnWorker(func() { f(c, reason) })
	returned = true
}

// reasonOf is why a connection is closed.
func (m *Messenger) reasonOf(c *connection.Conn) error {
	switch {
	case m.usable() == msg.ErrShutdown:
		return msg.ErrShutdown
	case c.MarkedDown():
		return msg.ErrMarkedDown
	}
	if err := c.LastError(); err != nil {
		return err
	}
	return msg.ErrReset
}
