package frame

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTraceContext(t *testing.T) {
	for _, context := range []string{"", "x", strings.Repeat("c", 255)} {
		for _, middle := range [][]byte{nil, []byte("middle")} {
			b := PrependTraceContext(context, middle)
			require.Equal(t, byte(len(context)), b[0])
			got, rest, err := CutTraceContext(b)
			require.NoError(t, err)
			require.Equal(t, context, got)
			require.True(t, bytes.Equal(middle, rest))
			// Each that is cut within the context is one that is longer than its segment.
			for n := range len(context) + 1 {
				_, _, err := CutTraceContext(b[:n])
				require.ErrorIs(t, err, errTraceContext)
			}
		}
	}
}
