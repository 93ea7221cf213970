package demo

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestKill: what a client had written and was not told of when it was killed is found in its next
// life, and what was still on its way is not done.
func TestKill(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d := startFor(t, Config{Duration: time.Hour, OSDs: 2, Replicas: 2, Clients: 1, Conns: 1, CutRate: -1, Page: l})
	c := d.clients[0]
	unacked := func() (n int) {
		for k := range objectsPerClient {
			object := c.first + uint32(k)
			if x, err := d.osds[d.primaryOf(object)].copyOf(object); err == nil && x.gen > d.acked[object].Load() {
				n++
			}
		}
		return n
	}
	d.osds[1].hurt.stall.shut() // it makes no copies
	c.begin()
	require.Eventually(t, func() bool { return unacked() > 0 }, 20*time.Second, time.Millisecond)
	require.NoError(t, c.kill())
	require.Zero(t, unacked(), "what is stored counts as acknowledged")
	require.ErrorIs(t, c.kill(), errDead)
	require.Zero(t, c.inFlight())
	require.NoError(t, c.restart())
	require.ErrorIs(t, c.restart(), errAlive)
	d.osds[1].hurt.heal()
	ops, _ := d.meters[clientWrite].total()
	require.Eventually(t, func() bool { // it writes again
		n, _ := d.meters[clientWrite].total()
		return n > ops+10
	}, 20*time.Second, time.Millisecond)
	d.quiet(quietMax)
	d.oracle.Close()
	var r Report
	d.verify(&r)
	d.conclude(&r)
	require.True(t, r.OK, "%+v", r.FirstFailures)
}
