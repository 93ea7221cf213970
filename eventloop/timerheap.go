package eventloop

import (
	"fmt"
	"time"
)

// TimerHeap holds the armed timers of one worker: a 4-ary heap ordered by
// deadline, timers with the same deadline in the order of arming. It is not
// safe for concurrent use and allocates only while it grows; its memory is 16
// bytes a timer at the peak number of armed timers. The zero value is empty.
//
// A worker fires its timers like this:
//
//	heap.Expire(now)
//	for t := heap.PopExpired(); t != nil; t = heap.PopExpired() {
//		t.Fire(now)
//	}
//
// Timers armed by the handlers meanwhile never fire in the same loop, not even
// with a deadline in the past, so the loop ends.
//
// Implementation: not for users of the library; may change in any release.
type TimerHeap struct {
	entries []timerEntry
	seq     uint64        // last number given to an armed timer
	mark    uint64        // value of seq when Expire was called
	now     time.Duration // last time given to Expire
}

// timerEntry repeats the deadline next to the pointer, so that sifting compares
// without following pointers.
type timerEntry struct {
	at time.Duration
	t  *Timer
}

// Len is the number of armed timers.
func (h *TimerHeap) Len() int { return len(h.entries) }

// Set arms t for the time at, or moves it there. A deadline that lies before
// the last Expire counts as that moment: t fires with the next Expire, after
// the timers that were due already.
func (h *TimerHeap) Set(t *Timer, at time.Duration) {
	if t.handler == nil {
		panic("eventloop: Timer armed before Init")
	}
	at = max(at, h.now)
	h.seq++
	t.seq = h.seq
	if t.index == 0 {
		t.at = at
		h.entries = append(h.entries, timerEntry{at, t})
		t.index = int32(len(h.entries))
		h.up(len(h.entries) - 1)
		return
	}
	i := h.position(t)
	t.at = at
	h.entries[i].at = at
	h.fix(i)
}

// Stop disarms t; it does nothing if t is not armed.
func (h *TimerHeap) Stop(t *Timer) {
	if t.index != 0 {
		h.remove(h.position(t))
	}
}

// Next returns the earliest deadline, false if no timer is armed.
func (h *TimerHeap) Next() (at time.Duration, ok bool) {
	if len(h.entries) == 0 {
		return 0, false
	}
	return h.entries[0].at, true
}

// Expire begins firing: PopExpired returns the timers that were armed before
// this call and are due at now.
func (h *TimerHeap) Expire(now time.Duration) {
	h.now = max(h.now, now)
	h.mark = h.seq
}

// PopExpired disarms and returns the next timer that is due, nil if there is
// none. See Expire.
func (h *TimerHeap) PopExpired() *Timer {
	if len(h.entries) == 0 {
		return nil
	}
	// A timer armed since Expire has a deadline of at least h.now and a larger
	// seq, so everything that is due sorts before it.
	t := h.entries[0].t
	if h.entries[0].at > h.now || t.seq > h.mark {
		return nil
	}
	h.remove(0)
	return t
}

// Fire calls the handler of a timer that PopExpired returned.
func (t *Timer) Fire(now time.Duration) { t.handler.HandleTimer(now) }

// position is where t is in the heap.
func (h *TimerHeap) position(t *Timer) int {
	i := int(t.index) - 1
	if i >= len(h.entries) || h.entries[i].t != t {
		panic(fmt.Sprintf("eventloop: timer at position %d of %d belongs to another worker", i, len(h.entries)))
	}
	return i
}

func (h *TimerHeap) less(a, b timerEntry) bool {
	return a.at < b.at || a.at == b.at && a.t.seq < b.t.seq
}

func (h *TimerHeap) place(i int, e timerEntry) {
	h.entries[i] = e
	e.t.index = int32(i) + 1
}

func (h *TimerHeap) remove(i int) {
	h.entries[i].t.index = 0
	last := len(h.entries) - 1
	e := h.entries[last]
	h.entries[last] = timerEntry{}
	h.entries = h.entries[:last]
	if i != last {
		h.place(i, e)
		h.fix(i)
	}
}

func (h *TimerHeap) fix(i int) {
	if !h.up(i) {
		h.down(i)
	}
}

// up moves entry i towards the root and says whether it moved.
func (h *TimerHeap) up(i int) bool {
	e, start := h.entries[i], i
	for i > 0 {
		parent := (i - 1) / 4
		if !h.less(e, h.entries[parent]) {
			break
		}
		h.place(i, h.entries[parent])
		i = parent
	}
	if i == start {
		return false
	}
	h.place(i, e)
	return true
}

// down moves entry i towards the leaves.
func (h *TimerHeap) down(i int) {
	e, start := h.entries[i], i
	for {
		first := 4*i + 1
		if first >= len(h.entries) {
			break
		}
		least := first
		for c := first + 1; c < min(first+4, len(h.entries)); c++ {
			if h.less(h.entries[c], h.entries[least]) {
				least = c
			}
		}
		if !h.less(h.entries[least], e) {
			break
		}
		h.place(i, h.entries[least])
		i = least
	}
	if i != start {
		h.place(i, e)
	}
}
