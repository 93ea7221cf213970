package asynctest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// afterRestart is what comes of three messages that were sent to a node while it was
// down, and what their sender was told.
type afterRestart struct {
	delivered, reported, kept int
	told                      string
}

var (
	refused = afterRestart{told: "reset"}                     // the connection is over, Send says so
	waits   = afterRestart{kept: 3}                           // for who was there before
	lost    = afterRestart{reported: 3, told: "remote reset"} // and the connection goes on
	gets    = afterRestart{delivered: 3}                      // as if nothing had happened
)

// TestRestarts is the table "What a restart does" of the README. Node 0 dials node 1 by
// host and port. One of them is killed, and started anew.
func TestRestarts(t *testing.T) {
	both := func(p msg.Policy) [2]msg.Policy { return [2]msg.Policy{p, p} }
	for _, x := range []struct {
		name     string
		policies [2]msg.Policy
		who      int  // restarts
		same     bool // nonce as before
		calls    bool // the restarted one, before the other gets through to it
		want     afterRestart
	}{
		{"lossy", [2]msg.Policy{msg.LossyClient(), msg.StatelessServer()}, 1, false, false, refused},
		{"lossy", [2]msg.Policy{msg.LossyClient(), msg.StatelessServer()}, 1, true, false, refused},
		{"registered", [2]msg.Policy{msg.LossyClient(), msg.StatelessRegisteredServer()}, 0, false, true, refused},
		{"registered", [2]msg.Policy{msg.LossyClient(), msg.StatelessRegisteredServer()}, 0, true, true, refused},
		{"lossy peers", both(msg.LossyPeer()), 0, false, true, refused},
		{"lossy peers", both(msg.LossyPeer()), 0, false, false, refused},
		{"lossy peers", both(msg.LossyPeer()), 0, true, true, refused},
		{"lossy peers", both(msg.LossyPeer()), 0, true, false, refused},
		{"lossy peers", both(msg.LossyPeer()), 1, false, true, refused},
		{"lossy peers", both(msg.LossyPeer()), 1, false, false, refused},
		{"lossy peers", both(msg.LossyPeer()), 1, true, true, refused},
		{"lossy peers", both(msg.LossyPeer()), 1, true, false, refused},
		{"client and server", [2]msg.Policy{msg.LosslessClient(), msg.StatefulServer()}, 0, false, true, waits},
		{"client and server", [2]msg.Policy{msg.LosslessClient(), msg.StatefulServer()}, 0, true, true, lost},
		{"client and server", [2]msg.Policy{msg.LosslessClient(), msg.StatefulServer()}, 1, false, false, lost},
		{"client and server", [2]msg.Policy{msg.LosslessClient(), msg.StatefulServer()}, 1, true, false, lost},
		{"peers", both(msg.LosslessPeer()), 0, false, true, waits},
		{"peers", both(msg.LosslessPeer()), 0, false, false, lost},
		{"peers", both(msg.LosslessPeer()), 0, true, true, gets},
		{"peers", both(msg.LosslessPeer()), 0, true, false, lost},
		{"peers", both(msg.LosslessPeer()), 1, false, true, lost},
		{"peers", both(msg.LosslessPeer()), 1, false, false, lost},
		{"peers", both(msg.LosslessPeer()), 1, true, true, gets},
		{"peers", both(msg.LosslessPeer()), 1, true, false, lost},
		{"reuse", both(msg.LosslessPeerReuse()), 0, false, true, lost},
		{"reuse", both(msg.LosslessPeerReuse()), 0, false, false, lost},
		{"reuse", both(msg.LosslessPeerReuse()), 0, true, true, lost},
		{"reuse", both(msg.LosslessPeerReuse()), 0, true, false, lost},
		{"reuse", both(msg.LosslessPeerReuse()), 1, false, true, lost},
		{"reuse", both(msg.LosslessPeerReuse()), 1, false, false, lost},
		{"reuse", both(msg.LosslessPeerReuse()), 1, true, true, lost},
		{"reuse", both(msg.LosslessPeerReuse()), 1, true, false, lost},
	} {
		t.Run(fmt.Sprintf("%s, %d restarts, same %v, calls %v", x.name, x.who, x.same, x.calls), func(t *testing.T) {
			const seed = 1
			c := asynctest.NewCluster(t, asynctest.Options{Seed: seed, N: 2, SameNonce: x.same,
				Client: func(i int) bool { return x.policies[1].Server && i == 0 },
				Setup:  func(n *asynctest.Node) { n.SetDefaultPolicy(x.policies[n.Index]) },
				Config: func(_ int, cfg *async.Config) { cfg.IdleTimeout = time.Hour },
			})
			place := func(i int) entity.AddrVec { return entity.AddrVec{c.Nodes[i].Addrs()[0].WithAnyNonce()} }
			var conns [2]msg.Connection
			var err error
			conns[0], err = c.Nodes[0].ConnectTo(entity.TypeOSD, place(1))
			require.NoError(t, err)
			require.NoError(t, c.SendOn(conns[0], 0, 1, 10, 0))
			c.Until("connected", conns[0].IsConnected)
			c.Run(time.Second)
			if x.policies[1].RegisterLossyClients {
				conns[1] = c.Nodes[1].Lookup(c.Nodes[0].Addrs())
			}
			stays := 1 - x.who
			other, conn := c.Nodes[stays], conns[stays]
			c.Kill(x.who)
			c.Run(5 * time.Second)
			for range 3 {
				if x.want == refused {
					require.ErrorIs(t, c.SendOn(conn, stays, x.who, 10, 0), msg.ErrClosed)
				} else {
					require.NoError(t, c.SendOn(conn, stays, x.who, 10, 0))
				}
			}
			c.Run(10 * time.Second)
			n := c.Restart(x.who)
			if x.calls {
				back, err := n.ConnectTo(entity.TypeOSD, place(stays))
				require.NoError(t, err)
				require.NoError(t, c.SendOn(back, x.who, stays, 10, 0))
			}
			c.Run(time.Minute)
			got := afterRestart{delivered: n.Received, reported: int(other.Stats().Undeliverable)}
			got.kept, _ = conn.SendQueue()
			for _, e := range []string{"reset", "remote reset"} {
				if other.Count(e) > 0 {
					got.told += e
				}
			}
			require.Equal(t, x.want, got, "%s: %v", conn.State(), conn.LastError())
			if x.calls {
				require.GreaterOrEqual(t, other.Received, 1)
			}

			// Whoever asks for the place gets the one who is there now.
			if x.policies[stays].Server {
				return
			}
			before := n.Received
			now, err := other.ConnectTo(entity.TypeOSD, place(x.who))
			require.NoError(t, err)
			require.NoError(t, c.SendOn(now, stays, x.who, 10, 0))
			c.Until("the one who is there now", func() bool { return n.Received > before })
		})
	}
}
