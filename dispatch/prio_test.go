package dispatch

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

func pushMessage(p *prio, class uint64, prio uint8, dataLen int) {
	m := &msg.Message{Priority: prio, TID: class, Data: make([]byte, dataLen)}
	p.push(&Item{Class: class, Priority: prio, Msg: m})
}

// popAll pops with one drainer and returns the classes and priorities in order.
func popAll(p *prio) (classes []uint64, prios []uint8) {
	var it Item
	for c := p.pop(&it); c != nil; c = p.pop(&it) {
		classes = append(classes, it.Class)
		prios = append(prios, it.Priority)
		p.done(c)
	}
	return classes, prios
}

func TestPrioClassesTakeTurns(t *testing.T) {
	p := newPrio(DefaultMinCost, DefaultMaxTokens)
	for _, c := range []uint64{1, 1, 1, 2, 3, 3} {
		pushMessage(&p, c, 127, 0)
	}
	got, _ := popAll(&p)
	require.Equal(t, []uint64{1, 2, 3, 1, 3, 1}, got)
}

// A busy class loses its turn, not its messages, and is looked at once only.
func TestPrioBusyClassIsParked(t *testing.T) {
	p := newPrio(DefaultMinCost, DefaultMaxTokens)
	var it Item
	for range 3 {
		pushMessage(&p, 1, 200, 0)
	}
	for range 4 {
		pushMessage(&p, 2, 127, 0)
	}
	one := p.pop(&it)
	require.EqualValues(t, 1, it.Class)
	require.False(t, p.classes[1].flows.parked)
	for range 4 {
		two := p.pop(&it)
		require.EqualValues(t, 2, it.Class)
		require.True(t, p.classes[1].flows.parked, "out of the way of later pops")
		require.Zero(t, p.ready[3])
		p.done(two)
	}
	require.Nil(t, p.pop(&it))
	p.done(one)
	got, _ := popAll(&p)
	require.Equal(t, []uint64{1, 1}, got)
	requireEmpty(t, &p)
}

// Events of a busy connection wait, those of others pass, and after done the
// event comes before the messages.
func TestPrioEventsOfBusyClass(t *testing.T) {
	p := newPrio(DefaultMinCost, DefaultMaxTokens)
	conns := newConns(2)
	pushMessage(&p, 1, 255, 0)
	pushMessage(&p, 1, 255, 0)
	var it Item
	busy := p.pop(&it)
	for _, c := range conns {
		e := EventItem(KindReset, c, nil)
		p.push(&e)
	}
	two := p.pop(&it)
	require.EqualValues(t, 2, it.Class)
	require.Nil(t, p.pop(&it))
	p.done(busy)
	one := p.pop(&it)
	require.Equal(t, KindReset, it.Kind)
	require.EqualValues(t, 1, it.Class)
	p.done(one)
	p.done(two)
	_, prios := popAll(&p)
	require.Equal(t, []uint8{255}, prios)
}

// Below 64, saturated priorities share the bytes by their priority.
func TestPrioWeightedShare(t *testing.T) {
	p := newPrio(DefaultMinCost, DefaultMaxTokens)
	const each = 4000
	for range each {
		pushMessage(&p, 1, 10, 0)
		pushMessage(&p, 2, 20, 0)
		pushMessage(&p, 3, 30, 0)
	}
	count := map[uint8]int{}
	var it Item
	for range 3000 {
		c := p.pop(&it)
		count[it.Priority]++
		p.done(c)
	}
	require.InDelta(t, 500, count[10], 10)
	require.InDelta(t, 1000, count[20], 10)
	require.InDelta(t, 1500, count[30], 10)
}

// Large messages cost more than small ones.
func TestPrioWeightedCost(t *testing.T) {
	p := newPrio(1000, 1<<20)
	for range 4000 {
		pushMessage(&p, 1, 30, 10_000)
		pushMessage(&p, 2, 60, 1000)
	}
	bytes := map[uint8]int{}
	var it Item
	for range 2000 {
		c := p.pop(&it)
		bytes[it.Priority] += len(it.Msg.Data)
		p.done(c)
	}
	require.InEpsilon(t, 2.0, float64(bytes[60])/float64(bytes[30]), 0.1)
}

