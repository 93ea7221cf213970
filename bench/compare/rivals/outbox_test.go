package rivals

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOutbox: small requests are written by who sends them, others in batches by a
// goroutine, and an error of writing ends it all.
func TestOutbox(t *testing.T) {
	enter, leave := make(chan []request), make(chan error)
	o := newOutbox(func(batch []request) error {
		enter <- batch
		return <-leave
	}, 2*(slotLen+1))

	sent := make(chan error)
	go func() { sent <- o.send(request{1, []byte("a")}) }()
	require.Equal(t, []request{{1, []byte("a")}}, <-enter)
	// These wait for the one that is being written.
	require.NoError(t, o.send(request{2, []byte("b")}))
	require.NoError(t, o.send(request{3, []byte("c")}))
	leave <- nil
	require.NoError(t, <-sent)
	require.Equal(t, []request{{2, []byte("b")}, {3, []byte("c")}}, <-enter)
	leave <- nil

	o.answered(1)
	o.answered(1)
	o.answered(1)
	require.NoError(t, o.send(request{4, make([]byte, 100)})) // more than may be in flight directly
	require.Equal(t, 4, (<-enter)[0].slot)
	for i := range maxQueued {
		require.NoError(t, o.send(request{i, nil}))
	}
	require.ErrorIs(t, o.send(request{0, nil}), errQueueFull)
	dead := errors.New("dead")
	leave <- dead
	o.wait()
	require.ErrorIs(t, o.send(request{5, nil}), dead)
	o.fail(errors.New("later"))
	require.ErrorIs(t, o.send(request{5, nil}), dead)
}

// TestOutboxHold: while more is to come nothing is written but what is released.
func TestOutboxHold(t *testing.T) {
	enter := make(chan int)
	hold := true
	o := newOutbox(func(batch []request) error { enter <- len(batch); return nil }, 0)
	o.hold = func() bool { return hold }
	for i := range 3 {
		require.NoError(t, o.send(request{i, nil}))
	}
	select {
	case <-enter:
		t.Fatal("written while held")
	default:
	}
	o.release()
	require.Equal(t, 3, <-enter)
	hold = false
	require.NoError(t, o.send(request{4, nil}))
	require.Equal(t, 1, <-enter)
	o.fail(errors.New("the end"))
	o.wait()
}
