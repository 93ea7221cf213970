package compress

import (
	"errors"
	"fmt"
)

// The numbers of the algorithms on the wire.
const (
	IDNone   uint32 = 0
	IDSnappy uint32 = 1
	IDZlib   uint32 = 2
	IDZstd   uint32 = 3
	IDLZ4    uint32 = 4
)

// Algorithm compresses segments, each by itself. Any goroutine calls it, several at a time. What
// it is given is read only, and not kept.
type Algorithm interface {
	// ID is its number on the wire, not 0, and Name what configurations call it.
	ID() uint32
	Name() string
	// Append appends plain, which is not empty, to dst in compressed form. The same bytes give
	// the same result each time. It may be longer than plain, by a sixth and 64 bytes at most
	// (Bound).
	Append(dst, plain []byte) []byte
	// PlainLen is how long packed is once it is decompressed. It trusts nothing: what is not
	// well-formed is an error, and so is what is longer than limit bytes, before memory is taken
	// in proportion to it (ErrTooLong). What it finds may still turn out wrong in Decompress.
	PlainLen(packed []byte, limit int) (int, error)
	// Decompress fills dst, as long as PlainLen said, with packed. It takes no memory in
	// proportion to what packed would become beyond dst: that is an error, and so is less.
	Decompress(dst, packed []byte) error
}

// Errors of algorithms.
var (
	// ErrTooLong: more than the limit comes of it, or is said to.
	ErrTooLong = errors.New("compress: decompressed too long")
	// ErrLength: it does not become what was announced.
	ErrLength = errors.New("compress: not of the announced length")
	// ErrCorrupt: it is not what the algorithm makes.
	ErrCorrupt = errors.New("compress: corrupt")
)

// Bound is how long n bytes can become by being compressed, with any algorithm. A longer segment
// is refused by its length alone.
func Bound(n uint32) uint64 { return uint64(n) + uint64(n)/6 + 64 }

// Corrupt is an ErrCorrupt with its cause.
func Corrupt(cause error) error { return fmt.Errorf("%w: %w", ErrCorrupt, cause) }
