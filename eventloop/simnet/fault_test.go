package simnet

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// asked is a rule without an opinion that counts how often it is asked.
func asked(n *int, v func() Verdict) Rule {
	return func(*Packet) Verdict {
		*n++
		return v()
	}
}

// settle lets everything arrive that is under way.
func (l *lab) settle() { require.NoError(l.t, l.net.Run(time.Second)) }

// A rule with a scope is asked about what is in it, and nothing else.
func TestScopes(t *testing.T) {
	l := newLab(t, 1, Config{})
	var nowhere, atA, atC, atBoth, late, first, second int
	add := func(n *int, where ...Scope) *Fault { return l.net.Add("", asked(n, Pass), where...) }
	c1, _ := l.pair()
	c2, s2 := l.pair()
	add(&nowhere, Scope{})
	add(&atA, AtHost("a"))
	add(&atC, AtHost("c"))
	add(&atBoth, AtHost("b"), AtHost("a"), AtHost("a"))
	add(&late, AtHost("d"))
	add(&first, AtConn(l.net.ConnAt(0)))
	f := add(&second, AtConn(l.net.ConnAt(1)))
	l.net.AddHost("d", HostConfig{})
	c1.send("hello")
	c2.send("hello")
	l.until(func() bool { return string(s2.got) == "hello" })
	l.settle()
	require.Zero(t, nowhere+atC+late)
	require.Positive(t, atA)
	require.Equal(t, atA, atBoth, "once about each packet, however many scopes have it")
	require.Positive(t, first)
	require.Equal(t, atA, first+second)

	before := second
	f.Lift()
	c2.send("hello")
	l.settle()
	require.Equal(t, before, second)
	require.Greater(t, atA, first+second)
}

// The first rule with an opinion decides, whatever the scopes of the others.
func TestScopesKeepTheOrder(t *testing.T) {
	l := newLab(t, 1, Config{})
	l.pair()
	conn := AtConn(l.net.ConnAt(0))
	for _, order := range [][]Scope{
		{AtHost("a"), {}, AtHost("b"), conn}, {conn, AtHost("b"), AtHost("a")},
		{AtHost("b"), conn, AtHost("b"), AtHost("a")},
	} {
		var seen []int
		for i, where := range order {
			rule := func(*Packet) Verdict {
				seen = append(seen, i)
				return Pass()
			}
			if where == (Scope{}) {
				l.net.Add("", rule) // everywhere
			} else {
				l.net.Add("", rule, where)
			}
		}
		require.NotNil(t, l.accepted[0])
		l.accepted[0].send("x")
		l.settle()
		require.Zero(t, len(seen)%len(order))
		for part := range slices.Chunk(seen, len(order)) {
			require.True(t, slices.IsSorted(part), "%v", seen)
		}
		require.NotEmpty(t, seen)
		l.net.LiftAll()
	}
}

// What ends looks at what it held, and at nothing else.
func TestARuleKnowsWhatItHolds(t *testing.T) {
	l := newLab(t, 1, Config{})
	c1, s1 := l.pair()
	c2, s2 := l.pair()
	held := 0
	wall := l.net.Add("wall", asked(&held, Stall), AtConn(l.net.ConnAt(0)))
	c1.send("one")
	l.settle()
	require.Equal(t, 1, held)
	for range 10 {
		other := l.net.Add("other", Isolate("b"), AtConn(l.net.ConnAt(1)))
		c2.send("two")
		l.settle()
		l.b.Pause()
		l.b.Resume()
		other.Lift()
		l.settle()
	}
	require.Equal(t, 1, held, "nobody asked again")
	require.Len(t, s2.got, 30)
	require.Empty(t, s1.got)
	l.net.Recheck()
	require.Equal(t, 2, held, "but this does")
	require.Len(t, wall.held.all, 1)

	// Of two rules that hold the same the other one goes on.
	again := l.net.Add("again", StallConn(l.net.ConnAt(0).ID))
	wall.Lift()
	wall.Lift()
	l.settle()
	require.Empty(t, s1.got)
	require.Contains(t, l.net.Netstat(), "held 1 by rule again")
	again.Lift()
	l.settle()
	require.Equal(t, "one", string(s1.got))
}

// LiftAll lets packets go in the order in which they were stalled, whichever rule did it.
func TestLiftAllKeepsTheOrder(t *testing.T) {
	l := newLab(t, 1, Config{Smooth: true})
	var sent []uint64
	var conns []*end
	for range 6 {
		c, _ := l.pair()
		conns = append(conns, c)
	}
	for i := range 6 {
		l.net.Add("", StallConn(l.net.ConnAt(5-i).ID), AtConn(l.net.ConnAt(5-i)))
	}
	order := []int{3, 0, 5, 1, 4, 2}
	var want []uint64
	for _, i := range order {
		conns[i].send("x")
		l.settle()
		want = append(want, l.net.ConnAt(i).ID)
	}
	l.net.LiftAll()
	for _, f := range l.net.InFlight() {
		require.Empty(t, f.HeldBy)
	}
	for _, s := range l.net.queue.keys() {
		if pk, ok := l.net.queue.slots[s.order&(1<<slotBits-1)].do.(*packet); ok && pk.kind == Data {
			sent = append(sent, s.order, pk.p.s.id)
		}
	}
	require.Len(t, sent, 12)
	var got []uint64
	for len(sent) > 0 { // by the number of the event
		least := 0
		for i := 0; i < len(sent); i += 2 {
			if sent[i] < sent[least] {
				least = i
			}
		}
		got = append(got, sent[least+1])
		sent = slices.Delete(sent, least, least+2)
	}
	require.Equal(t, want, got)
}

// A rule may lift itself, or another one, while it is asked.
func TestLiftWhileAsked(t *testing.T) {
	l := newLab(t, 1, Config{})
	c, s := l.pair()
	var self *Fault
	self = l.net.Add("once", func(p *Packet) Verdict {
		if p.Kind != Data {
			return Pass()
		}
		self.Lift()
		return Stall()
	})
	c.send("hello")
	l.until(func() bool { return string(s.got) == "hello" })
	require.Empty(t, l.net.rules)
}

// What waits for a host that is down goes on with its next life, and with no other.
func TestRestartLetsGoWhatWaitedForIt(t *testing.T) {
	l := newLab(t, 1, Config{})
	other := l.net.AddHost("c", HostConfig{})
	other.Crash()
	l.b.Crash()
	c := l.dial()
	require.NoError(t, l.net.Run(100*time.Millisecond))
	sent := 0
	l.net.Add("", asked(&sent, Pass))
	other.Restart()
	require.Zero(t, sent)
	require.Contains(t, l.net.Netstat(), "held 1 by a host that is down")
	l.b = l.b.Restart()
	l.serve()
	require.Equal(t, 1, sent)
	l.until(func() bool { return c.up })
}

// Conns, ConnAt and Host.Conns are the same connections.
func TestConns(t *testing.T) {
	l := newLab(t, 1, Config{})
	for range 5 {
		l.pair()
	}
	all := l.net.Conns()
	require.Equal(t, len(all), l.net.NumConns())
	for i := range all {
		require.Equal(t, all[i], l.net.ConnAt(i))
	}
	require.Equal(t, all, l.a.Conns())
	require.Equal(t, all, l.b.Conns())
	require.Empty(t, l.net.AddHost("c", HostConfig{}).Conns())
	require.Panics(t, func() { l.net.ConnAt(-1) })
	require.Panics(t, func() { l.net.ConnAt(5) })
	l.a.Crash()
	require.Empty(t, l.a.Conns())
	require.Len(t, l.b.Conns(), 5, "half-open")
}
