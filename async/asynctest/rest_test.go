package asynctest_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
)

// What a send queue holds is counted to the byte: when all sendings have ended, there
// is room for as much as at first, however they ended.
func TestRoomComesBack(t *testing.T) {
	const most, bytes, overhead = 8, 8000, 33 // the front of a tracked message
	for _, p := range []struct {
		name    string
		policy  msg.Policy
		restart bool
	}{
		{"cuts", msg.LosslessPeer(), false},
		{"remote resets", msg.LosslessPeerReuse(), true},
	} {
		t.Run(p.name, func(t *testing.T) {
			const seed = 5
			c := asynctest.NewCluster(t, asynctest.Options{Seed: seed, N: 2, SameNonce: true, Policy: p.policy,
				Config: func(_ int, cfg *async.Config) {
					cfg.SendQueueMessages, cfg.SendQueueBytes = most, bytes
					cfg.KeepaliveInterval, cfg.KeepaliveTimeout = time.Second, time.Second
				}})
			rnd := rand.New(rand.NewPCG(seed, 1))
			full := func() {
				t.Helper()
				conn := c.Connect(0, 1)
				c.Until("connected", conn.IsConnected)
				c.Run(time.Minute)
				c.CheckEnded()
				f := c.Partition([]int{0}, []int{1})
				for i := range most {
					err := c.SendOn(conn, 0, 1, bytes/most-overhead, 0)
					require.NoError(t, err, "message %d of %d, seed %d", i+1, most, seed)
				}
				require.ErrorIs(t, conn.Send(&msg.Message{}), msg.ErrQueueFull)
				f.Lift()
			}
			resets := 0
			for round := range 12 {
				full()
				for range 20 {
					_ = c.Send(0, 1, rnd.IntN(1500), uint8(1+rnd.IntN(3))) // some find no room
					c.Run(time.Duration(rnd.IntN(300)) * time.Microsecond)
					if rnd.IntN(6) == 0 {
						c.Cut(0)
					}
				}
				if p.restart && round%3 == 2 {
					c.Partition([]int{0}, []int{1})
					for c.Send(0, 1, 100, 0) == nil { // which are lost, and told
					}
					c.Kill(1)
					c.LiftAll()
					c.Restart(1)
					c.Until("the reset", func() bool { return c.Nodes[0].Count("remote reset") > resets })
					resets = c.Nodes[0].Count("remote reset")
				}
			}
			full()
		})
	}
}

// A bit that changes on the way, in messages of one size, which are taken as a whole:
// whichever it is, each message arrives once, and as it was sent.
func TestFlipsAmongEqualSizes(t *testing.T) {
	const seed, size, each = 11, 200, 6
	c := asynctest.NewCluster(t, asynctest.Options{
		Seed: seed, N: 2, History: true, Network: simnet.Config{Smooth: true},
		Config: func(_ int, cfg *async.Config) { cfg.InitialBackoff = time.Millisecond },
	})
	conn := c.Connect(0, 1)
	frameLen := frame.PreambleLen + frame.HeaderLen + 4 + 33 + size + frame.EpilogueLen
	rnd := rand.New(rand.NewPCG(seed, 1))
	flips := 0
	for range 400 {
		if !conn.IsConnected() {
			conn.SendKeepalive()
		}
		c.Until("connected", conn.IsConnected)
		c.Run(10 * time.Millisecond)
		at := rnd.IntN(8 * frameLen * each)
		c.Add("flip", simnet.Once(func(p *simnet.Packet) simnet.Verdict {
			if p.Kind != simnet.Data || p.From != c.Nodes[0].Host.Name() || len(p.Data) < frameLen*each {
				return simnet.Pass()
			}
			flips++
			return simnet.Flip(at)
		}))
		for range each {
			require.NoError(t, c.Send(0, 1, size, 0))
		}
		c.Until("all", c.Complete)
		c.LiftAll()
	}
	require.Equal(t, 400, flips, "a flip found no packet with all messages")
	require.Greater(t, c.Nodes[1].Stats().Faults, uint64(300))
	c.Run(time.Minute)
	c.CheckExactlyOnce()
	c.CheckNothingHeld()
	c.History.Lossless = true
	c.CheckPromises()
}
