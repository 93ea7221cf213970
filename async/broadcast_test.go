package async

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
)

// audience is a server and the clients that it broadcasts to, over its connections.
type audience struct {
	*node
	l       *lab
	clients []*node
	conns   []msg.Connection // the server's, with the client of the same index
}

func (l *lab) audience(n int, server, client msg.Policy, change ...func(*Config)) *audience {
	l.t.Helper()
	a := &audience{l: l, node: l.server(entity.OSD(0), server, change...)}
	for i := range n {
		cl := l.client(entity.Client(int64(i+1)), client)
		l.connect(cl, a.node)
		a.clients = append(a.clients, cl)
		a.conns = append(a.conns, l.peerOf(a.node, cl.Name()))
	}
	return a
}

// wholes records the ends of broadcasts, of which m is one.
type wholes struct {
	ends
	m     *msg.Message
	by    map[msg.Connection]int
	whole atomic.Int32
	onEnd func(c msg.Connection)
	onAll func(m *msg.Message)
}

func (w *wholes) MessageSent(c msg.Connection, m *msg.Message, err error) {
	w.mu.Lock()
	if w.by == nil {
		w.by = map[msg.Connection]int{}
	}
	w.by[c]++
	w.mu.Unlock()
	if w.m != nil && m != w.m {
		err = fmt.Errorf("told of another message: %v", err)
	}
	w.ends.MessageSent(c, m, err)
	if w.onEnd != nil {
		w.onEnd(c)
	}
}

func (w *wholes) BroadcastSent(m *msg.Message) {
	w.whole.Add(1)
	if w.onAll != nil {
		w.onAll(m)
	}
	w.l.notify()
}

// TestBroadcast: each connection gets the message once, in its place among what is sent
// over that connection alone; each end is told, and then that of all.
func TestBroadcast(t *testing.T) {
	for name, p := range map[string][2]msg.Policy{
		"lossless": {msg.StatefulServer(), msg.LosslessClient()},
		"lossy":    {msg.StatelessServer(), msg.LossyClient()},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			a := l.audience(8, p[0], p[1], func(c *Config) { c.CheckPayloads = true })
			const rounds = 30
			w := &wholes{ends: ends{l: l}}
			want := make([][]string, len(a.conns))
			var mine []string
			for i := range rounds {
				for j, c := range a.conns {
					require.NoError(t, c.Send(text("%d before %d", j, i)))
				}
				m := text("all %d", i)
				m.Data = make([]byte, 5000*(i%3))
				m.Notify = w
				require.Nil(t, a.Broadcast(append(a.conns, a.Loopback()), m))
				for j, c := range a.conns {
					require.NoError(t, c.Send(text("%d after %d", j, i)))
					want[j] = append(want[j],
						fmt.Sprintf("%d before %d", j, i), fmt.Sprintf("all %d", i), fmt.Sprintf("%d after %d", j, i))
				}
				mine = append(mine, fmt.Sprintf("all %d", i))
			}
			for j, cl := range a.clients {
				require.Equal(t, want[j], cl.wantMessages(3*rounds))
				for i, h := range cl.events("message") {
					require.EqualValues(t, i+1, h.m.Seq())
				}
			}
			require.Equal(t, mine, a.wantMessages(rounds), "the loopback's")
			require.NoError(t, a.Flush(timeout(t)))
			for _, err := range w.want(9 * rounds) {
				require.NoError(t, err)
			}
			for _, n := range w.by {
				require.Equal(t, rounds, n)
			}
			l.until("the ends of all", func() bool { return w.whole.Load() == rounds })
			require.Zero(t, a.Stats().Changed)
			require.Zero(t, a.Stats().SendBytes)
		})
	}
}

