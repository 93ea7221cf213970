package workload

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// queueClient answers one request each time it is told, those with high priority
// first.
type queueClient struct {
	deaf
	high [][2]int
}

func (c *queueClient) SendHigh(conn, slot int, _ []byte) error {
	c.high = append(c.high, [2]int{conn, slot})
	return nil
}

// TestPriority: the trickle has slots of its own, and the latencies are its.
func TestPriority(t *testing.T) {
	for _, high := range []bool{false, true} {
		c := &queueClient{}
		l, err := newPriority(c,
			&order{Scenario: Scenario{Kind: Priority, Connections: 1, Size: 100, Window: 3, High: high}})
		require.NoError(t, err)
		require.NoError(t, l.connect())
		l.trickle.pacer = &pacer{rate: trickleRate, epoch: l.trickle.epoch}
		l.trickle.to.Store(int64(time.Hour))
		l.bulk.start()
		require.Equal(t, [][2]int{{0, 0}, {0, 1}, {0, 2}}, c.sent)
		l.trickle.tick(0)
		if high {
			require.Equal(t, [][2]int{{0, 3}}, c.high)
			require.Len(t, c.sent, 3)
		} else {
			require.Empty(t, c.high)
			require.Equal(t, [2]int{0, 3}, c.sent[3])
		}
		c.answered(0, 1)
		require.EqualValues(t, 1, l.bulk.shards.count())
		require.EqualValues(t, 0, l.trickle.shards.count())
		c.answered(0, 3)
		require.EqualValues(t, 1, l.bulk.shards.count())
		require.EqualValues(t, 1, l.trickle.shards.count())
		require.Equal(t, [2]int{0, 1}, c.sent[len(c.sent)-1])
	}
	_, err := newPriority(&deaf{}, &order{Scenario: Scenario{Kind: Priority, Connections: 1, Window: 1, High: true}})
	require.ErrorContains(t, err, "no priorities")
}
