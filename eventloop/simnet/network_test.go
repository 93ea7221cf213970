package simnet

import (
	"bytes"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/require"
)

// end is a handler that writes what it is given and collects what it gets.
type end struct {
	w    eventloop.Worker
	t    eventloop.Transport
	out  []byte
	got  []byte
	up   bool
	eof  bool
	err  error
	when time.Duration // of the last event
}

func (e *end) HandleConnected(t eventloop.Transport) { e.t, e.up, e.when = t, true, e.w.Now() }
func (e *end) ReadInto() []byte                      { return nil }
func (e *end) HandleRead(_ int, rest []byte)         { e.got, e.when = append(e.got, rest...), e.w.Now() }
func (e *end) HandleEOF()                            { e.eof, e.when = true, e.w.Now() }
func (e *end) HandleClosed(err error)                { e.err, e.when = err, e.w.Now() }
func (e *end) HandleFlush() {
	n, err := e.t.Write([][]byte{e.out})
	if err != nil {
		e.err = err
		e.t.Close()
	}
	e.out = e.out[n:]
}

func (e *end) do(f func()) {
	if err := e.w.Post(eventloop.TaskFunc(f)); err != nil {
		panic(err)
	}
}

func (e *end) send(s string) {
	e.do(func() {
		e.out = append(e.out, s...)
		e.t.WantFlush()
	})
}

// lab is two hosts and a server on b that accepts everything.
type lab struct {
	t        testing.TB
	net      *Network
	a, b     *Host
	addr     netip.AddrPort
	accepted []*end
}

func newLab(t testing.TB, seed uint64, cfg Config) *lab {
	l := &lab{t: t, net: New(seed, cfg)}
	l.a, l.b = l.net.AddHost("a", HostConfig{}), l.net.AddHost("b", HostConfig{})
	l.addr = netip.AddrPortFrom(l.b.Addr(), 7000)
	l.serve()
	return l
}

func (l *lab) serve() {
	b := l.b
	_, err := b.Listen(l.addr, eventloop.ListenConfig{}, func(s eventloop.Socket) {
		e := &end{w: b.Worker(0)}
		e.t = e.w.Adopt(s, e)
		l.accepted = append(l.accepted, e)
	})
	require.NoError(l.t, err)
}

func (l *lab) dial() *end {
	e := &end{w: l.a.Worker(0)}
	e.do(func() { e.t = e.w.Dial(l.addr, eventloop.DialConfig{Timeout: time.Second}, e) })
	return e
}

func (l *lab) pair() (c, s *end) {
	l.t.Helper()
	n := len(l.accepted)
	c = l.dial()
	l.until(func() bool { return c.up && len(l.accepted) > n })
	return c, l.accepted[n]
}

func (l *lab) until(cond func() bool) {
	l.t.Helper()
	require.NoError(l.t, l.net.RunUntil(cond, time.Minute))
}

// story is a run with everything in it.
func story(seed uint64, extra bool) (hash uint64, trace string) {
	l := newLab(&testing.T{}, seed, Config{ShortWrites: 4})
	var log strings.Builder
	l.net.TraceTo(&log)
	if extra {
		l.net.AddHost("bystander", HostConfig{})
	}
	for i := range 5 {
		c := l.dial()
		_ = l.net.RunUntil(func() bool { return c.up || c.err != nil }, time.Minute)
		l.net.AddFor(3*time.Millisecond, "part", Partition([]string{"a"}, []string{"b"}))
		c.send(strings.Repeat("x", 100_000))
		l.net.Run(10 * time.Millisecond)
		if i%2 == 0 && len(l.net.Conns()) > 0 {
			l.net.Conns()[0].Kill()
		}
	}
	l.net.Run(time.Second)
	return l.net.Hash(), log.String()
}

func TestSameSeedSameTrace(t *testing.T) {
	h1, t1 := story(1, false)
	h2, t2 := story(1, false)
	require.Equal(t, t1, t2)
	require.Equal(t, h1, h2)
	h3, _ := story(2, false)
	require.NotEqual(t, h1, h3)
	h4, t4 := story(1, true)
	require.Equal(t, t1, t4, "a host more changes nothing for the others")
	require.Equal(t, h1, h4)
	for line := range strings.Lines(t1) {
		require.True(t, json.Valid([]byte(line)), line)
	}
}

