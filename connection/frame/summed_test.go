package frame

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestSummed: a frame whose sums are known is the one whose sums are not, with each
// combination of segments, copied and referenced ones.
func TestSummed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var segs [3][]byte
		var sums Sums
		for i := range segs {
			n := rapid.SampledFrom([]int{0, 0, 1, 100, copyMax - 1, copyMax, copyMax + 1, 5000}).Draw(t, "len")
			segs[i] = rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "bytes")
			sums[i] = SegmentCRC(segs[i])
		}
		h := &Header{Seq: 7, TID: 8, Type: 9}
		var e, f Encoder
		b, c := new(Batch), new(Batch)
		for range 2 { // the second with the preamble of the first
			e.AppendMessage(b, h, segs[0], segs[1], segs[2])
			require.True(t, f.WantsSums())
			f.AppendSummed(c, h, segs[0], segs[1], segs[2], &sums)
		}
		require.Equal(t, b.AppendTo(nil), c.AppendTo(nil))
	})
}

// TestSummedSecure: in secure mode nothing depends on the sums.
func TestSummedSecure(t *testing.T) {
	payload := []byte("payload")
	var out [2][]byte
	for i := range out {
		e, b := new(Encoder), new(Batch)
		e.SetCipher(testGCM())
		require.False(t, e.WantsSums())
		if i == 0 {
			e.AppendMessage(b, &Header{Seq: 1}, payload, nil, nil)
		} else {
			e.AppendSummed(b, &Header{Seq: 1}, payload, nil, nil, &Sums{1, 2, 3})
		}
		out[i] = b.AppendTo(nil)
	}
	require.Equal(t, out[0], out[1])
}
