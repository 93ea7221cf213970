// Package hist counts durations in buckets of powers of two: a histogram that costs one
// addition for each duration, has a fixed size, and can be added to another one.
package hist

import (
	"math/bits"
	"time"
)

// Buckets is how many there are.
const Buckets = 32

// shift makes the first bucket one of 1024 ns.
const shift = 10

// Of is a histogram whose counters are of type C: uint64, or what counts atomically.
// Counts[0] counts durations below 1024 ns (about 1 us), Counts[i] those from 512 ns << i on and below
// 1024 ns << i, and the last one all that are longer than 9 minutes. Sum is their sum in ns.
type Of[C any] struct {
	Counts [Buckets]C
	Sum    C
}

// Durations is a histogram, or a snapshot of one. It is not safe for concurrent use; the
// zero value is empty.
type Durations Of[uint64]

// Bucket is the bucket of d; negative ones count as 0.
func Bucket(d time.Duration) int {
	return min(max(bits.Len64(uint64(max(d, 0)))-shift, 0), Buckets-1)
}

// Limit is the duration below which those of bucket i are; the last bucket has no limit,
// and what Limit says of it is only the next power of two.
func Limit(i int) time.Duration { return time.Duration(1) << (shift + i) }

// Add counts d.
func (h *Durations) Add(d time.Duration) { h.AddN(d, 1) }

// AddN counts d n times.
func (h *Durations) AddN(d time.Duration, n uint64) {
	h.Counts[Bucket(d)] += n
	h.Sum += uint64(max(d, 0)) * n
}

// Merge adds what o has counted.
func (h *Durations) Merge(o *Durations) {
	for i, n := range o.Counts {
		h.Counts[i] += n
	}
	h.Sum += o.Sum
}

// Count is how many durations were counted.
func (h *Durations) Count() (n uint64) {
	for _, k := range h.Counts {
		n += k
	}
	return n
}

// Mean is the mean of all, 0 if there is none.
func (h *Durations) Mean() time.Duration {
	n := h.Count()
	if n == 0 {
		return 0
	}
	return time.Duration(h.Sum / n)
}

// Quantile is a duration below which q of all are, 0 < q <= 1: the limit of the bucket that
// has it, so up to twice as long as it really is. It is 0 if nothing was counted.
func (h *Durations) Quantile(q float64) time.Duration {
	n := h.Count()
	if n == 0 {
		return 0
	}
	want := max(uint64(q*float64(n)+0.5), 1)
	for i, k := range h.Counts {
		if k >= want {
			return Limit(i)
		}
		want -= k
	}
	return Limit(Buckets - 1)
}
