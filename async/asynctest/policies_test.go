package asynctest

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// meeting is two nodes with some policies: 0 calls 1.
type meeting struct {
	*Cluster
	t        *testing.T
	a, b     msg.Policy
	callable bool // 0 can be called too
	lossy    bool // what the session has to be
}

// TestAllPairsOfPolicies has each policy call each other one, and holds what comes of
// it against the table of package msg (policy.go).
func TestAllPairsOfPolicies(t *testing.T) {
	for _, dials := range slices.Sorted(maps.Keys(scenarioPolicies)) {
		for _, accepts := range slices.Sorted(maps.Keys(scenarioPolicies)) {
			for _, callable := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s calls %s, callable %v", dials, accepts, callable), func(t *testing.T) {
					a, b := scenarioPolicies[dials](), scenarioPolicies[accepts]()
					m := &meeting{t: t, a: a, b: b, callable: callable, lossy: b.Lossy}
					m.Cluster = NewCluster(t, Options{
						Seed: 1, N: 2, History: true, SameNonce: true,
						Client: func(i int) bool { return i == 0 && !callable },
						Setup:  func(n *Node) { n.SetDefaultPolicy([]msg.Policy{a, b}[n.Index]) },
						Config: func(_ int, cfg *async.Config) { cfg.IdleTimeout = time.Hour },
					})
					m.play()
				})
			}
		}
	}
}

func (m *meeting) play() {
	t := m.t
	if m.a.Server { // it never calls; and a server that is called by nobody calls nobody
		require.ErrorIs(t, m.Send(0, 1, 10, 0), msg.ErrNoSession)
		m.Run(time.Minute)
		require.Empty(t, m.History.Streams)
		return
	}
	m.talk()
	m.cut()
	if mayCall := m.callable && !m.b.Server; !m.lossy && !mayCall {
		m.restart()
	}
	m.Run(20 * time.Second)
	m.CheckPromises()
}

// conn is the connection of a node with the other one; it must have one.
func (m *meeting) conn(i int) msg.Connection {
	c := m.Nodes[i].Lookup(m.Nodes[1-i].Addrs())
	require.NotNil(m.t, c, "node %d has no connection", i)
	return c
}

// say sends one message on the connection that there is, and lets some time pass.
func (m *meeting) say(from int) (arrived bool) {
	before := m.Nodes[1-from].Received
	require.NoError(m.t, m.SendOn(m.conn(from), from, 1-from, 10, 0))
	m.Run(time.Second)
	return m.Nodes[1-from].Received > before
}

// talk: the session comes up, for both sides what the accepting one wants.
func (m *meeting) talk() {
	require.NoError(m.t, m.Send(0, 1, 10, 0))
	m.Run(time.Second)
	require.Equal(m.t, 1, m.Nodes[1].Received)
	if m.b.Lossy && m.b.Server && !m.b.RegisterLossyClients {
		// It is not registered: the server knows it by what it has received only.
		require.True(m.t, m.conn(0).Policy().Lossy)
		return
	}
	require.True(m.t, m.say(1))
	for i := range 2 {
		require.Equal(m.t, m.lossy, m.conn(i).Policy().Lossy, "node %d", i)
		require.Equal(m.t, []msg.Policy{m.a, m.b}[i].Standby, m.conn(i).Policy().Standby, "all else is its own")
	}
}

// cut: a lossy session is over, a lossless one goes on when somebody who may call has a
// reason to.
func (m *meeting) cut() {
	m.Cut(0)
	m.Run(time.Second)
	told := func() (n int) { return m.Nodes[0].Count("reset") + m.Nodes[1].Count("reset") }
	if m.lossy {
		require.Equal(m.t, 2, told(), "both ends are told")
		require.Nil(m.t, m.Nodes[0].Lookup(m.Nodes[1].Addrs()))
		require.NoError(m.t, m.Send(0, 1, 10, 0)) // a new one
		m.Run(time.Second)
		require.True(m.t, m.conn(0).IsConnected())
		return
	}
	comesBack, mayCall := !m.a.Standby, m.callable && !m.b.Server
	require.Equal(m.t, comesBack || mayCall && !m.b.Standby, m.conn(0).IsConnected())
	require.Equal(m.t, comesBack || mayCall, m.say(1), "does what the accepting side says arrive")
	require.True(m.t, m.say(0))
	m.Run(time.Second)
	sent, arrived := m.Tracked()
	require.Equal(m.t, sent, arrived, "at the latest then it does")
	require.Zero(m.t, told()+m.Nodes[0].Count("remote reset")+m.Nodes[1].Count("remote reset"))
}

// restart: a side with ResetCheck notices when one who has restarted under the same
// address calls it; who calls one that has restarted is told in any case. (When both may
// call, it depends on who is first.)
func (m *meeting) restart() {
	m.Kill(0)
	m.Run(time.Second)
	m.Restart(0)
	require.NoError(m.t, m.Send(0, 1, 10, 0))
	m.Run(30 * time.Second)
	want := 0
	if m.b.ResetCheck {
		want = 1
	}
	require.Equal(m.t, want, m.Nodes[1].Count("remote reset"))
	m.Kill(1)
	m.Run(time.Second)
	m.Restart(1)
	require.NoError(m.t, m.SendOn(m.conn(0), 0, 1, 10, 0))
	m.Run(30 * time.Second)
	require.Equal(m.t, 1, m.Nodes[0].Count("remote reset"))
}
