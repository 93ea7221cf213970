package simnet

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/require"
)

// world is an Outside whose time the test moves.
type world struct{ now, posted atomic.Int64 }

func (w *world) Now() time.Duration { return time.Duration(w.now.Load()) }
func (w *world) Posted()            { w.posted.Add(1) }

// run lets everything happen up to a time.
func (w *world) run(n *Network, until time.Duration) {
	for {
		at, some := n.Next()
		if !some || at > until {
			break
		}
		w.now.Store(max(w.now.Load(), int64(at)))
		n.Step()
	}
	w.now.Store(int64(until))
}

func TestOutsideHasTheTime(t *testing.T) {
	w := &world{}
	n := New(1, Config{Outside: w})
	h := n.AddHost("a", HostConfig{})
	w.run(n, time.Second)
	require.Equal(t, time.Second, n.Now())
	require.Equal(t, time.Second, h.Clock().Now())

	var at []time.Duration
	note := func() { at = append(at, n.Now()) }
	n.After(time.Second, note)
	n.After(0, note)
	require.True(t, n.Step())
	require.False(t, n.Step(), "it is not due yet")
	next, some := n.Next()
	require.True(t, some)
	require.Equal(t, 2*time.Second, next)
	w.now.Store(int64(3 * time.Second)) // late
	require.True(t, n.Step())
	require.Equal(t, []time.Duration{time.Second, 3 * time.Second}, at)
	_, some = n.Next()
	require.False(t, some)
	require.Panics(t, func() { _ = n.Run(0) })
	require.Panics(t, func() { _ = n.RunUntil(func() bool { return true }, 0) })
	require.Panics(t, func() { New(1, Config{Outside: w, Asleep: 1}) })
}

func TestOutsideHearsOfPosts(t *testing.T) {
	w := &world{}
	n := New(1, Config{Outside: w})
	h := n.AddHost("a", HostConfig{})
	w.run(n, time.Second)
	ran := 0
	for i, post := range []func(){
		func() { require.NoError(t, h.Worker(0).Post(eventloop.TaskFunc(func() { ran++ }))) },
		func() { require.NoError(t, h.Submit(func() { ran++ })) },
		func() { n.soon(func() { ran++ }) },
	} {
		before := w.posted.Load()
		post()
		require.Equal(t, before+1, w.posted.Load())
		require.Equal(t, i, ran)
		w.run(n, w.Now()+time.Second)
		require.Equal(t, i+1, ran)
	}
}

// TestOutsideOrder: in which order goroutines have posted to different hosts makes no
// difference.
func TestOutsideOrder(t *testing.T) {
	hash := func(order ...int) uint64 {
		w := &world{}
		n := New(1, Config{Outside: w, Smooth: true}) // all of it happens at one instant
		var hosts []*Host
		for _, name := range []string{"a", "b", "c"} {
			hosts = append(hosts, n.AddHost(name, HostConfig{Workers: 2}))
		}
		w.run(n, time.Second)
		for _, i := range order {
			for k := range 2 {
				h := hosts[i]
				note := func() { n.Note(h.Name()) }
				require.NoError(t, h.Worker((i+k)%2).Post(eventloop.TaskFunc(note)))
				require.NoError(t, h.Submit(note))
			}
		}
		w.run(n, time.Minute)
		return n.Hash()
	}
	one := hash(0, 1, 2)
	require.Equal(t, one, hash(2, 1, 0))
	require.Equal(t, one, hash(1, 2, 0))
}

// TestOutsideListens: goroutines listen and close while the network runs.
func TestOutsideListens(t *testing.T) {
	w := &world{}
	n := New(1, Config{Outside: w})
	a, b := n.AddHost("a", HostConfig{}), n.AddHost("b", HostConfig{})
	at := netip.AddrPortFrom(b.Addr(), 7000)
	accepted := 0
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				l, err := b.Listen(at, eventloop.ListenConfig{}, func(s eventloop.Socket) {
					accepted++
					_ = s.Close()
				})
				if err == nil { // not another one's
					_ = l.Close()
					_ = l.Close()
				}
				l, err = b.Listen(netip.AddrPortFrom(b.Addr(), 0), eventloop.ListenConfig{}, nil)
				if err != nil {
					t.Error(err)
					return
				}
				_ = l.Close()
			}
		})
	}
	for range 100 {
		n.After(0, func() { a.Worker(0).Dial(at, eventloop.DialConfig{}, ignore{}) })
		w.run(n, w.Now()+time.Millisecond)
	}
	wg.Wait()
	w.run(n, w.Now()+time.Hour)
	require.Empty(t, b.allListeners())
	require.Empty(t, n.Conns())
	require.NoError(t, b.Close())
	_, err := b.Listen(at, eventloop.ListenConfig{}, nil)
	require.ErrorIs(t, err, eventloop.ErrStackClosed)
}

// ignore is a Handler that closes what it gets.
type ignore struct{}

func (ignore) HandleConnected(t eventloop.Transport) { t.Close() }
func (ignore) ReadInto() []byte                      { return nil }
func (ignore) HandleRead(int, []byte)                {}
func (ignore) HandleEOF()                            {}
func (ignore) HandleFlush()                          {}
func (ignore) HandleClosed(error)                    {}
