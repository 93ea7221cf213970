package dispatch

// The events of prio: each class has a FIFO of them, and the classes that have
// events and were not found busy are in a binary heap by the arrival of their
// oldest event. So events are taken in the order of arrival, but for those that
// wait for their busy class.

func (p *prio) pushEvent(c *class, n *node) {
	p.eventItems++
	if c.tail != nil {
		c.tail.next = n
		c.tail = n
		return
	}
	c.head, c.tail = n, n
	p.heapAdd(c)
}

// popEvent is pop for events.
func (p *prio) popEvent(it *Item) *class {
	for len(p.events) > 0 {
		c := p.events[0]
		p.heapRemove(c)
		if c.busy {
			c.heapAt = heapPark
			c.parked++
			continue
		}
		n := c.head
		if c.head = n.next; c.head == nil {
			c.tail = nil
		} else {
			p.heapAdd(c)
		}
		p.eventItems--
		p.begin(c)
		*it = n.Item
		p.freeNode(n)
		return c
	}
	return nil
}

// discardEvents takes the events of c out.
func (p *prio) discardEvents(c *class, into []Item) []Item {
	if c.head == nil {
		return into
	}
	if c.heapAt == heapPark {
		c.parked--
		c.heapAt = notInHeap
	} else {
		p.heapRemove(c)
	}
	for n := c.head; n != nil; {
		next := n.next
		into = append(into, n.Item)
		p.freeNode(n)
		c.items--
		p.eventItems--
		n = next
	}
	c.head, c.tail = nil, nil
	return into
}

func (p *prio) heapAdd(c *class) {
	c.heapAt = len(p.events)
	p.events = append(p.events, c)
	p.heapUp(c.heapAt)
}

func (p *prio) heapRemove(c *class) {
	i, last := c.heapAt, len(p.events)-1
	p.heapSwap(i, last)
	p.events[last] = nil
	p.events = p.events[:last]
	c.heapAt = notInHeap
	if i < last {
		p.heapDown(i)
		p.heapUp(i)
	}
}

func (p *prio) heapUp(i int) {
	for i > 0 {
		up := (i - 1) / 2
		if !p.earlier(i, up) {
			return
		}
		p.heapSwap(i, up)
		i = up
	}
}

func (p *prio) heapDown(i int) {
	for {
		least := i
		if l := 2*i + 1; l < len(p.events) && p.earlier(l, least) {
			least = l
		}
		if r := 2*i + 2; r < len(p.events) && p.earlier(r, least) {
			least = r
		}
		if least == i {
			return
		}
		p.heapSwap(i, least)
		i = least
	}
}

func (p *prio) earlier(i, j int) bool { return p.events[i].head.seq < p.events[j].head.seq }

func (p *prio) heapSwap(i, j int) {
	e := p.events
	e[i], e[j] = e[j], e[i]
	e[i].heapAt, e[j].heapAt = i, j
}
