package node

import (
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// copies is how many members have an object, where there are that many; a majority of them
// has to answer.
const copies = 3

// membersMin is how few members a map keeps when members die or leave.
const membersMin = 3

// MembersMax is how many members a map may have.
const MembersMax = 256

// Member is one life of a node's memory. Inc tells the lives apart: a node that comes back
// without its data is another member, whatever its name. Addr may change.
type Member struct {
	Name entity.Name
	Inc  uint64
	Addr string // as entity.ParseAddrVec has it
}

// key is who a member is, without where.
type key struct {
	name entity.Name
	inc  uint64
}

func (m Member) key() key { return key{m.Name, m.Inc} }

// Map is who has what, as all have agreed. It is never changed.
type Map struct {
	// Cluster tells clusters apart: drawn by who founded it. Maps of others are refused.
	Cluster uint64
	// Epoch is the number of the map, from 1 up.
	Epoch uint64
	// Members are sorted by name.
	Members []Member
	// Old, if there are any, are the members of the last map that had none: what was
	// acknowledged is surely with a majority of the copies of theirs alone, and Members are
	// still fetching it. Both are asked then.
	Old []Member `json:",omitempty"`
}

// joint says whether Members are still fetching.
func (m *Map) joint() bool { return len(m.Old) > 0 }

// check is for maps from outside.
func (m *Map) check() error {
	if m.Epoch == 0 || m.Cluster == 0 || len(m.Members) == 0 {
		return fmt.Errorf("map of epoch %d with %d members", m.Epoch, len(m.Members))
	}
	for _, l := range [][]Member{m.Members, m.Old} {
		if len(l) > MembersMax {
			return fmt.Errorf("map with %d members; at most %d", len(l), MembersMax)
		}
		for i, x := range l {
			if x.Inc == 0 || i > 0 && compareNames(l[i-1].Name, x.Name) >= 0 {
				return fmt.Errorf("map of epoch %d: members are not sorted, or without a life", m.Epoch)
			}
		}
	}
	return nil
}

func compareNames(a, b entity.Name) int {
	return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Num, b.Num))
}

func sortMembers(l []Member) []Member {
	slices.SortFunc(l, func(a, b Member) int { return compareNames(a.Name, b.Name) })
	return l
}

// has says whether one of l has that key.
func has(l []Member, k key) bool {
	return slices.ContainsFunc(l, func(m Member) bool { return m.key() == k })
}

// sameKeys says whether a and b are the same members, wherever they are.
func sameKeys(a, b []Member) bool {
	return slices.EqualFunc(a, b, func(x, y Member) bool { return x.key() == y.key() })
}

// all are Members and those of Old who are not among them.
func (m *Map) all() []Member {
	out := slices.Clone(m.Members)
	for _, o := range m.Old {
		if !has(out, o.key()) {
			out = append(out, o)
		}
	}
	return out
}

// place returns who of members has the copies of an object, by rendezvous hashing: those
// with the highest hashes of both names. A member more or less moves the objects of its own
// alone.
func place(members []Member, object string) []Member {
	type scored struct {
		score uint64
		m     Member
	}
	best := make([]scored, 0, copies+1)
	hash := hashOf(object)
	for _, m := range members {
		s := scored{mix(hash ^ mix(uint64(m.Name.Type)<<56^uint64(m.Name.Num))), m}
		i, _ := slices.BinarySearchFunc(best, s, func(a, b scored) int {
			return cmp.Or(cmp.Compare(b.score, a.score), compareNames(a.m.Name, b.m.Name))
		})
		if best = slices.Insert(best, i, s); len(best) > copies {
			best = best[:copies]
		}
	}
	out := make([]Member, len(best))
	for i, s := range best {
		out[i] = s.m
	}
	return out
}

// hashOf is a hash of an object's key, the same on all nodes.
func hashOf(k string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(k)) // never fails
	return mix(h.Sum64())
}

// mix spreads the bits of a hash (splitmix64): FNV's high bits hardly depend on the last bytes.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// sets are the sets of members of which each has to answer by a majority, for an object.
func (m *Map) sets(object string) [][]Member {
	if !m.joint() {
		return [][]Member{place(m.Members, object)}
	}
	return [][]Member{place(m.Members, object), place(m.Old, object)}
}

