package stacktest

import (
	"bytes"
	"math/rand/v2"
	"sync/atomic"
)

// patternLen is prime, so that a lost or repeated piece of usual size shows.
const patternLen = 65521

// pattern is an endless stream of known bytes: patternLen random ones, again
// and again. It is stored twice, so that any patternLen of them are contiguous.
var pattern = func() []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, patternLen)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return append(b, b...)
}()

// patternAt returns n <= patternLen bytes of the stream from offset.
func patternAt(offset, n int) []byte {
	i := offset % patternLen
	return pattern[i : i+n]
}

// source writes the first size bytes of the stream, in slices of random length,
// each time there is room.
type source struct {
	size, sent int
	rand       *rand.Rand
	bufs       [][]byte
	moved      bool // to another worker, which does not know yet that the socket is full
}

// fill writes until the socket is full or everything is sent. It reports a
// HandleFlush that came without room.
func (s *source) fill(p *peer) {
	for first := true; s.sent < s.size; first = false {
		s.bufs = s.bufs[:0]
		total := 0
		for range 1 + s.rand.IntN(20) {
			n := min(s.rand.IntN(patternLen), s.size-s.sent-total)
			s.bufs = append(s.bufs, patternAt(s.sent+total, n))
			total += n
		}
		n, err := p.t.Write(s.bufs)
		if err != nil {
			p.e.t.Errorf("write at %d: %v", s.sent, err)
			p.close()
			return
		}
		s.sent += n
		if n < total {
			if first && n == 0 && !s.moved {
				p.e.t.Errorf("HandleFlush at %d with a full socket", s.sent)
			}
			s.moved = false
			p.note("full")
			return
		}
	}
	p.note("sent")
}

// sink checks that what arrives is the stream.
type sink struct {
	size, got int
	bad       bool
	all       atomic.Bool // got size bytes; any goroutine
}

// complete says whether all bytes have come; any goroutine.
func (s *sink) complete() bool { return s.all.Load() }

// take checks the next bytes and notes when all have come.
func (s *sink) take(p *peer, b []byte) {
	for len(b) > 0 {
		n := min(len(b), patternLen)
		if !s.bad && !bytes.Equal(b[:n], patternAt(s.got, n)) {
			s.bad = true
			p.e.t.Errorf("%s: wrong byte in the %d after offset %d", p.name, n, s.got)
		}
		s.got += n
		b = b[n:]
		if s.got == s.size {
			s.all.Store(true)
			p.note("all")
		}
	}
}

// read is a peer's read hook.
func (s *sink) read(p *peer, direct int, rest []byte) {
	s.take(p, p.into[:direct])
	s.take(p, rest)
}
