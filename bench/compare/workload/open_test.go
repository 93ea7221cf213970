package workload

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestOpenShowsStall: what a stall keeps from being sent shows in the open loop's
// p99. A closed loop hides it.
func TestOpenShowsStall(t *testing.T) {
	open, closed, err := selfTest()
	require.NoError(t, err)
	t.Logf("open %v, closed %v", open, closed)
	require.GreaterOrEqual(t, open, stallSeen)
	require.Less(t, closed, open)
}

// TestOpenUnanswered: what has no answer counts with the time that it waited.
func TestOpenUnanswered(t *testing.T) {
	s := Scenario{Connections: 3, Size: 8, Window: 2}
	c := &deaf{}
	l := newOpen(c, &order{Scenario: s, Rate: 1e6})
	require.NoError(t, l.connect())
	l.pacer = &pacer{rate: 1e6, epoch: l.epoch}
	l.to.Store(int64(30 * time.Microsecond)) // 30 messages, 10 for each connection
	for k := range int64(30) {
		l.tick(k)
	}
	require.Equal(t, [][2]int{{0, 0}, {1, 0}, {2, 0}, {0, 1}, {1, 1}, {2, 1}}, c.sent)
	require.EqualValues(t, 30, l.latencies().TotalCount())
	require.EqualValues(t, 0, l.shards.count())

	c.answered(1, 0) // which makes room for the next one
	require.Equal(t, [2]int{1, 0}, c.sent[6])
	require.Len(t, c.sent, 7)
	require.EqualValues(t, 1, l.shards.count())
	require.EqualValues(t, 30, l.latencies().TotalCount())
	c.answered(1, 0)
	c.answered(1, 0)
	require.EqualValues(t, 3, l.shards.count())
	require.EqualValues(t, 30, l.latencies().TotalCount())
}

// deaf is a client whose answers are given by hand.
type deaf struct {
	sent     [][2]int
	answered func(conn, slot int)
}

func (c *deaf) Connect(_ int, answered func(conn, slot int)) error {
	c.answered = answered
	return nil
}

func (c *deaf) Send(conn, slot int, _ []byte) error {
	c.sent = append(c.sent, [2]int{conn, slot})
	return nil
}

func (c *deaf) Stop() error { return nil }

func TestPacer(t *testing.T) {
	p := &pacer{rate: 3}
	require.EqualValues(t, 0, p.first(0))
	require.EqualValues(t, 1, p.first(1))
	require.EqualValues(t, 1, p.first(p.at(1)))
	require.EqualValues(t, 2, p.first(p.at(1)+1))
	for k := range int64(100) {
		require.Equal(t, k, p.first(p.at(k)))
	}
	got := make(chan int64, 1000)
	p = newPacer(1000, time.Now())
	p.start(func(k int64) {
		select {
		case got <- k:
		default:
		}
	})
	last := int64(-1)
	for range 50 {
		k := <-got
		require.Greater(t, k, last)
		if last >= 0 {
			require.Equal(t, last+1, k)
		}
		last = k
	}
	p.stop()
}

// TestRunOpen: loads are parts of what a contestant did in a closed loop.
func TestRunOpen(t *testing.T) {
	all := []Contestant{fakes()[0], fakes()[3]}
	res, err := Run(context.Background(), Config{
		Contestants: all, Reference: "good", Rounds: 1, Seconds: 0.05,
		Scenarios: []Scenario{{Name: "open/0.1", Kind: Open, Connections: 2, Size: 10, Window: 1000, Load: 0.001}},
	})
	require.NoError(t, err)
	good, bad := res.Rows[0], res.Rows[1]
	require.Empty(t, good.Failed)
	require.Positive(t, good.Offered)
	require.Positive(t, good.Msgs)
	require.Positive(t, good.P99)
	require.EqualValues(t, 1, good.Ratio)
	require.Contains(t, bad.Failed, "closed loop")
}
