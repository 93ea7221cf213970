package rpc

import (
	"context"
	"sync"
	"time"
)

// Context is a context whose deadline is a time of the messenger's clock: what handlers are given,
// and what Node.WithTimeout makes. It has no goroutine and no timer of the runtime, and passes in
// virtual time on a simulated network.
type Context struct {
	n        *Node
	sh       *shard // whose timer ends it
	parent   context.Context
	deadline time.Duration // of the messenger's clock; 0: none
	onWorker bool          // of a Fast handler
	request  *Request      // nil: of WithTimeout

	mu    sync.Mutex
	ended chan struct{} // made when it is asked for
	err   error         // nil: not ended
	after []*afterFunc
	timed timed
}

// afterFunc is what runs when a context ends.
type afterFunc struct{ f func() }

// WithTimeout returns a context that ends d from now, by the messenger's clock, or with parent, or
// when cancel is called. Whoever is done with it calls cancel.
func (n *Node) WithTimeout(parent context.Context, d time.Duration) (ctx *Context, cancel context.CancelFunc) {
	ctx = &Context{n: n, sh: &n.shards[0], parent: parent, deadline: n.clock.Now() + d}
	if left, ok := n.timeLeft(parent); ok && left < d {
		ctx.deadline = n.clock.Now() + left
	}
	ctx.watchTime()
	if d <= 0 {
		ctx.end(context.DeadlineExceeded)
	}
	stop := func() bool { return true }
	if parent.Done() != nil {
		stop = afterEnd(parent, func() { ctx.end(parent.Err()) })
	}
	return ctx, func() {
		stop()
		ctx.end(context.Canceled)
	}
}

// Deadline implements context.Context, in the wall time of the messenger's clock.
func (c *Context) Deadline() (deadline time.Time, ok bool) {
	if c.deadline == 0 {
		return time.Time{}, false
	}
	return c.n.wall.Wall().Add(c.deadline - c.n.clock.Now()), true
}

// Done implements context.Context.
func (c *Context) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil {
		c.ended = make(chan struct{})
		if c.err != nil {
			close(c.ended)
		} else {
			c.watchTimeLocked()
		}
	}
	return c.ended
}

// Err implements context.Context.
func (c *Context) Err() error {
	c.mu.Lock()
	err := c.err
	c.mu.Unlock()
	if err == nil && c.deadline != 0 && c.n.clock.Now() >= c.deadline {
		c.end(context.DeadlineExceeded)
		err = context.DeadlineExceeded
	}
	return err
}

// Value implements context.Context.
func (c *Context) Value(key any) any {
	if key == (requestKey{}) && c.request != nil {
		return c.request
	}
	return c.parent.Value(key)
}

type requestKey struct{}

// RequestFrom returns the request whose handler was given ctx, or a context made from that; nil if
// ctx is no handler's. It is how a handler that Handle was given knows who has sent it.
func RequestFrom(ctx context.Context) *Request {
	r, _ := ctx.Value(requestKey{}).(*Request)
	return r
}

// AfterFunc has f run, on a goroutine of its own, when c has ended; see context.AfterFunc, which
// calls it.
func (c *Context) AfterFunc(f func()) (stop func() bool) {
	return c.then(func() { go f() })
}

// then has f called when c ends, by whoever ends it: a worker, for a deadline.
func (c *Context) then(f func()) (stop func() bool) {
	a := &afterFunc{f}
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		f()
		return func() bool { return false }
	}
	c.after = append(c.after, a)
	c.watchTimeLocked()
	c.mu.Unlock()
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for i, x := range c.after {
			if x == a {
				c.after = append(c.after[:i], c.after[i+1:]...)
				return true
			}
		}
		return false
	}
}

func (c *Context) watchTime() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watchTimeLocked()
}

// watchTimeLocked has c end at its deadline though nobody asks for Err.
func (c *Context) watchTimeLocked() {
	if c.deadline == 0 || c.timed.ctx != nil {
		return
	}
	c.timed.ctx = c
	c.sh.mu.Lock()
	c.sh.times.addLocked(&c.timed, c.deadline)
	c.sh.mu.Unlock()
}

// end ends c for that reason, unless it has ended.
func (c *Context) end(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	if c.ended != nil {
		close(c.ended)
	}
	after := c.after
	c.after = nil
	if c.timed.ctx != nil {
		c.sh.mu.Lock()
		c.sh.times.dropLocked(&c.timed)
		c.sh.mu.Unlock()
	}
	c.mu.Unlock()
	for _, a := range after {
		a.f()
	}
}

// afterEnd has f called when ctx ends: by whoever ends it if it is a Context, and otherwise on a
// goroutine of its own.
func afterEnd(ctx context.Context, f func()) (stop func() bool) {
	if c, ok := ctx.(*Context); ok {
		return c.then(f)
	}
	return context.AfterFunc(ctx, f)
}

// timeLeft is how long ctx has until its deadline; negative or 0 if that has passed.
func (n *Node) timeLeft(ctx context.Context) (left time.Duration, ok bool) {
	if c, is := ctx.(*Context); is {
		return c.deadline - n.clock.Now(), c.deadline != 0
	}
	d, ok := ctx.Deadline()
	if !ok {
		return 0, false
	}
	return d.Sub(n.wall.Wall()), true
}
