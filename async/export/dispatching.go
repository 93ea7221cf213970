package export

import (
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/hist"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// ofBands is a metric of each band of priorities.
func ofBands(kind Kind, name, unit, help string, n func(*dispatch.Band) float64) entry {
	return labelled(kind, name, unit, help, []string{LabelBand}, func(r *Reading, f emit) {
		for i := range r.snap.Bands {
			f(n(&r.snap.Bands[i]), bandNames[i])
		}
	})
}

// ofPool is a metric of the executor, if it tells.
func ofPool(name, unit, help string, n func(*async.PoolStats) int) entry {
	return labelled(Gauge, name, unit, help, nil, func(r *Reading, f emit) {
		if p := &r.snap.Pool; p.Size > 0 {
			f(float64(n(p)))
		}
	})
}

// longest is for how long the long callback runs that runs longest.
func longest(all []async.LongCallback) (d time.Duration) {
	for _, c := range all {
		d = max(d, c.For)
	}
	return d
}

var dispatchTable = []entry{
	ofBands(Gauge, "msgr.dispatch.queue", items, "Messages and events that wait for dispatch",
		func(b *dispatch.Band) float64 { return float64(b.Len) }),
	ofBands(Gauge, "msgr.dispatch.queue_age", Seconds,
		"For how long the oldest of them has waited; an upper bound if more than 1024 wait",
		func(b *dispatch.Band) float64 { return seconds(b.OldestAge) }),
	ofBands(Counter, "msgr.dispatch.enqueued", items, "Messages and events that were queued for dispatch",
		func(b *dispatch.Band) float64 { return float64(b.Enqueued) }),
	ofBands(Counter, "msgr.dispatch.enqueued_payload", Bytes, "Payload of the messages that were queued for dispatch",
		func(b *dispatch.Band) float64 { return float64(b.EnqueuedBytes) }),
	histogram("msgr.dispatch.wait", "For how long messages and events waited for dispatch",
		func(s *async.Snapshot) *hist.Durations { return &s.QueueWait }),
	histogram("msgr.dispatch.run", "How long callbacks took; those of one turn share its time",
		func(s *async.Snapshot) *hist.Durations { return &s.DispatchTime }),
	gauge("msgr.dispatch.running", callbacks, "Callbacks that run",
		func(s *async.Snapshot) int { return s.Queue.Dispatching }),
	gauge("msgr.dispatch.jobs", jobs, "Jobs that dispatch, submitted or running",
		func(s *async.Snapshot) int { return s.Queue.Drainers }),
	gauge("msgr.dispatch.stuck", callbacks, "Callbacks that run and were found to be stuck",
		func(s *async.Snapshot) int { return s.Queue.Stuck }),
	counter("msgr.dispatch.found_stuck", callbacks, "Callbacks that were found to be stuck, since New",
		func(s *async.Snapshot) uint64 { return s.Queue.StuckTotal }),
	gauge("msgr.dispatch.long_callbacks", callbacks, "Callbacks that have been running for 100 ms or longer",
		func(s *async.Snapshot) int { return len(s.LongCallbacks) }),
	labelled(Gauge, "msgr.dispatch.longest_callback", Seconds,
		"For how long a callback has been running at least, of those that run for 100 ms or longer", nil,
		func(r *Reading, f emit) { f(seconds(longest(r.snap.LongCallbacks))) }),
	counter("msgr.dispatch.callbacks", callbacks, "Messages and events whose callback returned, in whatever way",
		func(s *async.Snapshot) uint64 { return s.Queue.Dispatched }),
	counter("msgr.dispatch.discarded", items, "Messages and events that the queue dropped",
		func(s *async.Snapshot) uint64 { return s.Queue.Discarded }),
	counter("msgr.dispatch.unhandled", messages, "Messages that no dispatcher wanted",
		func(s *async.Snapshot) uint64 { return s.Queue.Unhandled }),
	counter("msgr.dispatch.panics", callbacks, "Callbacks of the queue that panicked or ended their goroutine",
		func(s *async.Snapshot) uint64 { return s.Queue.Panics }),
	counter("msgr.dispatch.jobs_refused", jobs, "Jobs that the executor refused",
		func(s *async.Snapshot) uint64 { return s.Queue.Refused }),
	counter("msgr.dispatch.stand_ins", jobs, "Jobs that ran on a stand-in goroutine",
		func(s *async.Snapshot) uint64 { return s.Queue.StandIns }),
	gauge("msgr.dispatch.in_place_now", messengers, "1 if messages are dispatched on the workers that decoded them",
		func(s *async.Snapshot) int {
			if s.Queue.InPlaceNow {
				return 1
			}
			return 0
		}),
	counter("msgr.dispatch.in_place", messages, "Messages that were dispatched on the workers that decoded them",
		func(s *async.Snapshot) uint64 { return s.Queue.InPlace }),
	counter("msgr.dispatch.stayed", callbacks, "Callbacks in place for which a worker did not wait any longer",
		func(s *async.Snapshot) uint64 { return s.Queue.Stayed }),
	counter("msgr.dispatch.slow_fast", times, "How often fast dispatch took longer than FastDispatchLimit",
		func(s *async.Snapshot) uint64 { return s.SlowFastDispatches }),
	ofPool("msgr.pool.running", jobs, "Jobs that the executor runs, for all who share it",
		func(p *async.PoolStats) int { return p.Running }),
	ofPool("msgr.pool.waiting", jobs, "Jobs that wait for the executor, of all who share it",
		func(p *async.PoolStats) int { return p.Waiting }),
	ofPool("msgr.pool.size", jobs, "How many jobs the executor runs at a time",
		func(p *async.PoolStats) int { return p.Size }),
	overConns(gauge("msgr.dispatch.undispatched", messages,
		"Received messages that wait for dispatch, or are being dispatched", noInt),
		func(c *connTotals, f emit) { f(float64(c.dispatching)) }),
}