func TestPartitionHoldsAndReleases(t *testing.T) {
	l := newLab(t, 1, Config{})
	c, s := l.pair()
	for _, rule := range []Rule{Partition([]string{"a"}, []string{"b"}), OneWay("a", "b"), Isolate("a"), StallConn(1)} {
		f := l.net.Add("rule", rule)
		before := len(s.got)
		c.send("hello")
		l.net.Run(time.Hour)
		require.Len(t, s.got, before)
		f.Lift()
		f.Lift()
		l.until(func() bool { return len(s.got) == before+5 })
	}
	f := l.net.Add("one way", OneWay("b", "a"))
	c.send("there")
	l.until(func() bool { return bytes.HasSuffix(s.got, []byte("there")) })
	f.Lift()
}

func TestStuckShowsSockets(t *testing.T) {
	l := newLab(t, 1, Config{})
	c, _ := l.pair()
	l.net.Add("the wall", Isolate("a"))
	c.send("hello")
	err := l.net.RunUntil(func() bool { return false }, time.Hour)
	var stuck *StuckError
	require.ErrorAs(t, err, &stuck)
	require.Contains(t, err.Error(), "no event is left")
	require.Contains(t, stuck.Sockets, "ESTABLISHED")
	require.Contains(t, stuck.Sockets, "LISTEN")
	require.Contains(t, stuck.Sockets, "the wall")
	require.Contains(t, stuck.Last, `"verdict":"stall"`)
	l.net.LiftAll()
}

func TestVerdicts(t *testing.T) {
	l := newLab(t, 1, Config{})
	l.net.Add("refuse", Once(RefuseDials(l.addr)))
	c := l.dial()
	l.until(func() bool { return c.err != nil })
	require.ErrorIs(t, c.err, syscall.ECONNREFUSED)

	f := l.net.Add("cut", CutAt(12, true, nil))
	c, s := l.pair()
	c.send("hello")
	l.until(func() bool { return len(s.got) == 5 })
	c.send("everybody")
	l.until(func() bool { return s.err != nil && c.err != nil })
	require.Equal(t, "helloeverybo", string(s.got))
	require.ErrorIs(t, s.err, syscall.ECONNRESET)
	f.Lift()

	c, s = l.pair()
	f = l.net.Add("flip", Once(func(p *Packet) Verdict {
		if p.Kind == Data {
			return Flip(0)
		}
		return Pass()
	}))
	c.send("aa")
	l.until(func() bool { return len(s.got) == 2 })
	require.Equal(t, "`a", string(s.got))
	f.Lift()

	f = l.net.Add("late", func(*Packet) Verdict { return Deliver(time.Second) })
	before := l.net.Now()
	c.send("b")
	l.until(func() bool { return len(s.got) == 3 })
	require.Greater(t, s.when-before, time.Second)
	f.Lift()

	l.net.Add("reset", func(p *Packet) Verdict { return Reset() })
	s.send("c")
	l.until(func() bool { return s.err != nil && c.err != nil })
	require.Empty(t, l.net.Conns())
}

// A host without power says nothing; when it is back it knows nothing.
func TestCrashAndRestart(t *testing.T) {
	l := newLab(t, 1, Config{})
	c, s := l.pair()
	idle, _ := l.pair()
	ran := false
	require.NoError(t, l.b.Submit(func() { ran = true }))
	s.do(func() { ran = true })
	l.b.Crash()
	require.True(t, l.b.Down())
	require.ErrorIs(t, l.b.Worker(0).Post(eventloop.TaskFunc(func() {})), eventloop.ErrStackClosed)
	c.send("hello")
	late := l.dial()
	l.net.Run(time.Minute)
	require.NoError(t, c.err)
	require.ErrorIs(t, late.err, eventloop.ErrDialTimeout)
	require.False(t, ran, "posted and submitted work dies with the host")
	require.Contains(t, l.net.Netstat(), "DOWN")

	l.b = l.b.Restart()
	l.serve()
	l.until(func() bool { return c.err != nil })
	require.ErrorIs(t, c.err, syscall.ECONNRESET)
	require.NoError(t, idle.err, "half-open: it has sent nothing")
	_, s = l.pair()
	l.b.Kill()
	require.Zero(t, l.b.Worker(0).Load())
	idle.send("x")
	l.net.Run(time.Minute)
	require.NoError(t, s.err)
}

