package mon

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/mon/wire"
)

// TestOSDMaps: maps are kept without a gap and within their bound; otherwise the whole map is
// asked for.
func TestOSDMaps(t *testing.T) {
	bytes := func(epochs ...uint32) (maps []wire.MapBytes) {
		for _, e := range epochs {
			maps = append(maps, wire.MapBytes{Epoch: e, Bytes: make([]byte, 100)})
		}
		return maps
	}
	const bound = 450
	var o OSDMaps
	require.Zero(t, o.Epoch())
	_, whole, err := o.add(wire.OSDMap{Incremental: bytes(7)}, bound)
	require.NoError(t, err)
	require.True(t, whole, "a change of nothing")
	o, whole, err = o.add(wire.OSDMap{Full: bytes(6, 7), Incremental: bytes(6, 7, 8), Oldest: 2}, bound)
	require.NoError(t, err)
	require.False(t, whole)
	require.Equal(t, OSDMaps{Full: bytes(7)[0], Incremental: bytes(8), Oldest: 2}, o)
	before := o
	o, whole, _ = o.add(wire.OSDMap{Incremental: bytes(8, 9, 10)}, bound)
	require.False(t, whole)
	require.EqualValues(t, 10, o.Epoch())
	require.EqualValues(t, 8, before.Epoch(), "who has it already keeps it")

	gap, whole, _ := o.add(wire.OSDMap{Incremental: bytes(12)}, bound)
	require.True(t, whole)
	require.Zero(t, gap.Epoch())
	more, whole, _ := o.add(wire.OSDMap{Incremental: bytes(11)}, bound)
	require.True(t, whole, "500 bytes")
	require.Zero(t, more.Epoch())
	o, _, _ = o.add(wire.OSDMap{Full: bytes(20)}, bound)
	require.Equal(t, OSDMaps{Full: bytes(20)[0]}, o)
	_, _, err = o.add(wire.OSDMap{Full: []wire.MapBytes{{Epoch: 21, Bytes: make([]byte, 451)}}}, bound)
	require.ErrorIs(t, err, ErrTooLarge)
	require.ErrorContains(t, err, "epoch 21 is of 451 bytes, Config.MapBytesMax is 450")
}
