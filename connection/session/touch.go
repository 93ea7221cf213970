package session

import "github.com/asyncmsgr/asyncmsgr/async/msg"

// A message that is acknowledged was last looked at a round trip ago. With thousands in
// flight its memory is not in the processor's cache any more, and the end of its sending
// waits for one cache line after the other, 100 ns for each, message by message. Reads that
// do not depend on each other are fetched together. So what a step is about to work through
// is read once before: with 256 connections and 64 messages in flight on each that is worth
// a tenth of the processor's time (docs/BENCHMARKS.md, "The cache").

// touchedAhead is how many messages are touched at a time before they are encoded.
const touchedAhead = 16

// touch touches the messages up to seq.
func (f *fifo) touch(seq uint64) {
	n := 0
	for n < f.len() && f.at(n).seq <= seq {
		n++
	}
	touch(f.items[f.head : f.head+n])
}

// touch touches what pop returns next.
func (o *outQueue) touch() {
	f := &o.levels[0].q
	touch(f.items[f.head : f.head+min(f.len(), touchedAhead)])
}

// touch has a result, and is not inlined, so that the compiler keeps the reads.
//
//go:noinline
func touch(of []sending) (sum uint64) {
	if len(of) < 2 {
		return 0 // nothing to fetch it together with
	}
	for i := range of {
		sum += msg.Touch(of[i].m)
	}
	return sum
}
