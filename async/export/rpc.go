package export

import "github.com/asyncmsgr/asyncmsgr/async/rpc"

// ofCalls is a metric of the messenger's rpc.Node, if it was given one.
func ofCalls[N uint64 | int](kind Kind, name, unit, help string, n func(*rpc.Stats) N) entry {
	e := labelled(kind, name, unit, help, nil, func(r *Reading, f emit) {
		if r.calls != nil {
			f(float64(n(r.calls)))
		}
	})
	e.from = ofNode
	return e
}

// rpcTable is what a Node counts, first as the caller, then as the one who is called, then both.
// The names are those of the fields of rpc.Stats.
var rpcTable = []entry{
	ofCalls(Gauge, "msgr.rpc.out", calls, "Calls that are out", func(s *rpc.Stats) int { return s.Out }),
	ofCalls(Counter, "msgr.rpc.calls", calls, "Calls that were begun", func(s *rpc.Stats) uint64 { return s.Calls }),
	ofCalls(Counter, "msgr.rpc.one_ways_sent", requests, "Requests sent without a reply to come",
		func(s *rpc.Stats) uint64 { return s.OneWaysSent }),
	ofCalls(Counter, "msgr.rpc.replies", calls, "Calls that a reply ended well",
		func(s *rpc.Stats) uint64 { return s.Replies }),
	ofCalls(Counter, "msgr.rpc.remote_errors", calls, "Calls that an error of the peer ended",
		func(s *rpc.Stats) uint64 { return s.RemoteErrors }),
	ofCalls(Counter, "msgr.rpc.failed", calls,
		"Calls that failed on this side: the session lost, the request not delivered, the reply not readable",
		func(s *rpc.Stats) uint64 { return s.Failed }),
	ofCalls(Counter, "msgr.rpc.wrong_types", calls, "Calls whose reply was of another type",
		func(s *rpc.Stats) uint64 { return s.WrongTypes }),
	ofCalls(Counter, "msgr.rpc.too_many_calls", calls, "Calls that were refused since too many were out",
		func(s *rpc.Stats) uint64 { return s.TooManyCalls }),
	ofCalls(Counter, "msgr.rpc.withdrawn", calls, "Calls whose caller gave up before the request was sent",
		func(s *rpc.Stats) uint64 { return s.Withdrawn }),
	ofCalls(Counter, "msgr.rpc.abandoned", calls, "Calls whose caller gave up after the request was sent",
		func(s *rpc.Stats) uint64 { return s.Abandoned }),
	ofCalls(Counter, "msgr.rpc.cancels_sent", messages, "Messages that told a peer that the caller has given up",
		func(s *rpc.Stats) uint64 { return s.CancelsSent }),
	ofCalls(Counter, "msgr.rpc.probes", messages,
		"Messages sent to have a connection come back over which calls were out",
		func(s *rpc.Stats) uint64 { return s.Probes }),
	ofCalls(Counter, "msgr.rpc.late_replies", replies, "Replies to calls that were over, which were dropped",
		func(s *rpc.Stats) uint64 { return s.LateReplies }),
	ofCalls(Counter, "msgr.rpc.unknown_replies", replies, "Replies to calls that there never were, which were dropped",
		func(s *rpc.Stats) uint64 { return s.UnknownReplies }),

	ofCalls(Gauge, "msgr.rpc.running", requests,
		"Requests that are being handled, or wait for their handler, and could be cancelled",
		func(s *rpc.Stats) int { return s.Running }),
	ofCalls(Counter, "msgr.rpc.requests", requests, "Requests that came for a handler",
		func(s *rpc.Stats) uint64 { return s.Requests }),
	ofCalls(Counter, "msgr.rpc.unimplemented", requests, "Requests that came and had no handler",
		func(s *rpc.Stats) uint64 { return s.Unimplemented }),
	ofCalls(Counter, "msgr.rpc.expired", requests, "Requests whose time was over before the handler was called",
		func(s *rpc.Stats) uint64 { return s.Expired }),
	ofCalls(Counter, "msgr.rpc.cancelled_before", requests,
		"Requests whose caller, or its connection, was gone before the handler was called",
		func(s *rpc.Stats) uint64 { return s.CancelledBefore }),
	ofCalls(Counter, "msgr.rpc.cancels_received", messages, "Messages that told of callers that gave up",
		func(s *rpc.Stats) uint64 { return s.CancelsReceived }),
	ofCalls(Counter, "msgr.rpc.handler_errors", requests, "Requests whose handler returned an error, or none at all",
		func(s *rpc.Stats) uint64 { return s.HandlerErrors }),
	ofCalls(Counter, "msgr.rpc.panics", requests, "Requests whose handler panicked or ended its goroutine",
		func(s *rpc.Stats) uint64 { return s.Panics }),
	ofCalls(Counter, "msgr.rpc.overloaded", requests, "Requests that were refused since too many ran",
		func(s *rpc.Stats) uint64 { return s.Overloaded }),
	ofCalls(Counter, "msgr.rpc.replies_unwanted", replies, "Replies that were not sent since the caller had given up",
		func(s *rpc.Stats) uint64 { return s.RepliesUnwanted }),
	ofCalls(Counter, "msgr.rpc.replies_dropped", replies,
		"Replies that could not be sent, since the send queue was full for example",
		func(s *rpc.Stats) uint64 { return s.RepliesDropped }),
	ofCalls(Counter, "msgr.rpc.replies_lost", replies, "Replies that the messenger took and gave up",
		func(s *rpc.Stats) uint64 { return s.RepliesLost }),

	ofCalls(Gauge, "msgr.rpc.bodies", bodies, "Bodies that are being received, or are not closed yet",
		func(s *rpc.Stats) int { return s.Bodies }),
	ofCalls(Counter, "msgr.rpc.chunks_sent", chunks, "Chunks of bodies that were sent",
		func(s *rpc.Stats) uint64 { return s.ChunksSent }),
	ofCalls(Counter, "msgr.rpc.chunks_received", chunks, "Chunks of bodies that were received",
		func(s *rpc.Stats) uint64 { return s.Chunks }),
	ofCalls(Counter, "msgr.rpc.stray_chunks", chunks,
		"Chunks of no body that is being received, mostly of one that is wanted no more; they were dropped",
		func(s *rpc.Stats) uint64 { return s.StrayChunks }),
	ofCalls(Counter, "msgr.rpc.lives_lost", sessions,
		"Sessions whose loss no reset told of, but the next message did",
		func(s *rpc.Stats) uint64 { return s.LivesLost }),
	ofCalls(Counter, "msgr.rpc.malformed", messages, "Messages that made no sense, and were dropped or refused",
		func(s *rpc.Stats) uint64 { return s.Malformed }),
}