func TestLinks(t *testing.T) {
	l := newLab(t, 1, Config{Smooth: true})
	l.net.SetLink("a", "b", LinkConfig{Latency: Fixed(10 * time.Millisecond), Bandwidth: 1 << 20})
	l.net.SetLink("b", "a", LinkConfig{Latency: Fixed(5 * time.Millisecond)})
	c, s := l.pair()
	start := l.net.Now()
	c.send(strings.Repeat("x", 1<<20))
	l.until(func() bool { return len(s.got) == 1<<20 })
	took := s.when - start
	require.Greater(t, took, time.Second, "the line's bandwidth")
	require.Less(t, took, 1500*time.Millisecond)

	r := mathrand.New(split(1, "x"))
	for name, lat := range map[string]Latency{
		"uniform": Uniform(1, 10), "none": Uniform(3, 3),
		"exponential": Exponential(1, 10), "lognormal": LogNormal(10, 1),
	} {
		for range 1000 {
			require.GreaterOrEqual(t, lat(r), time.Duration(0), name)
		}
	}
}

// A writer that nobody reads from waits, and the memory of the connection is bounded.
func TestWindow(t *testing.T) {
	l := newLab(t, 3, Config{Window: 1000})
	c, s := l.pair()
	s.do(func() { s.t.PauseRead() })
	l.net.Run(time.Millisecond)
	c.send(strings.Repeat("x", 5000))
	l.net.Run(time.Minute)
	require.Len(t, c.out, 4000)
	s.do(func() { s.t.ResumeRead() })
	l.until(func() bool { return len(s.got) == 5000 })
}

func ExampleNetwork() {
	n := New(1, Config{})
	client, server := n.AddHost("client", HostConfig{}), n.AddHost("server", HostConfig{})
	addr := netip.AddrPortFrom(server.Addr(), 80)
	var s *end
	_, err := server.Listen(addr, eventloop.ListenConfig{}, func(sock eventloop.Socket) {
		s = &end{w: server.Pick()}
		s.t = s.w.Adopt(sock, s)
	})
	if err != nil {
		panic(err)
	}
	c := &end{w: client.Pick()}
	c.do(func() {
		c.t = c.w.Dial(addr, eventloop.DialConfig{}, c)
		c.out = []byte("hello")
		c.t.WantFlush()
	})
	wall := n.Add("the wall", Partition([]string{"client"}, []string{"server"}))
	n.Run(time.Minute)
	wall.Lift()
	err = n.RunUntil(func() bool { return s != nil && len(s.got) == 5 }, time.Second)
	fmt.Printf("%s %v", s.got, err)
	// Output: hello <nil>
}

// TestEndOn: a run ends when the channel is closed, and until then it is the same.
func TestEndOn(t *testing.T) {
	play := func(done chan struct{}, closeAt time.Duration) (*Network, error) {
		n := New(1, Config{})
		if done != nil {
			n.EndOn(done)
		}
		var tick func()
		tick = func() {
			n.Note("tick")
			if n.Now() == closeAt {
				close(done)
			}
			n.After(time.Millisecond, tick)
		}
		tick()
		return n, n.Run(time.Second)
	}
	whole, err := play(nil, -1)
	require.NoError(t, err)
	same, err := play(make(chan struct{}), -1)
	require.NoError(t, err)
	require.Equal(t, whole.Hash(), same.Hash())

	n, err := play(make(chan struct{}), 300*time.Millisecond)
	require.ErrorIs(t, err, ErrEnded)
	require.ErrorIs(t, n.Err(), ErrEnded)
	require.GreaterOrEqual(t, n.Now(), 300*time.Millisecond)
	require.LessOrEqual(t, n.Now(), (300+lookEvery)*time.Millisecond)
	require.ErrorIs(t, n.RunUntil(func() bool { return false }, time.Hour), ErrEnded)
	require.False(t, n.Step())
	n.EndOn(nil)
	require.NoError(t, n.Err())
	require.NoError(t, n.Run(time.Second-n.Now()))
	require.Equal(t, whole.Hash(), n.Hash(), "it went on where it was")

	n, err = play(make(chan struct{}), 0) // before the first event
	require.ErrorIs(t, err, ErrEnded)
	require.Zero(t, n.Now())
}
