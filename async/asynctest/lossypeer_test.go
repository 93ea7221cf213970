package asynctest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
)

func lossyPeers(t *testing.T, seed uint64, n int) *asynctest.Cluster {
	return asynctest.NewCluster(t, asynctest.Options{Seed: seed, N: n, Policy: msg.LossyPeer(), History: true,
		Config: func(_ int, cfg *async.Config) { cfg.IdleTimeout = time.Hour }})
}

// TestLossyPeersRace: two lossy peers call each other at the same moment, or nearly. There is
// one connection then; each keeps its own, and what was sent arrives.
func TestLossyPeersRace(t *testing.T) {
	const seeds = 200
	races := 0
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			c := lossyPeers(t, seed, 2)
			var conns [2]msg.Connection
			call := func(i int) {
				var err error
				conns[i], err = c.Nodes[i].ConnectTo(entity.TypeOSD, c.Nodes[1-i].Addrs())
				require.NoError(t, err)
				for range 3 {
					require.NoError(t, c.SendOn(conns[i], i, 1-i, 10, 0))
				}
			}
			first := int(seed % 2)
			call(first)
			c.Run(time.Duration(seed/2) * 20 * time.Microsecond)
			call(1 - first)
			c.Until("everything", c.Complete)
			c.Run(time.Minute)
			for i, n := range c.Nodes {
				require.Equal(t, 1, n.Stats().Connections)
				require.Same(t, conns[i], n.Lookup(c.Nodes[1-i].Addrs()))
				require.True(t, conns[i].IsConnected())
				require.Zero(t, n.Count("reset"))
				require.Equal(t, 1, n.Count("connect")+n.Count("accept"))
			}
			c.CheckPromises()
			if len(c.History.Streams) > 1 {
				races++
			}
		})
	}
	require.Greater(t, races, seeds/10)
	t.Logf("%d of %d were races", races, seeds)
}

// TestLossyPeerRests: a lossy peer that cannot be reached is left alone while there is nothing
// to say to it, and is called by RetryNow and by a message. When it calls, that is the
// connection.
func TestLossyPeerRests(t *testing.T) {
	c := lossyPeers(t, 1, 2)
	refuse := c.Add("refuse", simnet.RefuseDials(c.Nodes[1].Addrs()[0].AddrPort))
	conn, err := c.Nodes[0].ConnectTo(entity.TypeOSD, c.Nodes[1].Addrs())
	require.NoError(t, err)
	attempts := func() int { return c.Nodes[0].Count("refused") }
	c.Until("refused", func() bool { return attempts() == 1 })
	c.Run(time.Hour)
	require.Equal(t, 1, attempts())
	require.Equal(t, msg.StateStandby, conn.State())
	conn.RetryNow()
	c.Run(time.Minute)
	require.Equal(t, 2, attempts())

	back := c.Connect(1, 0)
	c.Until("connected", back.IsConnected)
	require.Same(t, conn, c.Nodes[0].Lookup(c.Nodes[1].Addrs()))
	require.True(t, conn.IsConnected())
	require.NoError(t, c.SendOn(conn, 0, 1, 10, 0))
	c.Until("it", c.Complete)
	require.Zero(t, c.Nodes[0].Count("reset"))
	refuse.Lift()
}

// TestLossyPeersPart: when the connection breaks both are told, and either may begin anew, also
// when the other has not noticed yet.
func TestLossyPeersPart(t *testing.T) {
	c := lossyPeers(t, 1, 2)
	ab := c.Connect(0, 1)
	c.Until("connected", ab.IsConnected)
	require.NoError(t, c.Send(0, 1, 10, 0))
	require.NoError(t, c.Send(1, 0, 10, 0))
	c.Until("both", c.Complete)
	c.Cut(0)
	c.Until("told", func() bool { return c.Nodes[0].Count("reset") == 1 && c.Nodes[1].Count("reset") == 1 })
	require.ErrorIs(t, c.SendOn(ab, 0, 1, 10, 0), msg.ErrReset)

	ba := c.Connect(1, 0)
	c.Until("connected", ba.IsConnected)
	old := c.Nodes[0].Lookup(c.Nodes[1].Addrs())
	require.NotSame(t, ab, old)
	c.MarkDown(1, 0) // what it sends of that gets lost
	require.True(t, ba.IsClosed())
	require.NoError(t, c.Send(1, 0, 10, 0))
	c.Run(time.Second)
	require.True(t, old.IsClosed())
	require.NotSame(t, old, c.Nodes[0].Lookup(c.Nodes[1].Addrs()))
	require.Equal(t, 2, c.Nodes[0].Count("reset"))

	// The same, when the end of the connection does not arrive.
	now := c.Nodes[0].Lookup(c.Nodes[1].Addrs())
	stalled := c.Add("silence", simnet.StallConn(uint64(len(c.History.Streams))))
	c.MarkDown(1, 0)
	c.Run(time.Second)
	require.True(t, now.IsConnected(), "it does not know yet")
	require.NoError(t, c.Send(1, 0, 10, 0))
	c.Run(time.Minute)
	var reset asynctest.Event
	for _, e := range c.Nodes[0].Events {
		if e.What == "reset" {
			reset = e
		}
	}
	require.Same(t, now, reset.Conn)
	require.ErrorIs(t, reset.Err, session.ErrReplaced)
	stalled.Lift()
}
