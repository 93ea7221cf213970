package eventloop

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMailboxOrderAndWakeUps(t *testing.T) {
	var m Mailbox
	wakes := 0
	m.Init(func() { wakes++ })
	var got []int
	post := func(i int) { require.NoError(t, m.Post(TaskFunc(func() { got = append(got, i) }))) }

	post(1)
	require.Zero(t, wakes, "an awake worker is not woken")
	require.False(t, m.Sleep(), "a task is left")
	require.Equal(t, 1, m.Run(10))
	require.True(t, m.Sleep())
	post(2)
	post(3)
	require.Equal(t, 1, wakes, "one wake-up for each sleep")
	m.Awake()
	require.Equal(t, 2, m.Run(10))
	require.Zero(t, m.Run(10))
	require.True(t, m.Sleep())
	m.Awake() // by a socket, say
	post(4)
	require.Equal(t, 1, wakes)
	require.Equal(t, 1, m.Run(10))
	require.Equal(t, []int{1, 2, 3, 4}, got)
}

func TestMailboxLimit(t *testing.T) {
	var m Mailbox
	m.Init(func() {})
	ran := 0
	for range 5 {
		require.NoError(t, m.Post(TaskFunc(func() { ran++ })))
	}
	require.Equal(t, 3, m.Run(3))
	require.False(t, m.Sleep())
	require.Equal(t, 2, m.Run(3))
	require.Equal(t, 5, ran)
	require.True(t, m.Sleep())
}

// A task that posts itself again must not keep the worker from its sockets.
func TestMailboxTaskThatPosts(t *testing.T) {
	var m Mailbox
	m.Init(func() {})
	ran := 0
	var again TaskFunc
	again = func() {
		ran++
		require.NoError(t, m.Post(again))
	}
	require.NoError(t, m.Post(again))
	for i := range 10 {
		require.Equal(t, 1, m.Run(1000))
		require.Equal(t, i+1, ran)
	}
}

func TestMailboxClose(t *testing.T) {
	var m Mailbox
	m.Init(func() {})
	ran := 0
	task := TaskFunc(func() { ran++ })
	require.NoError(t, m.Post(task))
	m.Close()
	m.Close()
	require.ErrorIs(t, m.Post(task), ErrStackClosed)
	require.Equal(t, 1, m.Run(10), "what was posted before still runs")
	require.Zero(t, m.Run(10))
	require.Equal(t, 1, ran)
	require.Panics(t, func() { _ = m.Post(nil) })
}

// Close waits for a wake-up under way, so that what it uses may be released.
func TestMailboxCloseWaitsForWakeUp(t *testing.T) {
	var m Mailbox
	waking, release := make(chan struct{}), make(chan struct{})
	var woken atomic.Bool
	m.Init(func() {
		close(waking)
		<-release
		woken.Store(true)
	})
	require.True(t, m.Sleep())
	var wg sync.WaitGroup
	wg.Go(func() { _ = m.Post(nop{}) })
	<-waking
	wg.Go(func() {
		for m.Post(nop{}) == nil { // until Close has begun
			runtime.Gosched()
		}
		close(release)
	})
	m.Close()
	require.True(t, woken.Load())
	wg.Wait()
	for m.Run(1024) > 0 {
	}
}

type canary struct{ data [64]byte }

func (c *canary) Run() { c.data[0]++ }

func TestMailboxDropsReferences(t *testing.T) {
	var m Mailbox
	m.Init(func() {})
	freed := make(chan struct{})
	func() {
		c := &canary{}
		runtime.AddCleanup(c, func(ch chan struct{}) { close(ch) }, freed)
		require.NoError(t, m.Post(c))
	}()
	require.Equal(t, 1, m.Run(1))
	for done := false; !done; {
		runtime.GC()
		select {
		case <-freed:
			done = true
		default:
			runtime.Gosched()
		}
	}
	runtime.KeepAlive(&m)
}

// Posters race with a worker that sleeps, wakes and closes: every task that was
// not refused runs, and no sleeping worker is left with a task.
func TestMailboxConcurrent(t *testing.T) {
	var m Mailbox
	wake := make(chan struct{}, 1)
	m.Init(func() {
		select {
		case wake <- struct{}{}:
		default:
			t.Error("second wake-up before the worker slept again")
		}
	})
	const posters, each = 8, 5000
	var accepted, ran atomic.Int64
	var wg sync.WaitGroup
	for range posters {
		wg.Go(func() {
			for range each {
				if m.Post(TaskFunc(func() { ran.Add(1) })) == nil {
					accepted.Add(1)
				}
			}
		})
	}
	for ran.Load() < posters*each/2 {
		m.Run(64)
		if m.Sleep() {
			<-wake
			m.Awake()
		}
	}
	m.Close()
	for m.Run(64) > 0 {
	}
	wg.Wait()
	require.Equal(t, accepted.Load(), ran.Load())
}

type nop struct{}

func (nop) Run() {}

func TestMailboxAllocs(t *testing.T) {
	var m Mailbox
	m.Init(func() {})
	round := func() {
		for range 100 {
			_ = m.Post(nop{})
		}
		m.Run(1000)
	}
	round()
	round()
	require.Zero(t, testing.AllocsPerRun(100, round))
}

func BenchmarkMailbox(b *testing.B) {
	b.Run("alone", func(b *testing.B) {
		var m Mailbox
		m.Init(func() {})
		b.ReportAllocs()
		for b.Loop() {
			_ = m.Post(nop{})
			m.Run(1)
		}
	})
	b.Run("contended", func(b *testing.B) {
		var m Mailbox
		m.Init(func() {})
		var stop atomic.Bool
		var wg sync.WaitGroup
		wg.Go(func() {
			for !stop.Load() {
				if m.Run(1024) == 0 {
					runtime.Gosched()
				}
			}
		})
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_ = m.Post(nop{})
			}
		})
		stop.Store(true)
		wg.Wait()
	})
}

func TestPlacement(t *testing.T) {
	var p Placement
	loads := []int{0, 0, 0}
	pick := func() int { return p.Pick(len(loads), func(i int) int { return loads[i] }) }
	require.Equal(t, []int{0, 1, 2, 0}, []int{pick(), pick(), pick(), pick()}, "equal ones in turn")
	loads = []int{3, 1, 2}
	require.Equal(t, []int{1, 1}, []int{pick(), pick()})
	loads = []int{1, 2, 1}
	require.Equal(t, []int{2, 0, 2}, []int{pick(), pick(), pick()})
	require.Zero(t, p.Pick(1, func(int) int { return 7 }), "fewer workers than before")
}

// What a task that ends its goroutine leaves: itself, once, and those behind it.
func TestMailboxInterrupted(t *testing.T) {
	var m Mailbox
	m.Init(func() {})
	require.Nil(t, m.Interrupted())
	var ran []int
	for i := range 4 {
		require.NoError(t, m.Post(TaskFunc(func() {
			ran = append(ran, i)
			if i == 1 {
				runtime.Goexit()
			}
		})))
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		m.Run(10)
	}()
	<-gone
	require.Equal(t, []int{0, 1}, ran)
	require.False(t, m.Sleep())
	require.NotNil(t, m.Interrupted())
	require.Nil(t, m.Interrupted())
	require.Equal(t, 1, m.Run(1))
	require.Nil(t, m.Interrupted(), "it returned")
	require.Equal(t, 1, m.Run(10))
	require.Equal(t, []int{0, 1, 2, 3}, ran)
	require.True(t, m.Sleep())
}
