package codecs_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// slow is a link to a place, of that many bytes a second in one direction, and counts them.
func slow(t *testing.T, to *string, rate float64) (string, *atomic.Int64) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var bytes atomic.Int64
	go func() {
		for {
			a, err := ln.Accept()
			if err != nil {
				return
			}
			b, _ := net.Dial("tcp", *to)
			go io.Copy(a, b)
			go func() {
				buf := make([]byte, 16<<10)
				start, n := time.Now(), 0
				for {
					k, err := a.Read(buf)
					if err != nil {
						b.Close()
						return
					}
					now := time.Since(start)
					if due := time.Duration(float64(n) / rate * 1e9); due < now {
						start, n = time.Now(), 0
					} else {
						time.Sleep(due - now)
					}
					b.Write(buf[:k])
					n += k
					bytes.Add(int64(k))
				}
			}()
		}
	}()
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String(), &bytes
}

// TestSlowLink measures what each algorithm gains over a link of 100 Mbit/s, with messages of 16 KiB
// of JSON; with ASYNCMSGR_LONG only.
func TestSlowLink(t *testing.T) {
	if os.Getenv("ASYNCMSGR_LONG") == "" {
		t.Skip("ASYNCMSGR_LONG is not set")
	}
	line := `{"name":"osd.%d","up":true,"in":true,"weight":1.0,"addrs":"v2:10.0.%d.%d:6800/%d"},` + "\n"
	for _, alg := range []string{"", "snappy", "lz4", "zstd", "zlib"} {
		var l []string
		if alg != "" {
			l = []string{alg}
		}
		free, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		target := free.Addr().String()
		require.NoError(t, free.Close())
		addr, wire := slow(t, &target, 12.5e6)
		g := &got{n: make(chan struct{}, 100000)}
		srv, err := async.New(async.Config{Name: entity.OSD(0),
			Advertise: []netip.AddrPort{netip.MustParseAddrPort(addr)}, Compression: async.Compression{Algorithms: l}})
		require.NoError(t, err)
		srv.SetDefaultPolicy(msg.LosslessPeer())
		srv.AddDispatcherTail(g)
		require.NoError(t, srv.Bind(netip.MustParseAddrPort(target)))
		require.NoError(t, srv.Start())
		cl, _ := start(t, entity.OSD(1), l...)
		c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
		require.NoError(t, err)
		var text []byte
		for i := 0; len(text) < 16<<10; i++ {
			text = fmt.Appendf(text, line, i, i%7, i*31%251, i*7919)
		}
		const n = 1200
		begin := time.Now()
		for range n {
			require.NoError(t, c.Send(&msg.Message{Type: 1, Front: []byte("x"), Data: text}))
		}
		for range n {
			<-g.n
		}
		d := time.Since(begin)
		t.Logf("%-7s %6.1f MB/s of payload, %5.1f MB on the wire, in %v", alg,
			float64(n*len(text))/d.Seconds()/1e6, float64(wire.Load())/1e6, d)
		require.NoError(t, cl.Shutdown(t.Context()))
		require.NoError(t, srv.Shutdown(t.Context()))
	}
}
