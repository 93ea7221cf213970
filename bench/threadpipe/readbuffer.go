package threadpipe

import "sync"

const (
	smallRead = 1 << 10
	largeRead = 64 << 10
	// smallAfter is after how many reads in a row that were small a reader gives its
	// large buffer back.
	smallAfter = 32
)

var largeBuffers = sync.Pool{New: func() any { return new([largeRead]byte) }}

// readBuffer is what a reader reads into. Unless its size is fixed, it is large only
// while there is much to read, so that idle connections do not hold memory for it.
type readBuffer struct {
	small []byte
	large *[largeRead]byte // nil: small is used
	fixed bool
	calm  int // small reads in a row
}

// newReadBuffer returns a buffer of that size; 0: of a size that follows the need.
func newReadBuffer(size int) readBuffer {
	if size > 0 {
		return readBuffer{small: make([]byte, size), fixed: true}
	}
	return readBuffer{small: make([]byte, smallRead)}
}

// bytes is where the next read goes; what was read before is no longer needed.
func (b *readBuffer) bytes() []byte {
	if b.large == nil {
		return b.small
	}
	if b.calm < smallAfter {
		return b.large[:]
	}
	b.free()
	return b.small
}

// read tells that n bytes were read. They stay where they are until the next bytes.
func (b *readBuffer) read(n int) {
	switch {
	case n > smallRead:
		b.calm = 0
	case b.large != nil:
		b.calm++
	case n == len(b.small) && !b.fixed:
		b.large, b.calm = largeBuffers.Get().(*[largeRead]byte), 0
	}
}

// free gives the large buffer back.
func (b *readBuffer) free() {
	if b.large != nil {
		largeBuffers.Put(b.large)
		b.large = nil
	}
}
