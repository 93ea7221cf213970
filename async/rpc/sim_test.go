package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
)

// sim is a cluster whose nodes call each other, in virtual time.
type sim struct {
	*asynctest.Cluster
	t     *testing.T
	nodes map[int]*rpc.Node // by index; the newest life
}

func newSim(t *testing.T, opt asynctest.Options, setup func(i int, n *rpc.Node)) *sim {
	s := &sim{t: t, nodes: map[int]*rpc.Node{}}
	opt.Setup = func(n *asynctest.Node) {
		r, err := rpc.New(n.Messenger, rpc.Options{Go: func(f func()) { _ = n.Host.Submit(f) }})
		require.NoError(t, err)
		require.NoError(t, r.HandleRaw(echo, func(_ context.Context, r *rpc.Request) ([]byte, error) {
			return r.Body, nil
		}))
		if setup != nil {
			setup(n.Index, r)
		}
		s.nodes[n.Index] = r
		watch(t, r)
	}
	s.Cluster = asynctest.NewCluster(t, opt)
	return s
}

// outcome is how a call ended, once.
type outcome struct {
	reply []byte
	err   error
	times int
	at    time.Duration
}

// call calls node to from node from.
func (s *sim) call(ctx context.Context, from, to int, typ uint16, req []byte, opts ...rpc.CallOption) *outcome {
	o := new(outcome)
	s.nodes[from].Go(ctx, s.Connect(from, to), typ, req, func(reply []byte, err error) {
		o.reply, o.err, o.at = reply, err, s.Net.Now()
		o.times++
	}, opts...)
	return o
}

func (s *sim) over(all ...*outcome) {
	s.t.Helper()
	s.Until("calls to end", func() bool {
		for _, o := range all {
			if o.times == 0 {
				return false
			}
		}
		return true
	})
	s.Run(time.Second)
	for _, o := range all {
		require.Equal(s.t, 1, o.times)
	}
}

var bg = context.Background()

// TestLosslessSurvivesCuts: every call ends once, with its reply, and is handled once.
func TestLosslessSurvivesCuts(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			handled := map[string]int{}
			s := newSim(t, asynctest.Options{Seed: seed, N: 2}, func(_ int, n *rpc.Node) {
				require.NoError(t, n.HandleRaw(1, func(_ context.Context, r *rpc.Request) ([]byte, error) {
					handled[string(r.Body)]++
					return r.Body, nil
				}))
			})
			var all []*outcome
			for i := range 300 {
				all = append(all, s.call(bg, i%2, 1-i%2, 1, fmt.Append(nil, i)))
				if i%10 == 0 {
					s.Run(time.Millisecond)
				}
				if i%37 == 0 {
					s.Cut(0)
				}
			}
			s.over(all...)
			for i, o := range all {
				require.NoError(t, o.err)
				require.Equal(t, fmt.Sprint(i), string(o.reply))
				require.Equal(t, 1, handled[fmt.Sprint(i)])
			}
			require.Zero(t, s.nodes[0].Stats().LateReplies)
		})
	}
}

// TestPeerRestarts: what is out when the peer loses its session ends with ErrPeerReset, and later
// calls go to the new one.
func TestPeerRestarts(t *testing.T) {
	held := func(_ int, n *rpc.Node) {
		require.NoError(t, n.HandleRaw(1, func(ctx context.Context, r *rpc.Request) ([]byte, error) {
			return nil, errors.New("not in this test")
		}))
	}
	s := newSim(t, asynctest.Options{Seed: 1, N: 2, SameNonce: true}, held)
	first := s.call(bg, 0, 1, echo, []byte("a"))
	s.over(first)
	require.NoError(t, first.err)
	s.Stick(1) // its handlers stand still
	var out []*outcome
	for range 5 {
		out = append(out, s.call(bg, 0, 1, 1, nil))
	}
	s.Run(time.Second)
	require.Equal(t, 5, s.nodes[0].Stats().Out)
	s.Kill(1)
	s.Restart(1)
	s.over(out...)
	for _, o := range out {
		require.ErrorIs(t, o.err, rpc.ErrPeerReset)
		require.ErrorIs(t, o.err, msg.ErrRemoteReset)
	}
	require.EqualValues(t, 5, s.nodes[0].Stats().Failed)
	again := s.call(bg, 0, 1, echo, []byte("b"))
	s.over(again)
	require.NoError(t, again.err)
	require.Zero(t, s.nodes[0].Stats().Out)
}

