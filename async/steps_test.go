package async

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// TestSteps: so many at a time, the oldest first, whatever they do; and what was taken into
// the line is run, also if the executor has no room any more.
func TestSteps(t *testing.T) {
	var inline dispatch.Inline
	p := &stepPool{on: &inline, max: 2}
	s := steps{pool: p}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var ran []int
	for i := range 6 {
		require.NoError(t, s.execute(netip.Addr{}, func() {
			ran = append(ran, i)
			require.ErrorIs(t, s.wait(ctx), context.Canceled)
			if i == 1 {
				runtime.Goexit()
			}
		}))
	}
	require.Equal(t, 2, inline.Len(), "the others wait")
	step := func() {
		done := make(chan struct{})
		go func() { defer close(done); inline.Step() }()
		<-done
	}
	step()
	require.Equal(t, []int{0}, ran)
	require.Equal(t, 2, inline.Len(), "one of them has the place")
	step()
	require.Equal(t, []int{0, 1}, ran)
	require.Equal(t, 2, inline.Len())
	p.on = full{}
	step()
	require.Equal(t, []int{0, 1, 2, 4, 5}, ran)
	step()
	require.Equal(t, []int{0, 1, 2, 4, 5, 3}, ran)
	require.NoError(t, s.wait(ctx))

	require.ErrorIs(t, s.execute(netip.Addr{}, func() {}), dispatch.ErrExecutorFull)
	require.NoError(t, s.wait(ctx), "it does not count")
	p.on, p.max, p.n = &inline, 1, 1
	for range stepsLine {
		require.NoError(t, s.execute(netip.Addr{}, func() {}))
	}
	require.ErrorIs(t, s.execute(netip.Addr{}, func() {}), dispatch.ErrExecutorFull)

	// One that is refused while others come into line: they are run.
	late := stepPool{max: 1}
	done := make(chan struct{})
	var once sync.Once
	come := func() { once.Do(func() { require.NoError(t, late.execute(netip.Addr{}, func() { close(done) })) }) }
	late.on = crowded{come}
	require.Error(t, late.execute(netip.Addr{}, func() { t.Error("it was refused") }))
	<-done
}

// TestStepPools: who says how many, or has an executor, has a pool; all others share one.
func TestStepPools(t *testing.T) {
	pool := func(c Config) *stepPool {
		p, err := c.stepPool()
		require.NoError(t, err)
		require.NotNil(t, p.on)
		return p
	}
	shared := &stepPool{on: full{}}
	defer func(f func() (*stepPool, error)) { sharedSteps = f }(sharedSteps)
	sharedSteps = func() (*stepPool, error) { return shared, nil } // the default executor is not to be opened
	var inline dispatch.Inline
	require.Same(t, shared, pool(Config{}))
	require.Equal(t, 3, pool(Config{AuthStepsMax: 3, Executor: &inline}).max)
	require.Same(t, &inline, pool(Config{Executor: &inline}).on)
	require.Equal(t, runtime.GOMAXPROCS(0), pool(Config{Executor: &inline}).max)
}

// crowded is an executor that does something, and has no room.
type crowded struct{ do func() }

func (c crowded) Submit(func()) error {
	c.do()
	return dispatch.ErrExecutorFull
}

// TestStepsByTurns: hosts have turns, however many steps one of them brings; within a host
// the order is that of their coming.
func TestStepsByTurns(t *testing.T) {
	var inline dispatch.Inline
	s := stepPool{on: &inline, max: 1}
	var ran []string
	add := func(host byte, n int) {
		require.NoError(t, s.execute(netip.AddrFrom4([4]byte{10, 0, 0, host}), func() {
			ran = append(ran, fmt.Sprintf("%d.%d", host, n))
		}))
	}
	for n := range 6 {
		add(1, n)
	}
	add(2, 0)
	add(2, 1)
	add(3, 0)
	for inline.Step() {
		require.LessOrEqual(t, inline.Len(), 1)
	}
	require.Equal(t, []string{"1.0", "1.1", "2.0", "3.0", "1.2", "2.1", "1.3", "1.4", "1.5"}, ran)
	require.Zero(t, s.n+s.line.n+s.line.order.Len()+len(s.line.hosts))
	add(1, 6)
	require.True(t, inline.Step())
}
