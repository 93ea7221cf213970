package eventloop

import "time"

// Clock gives time. Its methods may be called by any goroutine.
type Clock interface {
	// Now is monotonic time since some fixed moment. All deadlines use it.
	Now() time.Duration
	// Wall is the time of day, for stamps on the wire and in logs. It may jump.
	Wall() time.Time
}

// SystemClock returns the machine's clock; Now counts from this call.
func SystemClock() Clock { return systemClock{start: time.Now()} }

type systemClock struct{ start time.Time }

func (c systemClock) Now() time.Duration { return time.Since(c.start) }
func (c systemClock) Wall() time.Time    { return time.Now() }
