package dispatch

import "math/bits"

// prio is the order of dispatch as a data structure: strict priorities from 64
// up, a token bucket below, events above everything (docs/PROTOCOL.md 4.3). It is not
// safe for concurrent use, reads no clock and is deterministic.
//
//	events:   heap of classes by the arrival of their oldest event
//	level p:  ring of flows; a flow is the FIFO of one class at one priority
//
// pop marks the class of what it returns as busy; until done, pop returns
// nothing else of that class. A flow whose turn it is while its class is busy is
// parked: it leaves its ring, and done puts it back at the end of the round. So
// a busy class costs at most one step per flow and busy time, not one per pop.
// And since parking is left until the turn comes, a single drainer, which calls
// done before the next pop, never parks and sees the exact order of the spec.
//
// A class that gets its first item of a level joins at the end of the round.
type prio struct {
	classes map[uint64]*class
	levels  [numPages]*page // those that have had items, and their neighbours
	ready   [4]uint64       // bitmap of the levels that have a flow in their ring
	buckets uint64          // bitmap of the weighted levels that have items, parked ones included
	share   int64           // sum of the priorities in buckets
	events  []*class        // heap, see prio_event.go

	oldest, newest *node // all items in the order of arrival
	seq            uint64
	items          int
	eventItems     int // events among them
	runnable       int // classes that have items and are not busy
	classPeak      int

	minCost, maxTokens int64

	// Bounded free lists; what is over the bound goes to the garbage collector.
	freeNodes   *node
	freeFlows   *flow
	freeClasses *class
	nNodes      int
	nFlows      int
	nClasses    int
}

// weighted is the number of priorities below the strict ones.
const weighted = 64

// page is levels that are made together, when one of them is first used. A messenger uses few
// priorities, and all 256 would be three quarters of what its queue takes.
type page [pageLevels]level

const (
	pageLevels = 16
	numPages   = 256 / pageLevels
)

// level is one priority.
type level struct {
	turn   *flow // whose turn it is; the ring hangs on it
	items  int   // parked ones included
	tokens int64 // weighted levels only; lost when items gets 0
}

// flow is the FIFO of one class at one level.
type flow struct {
	class      *class
	of         *level
	level      uint8 // which one that is
	parked     bool
	head, tail *node
	prev, next *flow // ring
	lower      *flow // the class's flow of the next lower priority; next free flow
}

// class is what is queued for one connection, and whether it is being dispatched.
// It exists while it has items or is busy.
type class struct {
	id         uint64
	flows      *flow // by falling priority
	head, tail *node // events
	heapAt     int   // index in prio.events, or one of the two below
	items      int
	parked     int // parked flows, and the events
	busy       bool
	next       *class // free list
}

const (
	notInHeap = -1
	heapPark  = -2
)

// node is one queued item.
type node struct {
	Item
	next         *node // younger in the same flow, or among the class's events; free list
	older, newer *node // by arrival
	seq          uint64
	cost         int64
}

func newPrio(minCost, maxTokens int64) prio {
	return prio{classes: make(map[uint64]*class), minCost: minCost, maxTokens: maxTokens}
}

// level is a level that has a flow.
func (p *prio) level(lv uint8) *level { return &p.levels[lv/pageLevels][lv%pageLevels] }

// newLevel is a level that gets one.
func (p *prio) newLevel(lv uint8) *level {
	at := &p.levels[lv/pageLevels]
	if *at == nil {
		*at = new(page)
	}
	return &(*at)[lv%pageLevels]
}

// push queues it.
func (p *prio) push(it *Item) {
	c := p.classes[it.Class]
	if c == nil {
		c = p.newClass(it.Class)
	}
	n := p.newNode(it)
	if c.items++; c.items == 1 && !c.busy {
		p.runnable++
	}
	if it.Kind != KindMessage {
		p.pushEvent(c, n)
		return
	}
	f := p.flowOf(c, it.Priority)
	if f.of.items++; it.Priority < weighted {
		if f.of.items == 1 {
			p.buckets |= 1 << it.Priority
			p.share += int64(it.Priority)
		}
		n.cost = min(max(int64(len(it.Msg.Data)), p.minCost), p.maxTokens)
	}
	if f.tail == nil {
		f.head = n
	} else {
		f.tail.next = n
	}
	f.tail = n
}

