package session

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

func (n *numbers) invariants() error {
	if n.acked > n.max || n.max > n.out {
		return fmt.Errorf("acknowledged %d, encoded %d, given %d", n.acked, n.max, n.out)
	}
	return nil
}

func TestNumbers(t *testing.T) {
	var n numbers
	require.Equal(t, uint64(1), n.next())
	require.Equal(t, uint64(2), n.next())
	n.max = 2
	n.takeOut()
	require.Equal(t, numbers{out: 1, max: 1}, n)
	require.NoError(t, n.invariants())
	n.acked = 2
	require.ErrorContains(t, n.invariants(), "acknowledged 2, encoded 1")
	n.in, n.hole = frame.Ack{Seq: 5}, 6
	n.reset()
	require.Zero(t, n)
}
