package node

import (
	"fmt"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/stretchr/testify/require"
)

// mem is osd.n in a life, at a place of its own.
func mem(n int64, inc uint64) Member {
	return Member{entity.OSD(n), inc, fmt.Sprintf("v2:10.0.0.%d:7000", n)}
}

func mems(l ...int64) (all []Member) {
	for _, n := range l {
		all = append(all, mem(n, uint64(10*n)))
	}
	return all
}

// seen are nodes that were heard of; change may say more of each.
func seen(l []Member, change ...func(*hello)) map[entity.Name]hello {
	f := map[entity.Name]hello{}
	for _, m := range l {
		h := hello{Member: m}
		for _, c := range change {
			c(&h)
		}
		f[m.Name] = h
	}
	return f
}

func TestNext(t *testing.T) {
	is := func(n int64, f func(*hello)) func(*hello) {
		return func(h *hello) {
			if h.Name == entity.OSD(n) {
				f(h)
			}
		}
	}
	leaving := func(h *hello) { h.Leaving = true }
	synced := func(h *hello) { h.Synced = 7 }
	reborn := func(h *hello) { h.Inc = 99 }
	moved := func(h *hello) { h.Addr = "v2:10.9.9.9:7000" }
	elsewhere := mem(3, 30)
	elsewhere.Addr = "v2:10.9.9.9:7000"
	for name, c := range map[string]struct {
		members, old []Member
		fresh        map[entity.Name]hello
		want, left   []Member // nil, nil: no map is needed
	}{
		"all is well":           {mems(1, 2, 3), nil, seen(mems(1, 2, 3)), nil, nil},
		"one is new":            {mems(1, 2, 3), nil, seen(mems(1, 2, 3, 4)), mems(1, 2, 3, 4), mems(1, 2, 3)},
		"a new one that leaves": {mems(1, 2, 3), nil, seen(mems(1, 2, 3, 4), is(4, leaving)), nil, nil},
		"one is gone":           {mems(1, 2, 3, 4), nil, seen(mems(1, 2, 3)), mems(1, 2, 3), mems(1, 2, 3, 4)},
		"one of three is gone":  {mems(1, 2, 3), nil, seen(mems(1, 2)), nil, nil},
		"two of four are gone":  {mems(1, 2, 3, 4), nil, seen(mems(1, 2)), nil, nil},
		"two of five are gone":  {mems(1, 2, 3, 4, 5), nil, seen(mems(1, 2, 4)), mems(1, 2, 4), mems(1, 2, 3, 4, 5)},
		"a majority is gone":    {mems(1, 2, 3, 4, 5), nil, seen(mems(1, 2)), nil, nil},
		"gone, and another came": {mems(1, 2, 3), nil, seen(mems(1, 2, 4)), mems(1, 2, 4),
			mems(1, 2, 3)},
		"another life": {mems(1, 2, 3), nil, seen(mems(1, 2, 3), is(3, reborn)),
			[]Member{mem(1, 10), mem(2, 20), mem(3, 99)}, mems(1, 2, 3)},
		"two other lives of three": {mems(1, 2, 3), nil, seen(mems(1, 2, 3), is(3, reborn), is(2, reborn)), nil, nil},
		"elsewhere": {mems(1, 2, 3), nil, seen(mems(1, 2, 3), is(3, moved)),
			[]Member{mem(1, 10), mem(2, 20), elsewhere}, nil},
		"one leaves": {mems(1, 2, 3, 4), nil, seen(mems(1, 2, 3, 4), is(2, leaving)), mems(1, 3, 4),
			mems(1, 2, 3, 4)},
		"one of three leaves": {mems(1, 2, 3), nil, seen(mems(1, 2, 3), is(2, leaving)), nil, nil},
		"who leaves stays longer than who is gone": {mems(1, 2, 3, 4), nil,
			seen(mems(1, 2, 3), is(2, leaving)), mems(1, 2, 3), mems(1, 2, 3, 4)},
		"fetching": {mems(1, 2, 3, 4), mems(1, 2, 3), seen(mems(1, 2, 3, 4), is(1, synced)), nil, nil},
		"one has not fetched": {mems(1, 2, 3), mems(1, 2, 4), seen(mems(1, 2, 3), is(1, synced), is(2, synced)),
			nil, nil},
		"all have fetched": {mems(1, 2, 3), mems(1, 2, 4), seen(mems(1, 2, 3), synced), mems(1, 2, 3), nil},
		"fetched in another life": {mems(1, 2, 3, 4), mems(1, 2, 3), seen(mems(1, 2, 3, 4), synced, is(4, reborn)),
			[]Member{mem(1, 10), mem(2, 20), mem(3, 30), mem(4, 99)}, mems(1, 2, 3)},
		"another change meanwhile": {mems(1, 2, 3, 4), mems(1, 2, 3), seen(mems(1, 2, 4, 5), synced),
			mems(1, 2, 4, 5), mems(1, 2, 3)},
		"back to what was": {mems(1, 2, 3, 4), mems(1, 2, 3), seen(mems(1, 2, 3)), mems(1, 2, 3), nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := &Map{Cluster: 1, Epoch: 7, Members: c.members, Old: c.old}
			require.NoError(t, m.check())
			got := next(m, c.fresh)
			if c.want == nil {
				require.Nil(t, got)
				return
			}
			require.Equal(t, &Map{Cluster: 1, Epoch: 8, Members: c.want, Old: c.left}, got)
			require.NoError(t, got.check())
		})
	}
}

