package dispatch

// The memory of prio: free lists, each with a bound.

// Bounds of the free lists, and the number of classes above which an emptied map
// is replaced, because maps do not shrink.
const (
	freeNodesMax   = 4096
	freeFlowsMax   = 1024
	freeClassesMax = 1024
	classMapMax    = 4096
)

func (p *prio) newClass(id uint64) *class {
	c := p.freeClasses
	if c == nil {
		c = new(class)
	} else {
		p.freeClasses = c.next
		p.nClasses--
	}
	*c = class{id: id, heapAt: notInHeap}
	p.classes[id] = c
	p.classPeak = max(p.classPeak, len(p.classes))
	return c
}

func (p *prio) freeClass(c *class) {
	delete(p.classes, c.id)
	if len(p.classes) == 0 && p.classPeak > classMapMax {
		p.classes = make(map[uint64]*class)
		p.events = nil
		p.classPeak = 0
	}
	if p.nClasses < freeClassesMax {
		*c = class{next: p.freeClasses}
		p.freeClasses = c
		p.nClasses++
	}
}

func (p *prio) newNode(it *Item) *node {
	n := p.freeNodes
	if n == nil {
		n = new(node)
	} else {
		p.freeNodes = n.next
		p.nNodes--
		n.next = nil
	}
	n.Item = *it
	p.seq++
	n.seq = p.seq
	if n.older = p.newest; n.older != nil {
		n.older.newer = n
	} else {
		p.oldest = n
	}
	p.newest = n
	p.items++
	return n
}

// toFront makes the newest item the oldest.
func (p *prio) toFront(n *node) {
	if p.oldest == n {
		return
	}
	p.newest = n.older
	n.older.newer = nil
	n.older, n.newer = nil, p.oldest
	p.oldest.older = n
	p.oldest = n
}

func (p *prio) freeNode(n *node) {
	if n.older != nil {
		n.older.newer = n.newer
	} else {
		p.oldest = n.newer
	}
	if n.newer != nil {
		n.newer.older = n.older
	} else {
		p.newest = n.older
	}
	p.items--
	*n = node{}
	if p.nNodes < freeNodesMax {
		n.next = p.freeNodes
		p.freeNodes = n
		p.nNodes++
	}
}
