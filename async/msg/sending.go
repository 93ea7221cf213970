package msg

import (
	"hash/crc32"
	"sync/atomic"
	"time"
)

// The functions of this file are for the messenger's own packages: who has a message
// that is being sent. Its state goes from the user's hands (free) into a send queue,
// from there to being encoded, once, or to being cancelled, and at its end back.
const (
	stateFree uint32 = iota
	stateQueued
	stateSending
	stateCancelled
	stateShared // what is being sent are its copies
)

// Take makes m the messenger's: Send was called. The error is ErrInUse. A message that
// was released panics: its memory may be another message's by now.
//
// Implementation: not for users of the library; may change in any release.
func Take(m *Message) error {
	if m.released {
		panic("msg: Send of a Message that was released")
	}
	if !atomic.CompareAndSwapUint32(&m.state, stateFree, stateQueued) {
		return ErrInUse
	}
	return nil
}

// GiveBack makes m the user's again: its sending has ended, or was not accepted.
//
// Implementation: not for users of the library; may change in any release.
func GiveBack(m *Message) {
	m.sum, m.expires = 0, 0
	atomic.StoreUint32(&m.state, stateFree)
}

// Begin is called before m is encoded for the first time. false: it was cancelled.
//
// Implementation: not for users of the library; may change in any release.
func Begin(m *Message) bool {
	return atomic.CompareAndSwapUint32(&m.state, stateQueued, stateSending) || !Cancelled(m)
}

// Cancel takes m out of a send queue, if it is still waiting there. What is left of it
// in the queue has to be swept away. Any goroutine.
//
// Implementation: not for users of the library; may change in any release.
func Cancel(m *Message) bool {
	return atomic.CompareAndSwapUint32(&m.state, stateQueued, stateCancelled)
}

// InUse says whether m was handed to Send and has not had its end. After false, who sent m may
// write to its fields and slices, but for Notify, and send it again, if the sending did
// not fail. Any goroutine.
//
// Implementation: not for users of the library; may change in any release.
func InUse(m *Message) bool { return atomic.LoadUint32(&m.state) != stateFree }

// Cancelled says whether Cancel succeeded.
//
// Implementation: not for users of the library; may change in any release.
func Cancelled(m *Message) bool { return atomic.LoadUint32(&m.state) == stateCancelled }

// SetExpiry sets m's deadline in the stack's time; 0: none.
//
// Implementation: not for users of the library; may change in any release.
func SetExpiry(m *Message, at time.Duration) { m.expires = at }

// Expiry is what SetExpiry set.
//
// Implementation: not for users of the library; may change in any release.
func Expiry(m *Message) time.Duration { return m.expires }

// SetSentAt and SentAt keep when m was sent, for the histogram of that; 0: m is none of the
// messages that are measured.
//
// Implementation: not for users of the library; may change in any release.
func SetSentAt(m *Message, at time.Duration) { m.sentAt = at }

// SentAt is what SetSentAt set.
//
// Implementation: not for users of the library; may change in any release.
func SentAt(m *Message) time.Duration { return m.sentAt }

// SetGeneration and Generation mark m for Connection.Flush.
//
// Implementation: not for users of the library; may change in any release.
func SetGeneration(m *Message, g uint32) { m.gen = g }

// Generation is what SetGeneration set.
//
// Implementation: not for users of the library; may change in any release.
func Generation(m *Message) uint32 { return m.gen }

// sumOf is a checksum of the payload, never 0.
func sumOf(m *Message) uint64 {
	var sum uint32
	for _, b := range [][]byte{m.Front, m.Middle, m.Data} {
		sum = crc32.Update(sum^uint32(len(b)), castagnoli, b)
	}
	return 1<<63 | uint64(m.PayloadLen())<<32 | uint64(sum)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Seal notes the payload of a message that is handed to Send, and Intact says whether
// it is as it was then; a message that was never sealed is.
//
// Implementation: not for users of the library; may change in any release.
func Seal(m *Message) { m.sum = sumOf(m) }

// Intact is the other half of Seal.
//
// Implementation: not for users of the library; may change in any release.
func Intact(m *Message) bool { return m.sum == 0 || m.sum == sumOf(m) }

// Touch reads a field of each cache line of m, and returns something that depends on all of
// them. m is being sent, and the caller has it.
//
// Implementation: not for users of the library; may change in any release.
func Touch(m *Message) uint64 {
	sum := uint64(m.Type) + uint64(len(m.Middle)) + uint64(len(m.Data)) + uint64(len(m.TraceContext)) +
		uint64(m.expires) + uint64(m.gen) + uint64(len(m.small))
	if m.Notify != nil {
		sum++
	}
	return sum
}
