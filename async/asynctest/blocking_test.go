package asynctest_test

import (
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
)

// TestStuckDispatchers: while dispatchers stand still for all but one of the
// connections that may be dispatched at a time, the messages of the others are
// dispatched as if nothing were (V3).
func TestStuckDispatchers(t *testing.T) {
	for seed := range uint64(20) {
		const width = 3
		c := asynctest.NewCluster(t, asynctest.Options{
			Seed: seed, N: 6, Workers: 1 + int(seed%2), History: true, Blocking: true,
			Network: simnet.Config{Link: simnet.LinkConfig{Latency: simnet.Fixed(time.Millisecond)}},
			Config:  func(_ int, cfg *async.Config) { cfg.DispatchWidth = width },
			Dispatch: func(n *asynctest.Node, m *msg.Message) {
				from := int(m.Source().Num)
				m.Release()
				if n.Index == 0 && from < width { // of 1 and 2
					n.Sleep(time.Minute)
				}
			},
		})
		c.History.Lossless, c.History.Delay = true, 20*time.Millisecond
		for i := range 60 {
			for from := range 6 {
				require.NoError(t, c.Send(from, (from+1+i%5)%6, 100*i, []uint8{0, 40, msg.PriorityHigh}[i%3]))
			}
			c.Run(10 * time.Millisecond)
		}
		c.Run(time.Second)
		sent, arrived := c.Tracked()
		require.Greater(t, sent, arrived, "nobody was held up")
		c.Until("everything", c.Complete)
		c.Run(2 * time.Minute) // the last ones wake up
		c.CheckPromises()
	}
}

// A node that dies while its dispatchers sleep runs no more of them.
func TestDeathOfASleeper(t *testing.T) {
	woken := 0
	c := asynctest.NewCluster(t, asynctest.Options{
		Seed: 1, N: 2, History: true, Blocking: true,
		Dispatch: func(n *asynctest.Node, m *msg.Message) {
			m.Release()
			n.Sleep(time.Minute)
			woken++
		},
	})
	for range 3 {
		require.NoError(t, c.Send(0, 1, 10, 0))
	}
	c.Run(90 * time.Second) // the second one is under way
	require.Equal(t, 1, woken)
	c.Crash(1)
	c.Run(time.Hour)
	require.Equal(t, 1, woken)
	c.Restart(1)
	require.NoError(t, c.Send(0, 1, 10, 0))
	c.Run(time.Hour)
	require.Greater(t, woken, 1)
	c.CheckPromises()
}

func TestSleepOutsideOfACallback(t *testing.T) {
	c := asynctest.NewCluster(t, asynctest.Options{N: 1})
	require.Panics(t, func() { c.Nodes[0].Sleep(time.Second) })
}
