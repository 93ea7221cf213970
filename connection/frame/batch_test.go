package frame

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever is written in whatever pieces, while more is appended, the bytes
// arrive in order, and iovecs handed out earlier stay as they are.
func TestBatchAdvance(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 3))
	var b Batch
	var e Encoder
	var want, wrote []byte
	plain := func(f func(*Batch)) {
		var one Batch
		f(&one)
		want = one.AppendTo(want)
		f(&b)
	}
	for range 1000 {
		switch rng.IntN(5) {
		case 0:
			ack := Ack{Seq: rng.Uint64()}
			plain(func(b *Batch) { e.AppendControl(b, &ack) })
		case 1:
			front, data := pattern(rng.IntN(3*copyMax), 1), pattern(rng.IntN(3*chunkLen), 2)
			plain(func(b *Batch) { e.AppendMessage(b, &testHeader, front, nil, data) })
		case 2:
			p := pattern(rng.IntN(3*chunkLen), 5)
			plain(func(b *Batch) { e.AppendControl(b, &AuthReplyMore{Payload: p}) })
		case 3:
			p := pattern(rng.IntN(2*chunkLen), 6)
			plain(func(b *Batch) { b.AppendRaw(p) })
		case 4:
			n := rng.IntN(b.Len() + 1)
			if rng.IntN(3) == 0 {
				n = b.Len()
			}
			taken, left := bytes.Buffer{}, n
			for _, p := range b.Buffers() {
				require.NotEmpty(t, p)
				k := min(left, len(p))
				taken.Write(p[:k])
				left -= k
			}
			wrote = append(wrote, taken.Bytes()...)
			b.Advance(n)
		}
		require.Equal(t, len(want)-len(wrote), b.Len())
		require.Equal(t, len(b.Buffers()), b.NumBuffers())
	}
	wrote = b.AppendTo(wrote)
	require.True(t, bytes.Equal(want, wrote))
	b.Advance(b.Len())
	require.Zero(t, b.Len())
	require.Zero(t, b.NumBuffers())
	require.Panics(t, func() { b.Advance(1) })
}

func TestBatchSharesIovecs(t *testing.T) {
	var b Batch
	var e Encoder
	for range 10 {
		e.AppendMessage(&b, &testHeader, pattern(64, 0), nil, nil)
		e.AppendControl(&b, &Ack{})
	}
	require.Equal(t, 1, b.NumBuffers())
	big := pattern(copyMax+1, 0)
	e.AppendMessage(&b, &testHeader, nil, nil, big)
	e.AppendMessage(&b, &testHeader, nil, nil, nil)
	require.Equal(t, 3, b.NumBuffers())
	require.Same(t, &big[0], &b.Buffers()[1][0], "large payloads are not copied")

	b.Reset()
	require.Zero(t, b.Len())
	for _, p := range b.iov[:cap(b.iov)] {
		require.Nil(t, p, "references to payloads are dropped")
	}
	chunks := len(b.chunks)
	require.Positive(t, chunks)
	e.AppendControl(&b, &Wait{})
	require.Len(t, b.chunks, chunks)
}

func TestBatchTrim(t *testing.T) {
	b := new(Batch)
	b.AppendRaw(make([]byte, 20*chunkLen))
	b.Trim()
	require.Zero(t, b.Len())
	require.LessOrEqual(t, len(b.chunks), chunksKept)

	b.iov, b.tmp = make([][]byte, 0, iovKept), make([]byte, 0, chunkLen)
	b.Trim()
	require.Equal(t, iovKept, cap(b.iov), "that is the working size")
	require.Equal(t, chunkLen, cap(b.tmp))
	b.iov, b.tmp = make([][]byte, 0, iovKept+1), make([]byte, 0, chunkLen+1)
	b.Trim()
	require.Zero(t, cap(b.iov)+cap(b.tmp), "and this is beyond it")
}

// straying is a Control that does not append to what it is given.
type straying struct{ Ack }

func (s straying) AppendPayload([]byte) []byte { return s.Ack.AppendPayload(nil) }

func TestStrayingControl(t *testing.T) {
	var b, want Batch
	var e Encoder
	e.AppendControl(&b, straying{Ack{5}})
	e.AppendControl(&want, Ack{5})
	require.Equal(t, want.AppendTo(nil), b.AppendTo(nil))
}

func TestAbortedNeedsPayload(t *testing.T) {
	var b Batch
	var e Encoder
	require.Panics(t, func() { e.AppendAborted(&b, &testHeader, nil, nil, nil) })
}
