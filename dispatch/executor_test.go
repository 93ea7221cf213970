package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/panjf2000/ants/v2"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestInline(t *testing.T) {
	e := new(Inline)
	require.False(t, e.Step())
	var got []int
	require.NoError(t, e.Submit(func() {
		got = append(got, 1)
		_ = e.Submit(func() { got = append(got, 3) })
		require.Panics(t, func() { e.Step() }, "not re-entrant")
	}))
	require.NoError(t, e.Submit(func() { got = append(got, 2) }))
	require.Equal(t, 2, e.Len())
	require.Equal(t, 3, e.Run())
	require.Equal(t, []int{1, 2, 3}, got)

	require.NoError(t, e.Submit(func() { panic("job") }))
	require.Panics(t, func() { e.Step() })
	require.False(t, e.Step(), "usable after a panic")
}

func TestAntsPoolBound(t *testing.T) {
	p, err := NewAntsPool(AntsConfig{Size: 2, LineMax: -1})
	require.NoError(t, err)
	require.Equal(t, 2, p.Size())
	block, started := make(chan struct{}), make(chan struct{})
	for range 2 {
		require.NoError(t, p.Submit(func() { started <- struct{}{}; <-block }))
	}
	<-started
	<-started
	require.ErrorIs(t, p.Submit(func() {}), ErrExecutorFull)
	require.Equal(t, 2, p.Running())

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, p.Release(ctx), context.Canceled)
	require.ErrorIs(t, p.Submit(func() {}), ErrExecutorClosed)
	close(block)
	require.NoError(t, p.Release(context.Background()))
}

func TestAntsPoolConfig(t *testing.T) {
	_, err := NewAntsPool(AntsConfig{Size: -1})
	require.Error(t, err)
	_, err = NewAntsPool(AntsConfig{Expiry: -1})
	require.Error(t, err)
	p, err := NewAntsPool(AntsConfig{})
	require.NoError(t, err)
	require.Equal(t, DefaultAntsSize, p.Size())
	require.NoError(t, p.Release(context.Background()))
	for set, line := range map[int]int{0: DefaultAntsLine, -1: 0, 7: 7} {
		p, err := NewAntsPool(AntsConfig{Size: 1, LineMax: set})
		require.NoError(t, err)
		require.Equal(t, line, p.lineMax, "LineMax %d", set)
		require.NoError(t, p.Release(context.Background()))
	}
}

// TestAntsLogger: what ants has to say comes out formatted, as a warning.
func TestAntsLogger(t *testing.T) {
	var said strings.Builder
	antsLogger{slog.New(slog.NewTextHandler(&said, nil))}.Printf("worker %d exits", 7)
	require.Contains(t, said.String(), `level=WARN msg="worker 7 exits"`)
}

func TestAntsPoolSurvivesPanic(t *testing.T) {
	got := make(chan any, 1)
	p, err := NewAntsPool(AntsConfig{Size: 1, OnPanic: func(r any, stack []byte) {
		if !strings.Contains(string(stack), "TestAntsPoolSurvivesPanic") {
			r = "no stack"
		}
		got <- r
	}})
	require.NoError(t, err)
	require.NoError(t, p.Submit(func() { panic("job") }))
	require.Equal(t, "job", <-got)
	for p.Submit(func() { got <- "alive" }) != nil {
		runtime.Gosched()
	}
	require.Equal(t, "alive", <-got)
	require.NoError(t, p.Release(context.Background()))
}

// Every job that was accepted has run when Release returns.
func TestAntsPoolReleaseDuringSubmit(t *testing.T) {
	for range 200 {
		p, err := NewAntsPool(AntsConfig{Size: 4})
		require.NoError(t, err)
		var accepted, ran atomic.Int64
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for {
					switch p.Submit(func() { ran.Add(1) }) {
					case nil:
						accepted.Add(1)
					case ErrExecutorClosed:
						return
					}
				}
			})
		}
		require.NoError(t, p.Release(context.Background()))
		atReturn := ran.Load()
		wg.Wait()
		require.Equal(t, accepted.Load(), atReturn)
	}
}

// How many goroutines a pool keeps: two while it is idle, none after Release.
func TestAntsPoolGoroutines(t *testing.T) {
	before := goleak.IgnoreCurrent()
	p, err := NewAntsPool(AntsConfig{Size: 8, Expiry: time.Millisecond})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		for p.Submit(wg.Done) != nil {
			runtime.Gosched()
		}
	}
	wg.Wait()
	require.Eventually(t, func() bool { return p.Running() == 0 }, time.Minute, time.Millisecond, "idle ones expire")
	buf := make([]byte, 1<<20)
	stacks := string(buf[:runtime.Stack(buf, true)])
	count := func(f string) int { return strings.Count(stacks, "ants/v2.(*poolCommon)."+f+"(") }
	require.Equal(t, 2, count("purgeStaleWorkers"), "this pool's and ants' default pool's")
	require.Equal(t, 2, count("ticktock"))
	require.NoError(t, p.Release(context.Background()))
	require.NoError(t, goleak.Find(before))
}

