package threadpipe

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// pairs runs f with every combination of pipes and async that has pipes in it.
func pairs(t *testing.T, server, client msg.Policy, f func(t *testing.T, srv, cl messenger)) {
	flavours(t, func(t *testing.T, threads bool) {
		cfg := Config{Threads: threads}
		t.Run("pipes to pipes", func(t *testing.T) {
			srv := newPipes(t, entity.OSD(0), server, cfg)
			require.NoError(t, srv.Bind(local))
			f(t, srv, newPipes(t, entity.Client(7), client, cfg))
		})
		t.Run("pipes to async", func(t *testing.T) {
			srv := newAsync(t, entity.OSD(0), server)
			require.NoError(t, srv.Bind(local))
			f(t, srv, newPipes(t, entity.Client(7), client, cfg))
		})
		t.Run("async to pipes", func(t *testing.T) {
			srv := newPipes(t, entity.OSD(0), server, cfg)
			require.NoError(t, srv.Bind(local))
			f(t, srv, newAsync(t, entity.Client(7), client))
		})
	})
}

func start(t *testing.T, srv, cl messenger, d msg.Dispatcher) (inbox, msg.Connection) {
	in := newInbox()
	srv.AddDispatcherTail(d)
	cl.AddDispatcherTail(in)
	require.NoError(t, srv.Start())
	require.NoError(t, cl.Start())
	return in, connect(t, cl, srv)
}

func payload(n int, tid uint64) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(uint64(i)*7 + tid)
	}
	return b
}

func TestEcho(t *testing.T) {
	sizes := []int{0, 1, 64, 4096, 60_000, 300_000}
	if testing.Short() { // under the race detector, poisoning takes its time
		sizes = sizes[:5]
	}
	for _, fast := range []bool{true, false} {
		for name, p := range map[string][2]msg.Policy{
			"lossy":    {msg.StatelessServer(), msg.LossyClient()},
			"lossless": {msg.StatefulServer(), msg.LosslessClient()},
		} {
			t.Run(fmt.Sprintf("%s fast=%t", name, fast), func(t *testing.T) {
				pairs(t, p[0], p[1], func(t *testing.T, srv, cl messenger) {
					in, c := start(t, srv, cl, echo{fast})
					var ended atomic.Int64
					n := 24
					for i := range n {
						tid := uint64(i)
						x := &msg.Message{Type: 1, TID: tid, Front: []byte("front"),
							Data: payload(sizes[i%len(sizes)], tid)}
						x.Notify = msg.NotifyFunc(func(_ msg.Connection, _ *msg.Message, err error) {
							if err == nil {
								ended.Add(1)
							}
						})
						require.NoError(t, c.Send(x))
					}
					for i := range n {
						tid := uint64(i)
						m := in.want(t)
						require.Equal(t, tid, m.TID)
						require.Equal(t, "front", string(m.Front))
						require.True(t, string(payload(sizes[i%len(sizes)], tid)) == string(m.Data), "data of %d", i)
						require.Equal(t, entity.OSD(0), m.Source())
					}
					require.Equal(t, "connect", <-in.told)
					require.Eventually(t, func() bool { return ended.Load() == int64(n) },
						10*time.Second, time.Millisecond,
						"the echoes acknowledge")
					require.True(t, c.IsConnected())
				})
			})
		}
	}
}

// cut closes the socket of every pipe of m, as a broken network would.
func cut(m messenger) (n int) {
	p, ok := m.(*Messenger)
	if !ok {
		return 0
	}
	for _, p := range p.reg.Snapshot() {
		p.mu.Lock()
		if s := p.sock; s != nil && p.Seen.Connected.Load() {
			s.close()
			n++
		}
		p.mu.Unlock()
	}
	return n
}

// TestCuts: a lossless session hands every message over once and in order, however
// often its sockets are cut, at either end.
func TestCuts(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	pairs(t, msg.StatefulServer(), msg.LosslessClient(), func(t *testing.T, srv, cl messenger) {
		rng := rand.New(rand.NewPCG(seed, 0))
		in, c := start(t, srv, cl, echo{rng.IntN(2) == 0})
		const n, window = 400, 50
		cuts, sent := 0, 0
		for got := range n {
			for ; sent < n && sent < got+window; sent++ {
				size := rng.IntN(4_000)
				if !testing.Short() && rng.IntN(8) == 0 {
					size = 150_000 // read into its place
				}
				require.NoError(t, c.Send(&msg.Message{Type: 1, TID: uint64(sent), Data: payload(size, uint64(sent))}))
			}
			if rng.IntN(20) == 0 {
				cuts += cut([]messenger{srv, cl}[rng.IntN(2)])
			}
			m := in.want(t)
			require.EqualValues(t, got, m.TID)
			require.True(t, string(payload(len(m.Data), m.TID)) == string(m.Data))
			m.Release()
		}
		require.NotZero(t, cuts)
		require.Empty(t, in.msgs)
		require.Empty(t, in.resets)
	})
}

// TestRace: two equals that call each other at the same time have one session
// that hands every message over once and in order, through cuts too.
func TestRace(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	flavours(t, func(t *testing.T, threads bool) {
		for _, kind := range []string{"pipes", "async"} {
			t.Run(kind, func(t *testing.T) {
				a := newPipes(t, entity.OSD(0), msg.LosslessPeer(), Config{Threads: threads})
				require.NoError(t, a.Bind(local))
				rng := rand.New(rand.NewPCG(seed, 0))
				if kind == "pipes" {
					b := newPipes(t, entity.OSD(7), msg.LosslessPeer(), Config{Threads: threads})
					require.NoError(t, b.Bind(local))
					race(t, rng, a, b)
					return
				}
				b := newAsync(t, entity.OSD(7), msg.LosslessPeer())
				require.NoError(t, b.Bind(local))
				race(t, rng, a, b)
			})
		}
	})
}

