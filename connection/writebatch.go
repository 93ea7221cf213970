package connection

// writeBatch decides how many bytes are encoded at a time. What is encoded is in order, and
// nothing overtakes it; so it should be no more than what the network takes at once, which
// shows by what a full socket took since it had room. Where the socket takes all, batches
// double up to the most, since few large writes cost less.
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

// all: the network took all of a batch.
func (b *writeBatch) all(most int) {
	if b.size != 0 {
		if b.size = min(b.size, 1<<30-1) * 2; int(b.size) >= most {
			b.size = 0
		}
	}
}

// full: the socket is full, after it has taken so many bytes since it had room.
func (b *writeBatch) full(took, most int) {
	if b.size = 0; took < most {
		b.size = int32(max(took, min(writeBatchLeast, most-1), 1))
	}
}
