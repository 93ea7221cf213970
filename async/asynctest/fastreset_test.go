package asynctest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// table is a fast dispatcher that keeps something of each connection: how many messages of
// the peer's session it has seen.
type table struct {
	seen map[msg.Connection]int
	log  []string
}

func (*table) CanFastDispatch(m *msg.Message) bool { return m.Type == 7 }

func (x *table) FastDispatch(m *msg.Message) {
	c := m.Connection()
	x.seen[c]++
	x.log = append(x.log, fmt.Sprintf("%s is the %d.", m.Front, x.seen[c]))
}

func (x *table) HandleFastReset(c msg.Connection) { x.drop(c, "lost") }

func (x *table) HandleFastRemoteReset(c msg.Connection) { x.drop(c, "begins anew") }

func (x *table) drop(c msg.Connection, why string) {
	delete(x.seen, c)
	x.log = append(x.log, why)
}

func (*table) Dispatch(*msg.Message) bool { return false }

// TestFastResets: a table of fast dispatch is in order though the pool is busy, for minutes
// here, when the session is lost and the next one begins.
func TestFastResets(t *testing.T) {
	for _, x := range []struct {
		policies [2]msg.Policy
		why      string
	}{
		{[2]msg.Policy{msg.LosslessPeerReuse(), msg.LosslessPeerReuse()}, "begins anew"},
		{[2]msg.Policy{msg.LosslessClient(), msg.StatefulServer()}, "begins anew"},
		{[2]msg.Policy{msg.LossyClient(), msg.StatelessRegisteredServer()}, "lost"},
		{[2]msg.Policy{msg.LossyClient(), msg.StatelessServer()}, "lost"},
	} {
		t.Run(fmt.Sprintf("%+v", x.policies[1]), func(t *testing.T) {
			tab := &table{seen: map[msg.Connection]int{}}
			c := asynctest.NewCluster(t, asynctest.Options{Seed: 1, N: 2, SameNonce: true,
				Client: func(i int) bool { return x.policies[1].Server && i == 0 },
				Setup: func(n *asynctest.Node) {
					n.SetDefaultPolicy(x.policies[n.Index])
					if n.Index == 1 {
						n.AddDispatcherHead(tab)
					}
				},
				Blocking: true,
				Dispatch: func(n *asynctest.Node, _ *msg.Message) { n.Sleep(10 * time.Minute) },
				Config:   func(_ int, cfg *async.Config) { cfg.DispatchLimit = -1 },
			})
			send := func(words ...string) {
				conn := c.Connect(0, 1)
				require.NoError(t, conn.Send(&msg.Message{Type: 8})) // the pool is busy with it
				for _, w := range words {
					require.NoError(t, conn.Send(&msg.Message{Type: 7, Front: []byte(w)}))
				}
				c.Run(time.Second)
			}
			send("a", "b")
			c.Kill(0)
			c.Run(time.Second)
			c.Restart(0)
			send("c", "d")
			require.Equal(t, []string{"a is the 1.", "b is the 2.", x.why, "c is the 1.", "d is the 2."}, tab.log)
			for _, told := range []string{"reset", "remote reset"} {
				require.Zero(t, c.Nodes[1].Count(told), "the pool is busy")
			}
			c.Run(time.Hour)
			require.Equal(t, 1, c.Nodes[1].Count("reset")+c.Nodes[1].Count("remote reset"))
		})
	}
}
