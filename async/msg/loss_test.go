package msg

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLossOf(t *testing.T) {
	seen := map[Loss]bool{LossOther: true}
	for _, l := range losses {
		require.Equal(t, l.is, LossOf(l.err))
		require.Equal(t, l.is, LossOf(fmt.Errorf("%w: %w", ErrClosed, l.err)), "wrapped")
		seen[l.is] = true
	}
	require.Len(t, seen, NumLosses)
	require.Equal(t, LossOther, LossOf(errors.New("x")))
	require.Equal(t, LossOther, LossOf(nil))
	require.Equal(t, "other", Loss(NumLosses).String())
	names := map[string]bool{}
	for l := range Loss(NumLosses) {
		names[l.String()] = true
	}
	require.Len(t, names, NumLosses)
}
