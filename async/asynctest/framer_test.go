package asynctest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
)

// A node is stopped before it reads SERVER_IDENT; meanwhile its peer dies.
func TestBreakpointAtATag(t *testing.T) {
	c := asynctest.NewCluster(t, asynctest.Options{Seed: 1, N: 2, Network: simnet.Config{Framer: asynctest.NewFramer}})
	b := c.Net.Break("ident", c.Nodes[0].Host.Name(), simnet.Reads, simnet.Tag(uint8(frame.TagServerIdent)))
	require.NoError(t, c.Send(0, 1, 100, 0))
	err := c.Net.RunUntil(c.Complete, time.Minute)
	var hit *simnet.Hit
	require.True(t, errors.As(err, &hit), "%v", err)
	require.Equal(t, "SERVER_IDENT", hit.Frame.Name)
	require.EqualValues(t, 1, c.Nodes[1].Stats().Accepted)
	require.Zero(t, c.Nodes[0].Stats().Connected)
	b.Remove()
	c.Kill(1)
	c.Restart(1)
	require.NoError(t, c.Net.RunUntil(func() bool { return c.Nodes[0].Stats().Faults > 0 }, time.Minute))
}