// TestPeerCallsFirst: a peer that has lost its session is the first to call again, which no reset
// tells of under this policy. Its calls are handled, and ours over the old session fail.
func TestPeerCallsFirst(t *testing.T) {
	for _, quiet := range []bool{false, true} {
		s := newSim(t, asynctest.Options{Seed: 1, N: 2, Blocking: true, SameNonce: true}, nil)
		ended := 0
		require.NoError(t, s.nodes[0].HandleRaw(1, func(ctx context.Context, _ *rpc.Request) ([]byte, error) {
			s.Nodes[0].Sleep(5 * time.Second)
			if ctx.Err() != nil {
				ended++
			}
			return nil, nil
		}))
		s.over(s.call(bg, 0, 1, echo, nil), s.call(bg, 1, 0, echo, nil))
		s.Stick(1)
		ours := s.call(bg, 0, 1, echo, nil)
		s.call(bg, 1, 0, 1, nil)
		s.Run(time.Second)
		wall := s.Partition([]int{0}, []int{1})
		s.Kill(1)
		s.Restart(1)
		wall.Lift()
		if quiet {
			s.Connect(1, 0)
		} else {
			again := s.call(bg, 1, 0, echo, []byte("again"))
			s.over(again)
			require.NoError(t, again.err)
		}
		s.over(ours)
		require.ErrorIs(t, ours.err, rpc.ErrPeerReset)
		s.Run(time.Minute)
		require.Equal(t, 1, ended)
	}
}

// TestLossyReset: a broken connection ends what is out over it.
func TestLossyReset(t *testing.T) {
	s := newSim(t, asynctest.Options{Seed: 1, N: 2, Policy: msg.LossyClient()}, nil)
	s.Nodes[1].SetDefaultPolicy(msg.StatelessServer())
	first := s.call(bg, 0, 1, echo, []byte("a"))
	s.over(first)
	require.NoError(t, first.err)
	s.Stick(1)
	out := s.call(bg, 0, 1, echo, nil)
	s.Run(time.Second)
	s.Cut(1)
	s.over(out)
	require.ErrorIs(t, out.err, rpc.ErrPeerReset)
	s.Free(1)
	s.Run(time.Second)
	again := s.call(bg, 0, 1, echo, []byte("b"))
	s.over(again)
	require.NoError(t, again.err)
}

// TestMarkDown: a connection that is closed here ends its calls, sent or not.
func TestMarkDown(t *testing.T) {
	s := newSim(t, asynctest.Options{Seed: 1, N: 2}, nil)
	s.Stick(1)
	sent := s.call(bg, 0, 1, echo, nil)
	s.Run(time.Second)
	s.Isolate(1)
	waiting := s.call(bg, 0, 1, echo, nil)
	s.Run(10 * time.Millisecond)
	s.Connect(0, 1).MarkDown()
	s.over(sent, waiting)
	for _, o := range []*outcome{sent, waiting} {
		require.ErrorIs(t, o.err, rpc.ErrUndeliverable)
		require.ErrorIs(t, o.err, msg.ErrMarkedDown)
	}
	s.LiftAll()

	loop := s.Nodes[1].Loopback()
	o := new(outcome)
	s.nodes[1].Go(bg, loop, echo, nil, func(_ []byte, err error) { o.err = err; o.times++ })
	s.Run(time.Millisecond)
	require.Zero(t, o.times)
	loop.MarkDown()
	s.over(o)
	require.ErrorIs(t, o.err, msg.ErrMarkedDown)
	s.Free(1)
}

// TestDeadline: it ends the call in virtual time; the server drops what nobody waits for, and the
// handler sees how long it has.
func TestDeadline(t *testing.T) {
	var seen []time.Duration
	calls := 0
	s := newSim(t, asynctest.Options{Seed: 1, N: 2}, nil)
	require.NoError(t, s.nodes[1].HandleRaw(1, func(ctx context.Context, _ *rpc.Request) ([]byte, error) {
		calls++
		at, ok := ctx.Deadline()
		require.True(t, ok)
		seen = append(seen, at.Sub(s.Nodes[1].Clock().Wall()))
		return nil, nil
	}))
	o := s.call(bg, 0, 1, 1, nil, rpc.Timeout(time.Minute))
	s.over(o)
	require.NoError(t, o.err)
	require.InDelta(t, time.Minute, seen[0], float64(time.Second))

	// The handlers are stuck for longer than the callers wait, by an option, and by a context.
	s.Stick(1)
	began := s.Net.Now()
	timed := s.call(bg, 0, 1, 1, nil, rpc.Timeout(3*time.Second))
	ctx, cancel := s.nodes[0].WithTimeout(bg, 2*time.Second)
	defer cancel()
	within := s.call(ctx, 0, 1, 1, nil)
	none := s.call(bg, 0, 1, echo, nil)
	s.over(timed, within)
	require.ErrorIs(t, timed.err, context.DeadlineExceeded)
	require.ErrorIs(t, within.err, context.DeadlineExceeded)
	require.Equal(t, 3*time.Second, timed.at-began)
	require.Equal(t, 2*time.Second, within.at-began)
	s.Free(1)
	s.over(none)
	require.NoError(t, none.err)
	require.Equal(t, 1, calls)
	require.EqualValues(t, 2, s.nodes[1].Stats().Expired)
	require.Zero(t, s.nodes[0].Stats().CancelsSent, "the peer knows by itself")
	require.EqualValues(t, 2, s.nodes[0].Stats().Abandoned)

	past := s.call(ctx, 0, 1, 1, nil)
	require.ErrorIs(t, past.err, context.DeadlineExceeded)
	require.EqualValues(t, 4, s.nodes[0].Stats().Calls)
}

