package simnet

import (
	"fmt"
	"time"
)

// action is what an event does.
type action interface{ happen(arg uint64) }

type actionFunc func()

func (f actionFunc) happen(uint64) { f() }

// eventQueue holds what will happen, in the order of time, equal times in the
// order of their coming: a 4-ary heap of keys without pointers, and the actions
// beside it, in slots that are used again.
type eventQueue struct {
	heap  []eventKey
	slots []eventSlot
	free  []uint32
	seq   uint64
}

// eventKey orders events; order is the number of the event and that of its slot.
type eventKey struct {
	at    time.Duration
	order uint64
}

// slotBits are the bits of eventKey.order that name the slot: 16 million events
// may be pending, and a run has 2^40 of them.
const slotBits = 24

type eventSlot struct {
	do  action
	arg uint64
}

func (a eventKey) before(b eventKey) bool { return a.at < b.at || a.at == b.at && a.order < b.order }

// heapRoot is where the first event is in eventQueue.heap, so that four children lie in
// one line of the cache: those of place i begin at 4*i-8.
const heapRoot = 3

// keys are those of all events, in no order.
func (q *eventQueue) keys() []eventKey { return q.heap[min(heapRoot, len(q.heap)):] }

func (q *eventQueue) len() int { return len(q.keys()) }

// next is the time of the first event; the queue is not empty.
func (q *eventQueue) next() time.Duration { return q.heap[heapRoot].at }

func (q *eventQueue) push(at time.Duration, do action, arg uint64) {
	var slot uint32
	if k := len(q.free); k > 0 {
		slot = q.free[k-1]
		q.free = q.free[:k-1]
	} else {
		slot = uint32(len(q.slots))
		if slot == 1<<slotBits {
			panic(fmt.Sprintf("simnet: %d events are pending", slot))
		}
		q.slots = append(q.slots, eventSlot{})
	}
	q.slots[slot] = eventSlot{do, arg}
	q.seq++
	e := eventKey{at, q.seq<<slotBits | uint64(slot)}
	if len(q.heap) == 0 {
		q.heap = make([]eventKey, heapRoot, 64)
	}
	q.heap = append(q.heap, e)
	h := q.heap
	i := len(h) - 1
	for i > heapRoot {
		parent := i/4 + 2
		if !e.before(h[parent]) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = e
}

// pop takes the first event out.
func (q *eventQueue) pop() (at time.Duration, do action, arg uint64) {
	top := q.heap[heapRoot]
	last := len(q.heap) - 1
	e := q.heap[last]
	q.heap = q.heap[:last]
	if last > heapRoot {
		q.sift(e)
	}
	i := uint32(top.order & (1<<slotBits - 1))
	s := &q.slots[i]
	do, arg = s.do, s.arg
	s.do = nil
	q.free = append(q.free, i)
	return top.at, do, arg
}

// sift puts e where the root was: the hole goes down to the leaves, since what was last
// belongs there most often, and e up from it.
func (q *eventQueue) sift(e eventKey) {
	h := q.heap
	i := heapRoot
	for {
		first := 4*i - 8
		if first >= len(h) {
			break
		}
		least, key := first, h[first]
		for c, k := range h[first+1 : min(first+4, len(h))] {
			if k.before(key) {
				least, key = first+1+c, k
			}
		}
		h[i] = key
		i = least
	}
	for i > heapRoot {
		parent := i/4 + 2
		if !e.before(h[parent]) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = e
}
