package asynctest

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/stretchr/testify/require"
)

// TestAppendQuote: what is in the trace is what package strconv would write.
func TestAppendQuote(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	all := []string{"", "osd.1", "\"\\\n\x00\x7f", "ä€\u2028\U0001F600\U000E0001", "\xff\xc3", "\ufffd", "a\xe2\x82"}
	for range 1000 {
		b := make([]byte, rnd.IntN(40))
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		all = append(all, string(b))
	}
	for _, s := range all {
		require.Equal(t, "x"+strconv.Quote(s), string(appendQuote([]byte("x"), s)), "seed %d", seed)
	}
	names := []entity.Name{entity.OSD(0), entity.Client(1 << 40), {Type: entity.TypeOSD, Num: entity.NumNew}, {}}
	for _, n := range names {
		require.Equal(t, n.String(), string(appendName(nil, n)))
	}
}
