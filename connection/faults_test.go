package connection

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// TestFaults: so many may wait, and what came after them is owed until something is told again.
func TestFaults(t *testing.T) {
	var f Faults
	for range faultsMax {
		require.True(t, f.Admit())
		require.False(t, f.Owed())
	}
	for range 3 {
		require.False(t, f.Admit())
		require.True(t, f.Owed())
	}
	require.True(t, f.Taken())
	require.True(t, f.Owed())
	require.True(t, f.Admit())
	require.False(t, f.Owed())
	require.False(t, f.Admit())
	for range faultsMax {
		require.True(t, f.Taken(), "it is owed until the owner looks")
	}
	require.True(t, f.Admit())
	require.False(t, f.Taken())
	require.Zero(t, f.word.Load())
}

// TestConnSize: an idle connection has one of these, in a size class of the allocator's.
func TestConnSize(t *testing.T) {
	t.Logf("Conn %d bytes, of these Face %d; what is known of the peer: %d", unsafe.Sizeof(Conn{}),
		unsafe.Sizeof(Face{}), unsafe.Sizeof(peerInfo{}))
	// 64 of them are its share of what is in dispatch, 64 what it counts.
	require.LessOrEqual(t, unsafe.Sizeof(Conn{}), uintptr(640))
	require.LessOrEqual(t, unsafe.Sizeof(peerInfo{}), uintptr(240))
}