// TestBroadcastRefused: who does not accept it says why, and the others get it.
func TestBroadcastRefused(t *testing.T) {
	l := newLab(t)
	a := l.audience(2, msg.StatefulServer(), msg.LosslessClient(), func(c *Config) { c.SendQueueMessages = 2 })
	a.SetPolicy(entity.TypeMDS, msg.LosslessClient())
	full, err := a.ConnectTo(entity.TypeMDS, silent(t))
	require.NoError(t, err)
	sendAll(t, full, 2, nil)
	closed, err := a.ConnectTo(entity.TypeMDS, silent(t))
	require.NoError(t, err)
	closed.MarkDown()
	foreign, err := a.clients[0].ConnectTo(entity.TypeOSD, a.Addrs())
	require.NoError(t, err)
	stranger := struct{ msg.Connection }{}
	conns := []msg.Connection{nil, a.conns[0], full, closed, foreign, (*connection.Conn)(nil), a.clients[0].Loopback(),
		stranger, (*loopback)(nil), a.conns[1]}
	w := &wholes{ends: ends{l: l}}
	m := text("all")
	m.Notify, w.m = w, m
	var got []string
	for _, r := range a.Broadcast(conns, m) {
		require.Equal(t, conns[r.Index], r.Conn)
		for name, why := range map[string]error{
			"full": msg.ErrQueueFull, "closed": msg.ErrClosed, "foreign": msg.ErrForeign,
		} {
			if errors.Is(r, why) {
				got = append(got, fmt.Sprint(r.Index, " ", name))
			}
		}
	}
	require.Equal(t, []string{"0 foreign", "2 full", "3 closed", "4 foreign", "5 foreign", "6 foreign", "7 foreign",
		"8 foreign"}, got)
	for _, cl := range a.clients {
		require.Equal(t, []string{"all"}, cl.wantMessages(1))
	}
	for _, err := range w.want(2) {
		require.NoError(t, err)
	}
	l.until("the end of all", func() bool { return w.whole.Load() == 1 })

	// Nobody accepts it: it was never sent, and is the caller's.
	all := func(m *msg.Message, why error) {
		t.Helper()
		refused := a.Broadcast(a.conns, m)
		require.Len(t, refused, 2)
		for i, r := range refused {
			require.Equal(t, i, r.Index)
			require.ErrorIs(t, r, why)
		}
	}
	late := text("late")
	late.Deadline = time.Now().Add(-time.Second)
	all(late, msg.ErrDeadline)
	all(&msg.Message{Front: make([]byte, 17<<20)}, msg.ErrTooLarge)
	held := text("held")
	elsewhere, err := a.ConnectTo(entity.TypeMDS, silent(t))
	require.NoError(t, err)
	require.NoError(t, elsewhere.Send(held))
	all(held, msg.ErrInUse)
	require.Len(t, a.Broadcast([]msg.Connection{nil, full}, m), 2)
	require.Empty(t, a.Broadcast(nil, m))
	require.NoError(t, a.conns[0].Send(m), "it is the sender's")
	a.clients[0].wantMessages(2)
	w.want(3)
	require.EqualValues(t, 1, w.whole.Load(), "of a broadcast only")
	require.Panics(t, func() { a.Broadcast(a.conns, nil) })

	require.NoError(t, a.Shutdown(timeout(t)))
	all(text("too late"), msg.ErrShutdown)
	require.ErrorIs(t, a.Broadcast([]msg.Connection{a.Loopback()}, text("x"))[0], msg.ErrClosed)
}

// lost keeps what is reported undeliverable.
type lost struct {
	mu sync.Mutex
	ms []*msg.Message
}

func (x *lost) Dispatch(*msg.Message) bool { return false }
func (x *lost) HandleUndeliverable(_ msg.Connection, m *msg.Message, _ error) {
	x.mu.Lock()
	x.ms = append(x.ms, m)
	x.mu.Unlock()
}

// TestBroadcastEnds: each connection has its own end of it, and until the last one the
// message is the messenger's, with its payload.
func TestBroadcastEnds(t *testing.T) {
	l := newLab(t)
	a := l.client(entity.Client(1), msg.LosslessClient())
	reported := new(lost)
	a.AddDispatcherHead(reported)
	var conns []msg.Connection
	for range 3 {
		c, err := a.ConnectTo(entity.TypeOSD, silent(t))
		require.NoError(t, err)
		conns = append(conns, c)
	}
	m := msg.New(1000, 300)
	front := m.Front
	copy(front, strings.Repeat("payload", 50))
	w := &wholes{ends: ends{l: l}, m: m, onAll: func(m *msg.Message) {
		if string(m.Front[:7]) != "payload" {
			t.Errorf("%q", m.Front)
		}
	}}
	m.Notify = w
	require.Nil(t, a.Broadcast(conns, m))
	for i, c := range conns {
		require.Zero(t, w.whole.Load())
		require.Equal(t, "payload", string(front[:7]))
		require.ErrorIs(t, c.Send(m), msg.ErrInUse)
		require.False(t, c.Cancel(m))
		require.Panics(t, m.Release, "it is being sent")
		c.MarkDown()
		require.ErrorIs(t, w.want(i + 1)[i], msg.ErrMarkedDown)
		h := a.want("undeliverable", i+1)
		require.Same(t, c, h.conn)
		require.Equal(t, "payload", h.text[:7])
		require.ErrorIs(t, h.err, msg.ErrMarkedDown)
	}
	l.until("the end of all", func() bool { return w.whole.Load() == 1 })
	require.Len(t, reported.ms, 3)
	for _, x := range reported.ms {
		require.Same(t, m, x, "what the sender knows")
	}

	// Its deadline is that of each.
	var again []msg.Connection
	for range 2 {
		c, err := a.ConnectTo(entity.TypeOSD, silent(t))
		require.NoError(t, err)
		again = append(again, c)
	}
	late := text("late")
	late.Deadline = time.Now().Add(10 * time.Millisecond)
	v := &wholes{ends: ends{l: l}, m: late}
	late.Notify = v
	require.Nil(t, a.Broadcast(again, late))
	for _, err := range v.want(2) {
		require.ErrorIs(t, err, msg.ErrDeadline)
	}
	require.NoError(t, a.Flush(timeout(t)))
}