// TestLateReply: the reply to a call that is over is dropped and counted.
func TestLateReply(t *testing.T) {
	s := newSim(t, asynctest.Options{Seed: 1, N: 2, Blocking: true}, nil)
	require.NoError(t, s.nodes[1].HandleRaw(1, func(context.Context, *rpc.Request) ([]byte, error) {
		s.Nodes[1].Sleep(time.Second)
		return nil, nil
	}))
	s.over(s.call(bg, 0, 1, echo, nil))
	// The reply is under way when the time is over: the network takes long.
	slow := s.call(bg, 0, 1, 1, nil, rpc.Timeout(1500*time.Millisecond))
	s.Run(900 * time.Millisecond)
	wall := s.Partition([]int{0}, []int{1})
	s.Run(5 * time.Second)
	wall.Lift()
	s.over(slow)
	require.ErrorIs(t, slow.err, context.DeadlineExceeded)
	s.Until("the reply", func() bool { return s.nodes[0].Stats().LateReplies == 1 })
	require.Zero(t, s.nodes[0].Stats().UnknownReplies)
}

// TestCancel: a call that is given up is taken back where it waits to be sent, dropped where it waits to be
// handled, and its handler told where it runs.
func TestCancel(t *testing.T) {
	handled, ended := 0, 0
	s := newSim(t, asynctest.Options{Seed: 1, N: 2, Blocking: true}, nil)
	require.NoError(t, s.nodes[1].HandleRaw(1, func(ctx context.Context, _ *rpc.Request) ([]byte, error) {
		handled++
		s.Nodes[1].Sleep(time.Second)
		if ctx.Err() != nil {
			ended++
		}
		return nil, ctx.Err()
	}))
	s.over(s.call(bg, 0, 1, echo, nil))
	cancelAfter := func(d time.Duration) *outcome {
		ctx, cancel := s.nodes[0].WithTimeout(bg, time.Hour)
		o := s.call(ctx, 0, 1, 1, nil)
		s.Run(d)
		require.Zero(t, o.times)
		cancel()
		require.Equal(t, 1, o.times, "at once")
		require.ErrorIs(t, o.err, context.Canceled)
		s.Run(2 * time.Second)
		return o
	}
	client, server := s.nodes[0], s.nodes[1]

	cancelAfter(0)
	require.Zero(t, handled)
	require.EqualValues(t, 1, client.Stats().Withdrawn)

	cancelAfter(500 * time.Millisecond)
	require.Equal(t, [2]int{1, 1}, [2]int{handled, ended})
	require.EqualValues(t, 1, client.Stats().CancelsSent)
	require.EqualValues(t, 1, server.Stats().CancelsReceived)
	require.EqualValues(t, 1, server.Stats().RepliesUnwanted)

	first := s.call(bg, 0, 1, 1, nil) // and behind it
	cancelAfter(500 * time.Millisecond)
	s.over(first)
	require.Equal(t, [2]int{2, 1}, [2]int{handled, ended})
	require.EqualValues(t, 1, server.Stats().CancelledBefore)
	require.Zero(t, server.Stats().Running)

	// The session is lost while a handler runs: its context ends.
	out := s.call(bg, 0, 1, 1, nil)
	s.Run(500 * time.Millisecond)
	s.Connect(0, 1).MarkDown()
	s.over(out)
	s.Run(time.Minute)
}

// TestReplyLost: a reply that the messenger gives up is counted, and the caller's session is lost.
func TestReplyLost(t *testing.T) {
	s := newSim(t, asynctest.Options{Seed: 1, N: 2, Blocking: true}, nil)
	require.NoError(t, s.nodes[1].HandleRaw(1, func(context.Context, *rpc.Request) ([]byte, error) {
		s.Nodes[1].Sleep(time.Second)
		return nil, nil
	}))
	s.over(s.call(bg, 0, 1, echo, nil))
	out := s.call(bg, 0, 1, 1, nil)
	s.Run(500 * time.Millisecond)
	wall := s.Partition([]int{0}, []int{1})
	s.Run(time.Second) // the reply is sent, and does not come through
	s.MarkDown(1, 0)
	s.Sever(0, 1)
	wall.Lift()
	s.over(out)
	require.ErrorIs(t, out.err, rpc.ErrPeerReset)
	require.EqualValues(t, 1, s.nodes[1].Stats().RepliesLost)
}

// TestSameSeedSameBytes: the package adds no chance of its own.
func TestSameSeedSameBytes(t *testing.T) {
	run := func() any {
		s := newSim(t, asynctest.Options{Seed: 3, N: 3}, nil)
		var all []*outcome
		for i := range 60 {
			all = append(all, s.call(bg, i%3, (i+1)%3, echo, make([]byte, i*37), rpc.Timeout(time.Minute)))
			if i == 30 {
				s.Cut(0)
			}
		}
		s.over(all...)
		return s.Net.Hash()
	}
	require.Equal(t, run(), run())
}