func TestPlace(t *testing.T) {
	five, count := mems(1, 2, 3, 4, 5), map[Member]int{}
	const objects = 3000
	movedAtAll := 0
	for i := range objects {
		k := fmt.Sprintf("object-%d", i)
		at := place(five, k)
		require.Len(t, at, copies)
		for _, m := range at {
			count[m]++
		}
		// Without osd.5 only its own copies move, each to one other.
		without := place(mems(1, 2, 3, 4), k)
		for _, m := range at {
			if m.Name != entity.OSD(5) {
				require.Contains(t, without, m)
			} else {
				movedAtAll++
			}
		}
	}
	for m, n := range count {
		require.InDelta(t, objects*copies/5, n, objects*copies/50, "%s", m.Name)
	}
	require.Equal(t, count[five[4]], movedAtAll)
	require.Len(t, place(mems(1, 2), "x"), 2)
	require.Len(t, place(mems(1), "x"), 1)
}

func TestMapsFromOutside(t *testing.T) {
	good := &Map{Cluster: 1, Epoch: 1, Members: mems(1, 2, 3), Old: mems(1, 2)}
	again, err := decodeMap(good.encode())
	require.NoError(t, err)
	require.Equal(t, good, again)
	for _, bad := range []*Map{{}, {Cluster: 1, Epoch: 1}, {Epoch: 1, Members: mems(1)}, {Cluster: 1, Members: mems(1)},
		{Cluster: 1, Epoch: 1, Members: mems(2, 1)}, {Cluster: 1, Epoch: 1, Members: mems(1, 1)},
		{Cluster: 1, Epoch: 1, Members: []Member{mem(1, 0)}},
		{Cluster: 1, Epoch: 1, Members: mems(1), Old: mems(3, 2)}} {
		_, err := decodeMap(bad.encode())
		require.Error(t, err, "%+v", bad)
	}
}

func TestMajorities(t *testing.T) {
	for members, may := range map[int]int{1: 0, 2: 0, 3: 1, 4: 1, 5: 1, 9: 1} {
		require.Equal(t, may, mayMiss(members), members)
	}
	sets := [][]Member{mems(1, 2, 3), mems(3, 4, 5)}
	got := map[key]bool{}
	for _, m := range mems(1, 3) {
		got[m.key()] = true
	}
	require.False(t, haveMajorities(sets, got))
	got[mem(4, 99).key()] = true // another life
	require.False(t, haveMajorities(sets, got))
	got[mem(4, 40).key()] = true
	require.True(t, haveMajorities(sets, got))
}

// TestPaxos: of two who propose, one after the other or at the same time, at most one is
// chosen, and who comes later finds what was chosen.
func TestPaxos(t *testing.T) {
	b := func(n uint64) ballot { return ballot{n, 1} }
	one, two := &Map{Epoch: 2, Members: mems(1)}, &Map{Epoch: 2, Members: mems(2)}
	var a acceptance
	require.Equal(t, round{Base: 1}, a.accept(round{Base: 1, Ballot: b(5)}, false))
	require.True(t, a.accept(round{Base: 1, Ballot: b(4), Value: two}, true).Refused)
	require.Nil(t, a.Value)
	require.False(t, a.accept(round{Base: 1, Ballot: b(5), Value: one}, true).Refused)
	got := a.accept(round{Base: 1, Ballot: b(6)}, false)
	require.Equal(t, round{Base: 1, Ballot: b(5), Value: one}, got, "who comes later is told")
	require.True(t, a.accept(round{Base: 1, Ballot: b(5), Value: one}, true).Refused)
	require.Equal(t, b(6), a.accept(round{Base: 1, Ballot: b(5)}, false).Ballot, "and of what was promised")
	// The next decision begins anew.
	require.Equal(t, round{Base: 2}, a.accept(round{Base: 2, Ballot: b(1)}, false))
}
