package stream

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/stretchr/testify/require"
)

var one = asynctest.Options{N: 1}

// TestWindow: a writer is as far ahead of the reader as the window, and one reader that does
// not read holds up nobody else.
func TestWindow(t *testing.T) {
	const window = 100
	s := newSim(t, simOptions{stream: Options{Window: window, WindowMin: window, PieceMax: 50}})
	l := s.listen(1, "w")
	var ds, as [3]*Conn
	for i := range ds {
		ds[i] = s.dial(0, 1, "w")
		as[i] = accept(l)
	}
	text := bytes.Repeat([]byte("0123456789"), 100)
	n, would, _ := write(ds[0], text)
	require.Equal(t, window, n)
	require.True(t, would)
	s.calm()
	require.EqualValues(t, window, s.muxes[1].Stats().Unread)
	got := 0
	for sent := 0; got < len(text); s.Run(time.Millisecond) {
		if sent < len(text) {
			n, _, _ := write(ds[1], text[sent:])
			sent += n
			require.LessOrEqual(t, sent-got, window)
		}
		buf := make([]byte, 17)
		if n, would, err := read(as[1], buf); !would {
			require.NoError(t, err)
			require.Equal(t, string(text[got:got+n]), string(buf[:n]))
			got += n
		}
	}
	n, _, _ = write(ds[0], text)
	require.Zero(t, n, "it still waits")
	s.wantRead(as[0], string(text[:window]))
	s.calm()
	n, _, _ = write(ds[0], text)
	require.Equal(t, window, n)
	for i := range ds {
		require.NoError(t, ds[i].Close())
		require.NoError(t, as[i].Close())
	}
	s.wantNothing()
}

// TestSmallRestsWait: a write is not cut at the rest of a window, but into pieces of a size.
func TestSmallRestsWait(t *testing.T) {
	s := newSim(t, simOptions{stream: Options{Window: 100, WindowMin: 100, PieceMax: 50}})
	d, a := s.pair()
	s.mustWrite(d, make([]byte, 90))
	n, would, _ := write(d, make([]byte, 40))
	require.Zero(t, n, "10 bytes of credit, less than a quarter of the window")
	require.True(t, would)
	n, _, _ = write(d, make([]byte, 10))
	require.Equal(t, 10, n, "as much as that is sent")
	s.wantRead(a, string(make([]byte, 100)))
	s.calm()
	s.mustWrite(d, make([]byte, 100))
	require.EqualValues(t, 5, s.muxes[0].Stats().MessagesSent, "50, 40, 10, 50, 50")
}

// TestStreamsMax: at the bound both ends refuse, and what ends makes room.
func TestStreamsMax(t *testing.T) {
	s := newSim(t, simOptions{Options: asynctest.Options{N: 3}, stream: Options{StreamsMax: 4}})
	l := s.listen(1, "x")
	s.listen(0, "x")
	var cs []*Conn
	for range 3 {
		cs = append(cs, s.dial(0, 1, "x"))
	}
	cs = append(cs, s.dial(1, 0, "x")) // counts on both sides
	_, err := s.muxes[0].begin(s.Connect(0, 1), "x", nil)
	require.ErrorIs(t, err, ErrTooManyStreams, "here")
	s.muxes[0].opt.StreamsMax++
	require.ErrorIs(t, s.settled(s.begin(0, 1, "x")), ErrTooManyStreams, "there")
	s.dial(2, 1, "x") // another connection
	require.NoError(t, cs[0].Close())
	s.calm()
	s.dial(0, 1, "x")
	_ = l
}

// TestBacklog: streams that nobody accepts are refused at the bound.
func TestBacklog(t *testing.T) {
	s := newSim(t, simOptions{stream: Options{Backlog: 2}})
	l, other := s.listen(1, "x"), s.listen(1, "y")
	first := s.dial(0, 1, "x")
	s.dial(0, 1, "x")
	require.ErrorIs(t, s.settled(s.begin(0, 1, "x")), ErrBacklogFull)
	s.dial(0, 1, "y")
	require.NotNil(t, accept(other))
	a := accept(l)
	s.mustWrite(first, []byte("first"))
	s.wantRead(a, "first")
	s.dial(0, 1, "x")
	require.ErrorIs(t, s.settled(s.begin(0, 1, "x")), ErrBacklogFull)
}

