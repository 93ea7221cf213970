package dispatch

import (
	"errors"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Errors of this package; compare with errors.Is.
var (
	// ErrStopped: the queue was stopped. What was to be enqueued was discarded
	// and its throttles were given back.
	//
	// Implementation: not for users of the library; may change in any release.
	ErrStopped = errors.New("dispatch: queue stopped")
	// ErrInDispatch: Stop was called from inside a callback, where it cannot wait
	// for that callback's end. The queue is stopped all the same.
	//
	// Implementation: not for users of the library; may change in any release.
	ErrInDispatch = errors.New("dispatch: stopped from inside a dispatch, which goes on")
	// ErrGoexit is what OnPanic is told, as recovered, of user code that did not panic
	// but ended the goroutine it ran on, which cannot be prevented. It is msg.ErrGoexit.
	//
	// Implementation: not for users of the library; may change in any release.
	ErrGoexit = msg.ErrGoexit
	// ErrExecutorFull: the executor has no room for the job now.
	ErrExecutorFull = errors.New("dispatch: executor full")
	// ErrExecutorClosed: the executor was released.
	ErrExecutorClosed = errors.New("dispatch: executor closed")
)
