package osd

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/mon/wire"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// object is where the fake cluster has an object of that name.
func object(name string) wire.ObjectID {
	return wire.ObjectID{Name: name, Snap: wire.NoSnap, Hash: 0x6cf8deff, Pool: 3}
}

func only(name string, op uint8, id uint64) wire.OSDBackoff {
	return wire.OSDBackoff{PG: wire.PG{Pool: 3, Seed: 7}, Shard: 0xff, Epoch: 7, Op: op, ID: id, Begin: object(name),
		End: object(name)}
}

// TestHeldBack: what an OSD holds back is acknowledged, is not sent while it does, is sent once when
// it does no longer; other objects are not concerned.
func TestHeldBack(t *testing.T) {
	c, mc := newCluster(t)
	o, err := New(mc, Config{AnswerTimeout: 50 * time.Millisecond})
	require.NoError(t, err)
	_, err = New(mc, Config{}) // nor does another client answer
	require.NoError(t, err)
	ctx := testContext(t)
	conns := make(chan msg.Connection, 1)
	c.before = func(n int, conn msg.Connection) bool {
		if n == 1 {
			_ = conn.Send(only("x", wire.BackoffBlock, 5).Message())
			conns <- conn
		}
		return n != 1
	}
	ended := make(chan error, 1)
	go func() { ended <- o.Write(ctx, "p", "x", []byte("hello")) }()
	conn := <-conns
	require.Equal(t, only("x", wire.BackoffAckBlock, 5), <-c.acks)
	require.NoError(t, o.Write(ctx, "p", "y", nil), "it is not in the range")
	for len(c.maps) > 0 {
		<-c.maps
	}
	for range 4 {
		select {
		case <-c.maps: // the monitor is asked again, where it is
		case err := <-ended:
			require.FailNow(t, "it was sent while it was held back", "%v", err)
		}
	}
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	_, err = o.Read(short, "p", "x")
	require.ErrorIs(t, err, context.DeadlineExceeded)

	until, stop := context.WithCancel(ctx)
	go func() { <-c.maps; <-c.maps; <-c.maps; <-c.maps; stop() }()
	err = o.Delete(until, "p", "x")
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, errHeld)
	require.ErrorContains(t, err, "osd.0: it holds the object back (MOSDBackoff)")
	c.mu.Lock()
	require.Equal(t, []string{"osd.0 2202 x retry 0", "osd.0 2202 y retry 0"}, c.ops)
	c.mu.Unlock()

	require.NoError(t, conn.Send(only("x", wire.BackoffUnblock, 5).Message()))
	require.NoError(t, <-ended)
	got, err := o.Read(ctx, "p", "x")
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
	require.Empty(t, c.acks)
	o.mu.Lock()
	defer o.mu.Unlock()
	require.Empty(t, o.held)
}

// TestBlocksEndWithTheConnection, and with what cannot be read or is too much, which ends it.
func TestBlocksEndWithTheConnection(t *testing.T) {
	c, mc := newCluster(t)
	o, err := New(mc, Config{AnswerTimeout: time.Minute})
	require.NoError(t, err)
	c.before = func(n int, conn msg.Connection) bool {
		switch n {
		case 1:
			_ = conn.Send(only("x", wire.BackoffBlock, 1).Message())
		case 2:
			_ = conn.Send(only("x", 9, 1).Message())
		case 3:
			for id := range uint64(backoffsMax + 1) {
				_ = conn.Send(only("z", wire.BackoffBlock, id).Message())
			}
		default:
			return true
		}
		return false
	}
	ended := make(chan error, 1)
	go func() { ended <- o.Write(testContext(t), "p", "x", nil) }()
	<-c.acks
	c.osds[0].MarkDownAll()
	require.NoError(t, <-ended)
	o.mu.Lock()
	defer o.mu.Unlock()
	require.Empty(t, o.held)
	c.mu.Lock()
	defer c.mu.Unlock()
	require.Len(t, c.ops, 4)
}

// TestSentAgainOnceForEachTry: an OSD that blocks and unblocks for ever is asked after pauses.
func TestSentAgainOnceForEachTry(t *testing.T) {
	c, mc := newCluster(t)
	o, err := New(mc, Config{AnswerTimeout: time.Minute})
	require.NoError(t, err)
	c.before = func(n int, conn msg.Connection) bool {
		if n <= 6 {
			_ = conn.Send(only("x", wire.BackoffBlock, uint64(n)).Message())
			_ = conn.Send(only("x", wire.BackoffUnblock, uint64(n)).Message())
		}
		return n > 6
	}
	require.NoError(t, o.Write(testContext(t), "p", "x", nil))
	require.Equal(t, 4, len(c.maps), "three tries of two, and the last one")
}

func TestBackoffs(t *testing.T) {
	var s backoffs
	pg := wire.PG{Pool: 3, Seed: 7}
	require.False(t, (*backoffs)(nil).holds(pg, object("a")))
	require.False(t, s.unblock(only("a", wire.BackoffUnblock, 1)))
	require.NoError(t, s.block(only("a", wire.BackoffBlock, 1)))
	require.NoError(t, s.block(only("b", wire.BackoffBlock, 1)), "the same number: in its place")
	require.False(t, s.holds(pg, object("a")))
	require.True(t, s.holds(pg, object("b")))
	require.False(t, s.holds(wire.PG{Pool: 3, Seed: 8}, object("b")))
	for id := range uint64(backoffsMax) {
		require.NoError(t, s.block(only("b", wire.BackoffBlock, id)))
	}
	require.ErrorIs(t, s.block(only("b", wire.BackoffBlock, backoffsMax)), errBackoffs)
	for id := range uint64(backoffsMax) {
		require.True(t, s.holds(pg, object("b")))
		require.True(t, s.unblock(only("b", wire.BackoffUnblock, id)))
	}
	require.Zero(t, s.n)
	require.Empty(t, s.blocks)
}