// TestMemory: windows shrink when half of what may be promised is, and streams are refused
// when all is; for one connection, and for all together.
func TestMemory(t *testing.T) {
	for _, x := range []struct {
		opt   Options
		peers int
	}{
		{Options{Window: 100, WindowMin: 10, ConnBufferMax: 450, BufferMax: 1 << 20}, 1},
		{Options{Window: 100, WindowMin: 10, ConnBufferMax: 1 << 20, BufferMax: 450}, 3},
	} {
		t.Run(fmt.Sprint(x.peers), func(t *testing.T) {
			s := newSim(t, simOptions{Options: asynctest.Options{N: 1 + x.peers}, stream: x.opt})
			for i := range s.muxes[:x.peers] { // the dialling ends do not run out
				s.muxes[1+i].opt = Options{Window: 100, WindowMin: 100, ConnBufferMax: 1 << 20, BufferMax: 1 << 20,
					StreamsMax: 1000, PieceMax: 1000}
			}
			l := s.listen(0, "m")
			var windows []int
			var cs []*Conn
			for i := 0; ; i++ {
				c := s.begin(1+i%x.peers, 0, "m")
				if err := s.settled(c); err != nil {
					require.ErrorIs(t, err, ErrNoMemory)
					break
				}
				cs = append(cs, c)
				windows = append(windows, c.credit)
				accept(l)
			}
			require.Equal(t, []int{100, 100}, windows[:2])
			require.Equal(t, bytes.Repeat([]byte{10}, 25), toBytes(windows[2:]))
			require.EqualValues(t, 450, s.muxes[0].Stats().Promised)
			n, would, _ := write(cs[5], make([]byte, 100))
			require.Equal(t, 10, n)
			require.True(t, would)
			require.NoError(t, cs[0].Close())
			s.calm()
			require.NoError(t, s.settled(s.begin(1, 0, "m")), "there is room again") // the accepted end is nobody's
		})
	}
}

func toBytes(ns []int) (out []byte) {
	for _, n := range ns {
		out = append(out, byte(n))
	}
	return out
}

// TestNoMemoryHere: the dialling end promises too.
func TestNoMemoryHere(t *testing.T) {
	s := newSim(t, simOptions{stream: Options{Window: 100, ConnBufferMax: 250}})
	s.muxes[1].opt.ConnBufferMax = 1 << 20
	s.listen(1, "m")
	s.dial(0, 1, "m")
	s.dial(0, 1, "m")
	_, err := s.muxes[0].begin(s.Connect(0, 1), "m", nil)
	require.ErrorIs(t, err, ErrNoMemory)
	require.Equal(t, &CloseError{Code: CodeMemory}, err)
}

// TestFullSendQueue: what finds no room in the connection's send queue is sent later, in
// order, whatever it is; nothing is lost, and nobody sees ErrQueueFull.
func TestFullSendQueue(t *testing.T) {
	s := newSim(t, simOptions{stream: Options{Window: 64, WindowMin: 64, PieceMax: 16},
		Options: asynctest.Options{Config: func(_ int, cfg *async.Config) { cfg.SendQueueMessages = 2 }}})
	l := s.listen(1, "q")
	const streams = 8
	var ds [streams]*Conn
	for i := range ds {
		ds[i] = s.begin(0, 1, "q") // most OPENs wait
	}
	var as []*Conn
	text := []byte("what is written to a stream arrives as it is, though every queue is full at each step")
	var sent, got [streams]int
	finished, closed := 0, 0
	for range 100000 {
		if c := accept(l); c != nil {
			as = append(as, c)
		}
		for i, d := range ds {
			if done, err := answerOf(d); done && sent[i] < len(text) {
				require.NoError(t, err)
				n, _, _ := write(d, text[sent[i]:])
				if sent[i] += n; sent[i] == len(text) {
					require.NoError(t, d.CloseWrite())
					finished++
				}
			}
		}
		for i, a := range as {
			buf := make([]byte, 7)
			n, would, err := read(a, buf)
			require.Equal(t, string(text[got[i]:got[i]+n]), string(buf[:n]))
			got[i] += n
			if !would && err != nil {
				require.ErrorContains(t, err, map[bool]string{true: "EOF", false: "closed"}[a.closed == nil])
				if a.closed == nil {
					require.Equal(t, len(text), got[i])
					require.NoError(t, a.Close())
					require.NoError(t, ds[i].Close())
					closed++
				}
			}
		}
		if closed == streams {
			break
		}
		s.Run(100 * time.Microsecond)
	}
	require.Equal(t, streams, closed)
	require.Equal(t, streams, finished)
	st := s.muxes[0].Stats()
	require.Positive(t, st.SendWaits)
	require.Positive(t, st.Postponed)
	s.wantNothing()
}

func answerOf(c *Conn) (done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answerLocked()
}
