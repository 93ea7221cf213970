package stream

import (
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// clock is what deadlines are judged by.
type clock interface {
	Now() time.Time
	// AfterFunc calls f once, after d, on a goroutine of its own or on a worker; f must not
	// block.
	AfterFunc(d time.Duration, f func()) alarm
}

// alarm is a *time.Timer, or one of a stack. f may still be called once after Stop.
type alarm interface {
	Stop() bool
	Reset(d time.Duration) bool
}

// systemClock is the machine's.
type systemClock struct{}

func (systemClock) Now() time.Time                            { return time.Now() }
func (systemClock) AfterFunc(d time.Duration, f func()) alarm { return time.AfterFunc(d, f) }

// stackClock is that of a stack: one that is simulated, above all.
type stackClock struct{ stack eventloop.Stack }

func (c stackClock) Now() time.Time { return c.stack.Clock().Wall() }

func (c stackClock) AfterFunc(d time.Duration, f func()) alarm {
	a := &stackAlarm{worker: c.stack.Worker(0), f: f}
	a.timer.Init(a)
	a.Reset(d)
	return a
}

// stackAlarm is set and stopped by tasks of its worker.
type stackAlarm struct {
	worker eventloop.Worker
	timer  eventloop.Timer
	f      func()
}

// HandleTimer implements eventloop.TimerHandler.
func (a *stackAlarm) HandleTimer(time.Duration) { a.f() }

func (a *stackAlarm) Reset(d time.Duration) bool {
	at := a.worker.Now() + max(d, 0)
	return a.worker.Post(eventloop.TaskFunc(func() { a.worker.SetTimer(&a.timer, at) })) == nil
}

func (a *stackAlarm) Stop() bool {
	return a.worker.Post(eventloop.TaskFunc(func() { a.worker.StopTimer(&a.timer) })) == nil
}
