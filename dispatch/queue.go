package dispatch

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/callback"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Queue holds what was received until it is dispatched, in the order of the
// package comment, and has it dispatched by jobs on an executor: one job per
// burst, up to Width at a time while there is work for them, each going on until
// the queue is empty. All methods may be called by any goroutine, from callbacks
// too, and none but Stop blocks.
//
// If the executor refuses a job, the job runs on a stand-in goroutine of its own,
// at most one per queue, stuck ones not counted, which moves back to the executor as
// soon as that accepts it. While there is a stand-in and the executor refuses more, the
// queue goes on with the jobs it has and asks again with each item. So nothing is lost,
// and nothing waits for another enqueue, but Width may not be reached.
//
// A callback that does not return holds up its own connection. It holds up a job too,
// until Check finds it: then another job takes the place of its own, up to WidthMax in
// all. When it returns, its job goes on, or ends if there are Width without it.
//
// Implementation: not for users of the library; may change in any release.
type Queue struct {
	inPlace atomic.Bool // placing.here: read with each batch

	// Set by New.
	cfg          Config
	told         reporter
	handlerTells bool // of Goexit, itself

	mu          sync.Mutex
	prio        prio
	drainers    []*drainer // submitted or running, in no particular order
	stuck       []*drainer // those in stuck callbacks: they have nothing else of the queue
	idle        []*drainer // for the next jobs, at most Width
	starting    int        // drainers that were submitted and do not run yet
	dispatching int        // callbacks that run, and Stop's discarding
	standIn     *drainer   // of drainers, the one that runs on a stand-in goroutine
	checked     bool       // Check was asked for, and is due
	saidFull    bool       // that all jobs are stuck
	placing     placing
	late        late // whether the executor begins jobs
	stopping    bool
	quiet       chan struct{} // closed when stopping and nothing is dispatched
	stats       Stats
	took        took
}

// Stats is what a Queue counted since its start, and its state.
//
// Implementation: not for users of the library; may change in any release.
type Stats struct {
	Len         int           // items queued
	Events      int           // events among them
	OldestAge   time.Duration // of the item that is queued longest
	Dispatching int           // callbacks that run
	Drainers    int           // jobs submitted or running, at most WidthMax
	Stuck       int           // callbacks that run and were found to be stuck

	Enqueued   uint64 // items accepted
	Dispatched uint64 // items whose callback returned, in whatever way
	Discarded  uint64 // items discarded, those that came after Stop included
	Unhandled  uint64 // messages that no dispatcher wanted
	Panics     uint64 // callbacks that panicked or ended their goroutine
	StuckTotal uint64 // callbacks that were found to be stuck
	Refused    uint64 // jobs that the executor refused
	StandIns   uint64 // jobs that ran on a stand-in goroutine

	// InPlaceNow says that messages are dispatched on the workers that have decoded them, as
	// far as nothing else could come first; InPlace counts those that were, and Stayed the
	// callbacks that held up a worker for so long that it went on without them.
	InPlaceNow bool
	InPlace    uint64
	Stayed     uint64

	// EnqueuedBy is Enqueued by band.
	EnqueuedBy [Bands]uint64
}

// The bands of Stats.EnqueuedBy.
//
// Implementation: not for users of the library; may change in any release.
const (
	BandEvents   = iota
	BandHigh     // priority 196 and above
	BandNormal   // 64 to 195
	BandWeighted // below 64
	Bands
)

