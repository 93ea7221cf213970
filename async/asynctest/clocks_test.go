package asynctest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

const year = 365 * 24 * time.Hour

// Clocks of two nodes that disagree, more and more, are nobody's broken promise: what
// is compared between nodes is the network's time.
func TestClocksThatDisagree(t *testing.T) {
	for _, drift := range []time.Duration{
		-800 * time.Millisecond, -time.Millisecond, time.Millisecond, 5 * time.Second,
	} {
		for _, jump := range []time.Duration{0, year, -year} {
			t.Run(fmt.Sprint(drift, jump), func(t *testing.T) {
				for wrong := range 2 {
					testClocks(t, wrong, jump, drift)
				}
			})
		}
	}
}

func testClocks(t *testing.T, wrong int, jump, drift time.Duration) {
	c := NewCluster(t, Options{Seed: 1, N: 2, History: true})
	c.History.Promises = Promises{Lossless: true, Quiet: 5 * time.Minute, Attempts: 10, Delay: 5 * time.Minute}
	c.Nodes[wrong].Host.SetClock(jump/2, drift)
	c.Run(10 * time.Second)
	exchange := func() {
		for range 5 {
			require.NoError(t, c.Send(0, 1, 100, 0))
			require.NoError(t, c.Send(1, 0, 100, msg.PriorityHigh))
			c.Run(10 * time.Millisecond)
		}
	}
	exchange()
	c.Cut(0)
	exchange()
	c.Nodes[wrong].Host.SetClock(jump, drift)
	wall := c.Partition([]int{0}, []int{1})
	exchange()
	c.Run(time.Minute)
	wall.Lift()
	c.Until("everything", c.Complete)
	c.Crash(1)
	c.Restart(1) // with the clock of the machine
	exchange()
	c.Healed()
	c.Run(2 * time.Minute)
	c.CheckPromises()
}

// A delivery is compared with the session's beginning by the clock that both were
// noted by.
func TestClocksHideNoOldMessage(t *testing.T) {
	c := NewCluster(t, Options{Seed: 1, N: 2, History: true, Policy: msg.LosslessPeerReuse()})
	c.Nodes[1].Host.SetClock(0, 5*time.Second)
	require.NoError(t, c.Send(0, 1, 100, 0))
	require.NoError(t, c.Send(1, 0, 100, 0))
	c.Run(time.Minute)
	c.CloseHistory()
	require.Empty(t, c.History.Violations())
	d := *c.History.find(RecDelivered, 0)
	for i := range c.History.Records {
		if r := c.History.Records[i]; r.Kind == RecDelivered && r.Node == 1 {
			d = r
		}
	}
	// It was received a second before the session began that follows the loss.
	reset := Record{Kind: RecRemoteReset, At: c.Net.Now(), Local: c.Nodes[1].Host.Clock().Now(), Node: 1,
		Conn: d.Conn, Peer: 0}
	ready := reset
	ready.Kind, ready.Local = RecReady, d.ReceivedAt+time.Second
	h := c.History
	h.Records = append(h.Records, ready, reset)
	d.At = reset.At
	h.Records = append(h.Records, d)
	i := slices.IndexFunc(Checkers(), func(c Checker) bool { return c.Letter == "C3" })
	require.Len(t, Checkers()[i].Check(h), 1)
	h.Records[len(h.Records)-1].ReceivedAt = ready.Local
	require.Empty(t, Checkers()[i].Check(h))
}
