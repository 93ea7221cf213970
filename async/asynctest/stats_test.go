package asynctest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/asyncmsgr/asyncmsgr/eventloop/forward"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
)

// moved knows of each number in async.Stats whether it was ever other than 0.
type moved struct {
	paths map[string]bool
	still []number // those that were not
}

// number is one of them: where it is, as fields and elements.
type number struct {
	path string
	at   []int
}

func newMoved() *moved {
	m := &moved{paths: map[string]bool{}}
	m.add("Stats", reflect.TypeFor[async.Stats](), nil)
	return m
}

func (m *moved) add(path string, of reflect.Type, at []int) {
	switch of.Kind() {
	case reflect.Struct:
		for i := range of.NumField() {
			m.add(path+"."+of.Field(i).Name, of.Field(i).Type, append(slices.Clip(at), i))
		}
	case reflect.Array:
		for i := range of.Len() {
			element := fmt.Sprintf("%s[%d]", path, i)
			if of.Len() == msg.NumReasons { // which reasons there are is tested where they are found
				element = path + "[reason]"
			}
			m.add(element, of.Elem(), append(slices.Clip(at), i))
		}
	default:
		m.paths[path] = false
		m.still = append(m.still, number{path, at})
	}
}

func (n number) in(v reflect.Value) reflect.Value {
	for _, i := range n.at {
		if v.Kind() == reflect.Struct {
			v = v.Field(i)
		} else {
			v = v.Index(i)
		}
	}
	return v
}

func (m *moved) see(all ...*async.Messenger) {
	for _, x := range all {
		v := reflect.ValueOf(x.Stats())
		m.still = slices.DeleteFunc(m.still, func(n number) bool {
			m.paths[n.path] = m.paths[n.path] || !n.in(v).IsZero()
			return m.paths[n.path]
		})
	}
}

func (m *moved) seeAll(c *Cluster) {
	for _, n := range c.Nodes {
		if !n.Down {
			m.see(n.Messenger)
		}
	}
}

// watch lets time pass and looks all the while.
func (m *moved) watch(c *Cluster, d time.Duration) {
	for end := c.Net.Now() + d; c.Net.Now() < end; {
		c.Run(d / 1000)
		m.seeAll(c)
	}
}

// TestEveryFieldOfStatsMoves: a number that nothing ever counts is worse than none.
func TestEveryFieldOfStatsMoves(t *testing.T) {
	m := newMoved()
	for _, scene := range []func(*testing.T, *moved){
		statsOfTraffic, statsOfThrottles, statsOfResets, statsOfHandshakes, statsOfFastDispatch, statsOfRejection,
		statsOfBadUsers, statsOfStuck, statsOfAbsent, statsOfStandIns, statsOfKeys, statsOfCompression,
	} {
		scene(t, m)
	}
	var still []string
	for path, ok := range m.paths {
		if !ok {
			still = append(still, path)
		}
	}
	slices.Sort(still)
	require.Greater(t, len(m.paths), 45)
	// No worker of a simulation runs callbacks of the queue; async's TestInPlaceWaitsForAnother sees these.
	inPlace := []string{"Stats.Queue.InPlace", "Stats.Queue.InPlaceNow", "Stats.Queue.Stayed"}
	require.Equal(t, inPlace, still, "these were never other than 0")
}

func statsOfTraffic(t *testing.T, m *moved) {
	c := NewCluster(t, Options{Seed: 1, N: 2, Network: simnet.Config{Asleep: 1}})
	for _, priority := range []uint8{0, 10, msg.PriorityHighest} {
		require.NoError(t, c.Send(0, 1, 100, priority))
	}
	m.watch(c, 10*time.Millisecond)
	wall := c.Partition([]int{0}, []int{1})
	require.NoError(t, c.Send(0, 1, 100, 0))
	m.watch(c, time.Second)
	c.Cut(0)
	wall.Lift()
	m.watch(c, time.Minute)
	c.CheckExactlyOnce()
}

