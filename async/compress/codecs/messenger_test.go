package codecs_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/compress"
	_ "github.com/asyncmsgr/asyncmsgr/async/compress/codecs"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// got collects what was dispatched.
type got struct {
	mu    sync.Mutex
	texts []string
	n     chan struct{}
}

func (g *got) Dispatch(m *msg.Message) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.texts = append(g.texts, string(m.Front)+string(m.Data))
	g.n <- struct{}{}
	m.Release()
	return true
}

// start is a messenger that is bound to loopback.
func start(t *testing.T, name entity.Name, algorithms ...string) (*async.Messenger, *got) {
	m, err := async.New(async.Config{Name: name, AllowFaults: true, InitialBackoff: 5 * time.Millisecond,
		Compression: async.Compression{Algorithms: algorithms, MinSize: 100}})
	require.NoError(t, err)
	g := &got{n: make(chan struct{}, 1000)}
	m.SetDefaultPolicy(msg.LosslessPeer())
	m.AddDispatcherTail(g)
	require.NoError(t, m.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
	require.NoError(t, m.Start())
	t.Cleanup(func() { require.NoError(t, m.Shutdown(context.Background())) })
	return m, g
}

// TestMessengers: each algorithm carries messages of all sizes over real sockets that are cut,
// and none is lost.
func TestMessengers(t *testing.T) {
	for _, a := range compress.Registered() {
		t.Run(a.Name(), func(t *testing.T) {
			srv, g := start(t, entity.OSD(0), "zlib", "zstd", "snappy", "lz4")
			cl, _ := start(t, entity.OSD(1), a.Name())
			c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
			require.NoError(t, err)
			var want []string
			for i := range 40 {
				front, data := fmt.Sprint(i), []byte(strings.Repeat(fmt.Sprintf("message %d, ", i), 7*i*i))
				want = append(want, front+string(data))
				require.NoError(t, c.Send(&msg.Message{Type: 1, Front: []byte(front), Data: data}))
				if i%15 == 7 {
					cl.Faults().Cut(c)
				}
			}
			timeout := time.After(30 * time.Second)
			for range want {
				select {
				case <-g.n:
				case <-timeout:
					t.Fatal("messages are missing")
				}
			}
			g.mu.Lock()
			require.Equal(t, want, g.texts)
			g.mu.Unlock()
			for _, s := range cl.ConnectionStats() {
				if s.Loopback {
					continue
				}
				require.Equal(t, a.Name(), s.Compression)
				require.Less(t, s.CompressedTo, s.CompressedFrom/3)
			}
		})
	}
}

// BenchmarkThereAndBack compresses and decompresses 4 KiB of JSON.
func BenchmarkThereAndBack(b *testing.B) {
	line := `{"name":"osd.%d","up":true,"in":true,"weight":1.0,"addrs":"v2:10.0.%d.%d:6800/%d"},` + "\n"
	var text []byte
	for i := 0; len(text) < 4096; i++ {
		text = fmt.Appendf(text, line, i, i%7, i*31%251, i*7919)
	}
	for _, a := range compress.Registered() {
		b.Run(a.Name(), func(b *testing.B) {
			var packed []byte
			plain := make([]byte, len(text))
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				packed = a.Append(packed[:0], text)
				if n, err := a.PlainLen(packed, len(text)); err != nil || n != len(text) {
					b.Fatal(n, err)
				}
				if err := a.Decompress(plain, packed); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(text))/float64(len(packed)), "ratio")
		})
	}
}
