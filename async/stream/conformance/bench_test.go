package conformance

import (
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkPingPong sends 64 bytes there and back.
func BenchmarkPingPong(b *testing.B) {
	for _, r := range rivals {
		b.Run(r.name, func(b *testing.B) {
			p := r.make(b)
			pingPong(b, p, 200) // warm
			b.ResetTimer()
			b.ReportAllocs()
			pingPong(b, p, b.N)
		})
	}
}

// BenchmarkWrite sends in writes of a size, and the other end reads all.
func BenchmarkWrite(b *testing.B) {
	for _, size := range []int{1 << 10, 32 << 10} {
		for _, r := range rivals {
			b.Run(fmt.Sprintf("%d/%s", size, r.name), func(b *testing.B) {
				p := r.make(b)
				transfer(b, p, size, 200)
				b.SetBytes(int64(size))
				b.ResetTimer()
				b.ReportAllocs()
				transfer(b, p, size, b.N)
			})
		}
	}
}

// pingPong sends 64 bytes there and back, n times.
func pingPong(tb testing.TB, p pair, n int) {
	done := make(chan error, 1)
	go func() {
		buf := make([]byte, 64)
		for range n {
			if _, err := io.ReadFull(p.b, buf); err != nil {
				done <- err
				return
			}
			if _, err := p.b.Write(buf); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	buf := make([]byte, 64)
	for range n {
		_, err := p.a.Write(buf)
		require.NoError(tb, err)
		_, err = io.ReadFull(p.a, buf)
		require.NoError(tb, err)
	}
	require.NoError(tb, <-done)
}

// transfer makes n writes of that size, which the other end reads.
func transfer(tb testing.TB, p pair, size, n int) {
	done := make(chan error, 1)
	go func() {
		all := io.LimitReader(p.b, int64(size)*int64(n))
		_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, all, make([]byte, 64<<10))
		done <- err
	}()
	buf := make([]byte, size)
	for range n {
		_, err := p.a.Write(buf)
		require.NoError(tb, err)
	}
	require.NoError(tb, <-done)
}
