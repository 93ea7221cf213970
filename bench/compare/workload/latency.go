package workload

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// latencyMax bounds what is recorded, in nanoseconds: longer ones count as this.
const latencyMax = int64(time.Minute)

// shardCount is how many histograms a client has: few enough that 10 000
// connections need no memory for them, enough that threads seldom meet at one.
const shardCount = 16

// shard counts answers of some connections. Its lock guards the lanes of those
// connections too.
type shard struct {
	mu   sync.Mutex
	n    int64
	hist *hdrhistogram.Histogram
	_    [64]byte
}

type shards [shardCount]shard

func newShards() *shards {
	s := new(shards)
	for i := range s {
		s[i].hist = newHistogram()
	}
	return s
}

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(100, latencyMax, 3) }

func (s *shards) of(conn int) *shard { return &s[conn%shardCount] }

// record counts an answer that took so many nanoseconds. The caller has the lock.
func (h *shard) record(ns int64) {
	h.n++
	_ = h.hist.RecordValue(min(max(ns, 0), latencyMax))
}

// reset forgets what was counted.
func (s *shards) reset() {
	for i := range s {
		h := &s[i]
		h.mu.Lock()
		h.n = 0
		h.hist.Reset()
		h.mu.Unlock()
	}
}

// sum adds up what was counted.
func (s *shards) sum() (n int64, all *hdrhistogram.Histogram) {
	all = newHistogram()
	for i := range s {
		h := &s[i]
		h.mu.Lock()
		n += h.n
		all.Merge(h.hist)
		h.mu.Unlock()
	}
	return n, all
}

// count is sum without the latencies.
func (s *shards) count() (n int64) {
	for i := range s {
		h := &s[i]
		h.mu.Lock()
		n += h.n
		h.mu.Unlock()
	}
	return n
}

// latencies sets the percentiles of r, in microseconds.
func (r *Result) latencies(h *hdrhistogram.Histogram) {
	us := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1000 }
	r.P50, r.P99, r.P999 = us(50), us(99), us(99.9)
}

// firstError keeps the first error it is given. Its argument is a copy, so that
// callers' errors need no memory while there are none.
type firstError struct{ p atomic.Pointer[error] }

func (f *firstError) set(err error) { f.p.CompareAndSwap(nil, &err) }

func (f *firstError) get() error {
	if p := f.p.Load(); p != nil {
		return *p
	}
	return nil
}