func statsOfKeys(t *testing.T, m *moved) {
	a := &testAuth{mode: auth.ModeSecure}
	c := NewCluster(t, Options{Seed: 1, N: 2, Config: func(_ int, cfg *async.Config) {
		cfg.AuthClient, cfg.AuthServer, cfg.RekeyUnits = testClient{a}, &testServer{testAuth: a}, 64
	}})
	for range 100 {
		require.NoError(t, c.Send(0, 1, 100, 0))
		m.watch(c, 10*time.Millisecond)
	}
	m.watch(c, time.Second)
	c.CheckExactlyOnce()
}

func statsOfCompression(t *testing.T, m *moved) {
	c := NewCluster(t, Options{Seed: 1, N: 2, Config: func(_ int, cfg *async.Config) {
		cfg.Compression = async.Compression{Algorithms: []string{"zlib"}, MinSize: 1}
	}})
	for range 10 { // an acknowledgement does not become shorter
		require.NoError(t, c.Send(0, 1, 5000, 0))
		m.watch(c, time.Second)
	}
	c.CheckExactlyOnce()
}

func statsOfThrottles(t *testing.T, m *moved) {
	c := NewCluster(t, Options{Seed: 1, N: 2, Config: func(_ int, cfg *async.Config) {
		cfg.DispatchThrottleBytes, cfg.SendHighWater = 20_000, 10_000
	}})
	c.Stick(1)
	for range 40 {
		require.NoError(t, c.Send(0, 1, 5000, 0))
	}
	m.watch(c, time.Second)
	c.MarkDown(1, 0) // what waits for dispatch is discarded
	c.MarkDown(0, 1) // what waits to be sent is undeliverable
	c.Free(1)
	m.watch(c, time.Second)
}

func statsOfResets(t *testing.T, m *moved) {
	for _, policy := range []msg.Policy{msg.LossyClient(), msg.LosslessPeerReuse()} {
		c := NewCluster(t, Options{Seed: 1, N: 2, SameNonce: true, Policy: policy})
		c.AddFor(time.Second, "refuse", simnet.RefuseDials(c.Nodes[1].Addrs()[0].AddrPort))
		conn := c.Connect(0, 1)
		require.NoError(t, c.Send(0, 1, 100, 0))
		m.watch(c, time.Second)
		c.Add("cut", simnet.Once(simnet.CutAt(30, true, nil)))
		m.watch(c, 5*time.Second)
		require.True(t, conn.IsConnected())
		c.LiftAll()
		c.Kill(1)
		_ = conn.Send(&msg.Message{})
		m.watch(c, time.Second)
		c.Restart(1)
		m.watch(c, time.Minute)
	}
}

// hooked is a stack whose clock runs ahead, and whose accepting fails, when a test says so.
type hooked struct {
	eventloop.Stack
	late    time.Duration
	onError func(error)
}

func (h *hooked) Clock() eventloop.Clock { return hookedClock{h.Stack.Clock(), h} }

func (h *hooked) Listen(
	a netip.AddrPort, lc eventloop.ListenConfig, f func(eventloop.Socket),
) (eventloop.Listener, error) {
	h.onError = lc.OnError
	return h.Stack.Listen(a, lc, f)
}

type hookedClock struct {
	eventloop.Clock
	h *hooked
}

func (c hookedClock) Now() time.Duration { return c.Clock.Now() + c.h.late }

func statsOfHandshakes(t *testing.T, m *moved) {
	var h *hooked
	c := NewCluster(t, Options{Seed: 1, N: 4, Config: func(i int, cfg *async.Config) {
		if cfg.HandshakesMax = 1; i == 0 {
			h = &hooked{Stack: cfg.Stack}
			cfg.Stack = forward.StackAs(h, h.Stack)
		}
	}})
	for i := 1; i < 4; i++ {
		c.Connect(i, 0)
	}
	m.watch(c, 10*time.Second)
	require.NotNil(t, h.onError)
	h.onError(errors.New("too many open files"))
	m.see(c.Nodes[0].Messenger)
}

