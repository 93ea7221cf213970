package dispatch

import (
	"slices"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The reference: docs/PROTOCOL.md 4.3 read literally, with slices and scans, for a single
// drainer. It knows no busy classes.
type refQueue struct {
	events    []refItem
	levels    map[int]*refLevel
	minCost   int64
	maxTokens int64
}

type refLevel struct {
	classes []uint64 // in the order of their turns
	items   map[uint64][]refItem
	tokens  int64
}

type refItem struct {
	id    uint64
	class uint64
	event bool
	prio  int
	cost  int64
}

func (r *refQueue) push(it refItem) {
	if it.event {
		r.events = append(r.events, it)
		return
	}
	it.cost = min(max(it.cost, r.minCost), r.maxTokens)
	l := r.levels[it.prio]
	if l == nil {
		l = &refLevel{items: map[uint64][]refItem{}}
		r.levels[it.prio] = l
	}
	if len(l.items[it.class]) == 0 {
		l.classes = append(l.classes, it.class)
	}
	l.items[it.class] = append(l.items[it.class], it)
}

func (r *refQueue) front(p int) refItem { l := r.levels[p]; return l.items[l.classes[0]][0] }

func (r *refQueue) take(p int) refItem {
	l := r.levels[p]
	c := l.classes[0]
	it := l.items[c][0]
	l.items[c] = l.items[c][1:]
	l.classes = l.classes[1:]
	if len(l.items[c]) > 0 {
		l.classes = append(l.classes, c)
	}
	if len(l.classes) == 0 {
		delete(r.levels, p)
	}
	return it
}

func (r *refQueue) pop() (refItem, bool) {
	if len(r.events) > 0 {
		it := r.events[0]
		r.events = r.events[1:]
		return it, true
	}
	for p := 255; p >= 64; p-- {
		if r.levels[p] != nil {
			return r.take(p), true
		}
	}
	best := -1
	for p := range 64 {
		if l := r.levels[p]; l != nil {
			best = p
			if cost := r.front(p).cost; cost < l.tokens {
				l.tokens -= cost
				break
			}
		}
	}
	if best < 0 {
		return refItem{}, false
	}
	it := r.take(best)
	var total int64
	for p := range r.levels {
		if p < 64 {
			total += int64(p)
		}
	}
	for p, l := range r.levels {
		if p < 64 && total > 0 {
			l.tokens = min(l.tokens+int64(p)*it.cost/total+1, r.maxTokens)
		}
	}
	return it, true
}

func (r *refQueue) discard(class uint64, events bool) (ids []uint64) {
	if events {
		r.events = slices.DeleteFunc(r.events, func(it refItem) bool {
			if it.class == class {
				ids = append(ids, it.id)
			}
			return it.class == class
		})
	}
	for p := 255; p >= 0; p-- {
		l := r.levels[p]
		if l == nil {
			continue
		}
		for _, it := range l.items[class] {
			ids = append(ids, it.id)
		}
		delete(l.items, class)
		l.classes = slices.DeleteFunc(l.classes, func(c uint64) bool { return c == class })
		if len(l.classes) == 0 {
			delete(r.levels, p)
		}
	}
	return ids
}

// Priorities that meet often, and the edges.
var someLevels = []int{0, 1, 2, 10, 62, 63, 64, 65, 127, 191, 192, 196, 255}

var bigData = make([]byte, 5000)

func drawItem(t *rapid.T, id uint64) (Item, refItem) {
	class := uint64(rapid.IntRange(0, 4).Draw(t, "class"))
	if rapid.IntRange(0, 9).Draw(t, "kind") == 0 {
		return Item{Kind: KindAccept, Class: class, at: 0, Conn: &fakeConn{id: id}},
			refItem{id: id, class: class, event: true}
	}
	p := rapid.SampledFrom(someLevels).Draw(t, "prio")
	n := rapid.SampledFrom([]int{0, 999, 1000, 1001, 2500, 5000}).Draw(t, "len")
	m := &msg.Message{Priority: uint8(p), TID: id, Data: bigData[:n]}
	return Item{Class: class, Priority: uint8(p), Msg: m}, refItem{id: id, class: class, prio: p, cost: int64(n)}
}

func itemID(it *Item) uint64 {
	if it.Msg != nil {
		return it.Msg.TID
	}
	return it.Conn.(*fakeConn).id
}

// With one drainer, which ends an item before it takes the next, the order is the
// reference's, whatever is enqueued and discarded when.
func TestPrioMatchesReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const minCost, maxTokens = 1000, 4000
		p := newPrio(minCost, maxTokens)
		ref := &refQueue{levels: map[int]*refLevel{}, minCost: minCost, maxTokens: maxTokens}
		var id uint64
		var busy *class
		push := func(t *rapid.T) {
			id++
			it, r := drawItem(t, id)
			p.push(&it)
			ref.push(r)
		}
		pop := func(t *rapid.T) {
			if busy != nil {
				p.done(busy)
			}
			var it Item
			busy = p.pop(&it)
			want, ok := ref.pop()
			require.Equal(t, ok, busy != nil)
			if ok {
				require.Equal(t, want.id, itemID(&it))
				require.Equal(t, want.class, busy.id)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"push":  push,
			"push2": push,
			"pop":   pop,
			"pop2":  pop,
			"drain": func(t *rapid.T) {
				for pop(t); busy != nil; pop(t) {
				}
				requireEmpty(t, &p)
			},
			"discard": func(t *rapid.T) {
				class := uint64(rapid.IntRange(0, 4).Draw(t, "class"))
				events := rapid.Bool().Draw(t, "events")
				var got []uint64
				for _, it := range p.discard(class, events, nil) {
					got = append(got, itemID(&it))
				}
				require.Equal(t, ref.discard(class, events), got)
			},
			"": func(t *rapid.T) { checkPrio(t, &p) },
		})
	})
}

