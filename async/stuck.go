package async

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// stuckWatch looks now and then, while callbacks run, whether one of them is stuck. It is
// a timer on a worker, since no goroutine belongs to a messenger.
type stuckWatch struct {
	m     *Messenger
	w     eventloop.Worker
	after atomic.Int64
	timer eventloop.Timer // the worker's
}

func (s *stuckWatch) init(m *Messenger, w eventloop.Worker) {
	s.m, s.w = m, w
	s.timer.Init(s)
}

// in asks for a look after d. Any goroutine.
func (s *stuckWatch) in(d time.Duration) {
	s.after.Store(int64(d))
	_ = s.w.Post(s) // refused: the stack is closed, and nothing runs any more
}

// Run implements eventloop.Task.
func (s *stuckWatch) Run() { s.w.SetTimer(&s.timer, s.w.Now()+time.Duration(s.after.Load())) }

// HandleTimer implements eventloop.TimerHandler.
func (s *stuckWatch) HandleTimer(time.Duration) { s.m.queue.Check() }

// stuck is told of each callback that is found to be stuck.
func (m *Messenger) stuck(f dispatch.InFlight) {
	m.log.Warn("a callback runs for long, and holds up its connection; others have a job in its place", "conn", f.Conn,
		"callback", f.Kind.String(), "for at least", f.For, "stack", stackOf(f))
}

// stackOf is a stack that is looked for only if it is logged.
type stackOf dispatch.InFlight

// LogValue implements slog.LogValuer.
func (s stackOf) LogValue() slog.Value { return slog.StringValue(dispatch.InFlight(s).Stack()) }
