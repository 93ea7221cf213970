package asynctest

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// Several anonymous connections of one client under a lossless policy: a server that
// registers its clients takes each for the return of the one before. That is said, they
// displace each other ever more seldom, and no message is lost without a word.
func TestAnonymousConnectionsOfARegisteredClient(t *testing.T) {
	const seed, conns, bound = 3, 4, 80
	for _, peers := range []bool{false, true} {
		for _, busy := range []bool{false, true} {
			anonymousFight(t, seed, conns, bound, peers, busy)
		}
	}
}

func anonymousFight(t *testing.T, seed uint64, conns, bound int, peers, busy bool) {
	policies := []msg.Policy{msg.StatefulServer(), msg.LosslessClient()}
	if peers {
		policies = []msg.Policy{msg.LosslessPeer(), msg.LosslessPeer()}
	}
	c := NewCluster(t, Options{
		Seed: seed, N: 2, History: true, Client: func(i int) bool { return i == 1 && !peers },
		Name:  func(i int) entity.Name { return []entity.Name{entity.OSD(0), entity.Client(7)}[i] },
		Setup: func(n *Node) { n.SetDefaultPolicy(policies[n.Index]) },
		Dispatch: func(n *Node, m *msg.Message) { // the server answers: each session is of use
			if n.Index == 0 {
				_ = m.Connection().Send(&msg.Message{Type: 1})
			}
			m.Release()
		},
	})
	srv, cl := c.Nodes[0], c.Nodes[1]
	var all []msg.Connection
	for range conns {
		conn, err := cl.ConnectAnon(entity.TypeOSD, srv.Addrs())
		require.NoError(t, err)
		all = append(all, conn)
		require.NoError(t, c.SendOn(conn, 1, 0, 100, 0))
	}
	accepted := func() int { return int(srv.Stats().Accepted) }
	for range 400 {
		c.Run(100 * time.Millisecond)
		for _, conn := range all {
			if busy {
				require.NoError(t, c.SendOn(conn, 1, 0, 100, 0))
			}
		}
	}
	early := accepted()
	require.True(t, early > 2*conns || peers && !busy, "they do not displace each other: the test is void")
	require.LessOrEqual(t, early, bound, "peers %v, busy %v", peers, busy)
	c.Run(40 * time.Second)
	require.LessOrEqual(t, accepted()-early, early, "it does not calm down")

	lines := strings.Join(c.logs.last(slog.LevelWarn), "\n")
	require.Contains(t, lines, "an anonymous connection under a lossless policy")
	require.Contains(t, lines, "displaced")
	require.Contains(t, lines, "client.7 WARN")

	for _, conn := range all {
		conn.MarkDown()
	}
	c.Run(time.Minute)
	t.Logf("peers %v, busy %v: accepted %d and %d", peers, busy, early, accepted()-early)
	c.CheckEnded()
	for _, a := range c.ledger.order {
		if peers {
			break // without ResetCheck, what is not acknowledged is sent to the next session too
		}
		require.Empty(t, append(a.broken, a.OnceASession()...), "%v", a.Flow)
	}
	for _, f := range newDigest(c.History).flows {
		for i, m := range f.msgs {
			require.True(t, m.ended.Err != nil || len(m.got) > 0, "%v: number %d is said to have arrived", f.Flow, i+1)
		}
	}
	c.CheckNothingHeld()
}