// New returns a queue. It has no goroutine until something is enqueued. A Config
// without Executor or Handler, or with negative numbers, panics.
//
// Implementation: not for users of the library; may change in any release.
func New(cfg Config) *Queue {
	if cfg.Executor == nil || cfg.Handler == nil {
		panic("dispatch: New without Executor or Handler")
	}
	if min(cfg.Width, cfg.WidthMax, cfg.BatchMax, cfg.TurnMax) < 0 || min(cfg.MinCost, cfg.MaxTokens) < 0 {
		panic(fmt.Sprintf("dispatch: New with width %d, at most %d, batch %d, turn %d, cost %d, tokens %d",
			cfg.Width, cfg.WidthMax, cfg.BatchMax, cfg.TurnMax, cfg.MinCost, cfg.MaxTokens))
	}
	setDefault(&cfg.Width, DefaultWidth)
	setDefault(&cfg.WidthMax, defaultWidthMax*cfg.Width)
	cfg.WidthMax = max(cfg.WidthMax, cfg.Width)
	setDefault(&cfg.StuckLimit, DefaultStuckLimit)
	setDefault(&cfg.BatchMax, DefaultBatchMax)
	setDefault(&cfg.TurnMax, turnMax)
	setDefault(&cfg.MinCost, DefaultMinCost)
	setDefault(&cfg.MaxTokens, DefaultMaxTokens)
	if cfg.Clock == nil {
		cfg.Clock = func() time.Duration { return 0 }
	}
	if cfg.Stale == nil {
		cfg.Stale = closedMessage
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Go == nil {
		cfg.Go = func(f func()) { go f() }
	}
	q := &Queue{
		cfg: cfg, told: reporter{"dispatcher", cfg.OnPanic, cfg.Logger},
		prio: newPrio(cfg.MinCost, cfg.MaxTokens), quiet: make(chan struct{}),
	}
	q.placing.init(cfg.InPlace, &q.inPlace)
	_, q.handlerTells = cfg.Handler.(interface{ reportsGoexit() })
	return q
}

func setDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

func closedMessage(it *Item) bool {
	return it.Kind == KindMessage && it.Conn != nil && it.Conn.IsClosed()
}

// Enqueue is EnqueueBatch of one item.
func (q *Queue) Enqueue(it Item) error {
	one := [1]Item{it}
	return q.EnqueueBatch(one[:])
}

// EnqueueBatch queues the items in their order, under one lock. The items are the
// queue's from then on, whatever it returns; the slice stays the caller's. The
// only error is ErrStopped: they were discarded.
func (q *Queue) EnqueueBatch(items []Item) error {
	if len(items) == 0 {
		return nil
	}
	now := q.cfg.Clock()
	for i := range items {
		it := &items[i]
		it.at = now
		if it.Kind >= KindConnectFailed || (it.Kind == KindMessage) != (it.Msg != nil) {
			it.mustMakeSense(i)
		}
	}
	q.mu.Lock()
	if q.stopping {
		q.stats.Discarded += uint64(len(items))
		q.mu.Unlock()
		q.drop(slices.Clone(items)) // a copy, so that items does not escape
		return ErrStopped
	}
	q.pushLocked(items)
	d := q.startLocked()
	check := d != nil && q.askLocked()
	q.mu.Unlock()
	q.launch(d)
	q.check(check)
	return nil
}

// pushLocked queues the items.
func (q *Queue) pushLocked(items []Item) {
	highest := 0
	for i := range items {
		it := &items[i]
		b := band(it)
		q.stats.EnqueuedBy[b]++
		if it.Msg != nil {
			q.took.bytes[b] += uint64(it.Msg.PayloadLen())
		}
		q.prio.push(it)
		if it.Kind != KindMessage {
			highest = eventLevel
		} else {
			highest = max(highest, int(it.Priority))
		}
	}
	q.stats.Enqueued += uint64(len(items))
	q.preemptLocked(highest)
}

// check asks for a call of Check, if ask is set.
func (q *Queue) check(ask bool) {
	if ask {
		q.cfg.CheckAfter(q.cfg.StuckLimit / checksPerLimit)
	}
}

func band(it *Item) int {
	if it.Kind != KindMessage {
		return BandEvents
	}
	return bandOf(int(it.Priority))
}

// bandOf is the band of messages of that priority, or of eventLevel.
func bandOf(level int) int {
	switch {
	case level >= eventLevel:
		return BandEvents
	case level >= msg.PriorityHigh:
		return BandHigh
	case level >= weighted:
		return BandNormal
	default:
		return BandWeighted
	}
}

// Discard takes the queued messages of a class out, and its events too if that is
// asked for, gives their throttles back and returns how many items there were.
// After it returned, nothing that was queued before is dispatched; what is being
// dispatched is not affected. Class 0 is never discarded (docs/PROTOCOL.md 4.5).
func (q *Queue) Discard(class uint64, events bool) int {
	if class == 0 {
		return 0
	}
	q.mu.Lock()
	var items []Item
	for _, d := range q.drainers {
		if d.class != nil && d.class.id == class {
			items = d.giveUpLocked(items)
		}
	}
	items = q.prio.discard(class, events, items)
	q.stats.Discarded += uint64(len(items))
	q.mu.Unlock()
	q.drop(items)
	return len(items)
}

// Stop refuses further items, discards the queued ones, and waits until the
// callbacks that run have returned or ctx ends, whose error is then wrapped.
// After it returned nil no callback runs nor ever will; so it waits for stuck ones
// too. It may be called several times and at the same time.
//
// From inside a callback of this or another queue (on the callback's goroutine)
// it cannot wait without the risk of waiting for itself: it then returns
// ErrInDispatch after doing everything else; nothing but what already runs will
// be dispatched. Call it again from elsewhere to wait.
func (q *Queue) Stop(ctx context.Context) error {
	q.mu.Lock()
	if !q.stopping {
		q.stopping = true
		var items []Item
		for _, d := range q.drainers {
			items = d.giveUpLocked(items)
		}
		items = q.prio.discardAll(items)
		q.stats.Discarded += uint64(len(items))
		q.dispatching++
		q.mu.Unlock()
		q.drop(items)
		q.mu.Lock()
		q.endLocked()
	}
	running := q.dispatching
	q.mu.Unlock()
	if running > 0 && callback.InsidePool() {
		return ErrInDispatch
	}
	select {
	case <-q.quiet:
		return nil
	default:
	}
	select {
	case <-q.quiet:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("dispatch: stop with %d callbacks running: %w", running, ctx.Err())
	}
}

// endLocked counts the end of a callback.
func (q *Queue) endLocked() {
	q.dispatching--
	if q.stopping && q.dispatching == 0 {
		close(q.quiet)
	}
}

// drop ends items that will not be dispatched. OnDiscard is told on the Worker side. The
// mark of the pool is for Stop, which waits for drop too and must not do so within it.
func (q *Queue) drop(items []Item) {
	callback.OnWorker(func() {
		callback.OnPool(func() {
			for i := range items {
				q.dropOne(&items[i])
			}
		})
	})
}

// dropOne gives a message's throttles back, then the message: nobody has it.
func (q *Queue) dropOne(it *Item) {
	if it.Msg != nil {
		msg.TicketFor(it.Msg).Done()
	}
	if q.cfg.OnDiscard != nil {
		q.cfg.OnDiscard(it)
	}
	if it.Msg != nil {
		it.Msg.Release()
	}
}

// Len is the number of items queued, without those that are being dispatched.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lenLocked()
}

// lenLocked counts what is in the turns of jobs, and not yet claimed, too.
func (q *Queue) lenLocked() int {
	n := q.prio.items
	for _, d := range q.drainers {
		if d.class != nil {
			n += d.left()
		}
	}
	return n
}

// OldestAge is for how long the oldest item has been queued; 0 if there is none.
func (q *Queue) OldestAge() time.Duration { return q.Stats().OldestAge }

// Events is the number of events that are queued. Any goroutine may call it.
//
// Implementation: not for users of the library; may change in any release.
func (q *Queue) Events() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.prio.eventItems
}

// Stats is a snapshot.
func (q *Queue) Stats() Stats {
	now := q.cfg.Clock()
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.stats
	s.InPlaceNow = q.inPlace.Load()
	s.Events = q.prio.eventItems
	s.Len, s.Drainers, s.Dispatching, s.Stuck = q.lenLocked(), q.jobs(), q.dispatching, len(q.stuck)
	if n := q.prio.oldest; n != nil {
		s.OldestAge = max(0, now-n.at)
	}
	for _, d := range q.drainers {
		if d.class != nil && d.left() > 0 {
			s.OldestAge = max(s.OldestAge, now-d.at)
		}
	}
	return s
}
