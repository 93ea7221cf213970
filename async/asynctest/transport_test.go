package asynctest_test

import (
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// TestTransportAddrs: the two ends of a simulated socket.
func TestTransportAddrs(t *testing.T) {
	c := asynctest.NewCluster(t, asynctest.Options{Seed: 1, N: 2, Client: func(i int) bool { return i == 0 },
		Setup: func(n *asynctest.Node) {
			n.SetDefaultPolicy([]msg.Policy{msg.LosslessClient(), msg.StatefulServer()}[n.Index])
		}})
	a := c.Connect(0, 1)
	c.Until("connected", a.IsConnected)
	b := c.Nodes[1].Lookup(c.Nodes[0].Addrs())
	require.Zero(t, b.PeerAddrs()[0].AddrPort.Port(), "it does not listen")
	al, ar := a.TransportAddrs()
	bl, br := b.TransportAddrs()
	require.Equal(t, []any{al, ar}, []any{br, bl})
	require.NotZero(t, al.Port())
	require.Equal(t, c.Nodes[1].Addrs()[0].AddrPort, ar)
	c.Isolate(1)
	c.Cut(1)
	c.Until("it is cut", func() bool { return !a.IsConnected() })
	al, ar = a.TransportAddrs()
	require.Zero(t, al)
	require.Zero(t, ar)
}
