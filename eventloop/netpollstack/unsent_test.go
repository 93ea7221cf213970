//go:build linux && (amd64 || arm64 || loong64)

package netpollstack

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestUnsentFor(t *testing.T) {
	const megabit = 1e6 / 8
	for _, x := range []struct {
		was     uint32
		rate    float64
		starved bool
		want    uint32
	}{
		{unsentLeast, 100 * megabit, false, 25_000}, // 2 ms
		{unsentMost, 100 * megabit, false, unsentMost / 8 * 7},
		{unsentLeast, megabit, false, unsentLeast},
		{unsentLeast + 100, megabit, false, unsentLeast + 100},
		{unsentMost, 1000 * megabit, false, unsentMost},
		{unsentLeast, 100_000 * megabit, false, unsentMost},
		{25_000, 110 * megabit, false, 25_000}, // as before, but for noise
		{25_000, 130 * megabit, false, 32_500},
		{25_000, 90 * megabit, false, 25_000},
		{24_000, 70 * megabit, false, 21_000},
		{120_000, 600 * megabit, false, unsentMost},
		{25_000, megabit, true, 50_000}, // the rate is what there was to send
		{100_000, megabit, true, unsentMost},
		{unsentMost, megabit, true, unsentMost},
	} {
		require.Equal(t, x.want, unsentFor(x.was, uint64(x.rate), x.starved), "%+v", x)
	}
}

func TestUnsentOptions(t *testing.T) {
	s := openStack(t, Config{Workers: 1})
	for _, x := range []struct {
		opts   int
		socket int
		unsent uint32
	}{
		{0, unsentMost, unsentMost}, {10_000, 10_000, 0}, {-1, -1, 0}, // the kernel's, which is none
	} {
		c, srv := connect(t, s.workers[0], eventloop.SocketOptions{UnsentMax: x.opts})
		do(t, s.workers[0], func() {
			for _, h := range []*idle{c, srv} {
				tr := h.t.(*transport)
				got, err := unix.GetsockoptInt(int(tr.fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT)
				assert.NoError(t, err)
				if x.socket >= 0 {
					assert.Equal(t, x.socket, got)
				} else {
					assert.NotEqual(t, unsentMost, got)
				}
				assert.Equal(t, x.unsent, tr.unsent, "UnsentMax %d", x.opts)
			}
		})
	}
}

// slowWriter writes all that it can, on a connection that is taken for a slow one whatever
// was measured, and notes what the socket has not sent then.
type slowWriter struct {
	idle
	bound  uint32
	left   int
	unsent []int
}

func (w *slowWriter) HandleFlush() {
	tr := w.t.(*transport)
	tr.unsent = w.bound
	_ = unix.SetsockoptInt(int(tr.fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, int(w.bound))
	chunk := make([]byte, 10<<10)
	for w.left > 0 && !tr.full {
		n, err := tr.Write([][]byte{chunk, nil, chunk, chunk})
		if err != nil {
			return
		}
		w.left -= n
	}
	n, _ := unix.IoctlGetInt(int(tr.fd), unix.SIOCOUTQNSD)
	w.unsent = append(w.unsent, n)
}

// TestUnsentIsBounded: a socket whose connection is slow is given no more than its bound,
// and HandleFlush comes until all is written.
func TestUnsentIsBounded(t *testing.T) {
	s := openStack(t, Config{Workers: 1})
	w := s.workers[0]
	c, srv := connect(t, w, eventloop.SocketOptions{RecvBuffer: 8 << 10})
	const bound, all = 5000, 1 << 20
	h := &slowWriter{left: all, bound: bound}
	do(t, w, func() {
		h.t = c.t
		tr := c.t.(*transport)
		tr.h = h
		srv.t.PauseRead()
		tr.WantFlush()
	})
	require.Eventually(t, func() (full bool) {
		do(t, w, func() { full = h.t.(*transport).full })
		return full
	}, 10*time.Second, time.Millisecond)
	do(t, w, func() {
		n, err := unix.IoctlGetInt(int(h.t.(*transport).fd), unix.SIOCOUTQNSD)
		assert.NoError(t, err)
		assert.LessOrEqual(t, n, bound)
		assert.Greater(t, h.left, all/2)
		srv.t.ResumeRead()
	})
	require.Eventually(t, func() (done bool) {
		do(t, w, func() { done = h.left <= 0 })
		return done
	}, 30*time.Second, time.Millisecond)
	do(t, w, func() {
		assert.Greater(t, len(h.unsent), 10)
		for _, n := range h.unsent {
			assert.LessOrEqual(t, n, bound)
		}
	})
}

// TestMeasure: the kernel says what a connection delivers, and its socket gets that bound.
func TestMeasure(t *testing.T) {
	s := openStack(t, Config{Workers: 1})
	w := s.workers[0]
	c, _ := connect(t, w, eventloop.SocketOptions{})
	do(t, w, func() {
		tr := c.t.(*transport)
		_, err := tr.Write([][]byte{make([]byte, 64<<10)})
		assert.NoError(t, err)
	})
	require.Eventually(t, func() (known bool) {
		do(t, w, func() { known = tcpInfo(int(c.t.(*transport).fd), &w.tcpInfo) && w.tcpInfo.Delivery_rate > 0 })
		return known
	}, 10*time.Second, time.Millisecond)
	do(t, w, func() {
		tr := c.t.(*transport)
		tr.unsent, tr.looked = unsentLeast, uint32(w.now.Milliseconds())-unsentEvery
		want := unsentFor(unsentLeast, w.tcpInfo.Delivery_rate, appLimited(&w.tcpInfo))
		assert.Greater(t, want, uint32(unsentLeast), "loopback is fast")
		assert.True(t, tr.measure())
		assert.Equal(t, want, tr.unsent)
		got, err := unix.GetsockoptInt(int(tr.fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT)
		assert.NoError(t, err)
		assert.EqualValues(t, want, got)
		tr.unsent = unsentLeast
		assert.True(t, tr.measure())
		assert.EqualValues(t, unsentLeast, tr.unsent, "not again so soon")
	})
}

// TestAppLimited: the kernel says whether it has always had something to send.
func TestAppLimited(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	peer, err := l.Accept()
	require.NoError(t, err)
	defer peer.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	limited := func() (is bool) {
		require.NoError(t, raw.Control(func(fd uintptr) {
			var i unix.TCPInfo
			require.True(t, tcpInfo(int(fd), &i))
			is = appLimited(&i)
		}))
		return is
	}
	end := time.Now().Add(10 * time.Second)
	require.NoError(t, c.SetDeadline(end))
	require.NoError(t, peer.SetDeadline(end))
	for one := make([]byte, 1); !limited(); { // a byte now and then
		_, err := c.Write(one)
		require.NoError(t, err)
		_, err = io.ReadFull(peer, one)
		require.NoError(t, err)
	}
	var work sync.WaitGroup
	defer work.Wait()
	defer c.Close()
	work.Go(func() { // as much as it takes
		for big := make([]byte, 1<<20); ; {
			if _, err := c.Write(big); err != nil {
				return
			}
		}
	})
	for read := make([]byte, 64<<10); limited(); {
		_, err := peer.Read(read)
		require.NoError(t, err)
	}
}
