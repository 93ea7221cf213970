package asynctest_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
)

// announced counts the ends of broadcasts, of their sendings and of all.
type announced struct{ ends, failed, whole int }

func (a *announced) MessageSent(_ msg.Connection, _ *msg.Message, err error) {
	a.ends++
	if err != nil {
		a.failed++
	}
}
func (a *announced) BroadcastSent(*msg.Message) { a.whole++ }

// announce has one node broadcast to others, and send to each by itself in between, while
// connections are cut, one peer is beyond a wall and another does not take anything for a
// while. It returns the hash of all that happened.
func announce(t *testing.T, seed uint64) uint64 {
	const peers, n = 6, 40
	c := asynctest.NewCluster(t, asynctest.Options{Seed: seed, N: 1 + peers, Workers: 2,
		Network: simnet.Config{ShortWrites: 16}})
	from := c.Nodes[0]
	var conns []msg.Connection
	for i := 1; i <= peers; i++ {
		conns = append(conns, c.Connect(0, i))
	}
	rnd := rand.New(rand.NewPCG(seed, 1))
	told := &announced{}
	var want []string
	wall := c.Partition([]int{0}, []int{1})
	c.Stick(2)
	for i := range n {
		m := msg.New(1, 0)
		m.Front = fmt.Append(nil, "all ", i)
		m.Data = make([]byte, rnd.IntN(3)*rnd.IntN(20_000))
		m.Notify = told
		require.Nil(t, from.Broadcast(conns, m))
		for _, to := range conns {
			require.NoError(t, to.Send(&msg.Message{Type: 1, Front: fmt.Append(nil, "one ", i)}))
		}
		want = append(want, fmt.Sprint("all ", i), fmt.Sprint("one ", i))
		c.Run(time.Duration(rnd.IntN(500)) * time.Microsecond)
		if i%5 == 4 {
			c.Cut(rnd.IntN(1 + peers))
		}
	}
	texts := func(i int) (out []string) {
		for _, e := range c.Nodes[i].Events {
			if e.What == "message" {
				out = append(out, e.Front)
			}
		}
		return out
	}
	c.Until("what those within reach get", func() bool {
		return !slices.ContainsFunc([]int{3, 4, 5, 6}, func(i int) bool { return len(texts(i)) < 2*n })
	})
	require.Empty(t, texts(1))
	require.Zero(t, told.whole, "one of them has had nothing yet")
	c.Free(2)
	wall.Lift()
	c.Until("the rest", func() bool { return told.whole == n })
	require.Equal(t, announced{ends: peers * n, whole: n}, *told)
	for i := 1; i <= peers; i++ {
		c.Until("all", func() bool { return len(texts(i)) == 2*n })
		require.Equal(t, want, texts(i))
	}

	// The end of connections, with what they hold, is the end of it too.
	c.Isolate(1)
	m := &msg.Message{Type: 1, Notify: told}
	require.Nil(t, from.Broadcast(conns[:2], m))
	conns[0].MarkDown()
	refused := from.Broadcast(conns[:2], m)
	require.Len(t, refused, 2)
	require.True(t, errors.Is(refused[0], msg.ErrInUse) || errors.Is(refused[0], msg.ErrClosed))
	c.Until("the end", func() bool { return told.whole == n+1 })
	require.Equal(t, 1, told.failed)
	c.Run(time.Second)
	c.CheckNothingHeld()
	return c.Net.Hash()
}

// TestBroadcast: exactly once, in order, whatever the network does, and the same for the
// same seed.
func TestBroadcast(t *testing.T) {
	for seed := range uint64(5) {
		h := announce(t, seed)
		require.Equal(t, h, announce(t, seed), "seed %d", seed)
		require.NotEqual(t, h, announce(t, seed+1000))
	}
}