// pop moves the next item to it and returns its class, which is busy from then
// on; nil if all items belong to busy classes or there is none.
func (p *prio) pop(it *Item) *class {
	if c := p.popEvent(it); c != nil {
		return c
	}
	for w := len(p.ready) - 1; w > 0; w-- {
		for p.ready[w] != 0 {
			b := bits.Len64(p.ready[w]) - 1
			if f := p.turn(uint8(w<<6 | b)); f != nil {
				return p.take(f, it)
			}
		}
	}
	return p.popWeighted(it)
}

// popWeighted serves the lowest of the weighted levels that can pay for its next
// item, or, if none can, the highest without payment; then all existing levels
// get tokens for the cost that was served, by their priority.
func (p *prio) popWeighted(it *Item) *class {
	var best *flow
	for left := p.ready[0]; left != 0; left &= left - 1 {
		b := uint8(bits.TrailingZeros64(left))
		f := p.turn(b)
		if f == nil {
			continue
		}
		best = f
		if l := p.level(b); f.head.cost < l.tokens {
			l.tokens -= f.head.cost
			break
		}
	}
	if best == nil {
		return nil
	}
	cost := best.head.cost
	c := p.take(best, it)
	if p.share > 0 { // 0: only priority 0 is left, and it is served anyway
		for left := p.buckets; left != 0; left &= left - 1 {
			b := bits.TrailingZeros64(left)
			l := p.level(uint8(b))
			l.tokens = min(l.tokens+int64(b)*cost/p.share+1, p.maxTokens)
		}
	}
	return c
}

// turn is the flow of level lv whose turn it is, after parking those that are
// busy; nil, with the level's bit cleared, if none is left.
func (p *prio) turn(lv uint8) *flow {
	l := p.level(lv)
	for l.turn != nil && l.turn.class.busy {
		f := l.turn
		p.unlink(f)
		f.parked = true
		f.class.parked++
	}
	return l.turn
}

// take moves the oldest item of f, which has the turn, to it.
func (p *prio) take(f *flow, it *Item) *class {
	c, n := f.class, f.head
	f.head = n.next
	f.of.turn = f.next
	p.countOut(f, 1)
	if f.head == nil {
		f.tail = nil
		p.dropFlow(f)
	}
	p.begin(c)
	*it = n.Item
	p.freeNode(n)
	return c
}

// more moves further messages of c, of the level of the message that was popped last, to
// into, and returns how many. All of these share one turn with the popped message, so none
// is moved if another item of c comes before them.
func (p *prio) more(c *class, lv uint8, into []Item) (n int) {
	f := c.flows
	if c.head != nil || f == nil || f.level != lv {
		return 0
	}
	for ; n < len(into) && f.head != nil; n++ {
		x := f.head
		f.head = x.next
		into[n] = x.Item
		p.freeNode(x)
	}
	c.items -= n
	p.countOut(f, n)
	if f.head == nil {
		f.tail = nil
		p.dropFlow(f)
	}
	return n
}

// putBack undoes more for the items that are left: they are the next of their flow, and
// count as the oldest of all.
func (p *prio) putBack(c *class, lv uint8, items []Item) {
	f := p.flowOf(c, lv)
	for i := len(items) - 1; i >= 0; i-- {
		n := p.newNode(&items[i])
		p.toFront(n)
		if n.next = f.head; f.head == nil {
			f.tail = n
		}
		f.head = n
	}
	c.items += len(items)
	f.of.items += len(items)
}

// begin makes c busy for one of its items, which is taken out of the count.
func (p *prio) begin(c *class) {
	c.items--
	c.busy = true
	p.runnable--
}