// What Submit makes of ants' answers.
func TestAntsPoolWhenAntsRefuses(t *testing.T) {
	p, err := NewAntsPool(AntsConfig{Size: 2, LineMax: 1})
	require.NoError(t, err)
	real, other := p.submit, errors.New("other")
	answer := func(err error) { p.submit = func(func()) error { return err } }
	never := func() { t.Error("a refused job ran") }

	answer(ants.ErrPoolClosed)
	require.ErrorIs(t, p.Submit(never), ErrExecutorClosed)
	answer(other)
	require.ErrorIs(t, p.Submit(never), other)
	answer(ants.ErrPoolOverload)
	require.ErrorIs(t, p.Submit(never), ErrExecutorFull, "nobody would come for the line")
	require.Zero(t, p.Waiting())

	p.submit = real
	hold, ran := make(chan struct{}), make(chan int, 2)
	require.NoError(t, p.Submit(func() { <-hold; ran <- 1 }))
	answer(ants.ErrPoolOverload)
	require.NoError(t, p.Submit(func() { ran <- 2 }), "in line")
	require.ErrorIs(t, p.Submit(never), ErrExecutorFull)
	answer(ants.ErrPoolClosed)
	require.ErrorIs(t, p.Submit(never), ErrExecutorClosed)
	require.Equal(t, 1, p.Waiting())
	close(hold)
	require.Equal(t, 1, <-ran)
	require.Equal(t, 2, <-ran)
	require.NoError(t, p.Release(context.Background()))
}

// Jobs in line run when the pool is being released, though others panic or end their
// goroutines then, and Release waits for them.
func TestAntsPoolReleaseWithALine(t *testing.T) {
	for what, end := range map[string]func(){"panic": func() { panic("planted") }, "goexit": runtime.Goexit} {
		t.Run(what, func(t *testing.T) {
			var log captured
			p, err := NewAntsPool(AntsConfig{Size: 1, Logger: log.logger()})
			require.NoError(t, err)
			hold, last, ran := make(chan struct{}), make(chan struct{}), make(chan struct{})
			require.NoError(t, p.Submit(func() { <-hold }))
			for range 3 {
				require.NoError(t, p.Submit(end))
			}
			var done atomic.Bool
			require.NoError(t, p.Submit(func() { close(ran); <-last; done.Store(true) }))
			released := make(chan error)
			go func() { released <- p.Release(context.Background()) }()
			for !p.pool.IsClosed() {
				runtime.Gosched()
			}
			close(hold)
			<-ran
			for what == "goexit" && p.pool.Running() > 0 {
				runtime.Gosched() // it runs on a goroutine that is not one of ants'
			}
			for range 1000 {
				runtime.Gosched()
			}
			close(last)
			require.NoError(t, <-released)
			require.True(t, done.Load(), "Release waits")
			if what == "panic" {
				require.Equal(t, 3, strings.Count(log.String(), "panic=planted"), log.String())
				require.Contains(t, log.String(), "a job of the pool panicked")
			}
		})
	}
}

// It does not wait for longer than it is told to.
func TestAntsPoolReleaseTimesOut(t *testing.T) {
	p, err := NewAntsPool(AntsConfig{Size: 1})
	require.NoError(t, err)
	hold, last, ran := make(chan struct{}), make(chan struct{}), make(chan struct{})
	require.NoError(t, p.Submit(func() { <-hold; runtime.Goexit() }))
	require.NoError(t, p.Submit(func() { close(ran); <-last }))
	ctx, cancel := context.WithCancel(context.Background())
	released := make(chan error)
	go func() { released <- p.Release(ctx) }()
	for !p.pool.IsClosed() {
		runtime.Gosched()
	}
	close(hold)
	<-ran
	for p.pool.Running() > 0 {
		runtime.Gosched() // it runs on a goroutine that is not one of ants'
	}
	cancel()
	require.ErrorIs(t, <-released, context.Canceled)
	close(last)
	<-p.ended
}

// A hook that panics too takes nobody along.
func TestAntsPoolOnPanicFails(t *testing.T) {
	var log captured
	p, err := NewAntsPool(AntsConfig{Size: 1, Logger: log.logger(), OnPanic: func(any, []byte) { panic("hook") }})
	require.NoError(t, err)
	require.NoError(t, p.Submit(func() { panic("planted") }))
	require.NoError(t, p.Release(context.Background()))
	require.Contains(t, log.String(), "panic=planted")
	require.Contains(t, log.String(), "the hook that was told of this: hook")
}

// TestAntsPoolLine: jobs over the size wait in line, in their order, and a job
// that panics does not take the line with it.
func TestAntsPoolLine(t *testing.T) {
	panics := make(chan any, 1)
	p, err := NewAntsPool(AntsConfig{Size: 1, LineMax: 100, OnPanic: func(r any, _ []byte) { panics <- r }})
	require.NoError(t, err)
	begun, hold := make(chan struct{}), make(chan struct{})
	require.NoError(t, p.Submit(func() { close(begun); <-hold }))
	<-begun
	ran := make(chan int, 100)
	for i := range 99 {
		require.NoError(t, p.Submit(func() {
			ran <- i
			if i == 50 {
				panic("planted")
			}
		}))
	}
	require.NoError(t, p.Submit(func() { ran <- 99 }))
	require.ErrorIs(t, p.Submit(func() {}), ErrExecutorFull)
	require.Equal(t, 100, p.Waiting())
	close(hold)
	for i := range 100 {
		require.Equal(t, i, <-ran)
	}
	require.Equal(t, "planted", <-panics)
	require.NoError(t, p.Release(context.Background()))
	require.Zero(t, p.Waiting())
}
