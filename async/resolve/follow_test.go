package resolve

import (
	"context"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// following is a cluster whose node 0 follows; nodes 1 and 2 are both osd.1, as one that
// has moved, and node 3 is osd.3.
type following struct {
	*asynctest.Cluster
	t     *testing.T
	f     *Follower
	log   logged
	ends  []error // of what was sent by name
	moves [][2]msg.Connection
}

func follow(t *testing.T, cfg FollowConfig) *following {
	x := &following{t: t}
	x.Cluster = asynctest.NewCluster(t, asynctest.Options{Seed: 1, N: 4, Config: func(i int, cfg *async.Config) {
		if i == 2 {
			cfg.Name, cfg.AuthName = entity.OSD(1), entity.AuthName{}
		}
	}})
	cfg.Logger = x.log.logger()
	cfg.Moved = func(name entity.Name, from, to msg.Connection) {
		require.Equal(t, entity.OSD(1), name)
		x.moves = append(x.moves, [2]msg.Connection{from, to})
	}
	x.f = NewFollower(x.Nodes[0].Messenger, cfg)
	return x
}

// apply applies a map: osd.1 is at node at (0: nowhere), osd.3 is where it is.
func (x *following) apply(epoch uint64, at int) error {
	entries := []Entry{{entity.OSD(3), x.Nodes[3].Addrs()}}
	if at != 0 {
		entries = append(entries, Entry{entity.OSD(1), x.Nodes[at].Addrs()})
	}
	m, err := NewMap(epoch, entries...)
	require.NoError(x.t, err)
	return x.f.Apply(m)
}

func (x *following) send() {
	m := &msg.Message{Type: 7, Notify: msg.NotifyFunc(func(_ msg.Connection, _ *msg.Message, err error) {
		x.ends = append(x.ends, err)
	})}
	require.NoError(x.t, x.f.Send(x.t.Context(), m, entity.OSD(1)))
}

func TestFollow(t *testing.T) {
	x := follow(t, FollowConfig{})
	require.NoError(t, x.apply(5, 1))
	x.send()
	x.Until("the first message", func() bool { return x.Nodes[1].Received == 1 })
	was, err := x.f.Dial(t.Context(), entity.OSD(1))
	require.NoError(t, err)
	other, err := x.f.Dial(t.Context(), entity.OSD(3))
	require.NoError(t, err)
	x.Until("its end", func() bool { return len(x.ends) == 1 })
	require.NoError(t, x.ends[0])

	// The old place does not answer any more: what was sent there ends with the move.
	x.Isolate(1)
	for range 3 {
		x.send()
	}
	x.Run(time.Second)
	require.Len(t, x.ends, 1)
	require.NoError(t, x.apply(6, 2))
	x.Until("the ends", func() bool { return len(x.ends) == 4 })
	for _, err := range x.ends[1:] {
		require.ErrorIs(t, err, msg.ErrMarkedDown)
	}
	require.True(t, was.IsClosed())
	require.Len(t, x.moves, 1)
	require.Same(t, was, x.moves[0][0])
	now, err := x.f.Dial(t.Context(), entity.OSD(1))
	require.NoError(t, err)
	require.Same(t, now, x.moves[0][1])
	x.Until("it is connected, unasked", now.IsConnected)
	x.send()
	x.Until("the next message", func() bool { return x.Nodes[2].Received == 1 })
	require.False(t, other.IsClosed(), "osd.3 has not moved")

	// What is old is ignored, what is no move moves nothing.
	require.ErrorIs(t, x.apply(5, 1), ErrOld)
	require.ErrorIs(t, x.apply(6, 1), ErrConflict)
	require.NoError(t, x.apply(7, 2))
	require.Len(t, x.moves, 1)
	require.Equal(t, Stats{Maps: 3, Old: 1, Conflicts: 1, Moved: 1}, x.f.Stats())
	require.False(t, now.IsClosed())

	// Gone, and back at the same place: nothing has happened. Gone, and back elsewhere.
	require.NoError(t, x.apply(8, 0))
	_, err = x.f.Dial(t.Context(), entity.OSD(1))
	require.ErrorIs(t, err, ErrUnknown)
	require.NoError(t, x.apply(9, 2))
	require.False(t, now.IsClosed())
	require.NoError(t, x.apply(10, 0))
	x.LiftAll()
	require.NoError(t, x.apply(11, 1))
	require.True(t, now.IsClosed())
	// What was sent there before arrives now: had it been sent again to the second place, it
	// had come twice.
	x.send()
	x.Until("the end of a message for the first place", func() bool { return len(x.ends) == 6 })
	require.NoError(t, x.ends[5])
	require.Equal(t, 1+3+1, x.Nodes[1].Received)
}

// TestFollowWhoCalls: a connection that the peer has begun ends, too, when the name has moved.
func TestFollowWhoCalls(t *testing.T) {
	x := follow(t, FollowConfig{})
	require.NoError(t, x.apply(1, 1))
	require.NoError(t, x.Send(1, 0, 10, 0))
	x.Until("it has called", func() bool { return x.Nodes[0].Received == 1 })
	c := x.Nodes[0].Lookup(x.Nodes[1].Addrs())
	require.NotNil(t, c)
	x.Isolate(1)
	require.NoError(t, x.apply(2, 2))
	require.True(t, c.IsClosed())
	require.Nil(t, x.Nodes[0].Lookup(x.Nodes[2].Addrs()), "nobody has asked for a connection")
	require.Empty(t, x.moves)
}

func TestFollowDropsTheAbsent(t *testing.T) {
	x := follow(t, FollowConfig{DropAbsent: true})
	require.NoError(t, x.apply(1, 1))
	x.send()
	x.Until("a message", func() bool { return x.Nodes[1].Received == 1 })
	require.NoError(t, x.apply(2, 0))
	require.Len(t, x.moves, 1)
	require.True(t, x.moves[0][0].IsClosed())
	require.Nil(t, x.moves[0][1])
	require.NoError(t, x.apply(3, 1))
	x.send()
	x.Until("another", func() bool { return x.Nodes[1].Received == 2 })
}

// TestFollowMisnamed: osd.1 is said to be where osd.3 is, which says who it is.
func TestFollowMisnamed(t *testing.T) {
	x := follow(t, FollowConfig{})
	m, err := NewMap(1, Entry{entity.OSD(1), x.Nodes[3].Addrs()})
	require.NoError(t, err)
	require.NoError(t, x.f.Apply(m))
	x.send()
	x.Until("the end", func() bool { return len(x.ends) == 1 })
	x.Until("it is known who answers", func() bool { return x.f.Stats().Misnamed == 1 })
	require.Equal(t, 1, x.log.take())
	x.send()
	x.Until("again", func() bool { return x.f.Stats().Misnamed == 2 })
	require.Zero(t, x.log.take(), "said once for a map")
	require.NoError(t, x.apply(2, 1))
	x.send()
	x.Until("a message", func() bool { return x.Nodes[1].Received == 1 })
}

func TestFollowBounds(t *testing.T) {
	x := follow(t, FollowConfig{NamesMax: 2})
	require.NoError(t, x.apply(1, 1))
	_, err := x.f.Dial(t.Context(), entity.OSD(1))
	require.NoError(t, err)
	// osd.3 was never dialled, and is forgotten for osd.4; osd.1 is not.
	m, err := NewMap(2, entry(t, "osd.4", "10.9.9.9:1"))
	require.NoError(t, err)
	require.NoError(t, x.f.Apply(m))
	m, err = NewMap(3, entry(t, "osd.4", "10.9.9.9:1"), entry(t, "osd.5", "10.9.9.8:1"))
	require.NoError(t, err)
	require.ErrorIs(t, x.f.Apply(m), ErrTooMany)
	require.EqualValues(t, 2, x.f.Current().Epoch)
	require.EqualValues(t, 1, x.f.Stats().Bad)
}

// TestRun: what a resolver says is applied, until ctx ends.
func TestRun(t *testing.T) {
	x := follow(t, FollowConfig{})
	s, err := NewStatic(Entry{entity.OSD(1), x.Nodes[1].Addrs()})
	require.NoError(t, err)
	done, seen := make(chan error), make(chan uint64)
	go func() { done <- x.f.Run(t.Context(), observed{s, seen}) }()
	require.EqualValues(t, 1, <-seen)
	require.EqualValues(t, 1, x.f.Current().Epoch)
	require.NoError(t, s.Set(Entry{entity.OSD(1), x.Nodes[2].Addrs()}))
	require.EqualValues(t, 2, <-seen)
	require.EqualValues(t, 2, x.f.Current().Epoch)
	require.NoError(t, s.Close())
	require.ErrorIs(t, <-done, ErrClosed)
}

// observed tells of each map after it was applied.
type observed struct {
	Resolver
	seen chan uint64
}

func (o observed) Watch(ctx context.Context, f func(*Map)) error {
	return o.Resolver.Watch(ctx, func(m *Map) {
		f(m)
		o.seen <- m.Epoch
	})
}