// TestBroadcastSlowConsumer: a peer that does not read holds what is for it, up to its
// bounds and those of all, and delays nobody.
func TestBroadcastSlowConsumer(t *testing.T) {
	const size, total = 256 << 10, 8 << 20
	l := newLab(t)
	a := l.audience(3, msg.StatefulServer(), msg.LosslessClient(), func(c *Config) {
		c.SendTotalBytes = total
		c.Socket.SendBuffer = 64 << 10
	})
	hold := l.gate()
	slow := l.node(entity.Client(9), msg.LosslessClient(), func(c *Config) {
		c.DispatchThrottleBytes = size
		c.Socket.RecvBuffer = 64 << 10
	})
	slow.onMessage = func(*msg.Message) { hold.pass() }
	require.NoError(t, slow.Start())
	l.connect(slow, a.node)
	late := l.peerOf(a.node, slow.Name())
	payload := make([]byte, size)
	accepted := 0
	for i := 0; ; i++ {
		m := text("%d", i)
		m.Data = payload
		refused := a.Broadcast(append(a.conns, late), m)
		for j, cl := range a.clients {
			l.until("the others", func() bool { return cl.count.Load() == int64(i+1) })
			require.NoError(t, a.conns[j].Flush(timeout(t)))
		}
		if refused != nil {
			require.Len(t, refused, 1)
			require.Same(t, late, refused[0].Conn)
			require.ErrorIs(t, refused[0], msg.ErrQueueFull)
			require.ErrorContains(t, refused[0], "all connections together")
			break
		}
		accepted++
	}
	messages, bytes := late.SendQueue()
	require.LessOrEqual(t, bytes, int64(total+connection.TotalFree))
	require.GreaterOrEqual(t, messages, total/size-4, "each counts in full, though it is shared")
	require.LessOrEqual(t, a.Stats().SendBytes, int64(total))
	hold.open()
	require.Equal(t, numbers(accepted), slow.wantMessages(accepted))
	require.NoError(t, a.Flush(timeout(t)))
}

// TestBroadcastReplayed: what a peer has not acknowledged it gets again, once, in order,
// whatever becomes of the others.
func TestBroadcastReplayed(t *testing.T) {
	l := newLab(t)
	a := l.audience(4, msg.StatefulServer(), msg.LosslessClient())
	const n = 200
	w := &wholes{ends: ends{l: l}}
	for i := range n {
		m := msg.New(1000, 0)
		m.Front = fmt.Append(nil, i)
		m.Data = make([]byte, 10_000)
		m.Notify = w
		require.Nil(t, a.Broadcast(a.conns, m))
		if i%10 == 5 {
			a.conns[i/10%4].(*connection.Conn).Fault(errors.New("the network is bad"))
		}
	}
	for _, cl := range a.clients {
		require.Equal(t, numbers(n), cl.wantMessages(n))
	}
	for _, err := range w.want(4 * n) {
		require.NoError(t, err)
	}
	l.until("the ends of all", func() bool { return w.whole.Load() == n })
}

