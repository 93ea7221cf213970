package stream

import (
	"context"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
)

// result is what a call on another goroutine returned.
type result struct {
	n   int
	err error
}

// blocked begins a call on a goroutine of its own, and returns when it waits, by the word of
// waits.
func (s *sim) blocked(waits func() bool, call func() (int, error)) <-chan result {
	s.t.Helper()
	ch := make(chan result, 1)
	go func() {
		n, err := call()
		ch <- result{n, err}
	}()
	for !waits() {
		require.Empty(s.t, ch, "it did not wait")
		runtime.Gosched()
	}
	return ch
}

// end is what a call that has to return now returns.
func (s *sim) end(ch <-chan result) result {
	s.t.Helper()
	select {
	case r := <-ch:
		return r
	case <-time.After(patience):
		s.t.Fatal("a call does not return")
		return result{}
	}
}

// patience is how long a test waits for something that has to come.
const patience = 30 * time.Second

func waiting(c *Conn, w *waiters) func() bool {
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return w.n > 0
	}
}

// inQueue says whether a Write waits for room in the send queue.
func inQueue(c *Conn) func() bool {
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.stopSend != nil
	}
}

// wall is the time of day of node 0, so much later.
func (s *sim) wall(d time.Duration) time.Time { return s.Nodes[0].Clock().Wall().Add(d) }

// wantTimeout runs the network until the call returns, and checks when and how.
func (s *sim) wantTimeout(ch <-chan result, at time.Duration, n int) {
	s.t.Helper()
	if early := at - time.Millisecond - s.Net.Now(); early > 0 {
		s.Run(early)
	}
	for range 100 {
		runtime.Gosched()
		require.Empty(s.t, ch, "before its time")
	}
	s.Run(2 * time.Millisecond)
	r := s.end(ch)
	require.ErrorIs(s.t, r.err, os.ErrDeadlineExceeded)
	var ne net.Error
	require.ErrorAs(s.t, r.err, &ne)
	require.True(s.t, ne.Timeout())
	require.Equal(s.t, n, r.n)
}

// TestDeadlines are those of the messenger's clock: in a simulation they pass in virtual time.
func TestDeadlines(t *testing.T) {
	small := simOptions{stream: Options{Window: 10, WindowMin: 10}}
	const minute = time.Minute
	t.Run("read", func(t *testing.T) {
		s := newSim(t, small)
		d, a := s.pair()
		at := s.Net.Now() + minute
		require.NoError(t, d.SetReadDeadline(s.wall(minute)))
		ch := s.blocked(waiting(d, &d.readers), func() (int, error) { return d.Read(make([]byte, 1)) })
		s.wantTimeout(ch, at, 0)
		s.mustWrite(a, []byte("x"))
		s.calm()
		_, _, err := read(d, make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, "though there is something to read")
		require.NoError(t, d.SetReadDeadline(time.Time{}))
		s.wantRead(d, "x")
		_, _, err = write(d, []byte("y"))
		require.NoError(t, err, "the other direction has no deadline")
	})
	t.Run("write", func(t *testing.T) {
		s := newSim(t, small)
		d, a := s.pair()
		at := s.Net.Now() + minute
		require.NoError(t, d.SetWriteDeadline(s.wall(minute)))
		ch := s.blocked(waiting(d, &d.writers), func() (int, error) { return d.Write(make([]byte, 15)) })
		s.wantTimeout(ch, at, 10)
		require.NoError(t, d.SetDeadline(time.Time{}))
		s.wantRead(a, string(make([]byte, 10)))
		s.calm()
		s.mustWrite(d, []byte("on"))
		s.wantRead(a, "on")
	})
	t.Run("moved", func(t *testing.T) { // there and back, while somebody waits
		s := newSim(t, small)
		d, _ := s.pair()
		require.NoError(t, d.SetReadDeadline(s.wall(minute)))
		ch := s.blocked(waiting(d, &d.readers), func() (int, error) { return d.Read(make([]byte, 1)) })
		require.NoError(t, d.SetReadDeadline(s.wall(3*minute)))
		s.settle(d, &d.readers)
		s.Run(2 * minute)
		s.settle(d, &d.readers)
		require.Empty(t, ch)
		require.NoError(t, d.SetReadDeadline(time.Time{}))
		s.settle(d, &d.readers)
		s.Run(minute * 10)
		require.Empty(t, ch)
		require.NoError(t, d.SetReadDeadline(s.wall(20*minute)))
		s.settle(d, &d.readers)
		at := s.Net.Now() + 5*minute
		require.NoError(t, d.SetReadDeadline(s.wall(5*minute)))
		s.settle(d, &d.readers)
		s.wantTimeout(ch, at, 0)
	})
	t.Run("in the past", func(t *testing.T) { // wakes who waits
		s := newSim(t, small)
		d, _ := s.pair()
		ch := s.blocked(waiting(d, &d.readers), func() (int, error) { return d.Read(make([]byte, 1)) })
		require.NoError(t, d.SetDeadline(time.Unix(0, 0)))
		require.ErrorIs(t, s.end(ch).err, os.ErrDeadlineExceeded)
	})
	t.Run("closed", func(t *testing.T) { // a timer that is not needed any more is stopped
		s := newSim(t, small)
		d, _ := s.pair()
		require.NoError(t, d.SetDeadline(s.wall(minute)))
		r := s.blocked(waiting(d, &d.readers), func() (int, error) { return d.Read(make([]byte, 1)) })
		w := s.blocked(waiting(d, &d.writers), func() (int, error) { return d.Write(make([]byte, 15)) })
		s.calm()
		require.True(t, d.readers.timer.Armed())
		require.True(t, d.writers.timer.Armed())
		require.NoError(t, d.Close())
		require.ErrorIs(t, s.end(r).err, net.ErrClosed)
		require.Equal(t, 10, s.end(w).n)
		s.calm()
		require.False(t, d.readers.timer.Armed())
		require.False(t, d.writers.timer.Armed())
	})
}