// beginNew makes the class of that id, which must have no items nor be busy, and marks it as busy.
func (p *prio) beginNew(id uint64) *class {
	c := p.newClass(id)
	c.busy = true
	return c
}

// done ends the busy time of c. c may not be used afterwards.
func (p *prio) done(c *class) {
	if !c.busy {
		panic("dispatch: done of a class that is not busy")
	}
	c.busy = false
	if c.items == 0 {
		p.freeClass(c)
		return
	}
	p.runnable++
	if c.parked == 0 {
		return
	}
	if c.heapAt == heapPark {
		p.heapAdd(c)
	}
	for f := c.flows; f != nil; f = f.lower {
		if f.parked {
			f.parked = false
			p.link(f)
		}
	}
	c.parked = 0
}

// discard takes out the messages of a class, and its events if that is asked
// for, and appends them to into: the events first, then by falling priority, each
// in the order of arrival. What is being dispatched is not affected.
func (p *prio) discard(id uint64, events bool, into []Item) []Item {
	c := p.classes[id]
	if c == nil || c.items == 0 {
		return into
	}
	if events {
		into = p.discardEvents(c, into)
	}
	for f := c.flows; f != nil; f = c.flows {
		k := 0
		for n := f.head; n != nil; k++ {
			next := n.next
			into = append(into, n.Item)
			p.freeNode(n)
			n = next
		}
		f.head, f.tail = nil, nil
		c.items -= k
		p.countOut(f, k)
		p.dropFlow(f)
	}
	if c.items == 0 && !c.busy {
		p.runnable--
		p.freeClass(c)
	}
	return into
}

// discardAll takes out everything and appends it to into, in the order of arrival.
func (p *prio) discardAll(into []Item) []Item {
	for n := p.oldest; n != nil; n = n.newer {
		into = append(into, n.Item)
	}
	for p.oldest != nil {
		p.discard(p.oldest.Class, true, nil)
	}
	return into
}

// countOut takes k items out of the count of f's level.
func (p *prio) countOut(f *flow, k int) {
	l, lv := f.of, f.level
	if l.items -= k; l.items == 0 && lv < weighted {
		l.tokens = 0
		p.buckets &^= 1 << lv
		p.share -= int64(lv)
	}
}

// flowOf is the flow of c at level lv, made and linked if there is none.
func (p *prio) flowOf(c *class, lv uint8) *flow {
	at := &c.flows
	for *at != nil && (*at).level > lv {
		at = &(*at).lower
	}
	if f := *at; f != nil && f.level == lv {
		return f
	}
	f := p.freeFlows
	if f == nil {
		f = new(flow)
	} else {
		p.freeFlows = f.lower
		p.nFlows--
	}
	*f = flow{class: c, of: p.newLevel(lv), level: lv, lower: *at}
	*at = f
	p.link(f)
	return f
}

// link puts f into its ring, at the end of the round.
func (p *prio) link(f *flow) {
	l := f.of
	if l.turn == nil {
		f.prev, f.next = f, f
		l.turn = f
		p.ready[f.level>>6] |= 1 << (f.level & 63)
		return
	}
	f.prev, f.next = l.turn.prev, l.turn
	f.prev.next, f.next.prev = f, f
}

// unlink takes f out of its ring; if it had the turn, the next one has it.
func (p *prio) unlink(f *flow) {
	l := f.of
	if f.next == f {
		l.turn = nil
		p.ready[f.level>>6] &^= 1 << (f.level & 63)
	} else {
		f.prev.next, f.next.prev = f.next, f.prev
		if l.turn == f {
			l.turn = f.next
		}
	}
	f.prev, f.next = nil, nil
}

// dropFlow ends an empty flow.
func (p *prio) dropFlow(f *flow) {
	c := f.class
	if f.parked {
		c.parked--
	} else {
		p.unlink(f)
	}
	at := &c.flows
	for *at != f {
		at = &(*at).lower
	}
	*at = f.lower
	*f = flow{}
	if p.nFlows < freeFlowsMax {
		f.lower = p.freeFlows
		p.freeFlows = f
		p.nFlows++
	}
}
