package msg

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBufferClasses: a buffer has the length asked for, comes from the smallest class that
// has it, and what secure mode adds to a power of two is in the same class.
func TestBufferClasses(t *testing.T) {
	for _, c := range []struct{ n, class, of int }{
		{1, 0, 64}, {64, 0, 64}, {65, 1, 128}, {128, 1, 128}, {2048, 5, 2048}, {2049, 6, 4096 + bufferSlack},
		{4096, 6, 4096 + bufferSlack}, {4096 + bufferSlack, 6, 4096 + bufferSlack},
		{4097 + bufferSlack, 7, 8192 + bufferSlack}, {65536 + 48, 10, 65536 + bufferSlack},
		{1<<22 + bufferSlack, 16, 1<<22 + bufferSlack}, {1<<22 + bufferSlack + 1, -1, 1<<22 + bufferSlack + 1},
	} {
		b := newBuffer(c.n)
		require.Len(t, b.bytes(), c.n)
		require.Equal(t, c.n, cap(b.bytes()), "an append does not reach the rest")
		require.EqualValues(t, c.class, b.class, c.n)
		require.Len(t, b.b, c.of, c.n)
		b.free()
	}
}