func majority(n int) int { return n/2 + 1 }

// mayMiss is how many of n members need not be heard to have heard a majority of the
// copies of every object.
func mayMiss(n int) int {
	c := min(copies, n)
	return c - majority(c)
}

func (m *Map) encode() []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // there is nothing in it that has no JSON
	}
	return b
}

// ParseMap reads a map that an Agreement keeps as JSON, with the epoch that it gives it.
func ParseMap(b []byte, epoch uint64) (*Map, error) {
	m := new(Map)
	if err := json.Unmarshal(b, m); err != nil {
		return nil, err
	}
	m.Epoch = epoch
	return m, m.check()
}

func decodeMap(b []byte) (*Map, error) {
	m := new(Map)
	if err := json.Unmarshal(b, m); err != nil {
		return nil, err
	}
	return m, m.check()
}

// hello is what nodes tell each other, several times a second.
type hello struct {
	Member
	// Cluster and Epoch are those of the node's map, 0: it has none. Initial is who was to found the
	// cluster, as the node was told.
	Cluster uint64
	Epoch   uint64
	Initial []entity.Name `json:",omitempty"`
	// Synced is the epoch of the map for which the node has fetched all that is its own.
	Synced uint64 `json:",omitempty"`
	// Leaving: it asks to be left out.
	Leaving bool `json:",omitempty"`
	// Map is added to an answer to somebody who has an older one.
	Map *Map `json:",omitempty"`
}

// sight is what was last heard of a node, and when.
type sight struct {
	hello
	at int64 // UnixNano
}

// next returns the map that should follow m, as far as the one who sees these nodes knows;
// nil if m is as it should be. fresh are the nodes heard of lately, by name, oneself
// included. It is a pure function.
func next(m *Map, fresh map[entity.Name]hello) *Map {
	live := 0
	for _, x := range m.Members {
		if h, ok := fresh[x.Name]; ok && h.Inc == x.Inc {
			live++
		}
	}
	if live < majority(len(m.Members)) {
		return nil // we may be the ones who are cut off
	}
	n := &Map{Cluster: m.Cluster, Epoch: m.Epoch + 1, Old: relocated(m.Old, fresh)}
	var leaving, dead []Member
	for _, x := range relocated(m.Members, fresh) {
		h, ok := fresh[x.Name]
		switch {
		case !ok:
			dead = append(dead, x)
		case h.Leaving && h.Inc == x.Inc:
			leaving = append(leaving, x)
		default:
			n.Members = append(n.Members, Member{x.Name, h.Inc, h.Addr}) // perhaps in another life
		}
	}
	for _, h := range fresh {
		named := slices.ContainsFunc(m.Members, func(x Member) bool { return x.Name == h.Name })
		if !named && !h.Leaving && h.Inc != 0 && len(n.Members) < MembersMax {
			n.Members = append(n.Members, h.Member)
		}
	}
	// As many of the others stay as it takes: who is leaving serves better than who is gone.
	sortMembers(n.Members)
	for _, x := range append(leaving, dead...) {
		if len(n.Members) < membersMin {
			n.Members = append(n.Members, x)
		}
	}
	sortMembers(n.Members)
	switch {
	case !sameKeys(n.Members, m.Members):
		if !m.joint() {
			n.Old = relocated(m.Members, fresh)
		}
		if sameKeys(n.Members, n.Old) {
			n.Old = nil // as it was before; what was acknowledged meanwhile is with these, too
		}
	case m.joint() && synced(m, fresh):
		n.Old = nil
	case slices.Equal(n.Members, m.Members) && slices.Equal(n.Old, m.Old):
		return nil
	}
	return n
}

// relocated returns members with the addresses at which they are now.
func relocated(l []Member, fresh map[entity.Name]hello) []Member {
	l = slices.Clone(l)
	for i, x := range l {
		if h, ok := fresh[x.Name]; ok && h.Inc == x.Inc {
			l[i].Addr = h.Addr
		}
	}
	return l
}

// synced says whether all members have fetched what is theirs in m.
func synced(m *Map, fresh map[entity.Name]hello) bool {
	for _, x := range m.Members {
		if h, ok := fresh[x.Name]; !ok || h.Inc != x.Inc || h.Synced != m.Epoch {
			return false
		}
	}
	return true
}
