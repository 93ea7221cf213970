package msg

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestIntact notices a change in each segment, whichever of the others are empty.
func TestIntact(t *testing.T) {
	for which := range 8 {
		m := &Message{}
		segments := []*[]byte{&m.Front, &m.Middle, &m.Data}
		for i, s := range segments {
			if which>>i&1 == 1 {
				*s = fmt.Appendf(nil, "segment %d", i)
			}
		}
		require.True(t, Intact(m), "never sealed")
		Seal(m)
		require.True(t, Intact(m))
		for i, s := range segments {
			was := *s
			if len(was) > 0 {
				was[3] ^= 1
				require.False(t, Intact(m), "%03b: %d", which, i)
				was[3] ^= 1
				*s = was[1:]
				require.False(t, Intact(m), "%03b: %d", which, i)
				*s = was
			}
			require.True(t, Intact(m))
		}
		if len(m.Front) > 0 {
			m.Front, m.Middle = m.Front[:4], append(append([]byte{}, m.Front[4:]...), m.Middle...)
			require.False(t, Intact(m), "%03b: moved", which)
		}
	}
}