// With several drainers: no class is popped while it is busy, order per class and
// priority holds, what is popped is the best of what is not busy, nothing is lost.
func TestPrioSeveralDrainers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPrio(1000, 4000)
		var id uint64
		var queued []refItem // by arrival; what is put back is older than all
		busy := map[uint64]*class{}
		turns := map[uint64][]Item{} // what more took, by class
		take := func(it *Item) refItem {
			i := slices.IndexFunc(queued, func(q refItem) bool { return q.id == itemID(it) })
			require.GreaterOrEqual(t, i, 0)
			got := queued[i]
			queued = slices.Delete(queued, i, i+1)
			return got
		}
		free := func(it refItem) bool { return busy[it.class] == nil }
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				for range rapid.IntRange(1, 4).Draw(t, "n") {
					id++
					it, r := drawItem(t, id)
					p.push(&it)
					queued = append(queued, r)
				}
			},
			"burst": func(t *rapid.T) { // something for a turn
				r := refItem{
					class: uint64(rapid.IntRange(0, 4).Draw(t, "class")),
					prio:  rapid.SampledFrom([]int{64, 127}).Draw(t, "prio"),
				}
				for range rapid.IntRange(3, 6).Draw(t, "n") {
					id++
					r.id = id
					m := &msg.Message{Priority: uint8(r.prio), TID: id}
					p.push(&Item{Class: r.class, Priority: uint8(r.prio), Msg: m})
					queued = append(queued, r)
				}
			},
			"pop": func(t *rapid.T) {
				var it Item
				c := p.pop(&it)
				if c == nil {
					require.False(t, slices.ContainsFunc(queued, free), "work was left")
					return
				}
				i := slices.IndexFunc(queued, func(q refItem) bool { return q.id == itemID(&it) })
				require.GreaterOrEqual(t, i, 0)
				got := queued[i]
				require.True(t, free(got), "class %d is busy", got.class)
				for j, other := range queued {
					if j == i || !free(other) {
						continue
					}
					switch {
					case got.event && other.event:
						require.Less(t, i, j, "events by arrival")
					case got.event:
					case other.event:
						require.Fail(t, "a message before an event")
					case other.class == got.class && other.prio == got.prio:
						require.Less(t, i, j, "order within a class and priority")
					case other.prio >= 64:
						require.LessOrEqual(t, other.prio, got.prio, "strict")
					}
				}
				queued = slices.Delete(queued, i, i+1)
				busy[got.class] = c
				if got.event || got.prio < weighted {
					return
				}
				more := make([]Item, rapid.IntRange(0, 4).Draw(t, "more"))
				more = more[:p.more(c, uint8(got.prio), more)]
				for i := range more {
					first := slices.IndexFunc(queued, func(q refItem) bool {
						return q.class == got.class && (q.event || q.prio >= got.prio)
					})
					require.GreaterOrEqual(t, first, 0)
					require.Equal(t, queued[first].id, itemID(&more[i]), "something goes before it")
					r := take(&more[i])
					require.Equal(t, [2]any{got.class, got.prio}, [2]any{r.class, r.prio})
				}
				turns[got.class] = more
			},
			"done": func(t *rapid.T) {
				class := uint64(rapid.IntRange(0, 4).Draw(t, "class"))
				if c := busy[class]; c != nil {
					if turn := turns[class]; len(turn) > 0 && rapid.Bool().Draw(t, "put back") {
						turn = turn[rapid.IntRange(0, len(turn)).Draw(t, "dispatched"):]
						for i, it := range turn {
							queued = slices.Insert(queued, i, refItem{
								id: itemID(&it), class: class, prio: int(it.Priority), cost: int64(len(it.Msg.Data)),
							})
						}
						if len(turn) > 0 {
							p.putBack(c, turn[0].Priority, turn)
						}
					}
					delete(turns, class)
					p.done(c)
					delete(busy, class)
				}
			},
			"discard": func(t *rapid.T) {
				class := uint64(rapid.IntRange(0, 4).Draw(t, "class"))
				events := rapid.Bool().Draw(t, "events")
				n := len(queued)
				queued = slices.DeleteFunc(queued, func(it refItem) bool {
					return it.class == class && (events || !it.event)
				})
				require.Len(t, p.discard(class, events, nil), n-len(queued))
			},
			"discardAll": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "really") > 0 {
					return
				}
				all := p.discardAll(nil)
				require.Len(t, all, len(queued))
				for i := range all {
					require.Equal(t, queued[i].id, itemID(&all[i]))
				}
				queued = nil
			},
			"": func(t *rapid.T) {
				require.Equal(t, len(queued), p.items)
				checkPrio(t, &p)
			},
		})
	})
}

