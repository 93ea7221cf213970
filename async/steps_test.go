package async

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// byHand is an executor that runs jobs when it is told to.
type byHand struct {
	jobs []func()
	full bool
}

var errByHand = errors.New("full")

func (e *byHand) Submit(job func()) error {
	if e.full {
		return errByHand
	}
	e.jobs = append(e.jobs, job)
	return nil
}

// runNext runs the job that was given first, on a goroutine that it may end.
func (e *byHand) runNext() {
	job := e.jobs[0]
	e.jobs = e.jobs[1:]
	done := make(chan struct{})
	go func() {
		defer close(done)
		job()
	}()
	<-done
}

// TestStepsByTurns: no more than max run at a time, and hosts have turns, however many jobs
// one of them brings; within a host the order is that of their coming.
func TestStepsByTurns(t *testing.T) {
	e := &byHand{}
	s := steps{on: e, max: 2}
	var ran []string
	host := func(i byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, i}) }
	add := func(h byte, n int) {
		require.NoError(t, s.execute(host(h), func() {
			ran = append(ran, fmt.Sprintf("%d.%d", h, n))
			if n == 3 {
				runtime.Goexit()
			}
		}))
	}
	for n := range 6 {
		add(1, n)
	}
	add(2, 0)
	add(2, 1)
	add(3, 0)
	require.Len(t, e.jobs, 2)
	for len(e.jobs) > 0 {
		require.LessOrEqual(t, len(e.jobs), 2)
		e.runNext()
	}
	require.Equal(t, []string{"1.0", "1.1", "1.2", "2.0", "3.0", "1.3", "2.1", "1.4", "1.5"}, ran)
	require.Zero(t, s.running+s.n+s.turns.Len()+len(s.waiting))
	add(1, 7)
	require.Len(t, e.jobs, 1)
	e.runNext()
}

// TestStepsRefused: an executor that takes nothing is an error at once, and no loss for who
// waits already.
func TestStepsRefused(t *testing.T) {
	e := &byHand{full: true}
	s := steps{on: e, max: 1}
	ran := 0
	job := func() { ran++ }
	require.ErrorIs(t, s.execute(netip.Addr{}, job), errByHand)
	require.Zero(t, s.running)
	e.full = false
	for range 3 {
		require.NoError(t, s.execute(netip.Addr{}, job))
	}
	e.full = true
	e.runNext()
	require.Equal(t, 3, ran)
	require.Zero(t, s.running+s.n+s.turns.Len())
}
