package simulate

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Seeds are all numbers from First to Last.
type Seeds struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

// seedsMax bounds how many seeds a Batch has.
const seedsMax = 10_000_000

var errSeeds = errors.New("seeds are two numbers, such as 1-1000, the smaller one first")

// ParseSeeds reads "1-1000", or "7", which is a single one.
func ParseSeeds(s string) (Seeds, error) {
	a, b, ok := strings.Cut(s, "-")
	if !ok {
		b = a
	}
	first, err1 := strconv.ParseUint(a, 10, 64)
	last, err2 := strconv.ParseUint(b, 10, 64)
	switch {
	case err1 != nil || err2 != nil || last < first:
		return Seeds{}, errSeeds
	case last-first >= seedsMax:
		return Seeds{}, fmt.Errorf("%d seeds at most", seedsMax)
	}
	return Seeds{first, last}, nil
}

// String is what ParseSeeds reads.
func (s Seeds) String() string { return fmt.Sprintf("%d-%d", s.First, s.Last) }

// Len is how many there are.
func (s Seeds) Len() int { return int(s.Last - s.First + 1) }

// Batch runs cfg once for each seed, on all CPUs, one goroutine a run, and calls
// each with the results in the order of the seeds, one at a time. With twice every
// run is done twice, and another hash is a violation. The sum has the numbers of all
// runs, a Hash over their hashes (of one seed, that one) and, as Real, the time that all took together; it
// has no Notes. An error is that of Run; no run begins after it.
//
// When cfg.Done is closed no run begins any more, those under way end, and the sum is
// marked Interrupted: it is of the seeds that were done, and of those that had violations
// until then. A single seed has its result in any case.
func Batch(cfg Config, seeds Seeds, twice bool, each func(Result)) (sum Result, err error) {
	type outcome struct {
		Result
		err error
	}
	type job struct {
		seed uint64
		out  chan outcome
	}
	start := time.Now()
	workers := min(runtime.GOMAXPROCS(0), seeds.Len())
	jobs := make(chan job)
	// Results in the order of the seeds; its length bounds how far a run may be ahead
	// of one that takes long.
	inOrder := make(chan chan outcome, 4*workers)
	stop := make(chan struct{})
	go func() {
		defer close(jobs)
		defer close(inOrder)
		for i := range seeds.Len() {
			j := job{seeds.First + uint64(i), make(chan outcome, 1)}
			select {
			case <-cfg.Done:
				return
			default:
			}
			select {
			case inOrder <- j.out:
				jobs <- j
			case <-cfg.Done:
				return
			case <-stop:
				return
			}
		}
	}()
	for range workers {
		go func() {
			for j := range jobs {
				one := cfg
				one.Seed = j.seed
				r, err := Run(one)
				if err == nil && twice {
					err = again(one, &r)
				}
				j.out <- outcome{r, err}
			}
		}()
	}
	var last uint64
	done := 0
	sum.Scenario, sum.Hash = cfg.Scenario, hashStart
	for out := range inOrder {
		o := <-out
		switch {
		case err != nil: // the last ones, which had begun
		case o.err != nil:
			err = o.err
			close(stop)
		case o.Interrupted && seeds.Len() > 1 && o.Violations == 0:
			sum.Interrupted = true
		default:
			sum.add(&o.Result)
			done++
			last = o.Hash
			each(o.Result)
		}
	}
	if seeds.Len() == 1 {
		sum.Hash = last
	}
	sum.Interrupted = sum.Interrupted || err == nil && done < seeds.Len()
	sum.Seed, sum.Real = seeds.First, time.Since(start)
	return sum, err
}

// again runs once more and compares.
func again(cfg Config, r *Result) error {
	cfg.Trace, cfg.Chart = nil, nil
	second, err := Run(cfg)
	if err != nil {
		return err
	}
	r.Interrupted = r.Interrupted || second.Interrupted
	if second.Hash != r.Hash && !r.Interrupted {
		r.Violations++
		r.Violated = append(r.Violated, fmt.Sprintf("seed %d has two hashes, %016x and %016x",
			cfg.Seed, r.Hash, second.Hash))
	}
	r.Real += second.Real
	return nil
}

// hashStart and hashPrime are those of FNV-1a.
const (
	hashStart = 14695981039346656037
	hashPrime = 1099511628211
)

// add adds a run to the sum.
func (sum *Result) add(r *Result) {
	sum.Scenario, sum.Invariants = r.Scenario, r.Invariants
	sum.Nodes = max(sum.Nodes, r.Nodes)
	sum.Sent += r.Sent
	sum.Deliveries += r.Deliveries
	sum.Sessions += r.Sessions
	sum.Events += r.Events
	sum.Faults += r.Faults
	sum.Virtual += r.Virtual
	sum.Early = sum.Early || r.Early
	sum.Interrupted = sum.Interrupted || r.Interrupted
	sum.Violations += r.Violations
	for _, v := range r.Violated {
		if len(sum.Violated) < violatedMax {
			sum.Violated = append(sum.Violated, fmt.Sprintf("seed %d: %s", r.Seed, v))
		}
	}
	if sum.Stuck == nil {
		sum.Stuck = r.Stuck
	}
	if sum.Broken == nil {
		sum.Broken = r.Broken
	}
	sum.Hash = (sum.Hash ^ r.Hash) * hashPrime
}