// fast takes all messages of type 5 on the worker.
type fast func()

func (fast) Dispatch(*msg.Message) bool          { return false }
func (fast) CanFastDispatch(x *msg.Message) bool { return x.Type == 5 }
func (f fast) FastDispatch(x *msg.Message)       { f(); x.Release() }

func statsOfFastDispatch(t *testing.T, m *moved) {
	var h *hooked
	c := NewCluster(t, Options{Seed: 1, N: 2,
		Config: func(i int, cfg *async.Config) {
			if i == 1 {
				h = &hooked{Stack: cfg.Stack}
				cfg.Stack = forward.StackAs(h, h.Stack)
			}
		},
		Setup: func(n *Node) { n.AddDispatcherHead(fast(func() { h.late += time.Hour })) },
	})
	require.NoError(t, c.Connect(0, 1).Send(&msg.Message{Type: 5}))
	m.watch(c, time.Second)
}

func statsOfRejection(t *testing.T, m *moved) {
	p := poisonCase{policies: [2]msg.Policy{msg.LosslessClient(), msg.StatefulServer()}, limit: 1000}
	c, _, conn := p.cluster(t, 1, simnet.LinkConfig{})
	require.NoError(t, conn.Send(&msg.Message{Data: make([]byte, poisonSize)}))
	m.watch(c, time.Minute)
}

func statsOfBadUsers(t *testing.T, m *moved) {
	opt := boom(true)
	opt.Config = func(_ int, cfg *async.Config) { cfg.CheckPayloads = true }
	c := NewCluster(t, opt)
	x := &msg.Message{Data: make([]byte, 10)}
	require.NoError(t, c.Connect(0, 1).Send(x))
	x.Data[0]++
	m.watch(c, time.Second)
}

func statsOfStuck(t *testing.T, m *moved) {
	c := NewCluster(t, Options{Seed: 1, N: 2, Blocking: true, Dispatch: func(n *Node, x *msg.Message) {
		n.Sleep(5 * time.Second)
		x.Release()
	}})
	require.NoError(t, c.Send(0, 1, 100, 0))
	m.watch(c, 10*time.Second)
}

func statsOfAbsent(t *testing.T, m *moved) {
	c := NewCluster(t, Options{Seed: 1, N: 2, Client: func(i int) bool { return i == 1 }, Setup: func(n *Node) {
		n.SetDefaultPolicy([]msg.Policy{msg.StatefulServer(), msg.LosslessClient()}[n.Index])
	}})
	require.NoError(t, c.Send(1, 0, 100, 0))
	m.watch(c, time.Second)
	c.Kill(1)
	m.watch(c, time.Second)
}

// noExecutor runs nothing.
type noExecutor struct{}

func (noExecutor) Submit(func()) error { return errors.New("no room") }

// statsOfStandIns has a messenger that nobody dispatches for, without an executor: it uses
// a goroutine of its own.
func statsOfStandIns(t *testing.T, m *moved) {
	net := simnet.New(1, simnet.Config{})
	h := net.AddHost("alone", simnet.HostConfig{})
	x, err := async.New(async.Config{Name: entity.OSD(1), Stack: h, Executor: noExecutor{}, Rand: h.Rand,
		Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.NoError(t, x.Start())
	require.NoError(t, x.Loopback().Send(&msg.Message{}))
	for i := 0; x.Stats().Queue.Unhandled == 0 && i < 1<<24; i++ {
		require.NoError(t, net.Run(time.Microsecond))
		runtime.Gosched()
	}
	m.see(x)
	done := make(chan error, 1)
	go func() { done <- x.Shutdown(context.Background()) }()
	for len(done) == 0 {
		require.NoError(t, net.Run(time.Microsecond))
		runtime.Gosched()
	}
	require.NoError(t, <-done)
	require.NoError(t, h.Close())
	require.NoError(t, net.Run(time.Second))
}
