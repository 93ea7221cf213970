package export

import (
	"strconv"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// eachThrottle calls f for the throttles of bytes that there are, or for those of messages.
func (r *Reading) eachThrottle(bytes bool, f func(t *dispatch.ThrottleStats, labels ...string)) {
	there := func(t *dispatch.ThrottleStats, labels ...string) {
		if *t != (dispatch.ThrottleStats{}) {
			f(t, labels...)
		}
	}
	if bytes {
		there(&r.snap.Throttle, "dispatch", "any")
	}
	for i := range r.snap.Policies {
		p, of := &r.snap.Policies[i], "default"
		if p.Type != 0 {
			of = p.Type.String()
		}
		if bytes {
			there(&p.Bytes, "policy_bytes", of)
		} else {
			there(&p.Messages, "policy_messages", of)
		}
	}
}

// ofThrottles is a metric of each throttle of bytes and of each of messages.
func ofThrottles(kind Kind, name, unit, help string, n func(*dispatch.ThrottleStats) float64) entry {
	return labelled(kind, name, unit, help, []string{LabelThrottle, LabelPeerType}, func(r *Reading, f emit) {
		for _, bytes := range []bool{true, false} {
			if bytes && unit == messages || !bytes && unit == Bytes {
				continue
			}
			r.eachThrottle(bytes, func(t *dispatch.ThrottleStats, labels ...string) { f(n(t), labels...) })
		}
	})
}

// A throttle counts bytes or messages: so what it counts has two metrics, each with its unit.
var throttleTable = []entry{
	ofThrottles(Gauge, "msgr.throttle.held", Bytes, "Bytes that the throttle holds",
		func(t *dispatch.ThrottleStats) float64 { return float64(t.Held) }),
	ofThrottles(Gauge, "msgr.throttle.limit", Bytes, "Bytes that the throttle lets through at a time; 0: any number",
		func(t *dispatch.ThrottleStats) float64 { return float64(t.Limit) }),
	ofThrottles(Gauge, "msgr.throttle.peak", Bytes, "The most bytes that the throttle ever held",
		func(t *dispatch.ThrottleStats) float64 { return float64(t.Peak) }),
	ofThrottles(Gauge, "msgr.throttle.held_messages", messages, "Messages that the throttle holds",
		func(t *dispatch.ThrottleStats) float64 { return float64(t.Held) }),
	ofThrottles(Gauge, "msgr.throttle.limit_messages", messages,
		"Messages that the throttle lets through at a time; 0: any number",
		func(t *dispatch.ThrottleStats) float64 { return float64(t.Limit) }),
	ofThrottles(Gauge, "msgr.throttle.peak_messages", messages, "The most messages that the throttle ever held",
		func(t *dispatch.ThrottleStats) float64 { return float64(t.Peak) }),
	ofThrottles(Gauge, "msgr.throttle.waiting", connections, "Connections in line for room in the throttle",
		func(t *dispatch.ThrottleStats) float64 { return float64(t.Waiting) }),
	ofThrottles(Counter, "msgr.throttle.waits", times, "How often one had to get in line for the throttle",
		func(t *dispatch.ThrottleStats) float64 { return float64(t.Waits) }),
	counter("msgr.reading.stopped", times, "How often reading from a connection was stopped for want of room",
		func(s *async.Snapshot) uint64 { return s.ThrottleWaits }),
	counter("msgr.reading.stopped_by_connection", times,
		"How often among these the connection had no room left of its own (ConnThrottleMessages, ConnThrottleBytes)",
		func(s *async.Snapshot) uint64 { return s.ConnThrottleWaits }),
	overConns(labelled(Gauge, "msgr.connections.throttled", connections,
		"Connections that are not read from, by the throttle that stops them", []string{LabelThrottle}, nil),
		func(c *connTotals, f emit) {
			for i, n := range c.throttled {
				f(float64(n), stopNames[i])
			}
		}),
	overConns(gauge("msgr.reading.longest_stop", Seconds,
		"For how long reading is stopped, of the connection where that is longest", noInt),
		func(c *connTotals, f emit) { f(c.longestThrottled.Seconds()) }),
}

// ofWorkers is a metric of each worker.
func ofWorkers(kind Kind, name, unit, help string, n func(*async.WorkerStats) float64) entry {
	return labelled(kind, name, unit, help, []string{LabelWorker}, func(r *Reading, f emit) {
		for i := range r.snap.Workers {
			w := &r.snap.Workers[i]
			f(n(w), strconv.Itoa(w.ID))
		}
	})
}

// What a worker does for all who share the stack is told of each messenger, since messengers
// may have stacks of their own.
var workerTable = []entry{
	ofWorkers(Counter, "msgr.worker.messages.received", messages, "Messages that the worker read for the messenger",
		func(w *async.WorkerStats) float64 { return float64(w.Received) }),
	ofWorkers(Counter, "msgr.worker.payload.received", Bytes, "Payload of the messages that the worker read",
		func(w *async.WorkerStats) float64 { return float64(w.ReceivedBytes) }),
	ofWorkers(Counter, "msgr.worker.messages.sent", messages, "Messages that the worker encoded for the messenger",
		func(w *async.WorkerStats) float64 { return float64(w.Sent) }),
	ofWorkers(Counter, "msgr.worker.payload.sent", Bytes, "Payload of the messages that the worker encoded",
		func(w *async.WorkerStats) float64 { return float64(w.SentBytes) }),
	ofWorkers(Gauge, "msgr.worker.sockets", connections, "Sockets of the worker, of all messengers on the stack",
		func(w *async.WorkerStats) float64 { return float64(w.Load) }),
	ofWorkers(Counter, "msgr.worker.wakeups", times, "How often the worker woke up, for any messenger",
		func(w *async.WorkerStats) float64 { return float64(w.Activity.Wakeups) }),
	ofWorkers(Counter, "msgr.worker.rounds", times, "How often the worker looked at its sockets, for any messenger",
		func(w *async.WorkerStats) float64 { return float64(w.Activity.Rounds) }),
	ofWorkers(Counter, "msgr.worker.events", times, "What the worker found there, for any messenger",
		func(w *async.WorkerStats) float64 { return float64(w.Activity.Events) }),
	ofWorkers(Counter, "msgr.worker.tasks", tasks, "Posted tasks that the worker ran, for any messenger",
		func(w *async.WorkerStats) float64 { return float64(w.Activity.Tasks) }),
	ofWorkers(Gauge, "msgr.worker.posted_tasks", tasks, "Posted tasks that wait for the worker, of any messenger",
		func(w *async.WorkerStats) float64 { return float64(w.Activity.Posted) }),
	ofWorkers(Gauge, "msgr.worker.held_up", Seconds, "For how long a callback has held up the worker; 0: it sleeps",
		func(w *async.WorkerStats) float64 { return seconds(w.Activity.InRound) }),
}

func seconds(d time.Duration) float64 { return d.Seconds() }
