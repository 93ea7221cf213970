package eventloop

import "time"

// TimerHandler is called when a Timer fires, on the worker that armed it.
//
// now is the time to judge deadlines by. All that was ready in the worker's sockets
// then has been reported, a read budget's worth of each: who has not been heard of since
// a moment before now was silent. After the worker was held up (a slow callback, no CPU,
// SIGSTOP) it is earlier than Worker.Now; it is never later.
type TimerHandler interface{ HandleTimer(now time.Duration) }

// Timer is one deadline, embedded in what it belongs to so that arming it
// allocates nothing. Init it once; it belongs to one worker at a time.
type Timer struct {
	handler TimerHandler
	at      time.Duration
	seq     uint64 // order of arming, breaks ties
	index   int32  // position in the heap + 1; 0 = not armed
}

// Init sets the handler. The timer must not be armed.
func (t *Timer) Init(h TimerHandler) { t.handler = h }

// Armed says whether the timer is waiting to fire; worker only.
func (t *Timer) Armed() bool { return t.index != 0 }

// Handler is what Init was given.
func (t *Timer) Handler() TimerHandler { return t.handler }

// Deadline is when an armed timer fires; worker only.
func (t *Timer) Deadline() time.Duration { return t.at }
