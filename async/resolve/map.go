package resolve

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// EntriesMax is how many entries a map may have; NewMap refuses more.
const EntriesMax = 65536

// Errors of maps and resolvers. They are wrapped; compare with errors.Is.
var (
	// ErrUnknown: the map does not have the name.
	ErrUnknown = errors.New("resolve: unknown name")
	// ErrNoMap: there was no map yet when the context ended.
	ErrNoMap = errors.New("resolve: no map yet")
	// ErrOld: the map has a lower epoch than the one that is known.
	ErrOld = errors.New("resolve: map is old")
	// ErrConflict: the map has the epoch of the one that is known, and differs.
	ErrConflict = errors.New("resolve: two maps with one epoch")
	// ErrStale: the source has not answered for so long that what it said is not used any
	// more.
	ErrStale = errors.New("resolve: stale")
	// ErrClosed: the resolver was closed.
	ErrClosed = errors.New("resolve: closed")
	// ErrTooMany: a bound on entries or names is reached.
	ErrTooMany = errors.New("resolve: too many names")
)

// Entry is where an entity is.
type Entry struct {
	Name  entity.Name
	Addrs entity.AddrVec // read only
}

// Map is what a source says at a moment. It is never changed, and may be shared.
type Map struct {
	// Epoch is the number of the map, from 1 up: a newer one has a higher one.
	Epoch uint64
	// Entries are sorted by name (type, then number); read only.
	Entries []Entry
}

// SameNameError is a map that has a name twice.
type SameNameError struct{ Name entity.Name }

// Error is one line.
func (e *SameNameError) Error() string {
	return fmt.Sprintf("resolve: %s is in the map twice", e.Name)
}

// SameAddressError is a map in which two names have an address in common: one type at one
// place, and one nonce if both have theirs.
type SameAddressError struct {
	A, B entity.Name
	Addr entity.Addr
}

// Error is one line.
func (e *SameAddressError) Error() string {
	return fmt.Sprintf("resolve: %s and %s are both at %s: one of the two is wrong", e.A, e.B, e.Addr)
}

// NewMap makes a map of entries in any order, which it copies, the address vectors not.
// Errors: *SameNameError, *SameAddressError, ErrTooMany, and for an epoch of 0 and an entry
// without an address one that says so.
func NewMap(epoch uint64, entries ...Entry) (*Map, error) {
	if epoch == 0 {
		return nil, errors.New("resolve: the epoch of a map is at least 1")
	}
	if len(entries) > EntriesMax {
		return nil, fmt.Errorf("%w: %d in a map, at most %d", ErrTooMany, len(entries), EntriesMax)
	}
	m := &Map{Epoch: epoch, Entries: slices.Clone(entries)}
	slices.SortFunc(m.Entries, func(a, b Entry) int { return compareNames(a.Name, b.Name) })
	type spot struct {
		addr entity.Addr
		name entity.Name
	}
	places := map[string][]spot{} // by type and place: nonces are compared by Matches
	for i, e := range m.Entries {
		if i > 0 && m.Entries[i-1].Name == e.Name {
			return nil, &SameNameError{e.Name}
		}
		if len(e.Addrs) == 0 || len(e.Addrs) > entity.AddrVecMax {
			return nil, fmt.Errorf("resolve: %s has %d addresses; 1 to %d are possible",
				e.Name, len(e.Addrs), entity.AddrVecMax)
		}
		for _, a := range e.Addrs {
			if a.IsBlank() || a.AddrPort.Port() == 0 {
				return nil, fmt.Errorf("resolve: %s has the address %s, which nobody can connect to", e.Name, a)
			}
			key := a.Type.String() + " " + a.Place().String()
			for _, s := range places[key] {
				if s.name != e.Name && s.addr.Matches(a) {
					return nil, &SameAddressError{A: s.name, B: e.Name, Addr: a}
				}
			}
			places[key] = append(places[key], spot{a, e.Name})
		}
	}
	return m, nil
}

func compareNames(a, b entity.Name) int {
	return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Num, b.Num))
}

// Lookup returns the addresses of a name, nil if the map does not have it. A nil Map has
// none.
func (m *Map) Lookup(name entity.Name) entity.AddrVec {
	if m == nil {
		return nil
	}
	i, ok := slices.BinarySearchFunc(m.Entries, name,
		func(e Entry, n entity.Name) int { return compareNames(e.Name, n) })
	if !ok {
		return nil
	}
	return m.Entries[i].Addrs
}

// same says whether both maps say the same, their epochs aside.
func (m *Map) same(o *Map) bool {
	return slices.EqualFunc(m.Entries, o.Entries, func(a, b Entry) bool {
		return a.Name == b.Name && a.Addrs.Equal(b.Addrs)
	})
}
