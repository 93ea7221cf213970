package node

import (
	"cmp"
	"errors"
	"fmt"
)

// The bounds of an object.
const (
	KeyMax   = 1 << 10
	ValueMax = 1 << 20
)

// Version orders the writes of an object. Who writes takes a counter above all that a
// majority knows; Writer, drawn for each write, decides between two who took the same.
// The zero Version is that of an object that was never written.
type Version struct{ Counter, Writer uint64 }

// Compare is negative if v is older than o.
func (v Version) Compare(o Version) int {
	return cmp.Or(cmp.Compare(v.Counter, o.Counter), cmp.Compare(v.Writer, o.Writer))
}

// String is "12.9f3c...": counter and writer.
func (v Version) String() string { return fmt.Sprintf("%d.%x", v.Counter, v.Writer) }

// Object is a value with its version. One that was deleted keeps its version, so that an
// older write cannot come back.
type Object struct {
	Key     string
	Version Version
	Deleted bool
	Value   []byte // read only
}

func (o Object) size() int64 { return int64(len(o.Key)+len(o.Value)) + objectOverhead }

// objectOverhead is about what an object takes besides key and value.
const objectOverhead = 128

// Errors of requests. They are wrapped; compare with errors.Is.
var (
	// ErrNotFound: there is no such object.
	ErrNotFound = errors.New("node: no such object")
	// ErrUnavailable: a majority of the copies did not answer in time. A write may have
	// happened all the same, or happen later, unless it is followed by another.
	ErrUnavailable = errors.New("node: a majority of the copies does not answer")
	// ErrFull: the node has no room for the object.
	ErrFull = errors.New("node: no room")
	// ErrBusy: the node has as many requests in work as it takes.
	ErrBusy = errors.New("node: too many requests at a time")
	// ErrTooLarge: key or value are over KeyMax or ValueMax, or the key is empty.
	ErrTooLarge = errors.New("node: key or value is too large, or the key is empty")
)
