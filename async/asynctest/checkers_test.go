package asynctest

import (
	"fmt"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest/promise"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
)

// The checkers see what they are there for.
func TestCheckersCanFail(t *testing.T) {
	for _, test := range []struct {
		got           []uint64
		ended         uint64
		prefix, exact bool // fine
	}{
		{[]uint64{1, 2, 3}, 3, true, true},
		{[]uint64{1, 2}, 3, true, false},
		{[]uint64{1, 2, 3}, 2, true, false},
		{[]uint64{1, 3}, 3, false, false},
		{[]uint64{2, 1, 3}, 3, false, false},
		{[]uint64{1, 2, 2, 3}, 3, false, false},
		{nil, 0, true, false},
	} {
		t.Run(fmt.Sprint(test.got), func(t *testing.T) {
			var c Cluster
			c.ledger.init()
			a := &account{}
			a.Sent = 3
			for num := range test.ended {
				a.End(num+1, nil)
			}
			for _, num := range test.got {
				a.broken = append(a.broken, a.Arrive(num, promise.Receiver{})...)
			}
			c.ledger.order = []*account{a}
			require.Equal(t, test.prefix, len(c.checkFlows(false)) == 0)
			require.Equal(t, test.exact, len(c.checkFlows(true)) == 0)
			c.ledger.broken = []string{"something"}
			require.NotEmpty(t, c.checkFlows(false))
		})
	}
}

// A receiver that loses a message, one that doubles one and one that forges one
// are found out.
func TestLiesAreFound(t *testing.T) {
	for _, lie := range []string{"none", "lost", "twice", "forged", "elsewhere"} {
		t.Run(lie, func(t *testing.T) {
			c := NewCluster(t, Options{Seed: 1, N: 2})
			for range 3 {
				require.NoError(t, c.Send(0, 1, 10, 0))
			}
			c.Until("everything", c.Complete)
			require.Empty(t, c.checkFlows(true))
			a := c.ledger.order[0]
			switch lie {
			case "lost":
				a.Send()
			case "twice":
				a.Arrive(3, promise.Receiver{})
			case "forged":
				front := make([]byte, trackedLen)
				c.arrived(c.Nodes[1], &msg.Message{Front: front})
			case "elsewhere":
				c.Nodes[0].Dispatch(&msg.Message{Type: TypeTracked, Front: nil})
			}
			require.Equal(t, lie == "none", len(c.checkFlows(true)) == 0)
		})
	}
}

// What waits for a peer that does not answer is not nothing.
func TestNothingHeldSeesSendQueues(t *testing.T) {
	text := failure(t, func(tb TB) {
		c := NewCluster(tb, Options{Seed: 6, N: 2})
		c.Isolate(1)
		_ = c.Send(0, 1, 100, 0)
		c.Run(time.Minute)
		c.CheckNothingHeld()
	})
	require.Contains(t, text, "osd.0 holds 1 messages, 133 bytes, for sending on conn 2")
}

func TestCrashAndRestart(t *testing.T) {
	for _, how := range []string{"crash", "kill"} {
		t.Run(how, func(t *testing.T) {
			beats := func(_ int, cfg *async.Config) {
				cfg.KeepaliveInterval = 10 * time.Second // or nobody would ever miss who is silent
			}
			c := NewCluster(t, Options{Seed: 1, N: 3, Policy: msg.LosslessPeerReuse(), Config: beats})
			send := func(n int) {
				for i := range n {
					require.NoError(t, c.Send(i%3, (i+1)%3, 100, 0))
				}
			}
			send(30)
			c.Until("everything", c.Complete)
			if how == "crash" {
				c.Crash(1)
			} else {
				c.Kill(1)
			}
			require.True(t, c.Nodes[1].Down)
			require.NoError(t, c.Send(0, 2, 1, 0))
			c.Run(time.Minute)
			n := c.Restart(1)
			require.Zero(t, n.Received)
			require.NoError(t, c.Send(1, 2, 100, 0))
			require.NoError(t, c.Send(0, 1, 100, 0))
			c.Until("news from the restarted node", func() bool { return n.Received == 1 && c.Complete() })
			c.CheckPrefix()
			c.Run(time.Minute)
			c.CheckNothingHeld()
		})
	}
}

// What a Recorder records, and that a refused connection is told.
func TestRecorder(t *testing.T) {
	c := NewCluster(t, Options{Seed: 1, N: 2, Policy: msg.LosslessPeer()})
	refuse := c.Net.Add("refuse", simnet.RefuseDials(c.Nodes[1].Addrs()[0].AddrPort))
	conn := c.Connect(0, 1)
	require.NoError(t, conn.Send(&msg.Message{Type: 7, TID: 8, Front: []byte("hello")}))
	c.Until("a refusal", func() bool { return c.Nodes[0].Count("refused") > 0 })
	refuse.Lift()
	c.Until("the message", func() bool { return c.Nodes[1].Received == 1 })
	require.Equal(t, 1, c.Nodes[0].Count("connect"))
	require.Equal(t, "accept", c.Nodes[1].Events[0].What)
	e := c.Nodes[1].Events[1]
	require.Equal(t, Event{At: e.At, What: "message", Conn: e.Conn, Peer: c.Nodes[0].Name(), Type: 7, TID: 8,
		Priority: msg.PriorityDefault, Front: "hello"}, e)
}
