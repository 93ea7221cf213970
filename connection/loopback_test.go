package connection

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// self owns a Loopback and delivers when the test says so.
type self struct {
	l       Loopback
	wakes   int
	deaf    error // Wake
	fast    bool
	onFast  func()
	got     []string
	dropped []string
	batches int
}

func (s *self) Wake() error { s.wakes++; return s.deaf }
func (s *self) Dispatch(d *msg.Message) bool {
	s.got = append(s.got, string(d.Front))
	if s.onFast != nil {
		s.onFast()
	}
	return s.fast
}
func (s *self) EndOfBatch() { s.batches++ }
func (s *self) Discard()    {}
func (s *self) Undeliverable(x *msg.Message, err error) {
	s.dropped = append(s.dropped, string(x.Front)+": "+err.Error())
}
func (s *self) UserPanic(any) {}
func (s *self) Self() Self    { return Self{Name: entity.OSD(1)} }

type stillClock struct{}

func (stillClock) Now() time.Duration { return 5 }
func (stillClock) Wall() time.Time    { return time.Unix(1000, 0) }

func newSelf() *self {
	s := &self{}
	s.l.Init(7, s, &LoopbackConfig{
		Conn: &s.l, Clock: stillClock{}, Limits: &SendLimits{MessagesMax: 3, BytesMax: 1000},
		DefaultPriority: func() uint8 { return 9 }, MayWait: func() error { return nil },
	})
	return s
}

func (s *self) send(t *testing.T, texts ...string) {
	t.Helper()
	for _, x := range texts {
		require.NoError(t, s.l.Send(&msg.Message{Front: []byte(x)}))
	}
}

func closedNow(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// TestLoopbackDelivers: in order, one Wake for all that is sent meanwhile; what a callback
// sends is left for the next time, so that others have their turn.
func TestLoopbackDelivers(t *testing.T) {
	s := newSelf()
	s.fast = true
	s.send(t, "a", "b")
	require.Equal(t, 1, s.wakes)
	s.onFast = func() {
		s.onFast = nil
		s.send(t, "c")
	}
	done := s.l.Flushed()
	s.l.Deliver()
	require.Equal(t, []string{"a", "b"}, s.got)
	require.True(t, closedNow(done), "c was sent later")
	require.Equal(t, 2, s.wakes)
	s.l.Deliver()
	require.Equal(t, []string{"a", "b", "c"}, s.got)
	require.Nil(t, s.l.Flushed())
	n, bytes := s.l.SendQueue()
	require.Zero(t, n+int(bytes))
	s.send(t, "d")
	require.Equal(t, 3, s.wakes)
}

// TestLoopbackFlush: what is under way counts, what was marked down does not.
func TestLoopbackFlush(t *testing.T) {
	s := newSelf()
	s.send(t, "a", "b")
	var before <-chan struct{}
	s.onFast = func() {
		s.onFast = nil
		before = s.l.Flushed()
		s.l.MarkDown()
		require.False(t, closedNow(before), "a is under way")
	}
	s.l.Deliver()
	require.Equal(t, []string{"a"}, s.got)
	require.Equal(t, []string{"b: " + msg.ErrMarkedDown.Error()}, s.dropped)
	require.True(t, closedNow(before))

	s.send(t, "c")
	done := s.l.Flushed()
	s.l.MarkDown()
	require.True(t, closedNow(done))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.l.Flush(ctx), context.Canceled)
}

// TestLoopbackClosedMeanwhile: Shutdown has closed it, and comes to what was sent only
// later: whoever delivers does not deliver it any more.
func TestLoopbackClosedMeanwhile(t *testing.T) {
	s := newSelf()
	s.send(t, "a", "b")
	s.onFast = func() {
		s.onFast = nil
		s.l.mu.Lock()
		s.l.closed = msg.ErrShutdown
		s.l.mu.Unlock()
	}
	s.l.Deliver()
	require.Equal(t, []string{"a"}, s.got)
	require.Equal(t, []string{"b: " + msg.ErrShutdown.Error()}, s.dropped)
	require.ErrorIs(t, s.l.Send(&msg.Message{}), msg.ErrShutdown)
	require.True(t, s.l.IsClosed())
}

// TestLoopbackGoexit: user code ends the goroutine that delivers; the rest is asked for.
func TestLoopbackGoexit(t *testing.T) {
	s := newSelf()
	s.send(t, "a", "b")
	s.onFast = func() {
		s.onFast = nil
		runtime.Goexit()
	}
	done := s.l.Flushed()
	over := make(chan struct{})
	go func() {
		defer close(over)
		s.l.Deliver()
	}()
	<-over
	require.Equal(t, 2, s.wakes)
	require.False(t, closedNow(done))
	n, _ := s.l.SendQueue()
	require.Equal(t, 1, n, "a is done with")
	s.l.Deliver()
	require.True(t, closedNow(done))
	require.Equal(t, []string{"a", "b"}, s.got)
}

// TestLoopbackIsDeaf: nothing is accepted that nobody would deliver.
func TestLoopbackIsDeaf(t *testing.T) {
	s := newSelf()
	s.deaf = errors.New("closed")
	for range 5 {
		require.ErrorIs(t, s.l.Send(&msg.Message{Front: []byte("x")}), msg.ErrShutdown)
	}
	s.deaf = nil
	s.send(t, "y")
	s.l.Deliver()
	require.Equal(t, []string{"y"}, s.got)
}

// TestLoopbackRefuses: what is late, and a nil Message.
func TestLoopbackRefuses(t *testing.T) {
	s := newSelf()
	require.ErrorIs(t, s.l.Send(&msg.Message{Deadline: time.Unix(999, 0)}), msg.ErrDeadline)
	require.Panics(t, func() { _ = s.l.Send(nil) })
	require.Zero(t, s.wakes)
}
