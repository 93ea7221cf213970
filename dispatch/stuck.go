package dispatch

import (
	"log/slog"
	"slices"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/callback"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// checksPerLimit is how often in the time of StuckLimit Check wants to be called while
// there are jobs: a callback that was not the first of its turn is found that much later.
const checksPerLimit = 2

// InFlight is a callback that has been running for long.
//
// Implementation: not for users of the library; may change in any release.
type InFlight struct {
	Conn msg.Connection // nil for class 0
	Kind Kind
	// For is how long it was seen running, a lower bound.
	For time.Duration

	d        *drainer
	progress uint64
	stacks   *stacks
}

// Stack is the stack of the callback's goroutine, as in the report of a panic, or a
// line in parentheses that says why there is none.
//
// To have one stack, those of all goroutines have to be written, and the program stands
// still meanwhile, some 40 us for each goroutine. So the stacks of all callbacks that one
// Check or Stuck has found are taken together, when the first of them is asked for; none
// is taken while there are more than 4096 goroutines, nor for more than 1 % of the time.
func (f InFlight) Stack() string {
	if f.stacks == nil {
		return "(no callback)"
	}
	return f.stacks.of(f)
}

// LogValue implements slog.LogValuer, so that the stack is taken only if it is logged.
func (f InFlight) LogValue() slog.Value {
	return slog.GroupValue(slog.String("conn", connName(f.Conn)), slog.String("kind", f.Kind.String()),
		slog.Duration("for", f.For), slog.String("stack", f.Stack()))
}

// Check finds the callbacks that have been running for StuckLimit, as far as it could
// see: it compares with what it saw when it was called before, so callbacks pay nothing
// for it. It reports them and has other jobs take the places of theirs. See
// Config.CheckAfter for when to call it. Any goroutine may; it does not block.
func (q *Queue) Check() {
	limit := q.cfg.StuckLimit
	if limit < 0 {
		return
	}
	now := q.cfg.Clock()
	again := limit / checksPerLimit
	var found []InFlight
	q.mu.Lock()
	for i := 0; i < len(q.drainers); {
		d := q.drainers[i]
		since, running := d.lookLocked(now)
		if running && since >= limit && q.stickLocked(d) {
			found = append(found, d.inFlightLocked(since))
			continue // another one has its place
		}
		if running {
			again = min(again, limit-since)
		}
		i++
	}
	full := len(q.stuck) >= q.cfg.WidthMax && !q.saidFull
	q.saidFull = q.saidFull || full
	late := q.lateLocked(now)
	stuck := len(q.stuck)
	d := q.startLocked()
	q.checked = false
	ask := q.askLocked()
	q.mu.Unlock()

	q.launch(d)
	if ask {
		q.cfg.CheckAfter(max(again, limit/16)) // not at once, should a clock be a little behind
	}
	if full {
		q.guard(nil, func() {
			q.cfg.Logger.Error("dispatch: all jobs are held up by stuck callbacks, everything waits",
				"jobs", q.cfg.WidthMax)
		})
	}
	if late {
		q.guard(nil, func() {
			q.cfg.Logger.Error("dispatch: the executor does not begin a job, everything waits",
				"for", limit, "stuck", stuck)
		})
	}
	q.tellStuck(takenTogether(q, found))
}

// askLocked says whether a call of Check is to be asked for, and notes that it was.
func (q *Queue) askLocked() bool {
	if q.checked || q.cfg.CheckAfter == nil || q.cfg.StuckLimit < 0 {
		return false
	}
	if q.jobs() == 0 || q.stopping && q.dispatching == 0 {
		return false
	}
	q.checked = true
	return true
}

// late is a job that the executor has accepted and not begun, all of its goroutines
// being stuck perhaps, here or in other queues, while nobody else dispatches what waits.
type late struct {
	d     *drainer
	turns uint64 // of d
	at    time.Duration
	said  bool
}

// lateLocked says whether that is so for StuckLimit, once per job.
func (q *Queue) lateLocked(now time.Duration) bool {
	if q.prio.runnable == 0 || len(q.drainers) == 0 || len(q.drainers) > q.starting {
		q.late = late{}
		return false
	}
	if d := q.drainers[0]; q.late.d != d || q.late.turns != d.turns {
		q.late = late{d: d, turns: d.turns, at: now}
	}
	if q.late.said || now-q.late.at < q.cfg.StuckLimit {
		return false
	}
	q.late.said = true
	return true
}

// lookLocked says for how long the callback that runs has been seen running, if one
// does. For the first one of a turn that is known exactly, others count from the first
// look at them.
func (d *drainer) lookLocked(now time.Duration) (since time.Duration, running bool) {
	given := d.givenLocked()
	if d.class == nil || given == 0 {
		return 0, false
	}
	if p := d.progressLocked(); p != d.seen {
		d.seen, d.seenAt = p, now
		if given == 1 {
			d.seenAt = d.began
		}
	}
	return now - d.seenAt, true
}

// progressLocked is another number for each callback.
func (d *drainer) progressLocked() uint64 { return d.turns<<32 | uint64(d.givenLocked()) }

func (d *drainer) inFlightLocked(since time.Duration) InFlight {
	return InFlight{Conn: d.conn, Kind: d.kind, For: since, d: d, progress: d.progressLocked()}
}

// stickLocked takes d out of the drainers that count against Width, and puts the rest of
// d's turn back into the queue. It does neither, and says so, if the callback that was
// looked at last has returned since.
func (q *Queue) stickLocked(d *drainer) bool {
	items, still := d.revokeAtLocked(int(uint32(d.seen)))
	if !still {
		return false
	}
	if len(items) > 0 {
		q.prio.putBack(d.class, uint8(d.level), items)
		clear(items)
	}
	d.stuck = true
	q.drainers = without(q.drainers, d)
	q.stuck = append(q.stuck, d)
	if q.standIn == d {
		q.standIn = nil // another one may be needed
	}
	q.stats.StuckTotal++
	return true
}

// unstickLocked is called when the callback has returned.
func (q *Queue) unstickLocked(d *drainer) {
	d.stuck = false
	q.stuck = without(q.stuck, d)
	q.drainers = append(q.drainers, d)
	if d.standIn && q.standIn == nil {
		q.standIn = d
	}
	if len(q.stuck) == 0 {
		q.saidFull = false
	}
}

// surplusLocked says whether d, which runs and has no turn, is one too many: it was
// stuck, and others have taken its place. They go on.
func (q *Queue) surplusLocked(d *drainer) bool {
	return len(q.drainers)-q.starting > q.cfg.Width || d.standIn && q.standIn != d
}

// tellStuck reports them, all of them though the hook may end the goroutine.
func (q *Queue) tellStuck(left []InFlight) {
	if len(left) == 0 {
		return
	}
	defer func() { q.tellStuck(left) }()
	for len(left) > 0 {
		f := left[0]
		left = left[1:]
		q.guard(f.Conn, func() {
			if q.cfg.OnStuck != nil {
				q.cfg.OnStuck(f)
				return
			}
			q.cfg.Logger.Warn("dispatch: a callback holds up a job", "callback", f)
		})
	}
}

// guard runs a hook, which may hold up a worker, and reports its panic.
func (q *Queue) guard(conn msg.Connection, hook func()) {
	returned := false
	defer func() {
		if !returned {
			q.told.report(conn, recover())
		}
	}()
	callback.OnWorker(hook)
	returned = true
}

// Stuck returns the callbacks that have been running for limit or longer, whether
// Check has found them or not, by the same way of looking: it has to be called now and
// then, and needs Config.Clock.
func (q *Queue) Stuck(limit time.Duration) []InFlight {
	now := q.cfg.Clock()
	var found []InFlight
	q.mu.Lock()
	for _, d := range slices.Concat(q.stuck, q.drainers) {
		if since, running := d.lookLocked(now); running && since >= limit {
			found = append(found, d.inFlightLocked(since))
		}
	}
	q.mu.Unlock()
	return takenTogether(q, found)
}
