package simnet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// lines is a Framer for a protocol of lines: a letter, which is the tag, a digit
// for the length of what follows, and that.
type lines struct{}

func (lines) Next(b []byte) (Frame, bool) {
	if len(b) < 2 {
		return Frame{}, false
	}
	if b[0] == '?' {
		return Frame{Name: "unknown"}, true
	}
	return Frame{Tag: b[0], Name: "line " + string(b[:1]), Size: 2 + int64(b[1]-'0')}, true
}

func framed(Conn, bool) Framer { return lines{} }

func TestBreakpoints(t *testing.T) {
	for _, smooth := range []bool{true, false} {
		for _, op := range []Op{Writes, Reads} {
			for seed := range uint64(50) {
				testBreakpoint(t, seed, op, smooth)
			}
		}
	}
}

func testBreakpoint(t *testing.T, seed uint64, op Op, smooth bool) {
	l := newLab(t, seed, Config{Framer: framed, Smooth: smooth})
	c, s := l.pair()
	_, other := l.pair()
	host := map[Op]string{Writes: "a", Reads: "b"}[op]
	b := l.net.Break("second", host, op, Tag('b'))
	l.net.Break("never", host, 1-op, Tag('b'))
	c.send("a3abcb4abcda1xb0")
	c.send("a2zz")
	err := l.net.Run(time.Minute)
	var hit *Hit
	require.ErrorAs(t, err, &hit)
	require.Equal(t, "second", hit.Breakpoint)
	require.Equal(t, Frame{Tag: 'b', Name: "line b", Size: 6, Offset: 5}, hit.Frame)
	require.Equal(t, uint64(1), hit.Conn.ID)
	require.Contains(t, err.Error(), host+" "+op.String()+" line b")
	require.LessOrEqual(t, len(s.got), 5, "nothing of it was handed over")

	// The rest of the world goes on.
	other.send("a1x")
	require.NoError(t, l.net.Run(time.Minute))
	require.Equal(t, "a3abc", string(s.got), "seed %d", seed)
	require.Contains(t, l.net.Netstat(), map[Op]string{Writes: "by breakpoint second", Reads: "read stopped"}[op])

	hit.Resume()
	hit.Resume()
	var again *Hit
	require.ErrorAs(t, l.net.Run(time.Minute), &again)
	require.Equal(t, int64(14), again.Frame.Offset)
	require.NoError(t, l.net.Run(time.Minute))
	require.Equal(t, "a3abcb4abcda1x", string(s.got), "seed %d", seed)
	b.Remove()
	require.NoError(t, l.net.Run(time.Minute))
	require.Equal(t, "a3abcb4abcda1xb0a2zz", string(s.got))
	c.send("b1x")
	require.NoError(t, l.net.Run(time.Minute))
	require.Len(t, s.got, 23)
}

// The end of the stream waits behind a frame that is stopped; a reset does not.
func TestBreakpointAndTheEnd(t *testing.T) {
	for _, op := range []Op{Writes, Reads} {
		l := newLab(t, 1, Config{Framer: framed})
		c, s := l.pair()
		host := map[Op]string{Writes: "a", Reads: "b"}[op]
		l.net.Break("b", host, op, nil)
		c.send("a1x")
		var hit *Hit
		require.ErrorAs(t, l.net.Run(time.Second), &hit)
		c.do(func() { require.NoError(t, c.t.CloseWrite()) })
		require.NoError(t, l.net.Run(time.Second))
		require.False(t, s.eof)
		hit.Resume()
		l.until(func() bool { return s.eof })
		require.Equal(t, "a1x", string(s.got))

		c, s = l.pair()
		c.send("a1x")
		require.ErrorAs(t, l.net.Run(time.Second), &hit)
		hit.Conn.Kill()
		l.until(func() bool { return c.err != nil && s.err != nil })
		hit.Resume()
		require.NoError(t, l.net.Run(time.Second))
	}
}

// With Step, NextHit tells; a frame whose header comes in pieces is found too, and
// what the Framer gives up on is left alone.
func TestFramesInPieces(t *testing.T) {
	l := newLab(t, 1, Config{Framer: framed, Smooth: true})
	c, s := l.pair()
	l.net.Break("b", "b", Reads, Tag('b'))
	for _, piece := range []string{"a", "1", "xb", "2", "y", "y?b1x"} {
		c.send(piece)
		for l.net.Step() {
		}
	}
	hit := l.net.NextHit()
	require.NotNil(t, hit)
	require.Nil(t, l.net.NextHit())
	require.Equal(t, int64(3), hit.Frame.Offset)
	require.Equal(t, "a1xb", string(s.got), "its first byte was sent before it could be told")
	hit.Resume()
	require.NoError(t, l.net.Run(time.Second))
	require.Equal(t, "a1xb2yy?b1x", string(s.got))
	require.Panics(t, func() { New(1, Config{}).Break("x", "a", Reads, nil) })
}

// A gate lets packets of several connections go in the order that its owner likes.
func TestGate(t *testing.T) {
	l := newLab(t, 1, Config{})
	var pairs [3][2]*end
	for i := range pairs {
		pairs[i][0], pairs[i][1] = l.pair()
	}
	g := NewGate("handshakes")
	f := l.net.Add("hold", func(p *Packet) Verdict {
		if p.Kind == Data && p.Offset == 0 && p.FromDialer {
			return g.Hold()
		}
		return Pass()
	})
	for i := range pairs {
		pairs[i][0].send("hello")
		require.NoError(t, l.net.Run(time.Second))
		pairs[i][0].send("again")
	}
	require.NoError(t, l.net.Run(time.Second))
	held := g.Held()
	require.Len(t, held, 3)
	require.Equal(t, uint64(2), held[1].Conn)
	require.Equal(t, byte('h'), held[1].Data[0])
	require.Contains(t, l.net.Netstat(), "by gate handshakes")
	flights := l.net.InFlight()
	require.GreaterOrEqual(t, len(flights), 6)
	require.Regexp(t, "^held [0-9] by gate handshakes$", flights[0].HeldBy)
	f.Lift()
	require.NoError(t, l.net.Run(time.Second))
	require.Len(t, g.Held(), 3, "a gate is not a rule")
	g.Release(1)
	require.NoError(t, l.net.Run(time.Second))
	require.Empty(t, pairs[0][1].got)
	require.Equal(t, "helloagain", string(pairs[1][1].got))
	l.net.Conns()[0].Kill()
	require.Len(t, g.Held(), 1)
	g.ReleaseAll()
	require.NoError(t, l.net.Run(time.Second))
	require.Equal(t, "helloagain", string(pairs[2][1].got))
	require.Empty(t, g.Held())
}
