package threadpipe

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReadBuffer: it is large only while reads fill more than the small one.
func TestReadBuffer(t *testing.T) {
	b := newReadBuffer(0)
	b.read(smallRead - 1)
	require.Len(t, b.bytes(), smallRead)
	b.read(smallRead)
	require.Len(t, b.bytes(), largeRead)
	for range smallAfter - 1 {
		b.read(100)
		require.Len(t, b.bytes(), largeRead)
	}
	b.read(smallRead + 1)
	for range smallAfter {
		require.Len(t, b.bytes(), largeRead)
		b.read(smallRead)
	}
	require.Len(t, b.bytes(), smallRead)
	require.Nil(t, b.large)

	b = newReadBuffer(1000)
	b.read(1000)
	require.Len(t, b.bytes(), 1000)
	b.free()
}