// checkPrio checks the structure's own books.
func checkPrio(t require.TestingT, p *prio) {
	items, runnable, events, eventItems := 0, 0, 0, 0
	perLevel := map[uint8]int{}
	for id, c := range p.classes {
		require.Equal(t, id, c.id)
		n, parked := 0, 0
		for e := c.head; e != nil; e = e.next {
			n++
		}
		eventItems += n
		switch {
		case n == 0:
			require.Equal(t, notInHeap, c.heapAt)
		case c.heapAt == heapPark:
			require.True(t, c.busy)
			parked++
		default:
			require.Same(t, c, p.events[c.heapAt])
			events++
		}
		for f := c.flows; f != nil; f = f.lower {
			require.NotNil(t, f.head)
			if f.lower != nil {
				require.Greater(t, f.level, f.lower.level)
			}
			if f.parked {
				require.True(t, c.busy)
				parked++
			}
			for e := f.head; e != nil; e = e.next {
				n++
				perLevel[f.level]++
				if e.next == nil {
					require.Same(t, f.tail, e)
				}
			}
		}
		require.Equal(t, n, c.items)
		require.Equal(t, parked, c.parked)
		require.True(t, n > 0 || c.busy, "a class without purpose")
		items += n
		if n > 0 && !c.busy {
			runnable++
		}
	}
	require.Equal(t, items, p.items)
	require.Equal(t, eventItems, p.eventItems)
	require.Equal(t, runnable, p.runnable)
	require.Len(t, p.events, events)
	var older *node
	for n := p.oldest; n != nil; older, n = n, n.newer {
		require.Same(t, older, n.older)
		items--
	}
	require.Same(t, older, p.newest)
	require.Zero(t, items, "items by age")
	for i, c := range p.events {
		require.Equal(t, i, c.heapAt)
		if i > 0 {
			require.Less(t, p.events[(i-1)/2].head.seq, c.head.seq, "the heap of events")
		}
	}
	var share int64
	for i := range numPages * pageLevels {
		l := &level{} // of one that has had no items
		if page := p.levels[i/pageLevels]; page != nil {
			l = &page[i%pageLevels]
		}
		ok := perLevel[uint8(i)] == l.items && (l.turn != nil) == (p.ready[i>>6]&(1<<(i&63)) != 0)
		if i < weighted {
			ok = ok && (l.items > 0) == (p.buckets&(1<<i) != 0) && (l.items > 0 || l.tokens == 0)
			if l.items > 0 {
				share += int64(i)
			}
		}
		if !ok {
			require.Fail(t, "level", "%d: %+v, has %d items", i, *l, perLevel[uint8(i)])
		}
	}
	require.Equal(t, share, p.share)
}

func requireEmpty(t require.TestingT, p *prio) {
	require.Zero(t, p.items)
	require.Zero(t, p.runnable)
	require.Empty(t, p.classes)
	require.Empty(t, p.events)
	require.Nil(t, p.oldest)
	require.Nil(t, p.newest)
	require.Zero(t, p.ready)
	require.Zero(t, p.buckets)
}
