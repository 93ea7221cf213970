package async

import (
	"context"
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
	s := steps{on: &inline, max: 2}
	var ran []int
	for i := range 6 {
		require.NoError(t, s.execute(func() {
			ran = append(ran, i)
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
	s.on = full{}
	step()
	require.Equal(t, []int{0, 1, 2, 4, 5}, ran)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, s.wait(ctx), context.Canceled)
	step()
	require.Equal(t, []int{0, 1, 2, 4, 5, 3}, ran)
	require.NoError(t, s.wait(ctx))

	require.ErrorIs(t, s.execute(func() {}), dispatch.ErrExecutorFull)
	require.NoError(t, s.wait(ctx), "it does not count")
	s.on, s.max, s.n = &inline, 1, 1
	for range stepsLine {
		require.NoError(t, s.execute(func() {}))
	}
	require.ErrorIs(t, s.execute(func() {}), dispatch.ErrExecutorFull)

	// One that is refused while others come into line: they are run.
	var late steps
	done := make(chan struct{})
	var once sync.Once
	come := func() { once.Do(func() { require.NoError(t, late.execute(func() { close(done) })) }) }
	late.on, late.max = crowded{come}, 1
	require.Error(t, late.execute(func() { t.Error("it was refused") }))
	<-done
	require.NoError(t, late.wait(context.Background()))
}

// crowded is an executor that does something, and has no room.
type crowded struct{ do func() }

func (c crowded) Submit(func()) error {
	c.do()
	return dispatch.ErrExecutorFull
}
