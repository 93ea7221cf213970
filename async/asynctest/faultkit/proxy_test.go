package faultkit

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// echo is a server that sends back what it gets.
func echo(t *testing.T) netip.AddrPort {
	l, err := net.Listen("tcp", anyPort.String())
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c) // until the proxy ends it
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return netip.MustParseAddrPort(l.Addr().String())
}

func dial(t *testing.T, p *Proxy) net.Conn {
	c, err := net.Dial("tcp", p.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(30*time.Second)))
	return c
}

// ask sends a text and wants it back.
func ask(t *testing.T, c net.Conn, text string) {
	_, err := io.WriteString(c, text)
	require.NoError(t, err)
	b := make([]byte, len(text))
	_, err = io.ReadFull(c, b)
	require.NoError(t, err)
	require.Equal(t, text, string(b))
}

func TestProxyCuts(t *testing.T) {
	p := StartProxy(t, anyPort, netip.AddrPort{})
	p.SetTarget(echo(t))
	p.Record()
	p.Plan(func(n int) (up, down int64) { return []int64{-1, 7}[n], []int64{11, -1}[n] })
	for range 2 {
		c := dial(t, p)
		_, err := io.WriteString(c, "0123456789abcdef")
		require.NoError(t, err)
		got, err := io.ReadAll(c)
		require.ErrorIs(t, err, syscall.ECONNRESET)
		require.True(t, bytes.HasPrefix([]byte("0123456789a"), got))
	}
	require.Equal(t, 2, p.Cuts())
	p.Plan(nil)
	require.Zero(t, p.Accepted())
	c := dial(t, p)
	ask(t, c, "once more")
	require.Equal(t, 1, p.CutAll())
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)
	s := p.Recorded()
	require.Len(t, s, 3)
	require.Equal(t, "0123456789a", string(s[0].Down))
	require.Equal(t, "0123456", string(s[1].Up))
	require.Equal(t, "once more", string(s[2].Down))
}

func TestProxyRefuses(t *testing.T) {
	target := echo(t)
	p := StartProxy(t, anyPort, target)
	require.Equal(t, p.Addr(), p.Via(target))
	require.Equal(t, anyPort, p.Via(anyPort))
	c := dial(t, p)
	ask(t, c, "before")
	p.Refuse()
	_, err := net.Dial("tcp", p.Addr().String())
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	ask(t, c, "what was there goes on")
	require.NoError(t, c.Close())
	p.Accept()
	ask(t, dial(t, p), "after")
	require.Zero(t, p.Cuts())
}

// Frozen bytes arrive after the thaw, and a cut does not wait for it.
func TestProxyFreezes(t *testing.T) {
	p := StartProxy(t, anyPort, echo(t))
	p.Chunk(1)
	p.FreezeAfter(15) // at most 7 of them have come back
	c := dial(t, p)
	_, err := io.WriteString(c, "0123456789")
	require.NoError(t, err)
	b := make([]byte, 10)
	n, err := c.Read(b)
	require.NoError(t, err)
	require.Less(t, n, 10)
	p.Thaw()
	_, err = io.ReadFull(c, b[n:])
	require.NoError(t, err)
	require.Equal(t, "0123456789", string(b))
	p.Freeze()
	_, err = io.WriteString(c, "x")
	require.NoError(t, err)
	require.Equal(t, 1, p.CutAll())
	_, err = c.Read(b)
	require.ErrorIs(t, err, syscall.ECONNRESET)
}
