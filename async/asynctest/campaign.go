package asynctest

import (
	"runtime"
	"sync"
)

// CampaignResult sums up many seeds.
type CampaignResult struct {
	Seeds, Messages, Delivered int
	Faults                     map[string]int
	Coverage                   Coverage
	// Costs are, of each kind, those that came nearest to their bound (E1), Dearest the
	// seeds with them.
	Costs   []Cost
	Dearest []uint64
	// Failed are the seeds with violations, in their order.
	Failed []SwarmResult
}

// RunCampaign runs n seeds from first on, on all CPUs, one goroutine a seed. each,
// if not nil, gets the results one at a time in the order of the seeds, and may
// end the campaign by returning false.
func RunCampaign(first uint64, n int, cfg SwarmConfig, each func(*SwarmResult) bool) CampaignResult {
	sum := CampaignResult{Faults: map[string]int{}, Coverage: Coverage{}}
	workers := min(runtime.GOMAXPROCS(0), n)
	var (
		mu      sync.Mutex
		next    int
		waiting = map[int]*SwarmResult{} // finished before an earlier one
		done    int
		stopped bool
		wg      sync.WaitGroup
	)
	finish := func(i int, r *SwarmResult) {
		mu.Lock()
		defer mu.Unlock()
		waiting[i] = r
		for r := waiting[done]; r != nil && !stopped; r = waiting[done] {
			delete(waiting, done)
			done++
			sum.add(r)
			stopped = each != nil && !each(r)
		}
	}
	for range workers {
		wg.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				over := stopped || i >= n
				mu.Unlock()
				if over {
					return
				}
				r := RunSwarm(first+uint64(i), cfg)
				finish(i, &r)
			}
		})
	}
	wg.Wait()
	return sum
}

func (c *CampaignResult) add(r *SwarmResult) {
	c.Seeds++
	c.Messages += r.Sent
	c.Delivered += r.Delivered
	for what, n := range r.Faults {
		c.Faults[what] += n
	}
	c.Coverage.Add(r.Coverage)
	for i, cost := range r.Costs {
		if i == len(c.Costs) {
			c.Costs, c.Dearest = append(c.Costs, cost), append(c.Dearest, r.Seed)
		} else if cost.Share() > c.Costs[i].Share() {
			c.Costs[i], c.Dearest[i] = cost, r.Seed
		}
	}
	if len(r.Violations) > 0 {
		c.Failed = append(c.Failed, *r)
	}
}