func TestPrioOnlyPriorityZero(t *testing.T) {
	p := newPrio(DefaultMinCost, DefaultMaxTokens)
	pushMessage(&p, 1, 0, 0)
	pushMessage(&p, 1, 0, 0)
	got, _ := popAll(&p)
	require.Len(t, got, 2)
	requireEmpty(t, &p)
}

// A burst over many classes leaves no more than the free lists.
func TestPrioMemoryIsReleased(t *testing.T) {
	p := newPrio(DefaultMinCost, DefaultMaxTokens)
	for c := range uint64(classMapMax + 1000) {
		pushMessage(&p, c+1, 127, 0)
		pushMessage(&p, c+1, 128, 0)
		e := EventItem(KindAccept, &fakeConn{id: c + 1}, nil)
		p.push(&e)
	}
	popAll(&p)
	requireEmpty(t, &p)
	require.Nil(t, p.events)
	require.Zero(t, p.classPeak)
	require.LessOrEqual(t, p.nNodes, freeNodesMax)
	require.LessOrEqual(t, p.nFlows, freeFlowsMax)
	require.LessOrEqual(t, p.nClasses, freeClassesMax)
	n := 0
	for f := p.freeNodes; f != nil; f = f.next {
		require.Nil(t, f.Msg)
		require.Nil(t, f.older)
		n++
	}
	require.Equal(t, p.nNodes, n)
}

func TestPrioSteadyStateAllocatesNothing(t *testing.T) {
	p := newPrio(DefaultMinCost, DefaultMaxTokens)
	m := &msg.Message{}
	var it Item
	round := func() {
		for c := range uint64(8) {
			p.push(&Item{Class: c, Priority: 127, Msg: m})
			p.push(&Item{Class: c, Priority: 10, Msg: m})
		}
		for c := p.pop(&it); c != nil; c = p.pop(&it) {
			p.done(c)
		}
	}
	round()
	require.Zero(t, testing.AllocsPerRun(100, round))
}

// The price has to be below the tokens, not equal to them.
func TestPrioWeightedPrice(t *testing.T) {
	p := newPrio(1000, 1<<20)
	pushMessage(&p, 1, 1, 1000)
	for range 3 {
		pushMessage(&p, 2, 2, 2997) // gives priority 1 2997/3+1 = 1000 tokens
	}
	_, prios := popAll(&p)
	require.Equal(t, []uint8{2, 2, 1, 2}, prios)
}

// Events come by arrival, with many connections, some of which are discarded.
func TestPrioEventsByArrival(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	p := newPrio(DefaultMinCost, DefaultMaxTokens)
	conns := newConns(50)
	var want []uint64
	var it Item
	for range 20_000 {
		c := conns[rnd.IntN(len(conns))]
		switch n := rnd.IntN(10); {
		case n < 5:
			e := EventItem(KindAccept, c, nil)
			p.push(&e)
			want = append(want, c.id)
		case n < 6:
			n := len(want)
			want = slices.DeleteFunc(want, func(id uint64) bool { return id == c.id })
			require.Len(t, p.discard(c.id, true, nil), n-len(want))
		case len(want) > 0:
			k := p.pop(&it)
			require.Equal(t, want[0], it.Class)
			want = want[1:]
			p.done(k)
		}
	}
	require.NotEmpty(t, want)
}

// TestEventsOfManyClasses: the heap of events keeps its order whichever class leaves it, from
// the midst too, where what takes its place may have to go up as well as down.
func TestEventsOfManyClasses(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	p := newPrio(1000, 4000)
	var it Item
	for range 2000 {
		switch class := r.Uint64N(16); r.IntN(8) {
		case 0:
			p.discard(class, true, nil)
		case 1, 2, 3:
			if c := p.pop(&it); c != nil {
				p.done(c)
			}
		default:
			p.push(&Item{Kind: KindAccept, Class: class, Conn: &fakeConn{id: class}})
		}
		checkPrio(t, &p)
	}
	for c := p.pop(&it); c != nil; c = p.pop(&it) {
		p.done(c)
		checkPrio(t, &p)
	}
	requireEmpty(t, &p)
}
