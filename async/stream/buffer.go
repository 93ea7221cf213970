package stream

import "github.com/asyncmsgr/asyncmsgr/async/msg"

// buffer is what was received on a stream and not read: the messages themselves, and of
// small ones that find others before them the bytes alone, so that a window of them holds
// a small multiple of its bytes.
type buffer struct {
	pieces []piece
	head   int // of pieces, the first that is not read
}

// piece is a message, of whose Front [from:to] is to be read.
type piece struct {
	m        *msg.Message
	from, to int
	slab     bool // there is room behind to
}

const (
	// smallMax is up to how many bytes a message is small: it is copied.
	smallMax = 2 << 10
	// slabMin and slabMax are the lengths of the rooms that small messages are copied to:
	// each has twice the length of the one before it, until a large message comes.
	slabMin = 512
	slabMax = 16 << 10
)

func (b *buffer) empty() bool { return b.head == len(b.pieces) }

// push takes m, and says whether it was copied: then it is released.
func (b *buffer) push(m *msg.Message) (copied bool) {
	n := len(m.Front)
	if n > smallMax || b.empty() {
		b.add(piece{m: m, to: n})
		return false
	}
	last := &b.pieces[len(b.pieces)-1]
	if !last.slab || len(last.m.Front)-last.to < n {
		size := slabMin
		if last.slab {
			size = min(2*len(last.m.Front), slabMax)
		}
		b.add(piece{m: msg.New(typeData, max(size, n)), slab: true})
		last = &b.pieces[len(b.pieces)-1]
	}
	last.to += copy(last.m.Front[last.to:], m.Front)
	m.Release()
	return true
}

func (b *buffer) add(p piece) {
	if b.head > 0 && len(b.pieces) == cap(b.pieces) {
		n := copy(b.pieces, b.pieces[b.head:])
		clear(b.pieces[n:])
		b.pieces, b.head = b.pieces[:n], 0
	}
	b.pieces = append(b.pieces, p)
}

// read moves bytes to p.
func (b *buffer) read(p []byte) (n int) {
	for n < len(p) && !b.empty() {
		first := &b.pieces[b.head]
		k := copy(p[n:], first.m.Front[first.from:first.to])
		n += k
		if first.from += k; first.from == first.to {
			b.pop()
		}
	}
	return n
}

func (b *buffer) pop() {
	b.pieces[b.head].m.Release()
	b.pieces[b.head] = piece{}
	if b.head++; b.empty() {
		b.pieces, b.head = b.pieces[:0], 0
	}
}

// drop releases all.
func (b *buffer) drop() {
	for !b.empty() {
		b.pop()
	}
	*b = buffer{}
}

// unread is how many bytes there are.
func (b *buffer) unread() (n int) {
	for _, p := range b.pieces[b.head:] {
		n += p.to - p.from
	}
	return n
}