// settle lets who waits look again.
func (s *sim) settle(c *Conn, w *waiters) {
	s.t.Helper()
	for !waiting(c, w)() {
		runtime.Gosched()
	}
	s.Run(time.Millisecond)
	for range 100 {
		runtime.Gosched()
	}
	for !waiting(c, w)() {
		runtime.Gosched()
	}
	s.Run(time.Millisecond)
}

// TestWaitingForTheSendQueue: a Write that waits for room there ends by its deadline, by
// CloseWrite, by Close, and by the peer; what it says it has written is what arrives.
func TestWaitingForTheSendQueue(t *testing.T) {
	for _, x := range []struct {
		what string
		end  func(s *sim, d, a *Conn)
		want error
	}{
		{"deadline", func(s *sim, d, _ *Conn) { s.Run(2 * time.Minute) }, os.ErrDeadlineExceeded},
		{"deadline set", func(s *sim, d, _ *Conn) {
			require.NoError(s.t, d.SetWriteDeadline(time.Unix(0, 0)))
		}, os.ErrDeadlineExceeded},
		{"CloseWrite", func(s *sim, d, _ *Conn) { require.NoError(s.t, d.CloseWrite()) }, net.ErrClosed},
		{"Close", func(s *sim, d, _ *Conn) { require.NoError(s.t, d.Close()) }, net.ErrClosed},
		{"MarkDown", func(s *sim, d, _ *Conn) { s.MarkDown(0, 1) }, net.ErrClosed},
	} {
		t.Run(x.what, func(t *testing.T) {
			s := newSim(t, simOptions{stream: Options{PieceMax: 10},
				Options: asynctest.Options{Config: func(i int, cfg *async.Config) {
					lossless(i, cfg)
					cfg.SendQueueMessages = 3
				}}})
			d, a := s.pair()
			s.calm()
			wall := s.Partition([]int{0}, []int{1})
			require.NoError(t, d.SetWriteDeadline(s.wall(time.Minute)))
			ch := s.blocked(inQueue(d), func() (int, error) { return d.Write(make([]byte, 1000)) })
			x.end(s, d, a)
			r := s.end(ch)
			require.ErrorIs(t, r.err, x.want)
			require.Equal(t, 30, r.n)
			wall.Lift()
			if x.want == os.ErrDeadlineExceeded {
				require.NoError(t, d.SetDeadline(time.Time{}))
				s.calm()
				s.mustWrite(d, []byte("more"))
				require.NoError(t, d.CloseWrite())
			}
			if x.what == "MarkDown" {
				return
			}
			all, err := s.readAll(a)
			require.EqualError(t, err, "EOF")
			require.Equal(t, 30, len(all)-len("more")*int(d.sendSeq-3))
		})
	}
}

// TestDialGivenUp: ctx ends while the peer is away, and nothing is left when it comes back.
func TestDialGivenUp(t *testing.T) {
	s := newSim(t, simOptions{Options: asynctest.Options{Config: lossless}})
	l := s.listen(1, "x")
	conn := s.Connect(0, 1)
	s.calm()
	known, err := s.muxes[0].session(conn)
	require.NoError(t, err)
	for _, from := range []int{0, 1} { // the OPEN does not arrive, or the ACCEPT
		wall := s.Add("one way", simnet.OneWay(s.Nodes[from].Host.Name(), s.Nodes[1-from].Host.Name()))
		ctx, cancel := context.WithCancel(context.Background())
		var c *Conn
		ch := s.blocked(func() bool {
			for _, c = range known.all() {
				return waiting(c, &c.writers)()
			}
			return false
		}, func() (int, error) {
			_, err := s.muxes[0].Dial(ctx, conn, "x")
			return 0, err
		})
		s.calm()
		require.Equal(t, from, s.muxes[1].Stats().Streams)
		cancel()
		require.ErrorIs(t, s.end(ch).err, context.Canceled)
		wall.Lift()
		s.wantNothing()
		require.Nil(t, accept(l), "it ended before anybody accepted it")
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = s.muxes[0].Dial(ended, conn, "x")
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, s.muxes[0].Stats().Streams)
}

// TestDial is the call itself, and Accept's, each on a goroutine that waits.
func TestDial(t *testing.T) {
	s := newSim(t, simOptions{})
	l := s.listen(1, "x")
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			close(accepted)
			return
		}
		accepted <- c
	}()
	conn := s.Connect(0, 1)
	var d *Conn
	dialled := make(chan result, 1)
	go func() {
		var err error
		d, err = s.muxes[0].Dial(context.Background(), conn, "x", WithPriority(99))
		dialled <- result{err: err}
	}()
	for len(dialled) == 0 || len(accepted) == 0 {
		s.Run(time.Millisecond)
		runtime.Gosched()
	}
	require.NoError(t, (<-dialled).err)
	a := (<-accepted).(*Conn)
	require.Equal(t, uint8(99), a.prio)
	require.EqualValues(t, 1, s.muxes[0].Stats().Dialed)
	s.mustWrite(d, []byte("x"))
	s.wantRead(a, "x")
	ch := s.blocked(func() bool { return true }, func() (int, error) { _, err := l.Accept(); return 0, err })
	require.NoError(t, l.Close())
	require.ErrorIs(t, s.end(ch).err, net.ErrClosed)
}
