package connection

import "sync/atomic"

// Counter counts. One goroutine adds at a time, any may Load.
type Counter struct{ v atomic.Uint64 }

// Add adds n; only the owner calls it, so no read-modify-write is needed.
func (c *Counter) Add(n uint64) { c.v.Store(c.v.Load() + n) }

// Load returns the count.
func (c *Counter) Load() uint64 { return c.v.Load() }
