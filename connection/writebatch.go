package connection

// writeBatch decides how many bytes are encoded at a time. What is encoded is in order, and
// nothing overtakes it; so it should be no more than what the network takes at once, which
// is what a full socket took since it had room. Where the socket goes on taking, batches
// grow to the most, since few large writes cost less.
//
// The zero value begins with the most.
type writeBatch struct {
	size int32 // 0: the most
}

// writeBatchLeast is the size below which it makes no difference.
const writeBatchLeast = 4 << 10

// limit is how many bytes to encode, at most most.
func (b *writeBatch) limit(most int) int {
	if b.size == 0 {
		return most
	}
	return min(int(b.size), most)
}

// took is told how many bytes the socket has taken since it had room, as far as this side
// has had some, and whether it is full now.
func (b *writeBatch) took(n, most int, full bool) {
	switch {
	case n >= most || b.size == 0 && !full:
		b.size = 0
	case full:
		b.size = int32(min(max(n, min(writeBatchLeast, most-1), 1), 1<<30))
	default:
		b.size = max(b.size, int32(min(n, 1<<30)))
	}
}
