package rpc

import (
	"container/heap"
	"context"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// deadlines are what ends at a time of the messenger's clock: calls with a Timeout, and contexts
// that somebody waits for. One timer of one worker serves those of a shard, so that no goroutine
// and no timer of the runtime belongs to a call, and simulations have them in virtual time.
type deadlines struct {
	sh *shard
	w  eventloop.Worker

	// Under sh.mu.
	heap  timedHeap
	armed time.Duration // when the timer fires, or was asked to; 0: not armed

	timer eventloop.Timer // the worker's
}

// timed is what ends: a call, or a context; or the shard, which has its connections looked at.
type timed struct {
	at    time.Duration
	index int // in the heap + 1; 0: not there
	call  *call
	tid   uint64
	ctx   *Context
	probe *shard
}

func (d *deadlines) init(sh *shard, w eventloop.Worker) {
	d.sh, d.w = sh, w
	d.timer.Init(d)
}

func (d *deadlines) addLocked(t *timed, at time.Duration) {
	t.at = at
	heap.Push(&d.heap, t)
	if d.armed == 0 || at < d.armed {
		d.armed = at
		_ = d.w.Post(d) // refused: the stack is closed, and with it all connections
	}
}

// dropLocked takes t out, if it is there. The timer stays: it looks and is armed anew.
func (d *deadlines) dropLocked(t *timed) {
	if t.index != 0 {
		heap.Remove(&d.heap, t.index-1)
	}
}

// Run implements eventloop.Task.
func (d *deadlines) Run() {
	d.sh.mu.Lock()
	at := d.armed
	d.sh.mu.Unlock()
	if at != 0 {
		d.w.SetTimer(&d.timer, at)
	}
}

// HandleTimer implements eventloop.TimerHandler.
func (d *deadlines) HandleTimer(now time.Duration) {
	for {
		d.sh.mu.Lock()
		if len(d.heap) == 0 {
			d.armed = 0
			d.sh.mu.Unlock()
			return
		}
		t := d.heap[0]
		if t.at > now {
			d.armed = t.at
			d.sh.mu.Unlock()
			d.w.SetTimer(&d.timer, t.at)
			return
		}
		heap.Pop(&d.heap)
		x, tid, ctx := t.call, t.tid, t.ctx
		d.sh.mu.Unlock()
		switch {
		case x != nil:
			x.abandon(tid, context.DeadlineExceeded)
		case ctx != nil:
			ctx.end(context.DeadlineExceeded)
		default:
			d.sh.look(now)
		}
	}
}

// timedHeap implements heap.Interface.
type timedHeap []*timed

func (h timedHeap) Len() int           { return len(h) }
func (h timedHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h timedHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i+1, j+1
}

// Push implements heap.Interface.
func (h *timedHeap) Push(x any) {
	t := x.(*timed)
	*h = append(*h, t)
	t.index = len(*h)
}

// Pop implements heap.Interface.
func (h *timedHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	t.index = 0
	return t
}
