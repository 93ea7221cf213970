package async

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// typeTable knows which ranges of message types are reserved. Any goroutine.
type typeTable struct {
	mu     sync.Mutex
	ranges []msg.TypeRange // by First; none overlaps another
}

// ReserveTypes notes that the message types from first to last, both included, are owner's:
// the name of a package, say. It is how packages that share a messenger notice that they
// use the same number: each reserves its types before it adds its dispatcher, and does not go
// on when that fails. The messenger itself carries messages of any type, reserved or not.
//
// If one of the types is reserved already, by another owner or by the same one (a package
// that is set up twice), the error is a *msg.TypesTakenError, which wraps msg.ErrTypesTaken
// and says whose it is; nothing is reserved then. More than msg.TypeRangesMax ranges are
// refused with msg.ErrTypesFull. A range that is empty (last below first), or without an
// owner, is an error too. Any goroutine, before and after Start; Shutdown changes nothing.
func (m *Messenger) ReserveTypes(owner string, first, last uint16) error {
	r := msg.TypeRange{Owner: owner, First: first, Last: last}
	switch {
	case owner == "":
		return fmt.Errorf("msgr: message types %#04x-%#04x are reserved for nobody: name an owner", first, last)
	case last < first:
		return fmt.Errorf("msgr: no message types in the range %s", r)
	}
	return m.types.reserve(r)
}

// ReleaseTypes ends what ReserveTypes with the same arguments began, and says whether there
// was such a range. Any goroutine.
func (m *Messenger) ReleaseTypes(owner string, first, last uint16) bool {
	return m.types.release(msg.TypeRange{Owner: owner, First: first, Last: last})
}

// ReservedTypes are the ranges that are reserved now, the lowest first. The slice is the
// caller's. Any goroutine.
func (m *Messenger) ReservedTypes() []msg.TypeRange {
	m.types.mu.Lock()
	defer m.types.mu.Unlock()
	return slices.Clone(m.types.ranges)
}

func (t *typeTable) reserve(r msg.TypeRange) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	// The first range that does not end before r: the only place where r may stand.
	at, _ := slices.BinarySearchFunc(t.ranges, r.First, func(x msg.TypeRange, first uint16) int {
		return cmp.Compare(x.Last, first)
	})
	if at < len(t.ranges) && t.ranges[at].Overlaps(r) {
		return &msg.TypesTakenError{TypeRange: t.ranges[at], Asked: r}
	}
	if len(t.ranges) == msg.TypeRangesMax {
		return fmt.Errorf("%w: %d are reserved, and not %s", msg.ErrTypesFull, msg.TypeRangesMax, r)
	}
	t.ranges = slices.Insert(t.ranges, at, r)
	return nil
}

func (t *typeTable) release(r msg.TypeRange) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := slices.Index(t.ranges, r)
	if at < 0 {
		return false
	}
	t.ranges = slices.Delete(t.ranges, at, at+1)
	return true
}
