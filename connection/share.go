package connection

import (
	"fmt"
	"sync/atomic"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Bound is what one connection may have in dispatch at a time; 0: no bound.
type Bound struct{ Messages, Bytes int64 }

const (
	// connMessages is Policy.ConnThrottleMessages by default. A queued message costs some
	// hundred bytes however small its payload is, which throttles of bytes do not see.
	connMessages = 1 << 16
	// connPart is the part of the messenger's throttle that a connection gets by default: a
	// quarter, so that it takes four that are slow at once to keep others waiting, and one
	// still has 25 MiB under way.
	connPart = 4
)

// BoundOf is the bound of a connection under that policy, of a messenger whose dispatch
// throttle has that limit (0 or less: none).
func BoundOf(p *msg.Policy, dispatchLimit int64) (b Bound) {
	switch n := int64(p.ConnThrottleMessages); {
	case n == 0:
		b.Messages = connMessages
	case n > 0:
		b.Messages = min(n, boundMessagesMax)
	}
	switch n := p.ConnThrottleBytes; {
	case n == 0 && dispatchLimit > 0:
		b.Bytes = max(dispatchLimit/connPart, 1)
	case n > 0:
		b.Bytes = min(n, boundBytesMax)
	}
	return b
}

// load is an amount of messages and of their payload bytes in one number, so that both are
// taken and given back by one step: bytes << loadBits + messages.
type load = int64

const (
	loadBits         = 24
	boundMessagesMax = 1 << 22 // what is held may be twice that, by Hold
	boundBytesMax    = 1 << 38
)

func loadOf(messages, bytes int64) load { return bytes<<loadBits + messages }

func loadMessages(l load) int64 { return l & (1<<loadBits - 1) }

func loadBytes(l load) int64 { return l >> loadBits }

// share is what one connection has in dispatch, of its own bound. It is the msg.Throttler,
// of loads, that the connection alone takes from, and has no lock: taking and giving back
// are numbers of their own, which wrap around. Acquire, Cancel, claim and ownRelease are for
// the connection's owner, the others for any goroutine. The waiter is a *Turn, and there is
// one at most.
//
// The rule is that of dispatch.Throttle: a message over the bound is admitted as soon as
// what is held is not.
type share struct {
	bound Bound
	in    load // taken by the owner, ever
	seen  load // out, when the owner looked last
	out   atomic.Int64
	// waiting is who waits. Whoever makes it nil has granted or cancelled that.
	waiting atomic.Pointer[Turn]
}

// admits says whether a message may be taken while so much is held.
func (s *share) admits(held, c load) bool {
	if b := s.bound.Messages; b > 0 && loadMessages(held)+loadMessages(c) > b {
		return false
	}
	b, n := s.bound.Bytes, loadBytes(c)
	switch {
	case b == 0 || n == 0: // "0-size messages skip byte throttles"
		return true
	case n <= b:
		return loadBytes(held) <= b-n
	default:
		return loadBytes(held) <= b
	}
}

// Acquire implements msg.Throttler.
func (s *share) Acquire(c load, w msg.ThrottleWaiter) bool {
	if s.admits(s.in-s.seen, c) { // what was given back since makes it no worse
		s.in += c
		return true
	}
	s.seen = s.out.Load()
	if s.admits(s.held(), c) {
		s.in += c
		return true
	}
	if w == nil {
		return false
	}
	t := w.(*Turn)
	t.load, t.in = c, s.in
	s.waiting.Store(t)
	// What was given back before that has told nobody.
	if s.admits(t.in-s.out.Load(), c) && s.waiting.CompareAndSwap(t, nil) {
		s.claim(t)
		return true
	}
	return false
}

// claim takes what t was granted: the granting goroutine cannot.
func (s *share) claim(t *Turn) { s.in += t.load }

// held is what the owner knows to be held.
func (s *share) held() load {
	held := s.in - s.seen
	if held < 0 {
		panic(fmt.Sprintf("connection: share of %d messages and %d bytes: %d taken, %d given back",
			s.bound.Messages, s.bound.Bytes, s.in, s.seen))
	}
	return held
}

// Cancel implements msg.Throttler.
func (s *share) Cancel(w msg.ThrottleWaiter) bool {
	t := w.(*Turn)
	if s.waiting.CompareAndSwap(t, nil) {
		return true
	}
	s.claim(t) // granted before
	return false
}

// Take implements msg.Throttler.
func (s *share) Take(c load) { s.out.Add(-c) }

// Release implements msg.Throttler.
func (s *share) Release(c load) {
	out := s.out.Add(c)
	// The owner takes nothing while it waits, so that what it had taken then is what counts.
	if t := s.waiting.Load(); t != nil && s.admits(t.in-out, t.load) && s.waiting.CompareAndSwap(t, nil) {
		t.ThrottleGranted()
	}
}

// ownRelease is Release for the owner, which gives back what it has taken itself.
func (s *share) ownRelease(c load) {
	if s.waiting.Load() != nil {
		s.Release(c)
		return
	}
	s.in -= c
}
