package scaling

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Line is something that two workers of a messenger share, with a benchmark that does to it
// what a worker does, and nothing else.
type Line struct {
	Name string
	// What is shared, and where that is in the code.
	What, Where string
	// Fast and Queue are how many operations a message costs that is dispatched on the
	// worker, or through the queue: with so many messages a read. 0: none.
	Fast, Queue func(read float64) float64
	// Own lines are what each worker has for itself: they are measured to see that.
	Own bool

	// begin makes what is shared by so many goroutines, and returns what each of them does
	// all the time: n operations. end is called when they have ended, and may be nil.
	begin func(goroutines int) (op func(goroutine, n int), end func())
}

// never is the number of operations of what is not on a message's way.
func never(float64) float64 { return 0 }

// perRead is an operation for each read.
func perRead(read float64) float64 { return 1 / read }

// turnMax is how many messages of a read are one turn of a job, at most.
const turnMax = 16

// perTurn is an operation for each turn of a job.
func perTurn(read float64) float64 { return 1 / min(read, turnMax) }

// Cost is what an operation on a line takes, in nanoseconds: with one goroutine that has a
// processor for itself, and with one on each processor, all of them together: an operation
// ends every so many. What is not shared takes Alone/processors then, what only one can
// have at a time takes Alone, and what moves between processors more.
type Cost struct {
	Alone, Contended float64
	// The intervals of the medians; see Median.
	AloneLow, AloneHigh, ContendedLow, ContendedHigh float64
	// Had is how many processors the goroutines had together when they contended. Lines
	// for which goroutines sleep have less than all.
	Had float64
}

// Serial is the part of an operation that only one goroutine can be in: what USL's sigma is
// for the line by itself, at most all of it. What contention adds beyond is not serial, but
// coherence.
func (c Cost) Serial(processors int) float64 {
	if processors < 2 || c.Alone <= 0 {
		return 0
	}
	p := float64(processors)
	return c.Alone * min(1, max(0, (p*c.Contended/c.Alone-1)/(p-1)))
}

// Cap is how many messages a second saturate the line, if each costs so many operations.
func (c Cost) Cap(perMessage float64) float64 {
	if perMessage <= 0 || c.Contended <= 0 {
		return 0
	}
	return 1e9 / (c.Contended * perMessage)
}

// burst is how many operations goroutines do between two looks at whether to end, and
// sliceTime how long a slice is at least.
const (
	burst     = 64
	sliceTime = time.Millisecond
)

// Measure runs the line for about d, half of it with one goroutine and one processor, half
// of it with all of them. It sets GOMAXPROCS meanwhile: nothing else should run.
func (l *Line) Measure(d time.Duration) (alone, contended Slices) {
	all := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(all)
	alone = l.run(1, d/2)
	runtime.GOMAXPROCS(all)
	contended = l.run(all, d/2)
	return alone, contended
}

// run has so many goroutines operate on the line for d.
func (l *Line) run(goroutines int, d time.Duration) (out Slices) {
	op, end := l.begin(goroutines)
	if end != nil {
		defer end()
	}
	op(0, burst)
	var ready, done sync.WaitGroup
	var stop atomic.Bool
	counts := make([]padded[atomic.Int64], goroutines)
	total := func() (n int64) {
		for g := range counts {
			n += counts[g].v.Load()
		}
		return n
	}
	begin := make(chan struct{})
	for g := range goroutines {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-begin
			if g > 0 {
				for !stop.Load() {
					op(g, burst)
					counts[g].v.Add(burst)
				}
				return
			}
			m := NewMeter(total)
			for from := m.began; len(out) == 0 || time.Since(from) < d; {
				op(0, burst)
				counts[0].v.Add(burst)
				if time.Since(m.began) >= sliceTime {
					out = append(out, m.Slice())
				}
			}
			stop.Store(true)
		})
	}
	ready.Wait()
	close(begin)
	done.Wait()
	return out
}

// triesMax is how many times as many rounds as asked for a line has at most of which others
// have had the processors.
const triesMax = 4

// MeasureAll measures all lines, so many rounds in turns, each line for d in all, and
// returns what they cost in their order. Where others have had the processors it takes
// longer. It ends early with ctx.
func MeasureAll(ctx context.Context, lines []Line, rounds int, d time.Duration) ([]Cost, error) {
	alone, contended := make([]Slices, len(lines)), make([]Slices, len(lines))
	for r := range triesMax * rounds {
		for i := range lines {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			i = (i + r) % len(lines)
			if r >= rounds && alone[i].Enough(1) && contended[i].Enough(runtime.GOMAXPROCS(0)) {
				continue
			}
			a, c := lines[i].Measure(d / time.Duration(rounds))
			alone[i], contended[i] = append(alone[i], a...), append(contended[i], c...)
		}
	}
	out := make([]Cost, len(lines))
	for i := range out {
		out[i] = costOf(alone[i], contended[i], runtime.GOMAXPROCS(0))
	}
	return out, nil
}

// costOf is what the slices come to that had their processors.
func costOf(alone, contended Slices, processors int) (c Cost) {
	per := func(s Slices, n int) (ns, low, high, had float64) {
		s, had = s.Undisturbed(n)
		rate, least, most := Median(s.Rates())
		return 1e9 / rate, 1e9 / most, 1e9 / least, had
	}
	c.Alone, c.AloneLow, c.AloneHigh, _ = per(alone, 1)
	c.Contended, c.ContendedLow, c.ContendedHigh, c.Had = per(contended, processors)
	return c
}

// SerialPart is the part of the time of a message, cpu nanoseconds in all, in which it has a
// line that no other worker can have meanwhile. The lines are different ones, and so the sum
// is more than what is serial: it is what is so at most.
func SerialPart(lines []Line, costs []Cost, fast bool, read, cpu float64, processors int) float64 {
	var sum float64
	for i := range lines {
		sum += lines[i].PerMessage(fast, read) * costs[i].Serial(processors)
	}
	if cpu <= 0 {
		return 0
	}
	return min(1, sum/cpu)
}

// PerMessage is how many operations a message costs.
func (l *Line) PerMessage(fast bool, read float64) float64 {
	read = max(1, read)
	if fast {
		return l.Fast(read)
	}
	return l.Queue(read)
}

// Named returns the line of that name, or nil.
func Named(lines []Line, name string) *Line {
	i := slices.IndexFunc(lines, func(l Line) bool { return l.Name == name })
	if i < 0 {
		return nil
	}
	return &lines[i]
}
