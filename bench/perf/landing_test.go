//go:build linux && (amd64 || arm64 || loong64)

package perf

import (
	"fmt"
	"hash/crc32"
	"net"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// What it would save to receive large payloads where they are to be: today a read
// fills up the payload that is under way and puts the rest into the worker's
// buffer, from where it is copied. The other way of this benchmark knows where
// every payload ends, which a messenger could only guess from the last ones, and
// copies nothing.

const (
	landingFrame = 90 // bytes of a frame beside its payload
	landingRead  = 256 << 10
	landingBytes = 1 << 30 // in all, of each way in each round
)

// BenchmarkLanding is the CPU of the receiving thread for reading frames and for
// their crcs: copied and in place, and what the second is of the first.
func BenchmarkLanding(b *testing.B) {
	for _, size := range []int{4 << 10, 16 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			for b.Loop() {
				var copied, placed, ratios []float64
				for range 7 {
					c := landing(b, size, (*lander).copying)
					p := landing(b, size, (*lander).inPlace)
					copied, placed, ratios = append(copied, c), append(placed, p), append(ratios, p/c)
				}
				for _, x := range [][]float64{copied, placed, ratios} {
					slices.Sort(x)
				}
				b.ReportMetric(copied[3], "copied-cpu-ns/frame")
				b.ReportMetric(placed[3], "placed-cpu-ns/frame")
				b.ReportMetric(ratios[3], "ratio")
				b.ReportMetric(ratios[0], "ratio-min")
				b.ReportMetric(ratios[6], "ratio-max")
			}
		})
	}
}

// lander receives frames from fd.
type lander struct {
	b       *testing.B
	fd      int
	size    int
	bodies  [][]byte // in turn: 4 MiB, more than the caches next to the processor
	next    int
	scratch []byte
	sum     uint32
}

// landing is the CPU of one way, ns a frame.
func landing(b *testing.B, size int, receive func(*lander, int)) float64 {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer ln.Close()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		for buf := make([]byte, (size+landingFrame)*max(1, landingRead/size)); err == nil; {
			_, err = c.Write(buf)
		}
	}()
	c, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(b, err)
	f, err := c.(*net.TCPConn).File()
	require.NoError(b, err)
	l := &lander{b: b, fd: int(f.Fd()), size: size, scratch: make([]byte, landingRead)} // Fd makes it block
	for range (4 << 20) / size {
		l.bodies = append(l.bodies, make([]byte, size))
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	frames := landingBytes / size
	before := threadCPU(b)
	receive(l, frames)
	used := threadCPU(b) - before
	require.NoError(b, f.Close())
	require.NoError(b, c.Close())
	<-sent
	return float64(used.Nanoseconds()) / float64(frames)
}

func threadCPU(b *testing.B) time.Duration {
	const rusageThread = 1
	var r syscall.Rusage
	require.NoError(b, syscall.Getrusage(rusageThread, &r))
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func (l *lander) body() []byte {
	l.next++
	return l.bodies[l.next%len(l.bodies)]
}

func (l *lander) account(p []byte) { l.sum = crc32.Update(l.sum, castagnoli, p) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// readv reads into at most as many bytes as the parts have and returns how many came.
func (l *lander) readv(parts [][]byte) int {
	iov := make([]syscall.Iovec, 0, 256)
	for _, p := range parts {
		v := syscall.Iovec{Base: &p[0]}
		v.SetLen(len(p))
		iov = append(iov, v)
	}
	n, _, e := syscall.Syscall(syscall.SYS_READV, uintptr(l.fd), uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
	runtime.KeepAlive(parts)
	require.Zero(l.b, e)
	return int(n)
}

// copying is what the messenger does.
func (l *lander) copying(frames int) {
	var parts [][]byte
	body, off := l.body(), -landingFrame
	for frames > 0 {
		parts = parts[:0]
		direct := 0
		if off >= 0 && l.size-off > 4<<10 {
			parts, direct = append(parts, body[off:]), l.size-off
		}
		n := l.readv(append(parts, l.scratch))
		if d := min(n, direct); d > 0 {
			l.account(body[off : off+d])
			off += d
		}
		for rest := l.scratch[:max(0, n-direct)]; ; {
			if off == l.size {
				body, off = l.body(), -landingFrame
				frames--
			}
			if len(rest) == 0 {
				break
			}
			if off < 0 {
				k := min(len(rest), -off)
				off, rest = off+k, rest[k:]
				continue
			}
			k := copy(body[off:], rest[:min(len(rest), 32<<10)])
			l.account(body[off : off+k])
			off, rest = off+k, rest[k:]
		}
	}
}

// inPlace knows what comes.
func (l *lander) inPlace(frames int) {
	var parts [][]byte
	var coming [][]byte
	for range landingRead/(l.size+landingFrame) + 1 {
		coming = append(coming, l.body())
	}
	off := -landingFrame
	for frames > 0 {
		parts = parts[:0]
		for i, body := range coming {
			o := -landingFrame
			if i == 0 {
				o = off
			}
			if o < 0 {
				parts = append(parts, l.scratch[:-o])
			}
			parts = append(parts, body[max(o, 0):])
		}
		done := 0
		for n := l.readv(parts); n > 0; {
			if off < 0 {
				k := min(n, -off)
				off, n = off+k, n-k
				continue
			}
			k := min(n, l.size-off)
			l.account(coming[done][off : off+k])
			off, n = off+k, n-k
			if off == l.size {
				off = -landingFrame
				done++
			}
		}
		frames -= done
		coming = slices.Delete(coming, 0, done)
		for range done {
			coming = append(coming, l.body())
		}
	}
}
