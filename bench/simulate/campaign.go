package simulate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
)

// CampaignVersion is Campaign.Version of what this package writes, and all that it reads.
const CampaignVersion = 1

// failedMax bounds Campaign.Failed.
const failedMax = 1000

// Campaign is what came of many seeds, on one machine or on several: what a shard writes
// as JSON, and what Merge makes of those of several shards.
type Campaign struct {
	// Version is CampaignVersion.
	Version int `json:"version"`
	// Build is what the program was built from, Run what it was to do, without the
	// seeds: both have to be equal in all shards.
	Build string `json:"build"`
	Run   string `json:"run"`
	// Parts are the seeds that were run, in order, each as it was run by one process.
	Parts []Part `json:"parts"`
	// Missing are seeds of a Part's Whole that no part has.
	Missing []Seeds `json:"missing,omitempty"`

	// Sums over all seeds. SeedsS, in seconds, is how long they took, one after the other.
	Seeds      uint64  `json:"seeds"`
	Sent       uint64  `json:"sent"`
	Deliveries uint64  `json:"deliveries"`
	VirtualS   float64 `json:"virtual_s"`
	SeedsS     float64 `json:"seeds_s"`
	Violations uint64  `json:"violations"`

	// Failed are the seeds with violations, the first of them in their order.
	Failed []Failure `json:"failed,omitempty"`
	// FaultKinds counts faults by their kind. Coverage counts frames that were handled,
	// and Costs what came nearest to its bound (E1), each with a seed that has it. All of
	// it is the swarm's.
	FaultKinds map[string]uint64 `json:"fault_kinds,omitempty"`
	Coverage   []Covered         `json:"coverage,omitempty"`
	Costs      []Cost            `json:"costs,omitempty"`
}

// Part is a range of seeds that one process has run, Whole what it is a part of.
type Part struct {
	Seeds
	Whole Seeds `json:"whole"`
	// Hash is that over the hashes of its traces; hexadecimal.
	Hash string `json:"hash"`
	// RealS is how long it took, on all CPUs of that machine.
	RealS float64 `json:"real_s"`
}

// Failure is a seed with violations.
type Failure struct {
	Seed     uint64   `json:"seed"`
	Violated []string `json:"violated"`
}

// Covered is how often a frame was handled in a state of its session while a fault was in
// force; see asynctest.Cover.
type Covered struct {
	State string `json:"state"`
	Tag   string `json:"tag"`
	Fault string `json:"fault,omitempty"`
	N     uint64 `json:"n"`
}

// Cost is what trouble has cost, and what it may; see asynctest.Cost.
type Cost struct {
	What   string `json:"what"`
	N      uint64 `json:"n"`
	AtMost uint64 `json:"at_most"`
	Seed   uint64 `json:"seed"`
}

// share is the part of the bound that was used.
func (c *Cost) share() float64 { return asynctest.Cost{N: c.N, AtMost: c.AtMost}.Share() }

// Recorder makes a Campaign of the results of a Batch.
type Recorder struct {
	c        Campaign
	coverage map[Covered]uint64 // N is 0
}

// NewRecorder begins the campaign of one part.
func NewRecorder(build, run string, part, whole Seeds) *Recorder {
	return &Recorder{
		c: Campaign{
			Version: CampaignVersion, Build: build, Run: run, Parts: []Part{{Seeds: part, Whole: whole}},
			FaultKinds: map[string]uint64{},
		},
		coverage: map[Covered]uint64{},
	}
}

// Add enters a seed.
func (r *Recorder) Add(one *Result) {
	c := &r.c
	c.Seeds++
	c.Sent += one.Sent
	c.Deliveries += one.Deliveries
	c.VirtualS += one.Virtual.Seconds()
	c.SeedsS += one.Real.Seconds()
	if one.Violations > 0 {
		c.Violations += uint64(one.Violations)
		c.Failed = append(c.Failed, Failure{one.Seed, one.Violated})
	}
	for kind, n := range one.FaultKinds {
		c.FaultKinds[kind] += uint64(n)
	}
	for k, n := range one.Coverage {
		r.coverage[Covered{State: k.State.String(), Tag: k.Tag.String(), Fault: k.Fault}] += uint64(n)
	}
	for _, k := range one.Costs {
		c.cost(Cost{What: k.What, N: k.N, AtMost: k.AtMost, Seed: one.Seed})
	}
	if len(c.Failed) > failedMax {
		c.Failed = c.Failed[:failedMax]
	}
}

// End is the campaign, of which sum is what Batch returned.
func (r *Recorder) End(sum *Result) *Campaign {
	p := &r.c.Parts[0]
	p.Hash, p.RealS = fmt.Sprintf("%016x", sum.Hash), sum.Real.Seconds()
	r.c.cover(r.coverage)
	return &r.c
}

// cost keeps the cost if it is nearer to its bound than what is known.
func (c *Campaign) cost(k Cost) {
	for i := range c.Costs {
		if known := &c.Costs[i]; known.What == k.What {
			if k.share() > known.share() || k.share() == known.share() && k.Seed < known.Seed {
				*known = k
			}
			return
		}
	}
	c.Costs = append(c.Costs, k)
}