func race(t *testing.T, rng *rand.Rand, nodes ...messenger) {
	var in [2]inbox
	var conns [2]msg.Connection
	for i, m := range nodes {
		in[i] = newInbox()
		m.AddDispatcherTail(in[i])
		require.NoError(t, m.Start())
	}
	for i := range nodes {
		conns[i] = connect(t, nodes[i], nodes[1-i])
	}
	for round := range uint64(80) {
		for i := range nodes {
			require.NoError(t, conns[i].Send(&msg.Message{Type: 1, TID: round}))
		}
		if rng.IntN(10) == 0 {
			cut(nodes[rng.IntN(2)])
		}
		for i := range nodes {
			require.Equal(t, round, in[i].want(t).TID)
		}
	}
	for i := range nodes {
		require.Empty(t, in[i].msgs)
		require.Empty(t, in[i].resets)
	}
}

func TestReset(t *testing.T) {
	pairs(t, msg.StatelessServer(), msg.LossyClient(), func(t *testing.T, srv, cl messenger) {
		in, c := start(t, srv, cl, echo{true})
		require.NoError(t, c.Send(&msg.Message{Type: 1}))
		in.want(t)
		if cut(cl) == 0 {
			require.Equal(t, 1, cut(srv))
		}
		require.ErrorIs(t, <-in.resets, msg.ErrReset)
		require.True(t, c.IsClosed())
		require.ErrorIs(t, c.Send(&msg.Message{Type: 1}), msg.ErrClosed)
		c2 := connect(t, cl, srv)
		require.NotSame(t, c, c2)
		require.NoError(t, c2.Send(&msg.Message{Type: 1}))
		in.want(t)
		c2.MarkDown()
		require.True(t, c2.IsClosed())
		require.Empty(t, in.resets)
	})
}

// TestPriority: what waits for dispatch is overtaken by higher priorities, and
// keeps its order within one.
func TestPriority(t *testing.T) {
	flavours(t, func(t *testing.T, threads bool) {
		srv := newPipes(t, entity.OSD(0), msg.StatefulServer(), Config{Threads: threads})
		require.NoError(t, srv.Bind(local))
		cl := newPipes(t, entity.Client(7), msg.LosslessClient(), Config{Threads: threads})
		b := &blocker{gate: make(chan struct{}), n: make(chan struct{}, 100)}
		_, c := start(t, srv, cl, b)
		for i, prio := range []uint8{0, 64, 196, 127, 64, 196, 255} {
			require.NoError(t, c.Send(&msg.Message{Type: 1, TID: uint64(i), Priority: prio}))
			if i == 0 {
				b.gate <- struct{}{} // it is in dispatch
			}
		}
		for srv.queue.Stats().Len < 6 {
			runtime.Gosched()
		}
		close(b.gate)
		for range 7 {
			<-b.n
		}
		require.Equal(t, []uint64{0, 6, 2, 5, 3, 1, 4}, b.tids)
	})
}

// TestThrottle: the peer is held back by what was not dispatched yet.
func TestThrottle(t *testing.T) {
	flavours(t, func(t *testing.T, threads bool) {
		srv := newPipes(t, entity.OSD(0), msg.StatefulServer(), Config{Threads: threads, DispatchThrottleBytes: 10_000})
		require.NoError(t, srv.Bind(local))
		cl := newPipes(t, entity.Client(7), msg.LosslessClient(), Config{Threads: threads})
		b := &blocker{gate: make(chan struct{}), n: make(chan struct{}, 100)}
		_, c := start(t, srv, cl, b)
		acked := make(chan error, 100)
		for i := range 20 {
			require.NoError(t, c.Send(&msg.Message{Type: 1, TID: uint64(i), Data: make([]byte, 3000),
				Notify: msg.NotifyFunc(func(_ msg.Connection, _ *msg.Message, err error) { acked <- err })}))
		}
		for range 3 {
			require.NoError(t, <-acked)
		}
		require.LessOrEqual(t, srv.throttle.Stats().Held, int64(10_000))
		close(b.gate)
		for range 20 {
			<-b.n
		}
		require.IsIncreasing(t, b.tids)
	})
}

// TestShutdown: what cannot be delivered any more is reported, once.
func TestShutdown(t *testing.T) {
	flavours(t, func(t *testing.T, threads bool) {
		cl := newPipes(t, entity.Client(7), msg.LosslessClient(), Config{Threads: threads})
		dead := newPipes(t, entity.OSD(0), msg.StatefulServer(), Config{Threads: threads})
		require.NoError(t, dead.Bind(local)) // never started: it says nothing
		require.NoError(t, cl.Start())
		c := connect(t, cl, dead)
		ends := make(chan error, 10)
		require.NoError(t, c.Send(&msg.Message{Type: 1,
			Notify: msg.NotifyFunc(func(_ msg.Connection, _ *msg.Message, err error) { ends <- err })}))
		require.NoError(t, cl.Shutdown(within(t)))
		require.True(t, errors.Is(<-ends, msg.ErrShutdown))
		require.Empty(t, ends)
		_, err := cl.ConnectTo(entity.TypeOSD, dead.Addrs())
		require.ErrorIs(t, err, msg.ErrShutdown)
	})
}
