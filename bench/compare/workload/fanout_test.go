package workload

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// choir is a client whose server sends everything to all, at first not to the last.
type choir struct {
	n        int
	answered func(conn, slot int)
	late     int // how many messages it does not know the last connection
	sent     []int
}

func (c *choir) Connect(n int, answered func(conn, slot int)) error {
	c.n, c.answered = n, answered
	return nil
}

func (c *choir) Send(conn, slot int, _ []byte) error {
	c.sent = append(c.sent, slot)
	n := c.n
	if len(c.sent) <= c.late {
		n--
	}
	if len(c.sent) > c.late+5 {
		return nil // or it would never end
	}
	for i := range n {
		c.answered(i, slot)
	}
	return nil
}

func (c *choir) Stop() error { return nil }

// TestFanOut: it begins when the server knows all, goes on when all have it, and counts each.
func TestFanOut(t *testing.T) {
	c := &choir{late: 2}
	l := newFanOut(c, Scenario{Kind: FanOut, Connections: 10, Size: 100, Window: 1})
	require.NoError(t, l.connect())
	require.Len(t, c.sent, 3)
	l.answered(3, c.sent[0])
	require.EqualValues(t, 0, l.left.Load(), "one that was given up does not count")
	l.shards.reset()
	l.start()
	require.Len(t, c.sent, 3+5)
	require.EqualValues(t, 40, l.shards.count())
	l.stop()
}

// TestFanOutSkips: who cannot says so.
func TestFanOutSkips(t *testing.T) {
	s := Scenario{Name: "fan-out/lossy", Kind: FanOut, Connections: 3, Size: 10, Window: 1,
		Options: Options{Lossy: true}}
	res, err := Run(context.Background(),
		Config{Contestants: fakes()[:1], Scenarios: []Scenario{s}, Rounds: 1, Seconds: 0.01})
	require.NoError(t, err)
	require.Equal(t, "it has nothing to send one message over many connections with", res.Rows[0].Skipped)
}