// cover sets Coverage.
func (c *Campaign) cover(n map[Covered]uint64) {
	c.Coverage = nil
	for k, hits := range n {
		k.N = hits
		c.Coverage = append(c.Coverage, k)
	}
	slices.SortFunc(c.Coverage, func(a, b Covered) int {
		return cmp.Or(cmp.Compare(a.State, b.State), cmp.Compare(a.Tag, b.Tag), cmp.Compare(a.Fault, b.Fault))
	})
}

// Missed are the pairs of state and tag that may meet and never did.
func (c *Campaign) Missed() (missed []string) {
	hit := map[[2]string]bool{}
	for _, k := range c.Coverage {
		hit[[2]string{k.State, k.Tag}] = true
	}
	for _, p := range asynctest.Reachable() {
		if !hit[[2]string{p.State.String(), p.Tag.String()}] {
			missed = append(missed, fmt.Sprintf("%v in %v", p.Tag, p.State))
		}
	}
	return missed
}

// Check says what is wrong with a campaign that was read from somewhere.
func (c *Campaign) Check() error {
	if c.Version != CampaignVersion {
		return fmt.Errorf("version %d of the format; this program reads version %d", c.Version, CampaignVersion)
	}
	seeds := uint64(0)
	for _, p := range c.Parts {
		if p.Last < p.First || p.Last-p.First >= seedsMax {
			return fmt.Errorf("a part of the seeds %v", p.Seeds)
		}
		if w := p.Whole; w.Last < w.First || p.First < w.First || p.Last > w.Last {
			return fmt.Errorf("the seeds %v are no part of %v", p.Seeds, w)
		}
		seeds += uint64(p.Len())
	}
	switch {
	case len(c.Parts) == 0:
		return fmt.Errorf("no seeds")
	case c.Seeds != seeds:
		return fmt.Errorf("%d of %d seeds were run: it was interrupted, run it again", c.Seeds, seeds)
	}
	return nil
}

// Merge makes one campaign of several, each of which Check has passed. An error says why
// they are not of one: another program, another run, the same seed twice.
func Merge(all []*Campaign) (*Campaign, error) {
	sum := &Campaign{Version: CampaignVersion, FaultKinds: map[string]uint64{}}
	coverage := map[Covered]uint64{}
	for i, c := range all {
		if i == 0 {
			sum.Build, sum.Run = c.Build, c.Run
		}
		switch {
		case c.Build != sum.Build:
			return nil, fmt.Errorf("the seeds %v were run by %q, the seeds %v by %q",
				all[0].Parts[0].Seeds, sum.Build, c.Parts[0].Seeds, c.Build)
		case c.Run != sum.Run:
			return nil, fmt.Errorf("the seeds %v were run with %q, the seeds %v with %q",
				all[0].Parts[0].Seeds, sum.Run, c.Parts[0].Seeds, c.Run)
		}
		sum.Parts = append(sum.Parts, c.Parts...)
		sum.Seeds += c.Seeds
		sum.Sent += c.Sent
		sum.Deliveries += c.Deliveries
		sum.VirtualS += c.VirtualS
		sum.SeedsS += c.SeedsS
		sum.Violations += c.Violations
		sum.Failed = append(sum.Failed, c.Failed...)
		for _, kind := range slices.Sorted(maps.Keys(c.FaultKinds)) {
			sum.FaultKinds[kind] += c.FaultKinds[kind]
		}
		for _, k := range c.Coverage {
			n := k.N
			k.N = 0
			coverage[k] += n
		}
		for _, k := range c.Costs {
			sum.cost(k)
		}
	}
	sum.cover(coverage)
	slices.SortFunc(sum.Failed, func(a, b Failure) int { return cmp.Compare(a.Seed, b.Seed) })
	sum.Failed = sum.Failed[:min(len(sum.Failed), failedMax)]
	return sum, sum.arrange()
}

// arrange puts the parts in order, and finds seeds that are there twice, or not at all.
func (c *Campaign) arrange() error {
	slices.SortFunc(c.Parts, func(a, b Part) int {
		return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last))
	})
	wholes := map[Seeds]bool{}
	for i, p := range c.Parts {
		if i > 0 && c.Parts[i-1].Last >= p.First {
			return fmt.Errorf("the seeds %v and %v overlap: each may be counted once", c.Parts[i-1].Seeds, p.Seeds)
		}
		wholes[p.Whole] = true
	}
	byFirst := func(a, b Seeds) int { return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last)) }
	for _, w := range slices.SortedFunc(maps.Keys(wholes), byFirst) {
		next, over := w.First, false
		for _, p := range c.Parts {
			if p.First > w.Last || p.Last < next || over {
				continue
			}
			if p.First > next {
				c.Missing = append(c.Missing, Seeds{next, p.First - 1})
			}
			next, over = p.Last+1, p.Last >= w.Last
		}
		if !over {
			c.Missing = append(c.Missing, Seeds{next, w.Last})
		}
	}
	slices.SortFunc(c.Missing, byFirst)
	c.Missing = slices.Compact(c.Missing)
	return nil
}

// CoverageSeeds is from how many seeds on a swarm is to have reached all that can be
// reached; see Campaign.Missed.
const CoverageSeeds = 2000