// TestBroadcastCallbacksFail: whichever callback of it panics or ends its goroutine, the
// others are told, the message has its end and everything goes on.
func TestBroadcastCallbacksFail(t *testing.T) {
	for how, fails := range map[string]func(){"goexit": runtime.Goexit, "panic": func() { panic("planned") }} {
		for _, where := range []string{"one", "each", "all"} {
			t.Run(how+" "+where, func(t *testing.T) {
				l := newLab(t)
				a := l.audience(4, msg.StatefulServer(), msg.LosslessClient(),
					func(c *Config) { c.IgnorePanics = true })
				w := &wholes{ends: ends{l: l}}
				w.onEnd = func(c msg.Connection) {
					if where == "each" || where == "one" && c == a.conns[1] {
						fails()
					}
				}
				w.onAll = func(*msg.Message) {
					w.l.notify()
					if where == "all" {
						fails()
					}
				}
				const n = 20
				for i := range n {
					m := msg.New(1000, 0)
					m.Front = fmt.Append(nil, i)
					m.Notify = w
					require.Nil(t, a.Broadcast(append(a.conns, a.Loopback()), m))
				}
				for _, cl := range append(a.clients, a.node) {
					require.Equal(t, numbers(n), cl.wantMessages(n))
				}
				w.want(5 * n)
				l.until("the ends of all", func() bool { return w.whole.Load() == n })
				want := map[string]uint64{"one": n, "each": 5 * n, "all": n}[where]
				l.until("counted", func() bool { return a.Stats().Panics == want })
				require.NoError(t, a.Flush(timeout(t)))
				require.Zero(t, a.Stats().SendBytes)
			})
		}
	}
}

// TestBroadcastCheckPayloads: a change is noticed though the payload is shared.
func TestBroadcastCheckPayloads(t *testing.T) {
	l := newLab(t)
	a := l.client(entity.Client(1), msg.LosslessClient(), func(c *Config) { c.CheckPayloads = true })
	c, err := a.ConnectTo(entity.TypeOSD, silent(t))
	require.NoError(t, err)
	m := text("all")
	require.Nil(t, a.Broadcast([]msg.Connection{c, c}, m))
	m.Front[0] = 'b'
	c.MarkDown()
	a.want("undeliverable", 2)
	require.EqualValues(t, 2, a.Stats().Changed)
}

// TestBroadcastsAtOnce: many goroutines broadcast over the same connections and send over
// them, while some of these are cut and others closed.
func TestBroadcastsAtOnce(t *testing.T) {
	l := newLab(t)
	const clients, senders = 10, 6
	n := 100
	if testing.Short() {
		n = 30
	}
	a := l.audience(clients, msg.StatefulServer(), msg.LosslessClient())
	gone := a.conns[clients-2:]
	w := &wholes{ends: ends{l: l}}
	var accepted atomic.Int64
	var wg sync.WaitGroup
	for g := range senders {
		wg.Go(func() {
			for i := range n {
				m := text("%d %d", g, 2*i)
				m.Notify = w
				refused := a.Broadcast(a.conns, m)
				accepted.Add(int64(clients - len(refused)))
				for _, r := range refused {
					if !errors.Is(r, msg.ErrClosed) || r.Index < clients-2 {
						t.Errorf("%d: %v", r.Index, r)
					}
				}
				for _, c := range a.conns[:clients-2] {
					if err := c.Send(text("%d %d", g, 2*i+1)); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Go(func() {
		for i := range n {
			a.conns[i%(clients-2)].(*connection.Conn).Fault(errors.New("the network is bad"))
			switch i {
			case n / 3:
				gone[0].MarkDown()
			case n / 2:
				gone[1].MarkDown()
			}
			runtime.Gosched()
		}
	})
	wg.Wait()
	for _, cl := range a.clients[:clients-2] {
		next := make([]int, senders)
		for _, text := range cl.wantMessages(2 * n * senders) {
			var g, i int
			_, err := fmt.Sscan(text, &g, &i)
			require.NoError(t, err)
			require.Equal(t, next[g], i, "of sender %d", g)
			next[g]++
		}
	}
	require.NoError(t, a.Flush(timeout(t)))
	w.want(int(accepted.Load()))
	l.until("the ends of all", func() bool { return w.whole.Load() == int32(n*senders) })
}

// TestShutdownWaitsForBroadcasts: one that is under way may still have something to tell,
// and after Shutdown nothing is told.
func TestShutdownWaitsForBroadcasts(t *testing.T) {
	l := newLab(t)
	a := l.client(entity.Client(1), msg.LosslessClient())
	a.broadcasts.Add(1) // as in Broadcast
	ctx, cancel := context.WithCancel(context.Background())
	down := make(chan error, 1)
	go func() { down <- a.Shutdown(ctx) }()
	l.until("closed", func() bool { return a.Loopback().IsClosed() })
	cancel()
	require.ErrorIs(t, <-down, context.Canceled, "it would have waited")
	a.broadcasts.Add(-1)
	require.NoError(t, a.Shutdown(timeout(t)))
}
