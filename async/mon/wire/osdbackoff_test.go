package wire

import (
	"encoding/hex"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// What an OSD of Ceph 16.2.15 sent for a placement group with too few OSDs, what rados answered,
// and what the OSD sent when there were enough; and the operation, in a namespace, before
// and after that, without its nanoseconds.
const (
	realBackoffHead = "01011200000001010000000000000001000000ffffffffff"
	realBackoffTail = "0100000000000000" + "040321000000000000000000000000000000000000000100000000000000" +
		"000100000000000000" +
		"0403210000000000000000000000feffffffffffffff030000000000000000" + "0100000000000000"
	realBlock   = realBackoffHead + "11000000" + "01" + realBackoffTail
	realAck     = realBackoffHead + "11000000" + "02" + realBackoffTail
	realUnblock = realBackoffHead + "12000000" + "03" + realBackoffTail

	// The operation: flags and retry, which differ when it is sent again, stand between these parts.
	realOpFlags, realOpAgain = "24004000", "2c004000"
	realOpInSpace1           = realBackoffHead + "39f6e79e" + "11000000"
	realOpInSpace2           = "020215000000000000000000000000000000000000000000000000" +
		"00000000000000000000000000000000000000000000000000000000" + "84240d6b00000000" +
		"0603210000000100000000000000ffffffff000000000500000073" +
		"70616365ffffffffffffffff040000006f626a310100" +
		"022200000000000000000000000003000000000000000000000000000000" +
		"0000000003000000feffffffffffffff000000000000000000000000"
	realOpInSpace3 = "fffffdffbdcf013f"
)

func TestOSDBackoffOfARealOSD(t *testing.T) {
	front := unhex(t, realBlock)
	b, err := ParseOSDBackoff(front)
	require.NoError(t, err)
	require.Equal(t, OSDBackoff{PG: PG{1, 1}, Shard: 0xff, Epoch: 17, Op: BackoffBlock, ID: 1,
		Begin: ObjectID{Hash: 1, Pool: 1}, End: ObjectID{Hash: 3, Pool: 1, Snap: NoSnap}}, b)
	for n := range front {
		_, err := ParseOSDBackoff(front[:n])
		require.Error(t, err, "cut after %d bytes", n)
	}
	m := b.Message()
	require.Equal(t, realBlock, hex.EncodeToString(m.Front))
	b.Op = BackoffAckBlock
	require.Equal(t, realAck, hex.EncodeToString(b.Message().Front))
	b.Op, b.Epoch = BackoffUnblock, 18
	require.Equal(t, realUnblock, hex.EncodeToString(b.Message().Front))

	require.True(t, b.Covers(ObjectID{Name: "obj1", Namespace: "space", Snap: NoSnap, Hash: 0x9ee7f639, Pool: 1}))
	require.False(t, b.Covers(ObjectID{Name: "obj1", Snap: NoSnap, Hash: 0x6cf8deff, Pool: 1}), "group 3")
	require.False(t, b.Covers(ObjectID{Name: "obj1", Snap: NoSnap, Hash: 0x9ee7f639, Pool: 2}))
	b.Begin = ObjectID{Name: "obj1", Snap: NoSnap, Hash: 5, Pool: 1}
	b.End = b.Begin
	require.True(t, b.Covers(b.Begin))
	require.False(t, b.Covers(ObjectID{Name: "obj2", Snap: NoSnap, Hash: 5, Pool: 1}))

	b.Begin.Name = string(make([]byte, nameMax+1))
	_, err = ParseOSDBackoff(b.Message().Front)
	require.ErrorContains(t, err, "a name of 4097 bytes")
}

func TestOrderOfObjects(t *testing.T) {
	ordered := []ObjectID{
		{Pool: -1, Hash: 1},
		{Hash: 2},
		{Hash: 1},
		{Hash: 1, Name: "b"},
		{Hash: 1, Name: "b", Snap: NoSnap},
		{Hash: 1, Name: "a", Key: "c"},
		{Hash: 1, Name: "b", Key: "c"},
		{Hash: 1, Name: "d"},
		{Hash: 1, Name: "a", Namespace: "s"},
		{Hash: 3},
		{Pool: 1},
		{Max: true},
	}
	for i, o := range ordered {
		for j, p := range ordered {
			got := o.Compare(p)
			require.Equal(t, i < j, got < 0, "%v %v", o, p)
			require.Equal(t, i == j, got == 0, "%v %v", o, p)
		}
	}
	require.True(t, slices.IsSortedFunc(ordered, ObjectID.Compare))
}

func TestOSDOpInANamespaceIsEncodedAsByRados(t *testing.T) {
	o := OSDOp{Pool: 1, Namespace: "space", Object: "obj1", Hash: 0x9ee7f639, Seed: 1, Epoch: 17, Op: OpWriteFull,
		Length: 3, Seconds: 0x6b0d2484, Data: make([]byte, 3)}
	require.Equal(t, realOpInSpace1+realOpFlags+realOpInSpace2+"00000000"+realOpInSpace3,
		hex.EncodeToString(o.Message().Front))
	o.Retry = 1
	require.Equal(t, realOpInSpace1+realOpAgain+realOpInSpace2+"01000000"+realOpInSpace3,
		hex.EncodeToString(o.Message().Front))
}
