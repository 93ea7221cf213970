package rpc

import (
	"reflect"
	"sync/atomic"
)

// Stats is a snapshot of what a Node counted since New, and what it holds now.
type Stats struct {
	Counts[uint64]

	// Out is how many calls are out, and Running how many requests are being handled, or wait for
	// their handler, and could be cancelled; Bodies are those being received, or not closed yet.
	Out, Running, Bodies int
}

// Counts is what a Node counts; T is a number.
type Counts[T any] struct {
	// Of the caller.

	// Calls were begun, by Call and Go, and OneWaysSent sent without a reply to come.
	Calls, OneWaysSent T
	// Replies ended a call well, RemoteErrors with an Error of the peer.
	Replies, RemoteErrors T
	// Failed are calls that ended for another reason: the session or the connection was lost, the
	// request not delivered, the reply not readable. WrongTypes are those whose reply was of another type.
	Failed, WrongTypes T
	// TooManyCalls were refused with ErrTooManyCalls.
	TooManyCalls T
	// Withdrawn and Abandoned are calls whose caller gave up: before the request was sent, and
	// after. Of the latter, the peers were told of CancelsSent.
	Withdrawn, Abandoned, CancelsSent T
	// Probes were sent to have a connection come back over which calls were out.
	Probes T
	// LateReplies came for calls that were over, and UnknownReplies for calls that there never
	// were; both were dropped.
	LateReplies, UnknownReplies T

	// Of the one who is called.

	// Requests came for a handler; Unimplemented for none.
	Requests, Unimplemented T
	// Expired were dropped because their time was over before the handler was called, and
	// CancelledBefore because the caller, or its connection, was gone by then.
	Expired, CancelledBefore T
	// CancelsReceived tell of callers that gave up.
	CancelsReceived T
	// HandlerErrors are handlers that returned an error, or none at all; of them, Panics panicked or
	// ended their goroutine.
	HandlerErrors, Panics T
	// Overloaded were refused with CodeOverloaded.
	Overloaded T
	// RepliesUnwanted were not sent since the caller had given up. RepliesDropped could not be sent,
	// the send queue was full for example. RepliesLost were given to the messenger, which gave
	// them up.
	RepliesUnwanted, RepliesDropped, RepliesLost T

	// Of bodies, both ways.

	// ChunksSent and Chunks were sent and received. StrayChunks belong to no body that is being
	// received, most of them to one whose receiver wanted no more, and were dropped.
	ChunksSent, Chunks, StrayChunks T

	// LivesLost are sessions whose loss no reset told of, but the next message did.
	LivesLost T
	// Malformed are messages that made no sense, and were dropped or, if requests, refused.
	Malformed T
}

type counts = Counts[atomic.Uint64]

// Stats returns a snapshot; the numbers are of slightly different moments.
func (n *Node) Stats() (s Stats) {
	sum := reflect.ValueOf(&s.Counts).Elem()
	for i := range n.shards {
		sh := &n.shards[i]
		of := reflect.ValueOf(&sh.counts).Elem()
		for f := range sum.NumField() {
			k := of.Field(f).Addr().Interface().(*atomic.Uint64).Load()
			sum.Field(f).SetUint(sum.Field(f).Uint() + k)
		}
		sh.mu.Lock()
		s.Running += len(sh.running)
		sh.mu.Unlock()
	}
	s.Out, s.Bodies = int(n.out.Load()), int(n.bodies.Load())
	return s
}
