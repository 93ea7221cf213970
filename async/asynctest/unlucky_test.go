package asynctest

import (
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
)

// A message that takes longer than the network lets connections live, for minutes, has
// done nothing wrong: it is not rejected, and arrives when the network is better.
func TestUnluckyIsNotRejected(t *testing.T) {
	for name, p := range map[string]poisonCase{
		"peer":   {policies: [2]msg.Policy{msg.LosslessPeer(), msg.LosslessPeer()}},
		"client": {policies: [2]msg.Policy{msg.LosslessClient(), msg.StatefulServer()}},
		"server": {policies: [2]msg.Policy{msg.StatefulServer(), msg.LosslessClient()}, accepted: true},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(5) {
				testUnlucky(t, &p, seed)
			}
		})
	}
}

func testUnlucky(t *testing.T, p *poisonCase, seed uint64) {
	const size, life = 500_000, 3 * time.Second // of 5 s
	c, told, conn := p.cluster(t, seed,
		simnet.LinkConfig{Latency: simnet.Fixed(20 * time.Millisecond), Bandwidth: 100_000})
	cuts, bad := 0, true
	c.Add("short lives", func(p *simnet.Packet) simnet.Verdict {
		if id := p.Conn; p.Kind == simnet.Syn {
			c.Net.After(life, func() {
				for _, conn := range c.Net.Conns() {
					if bad && conn.ID == id {
						cuts++
						c.Reset(conn)
					}
				}
			})
		}
		return simnet.Pass()
	})
	c.Cut(0)
	require.NoError(t, c.SendOn(conn, 0, 1, size, 0))
	require.NoError(t, c.SendOn(conn, 0, 1, 10, 0))
	c.Run(5 * time.Minute)
	require.Greater(t, cuts, 15, "seed %d", seed)
	require.Empty(t, told.told, "seed %d", seed)
	_, arrived := c.Tracked()
	require.Zero(t, arrived, "the test is void, seed %d", seed)
	bad = false
	c.LiftAll()
	c.Until("the message", c.Complete)
	c.Run(time.Minute)
	c.CheckExactlyOnce()
	c.CheckNothingHeld()
}
