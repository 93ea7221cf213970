package msg

import (
	"errors"
	"fmt"
)

// The ranges of message types that this library's own packages take unless they are told
// otherwise. Ceph's numbers are below 0x1000; docs/TYPES.md has the whole table. Who builds on
// the messenger takes others, and reserves them (Messenger.ReserveTypes).
const (
	TypeRPCFirst        = 0xe000 // async/rpc
	TypeRPCLast         = 0xe00f
	TypeStreamFirst     = 0xe010 // async/stream
	TypeStreamLast      = 0xe01f
	TypeRaftFirst       = 0xe100 // async/adapters/raft
	TypeRaftLast        = 0xe11f
	TypeMemberlistFirst = 0xe120 // async/adapters/memberlist
	TypeMemberlistLast  = 0xe12f
	TypeEtcdRaftFirst   = 0xe140 // async/adapters/etcdraft
	TypeEtcdRaftLast    = 0xe14f
	TypeGossipFirst     = 0xe160 // async/resolve/gossip
	TypeGossipLast      = 0xe16f
	TypeNodeFirst       = 0xe200 // the node of the demo (msgr node)
	TypeNodeLast        = 0xe23f
)

// TypeRange is a range of message types that one package has for itself.
type TypeRange struct {
	Owner       string
	First, Last uint16 // both are in it
}

// Contains says whether t is in r.
func (r TypeRange) Contains(t uint16) bool { return r.First <= t && t <= r.Last }

// Overlaps says whether a type is in both.
func (r TypeRange) Overlaps(o TypeRange) bool { return r.First <= o.Last && o.First <= r.Last }

// String is owner and types: "async/rpc 0xe000-0xe00f".
func (r TypeRange) String() string {
	if r.First == r.Last {
		return fmt.Sprintf("%s %#04x", r.Owner, r.First)
	}
	return fmt.Sprintf("%s %#04x-%#04x", r.Owner, r.First, r.Last)
}

// Errors of Messenger.ReserveTypes. They are wrapped; compare with errors.Is.
var (
	// ErrTypesTaken: types of the range are reserved already; see TypesTakenError.
	ErrTypesTaken = errors.New("msgr: message types are reserved already")
	// ErrTypesFull: as many ranges are reserved as there may be (TypeRangesMax).
	ErrTypesFull = errors.New("msgr: too many ranges of message types")
)

// TypeRangesMax is how many ranges of types may be reserved on one messenger.
const TypeRangesMax = 1024

// TypesTakenError says that a range of message types was not reserved, because types in it
// are reserved already. It wraps ErrTypesTaken.
type TypesTakenError struct {
	// TypeRange is the range that is in the way, with its owner: the lowest, if there are
	// several.
	TypeRange
	// Asked is what was to be reserved.
	Asked TypeRange
}

// Error is one line with both ranges.
func (e *TypesTakenError) Error() string {
	if e.Owner == e.Asked.Owner {
		return fmt.Sprintf("%v: %s, twice by the same: %s", ErrTypesTaken, e.Asked, e.TypeRange)
	}
	return fmt.Sprintf("%v: %s, which overlaps %s", ErrTypesTaken, e.Asked, e.TypeRange)
}

// Unwrap returns ErrTypesTaken.
func (e *TypesTakenError) Unwrap() error { return ErrTypesTaken }
