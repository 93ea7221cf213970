package stream

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

func dataOf(p []byte) *msg.Message {
	m := msg.New(typeData, len(p))
	copy(m.Front, p)
	return m
}

// TestBuffer: what is read is what was pushed, however both are cut.
func TestBuffer(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		var b buffer
		var want []byte
		for range 300 {
			if r.IntN(2) == 0 {
				size := 1 + r.IntN(10)
				switch r.IntN(3) {
				case 0:
					size = 1 + r.IntN(3*smallMax)
				case 1:
					size = smallMax + r.IntN(2)
				}
				p := make([]byte, size)
				for i := range p {
					p[i] = byte(r.Uint32())
				}
				b.push(dataOf(p))
				want = append(want, p...)
			} else {
				p := make([]byte, 1+r.IntN(4*smallMax))
				n := b.read(p)
				require.Equal(t, min(len(p), len(want)), n, "seed %d", seed)
				require.True(t, bytes.Equal(want[:n], p[:n]), "seed %d", seed)
				want = want[n:]
			}
			require.Equal(t, len(want), b.unread(), "seed %d", seed)
			require.Equal(t, len(want) == 0, b.empty(), "seed %d", seed)
		}
		b.drop()
		require.True(t, b.empty())
	}
}

// held is how many bytes of memory the pieces of a buffer keep, without those of messages
// that are small themselves.
func (b *buffer) held() (n int) {
	for _, p := range b.pieces[b.head:] {
		n += cap(p.m.Front)
	}
	return n
}

// TestBufferOfSmallMessages: a window of bytes holds a small multiple of that, whatever the
// sizes in which it comes.
func TestBufferOfSmallMessages(t *testing.T) {
	const window = windowDefault
	for _, size := range []int{1, 2, 100, 128, 129, 1000, smallMax, smallMax + 1, 4095, 4097, 32 << 10} {
		var b buffer
		copied := 0
		for sum := 0; sum+size <= window; sum += size {
			if b.push(dataOf(make([]byte, size))) {
				copied++
			}
		}
		require.Less(t, b.held(), 2*window+slabMax, "messages of %d bytes", size)
		require.LessOrEqual(t, len(b.pieces), window/smallMax+1, "messages of %d bytes", size)
		require.Equal(t, size <= smallMax, copied > 0)
		b.drop()
	}
}

// TestBufferMixed: large messages between small ones do not make each small one a slab.
func TestBufferMixed(t *testing.T) {
	var b buffer
	const pairs = windowDefault / (smallMax + 2)
	for range pairs {
		b.push(dataOf(make([]byte, 1)))
		b.push(dataOf(make([]byte, smallMax+1)))
	}
	require.Less(t, b.held(), 4*windowDefault)
	b.drop()
}
