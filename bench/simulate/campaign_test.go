package simulate

import (
	"math"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/stretchr/testify/require"
)

// TestShard: the shards of a range are all of its seeds, in order, and alike.
func TestShard(t *testing.T) {
	for _, all := range []Seeds{{1, 1}, {0, 9}, {7, 106}, {math.MaxUint64 - 12, math.MaxUint64}} {
		for of := 1; of <= all.Len(); of++ {
			next := all.First
			for i := range of {
				s, err := Shard{i, of}.Cut(all)
				require.NoError(t, err)
				require.Equal(t, next, s.First, "shard %d of %d of %v", i, of, all)
				require.GreaterOrEqual(t, s.Len(), all.Len()/of)
				require.LessOrEqual(t, s.Len(), (all.Len()+of-1)/of)
				next = s.Last + 1
			}
			require.Equal(t, all.Last+1, next)
		}
		_, err := Shard{0, all.Len() + 1}.Cut(all)
		require.ErrorContains(t, err, "cannot be cut")
	}
	whole, err := Shard{}.Cut(Seeds{3, 5})
	require.NoError(t, err)
	require.Equal(t, Seeds{3, 5}, whole)

	for text, want := range map[string]Shard{"": {}, "0/1": {0, 1}, "7/8": {7, 8}} {
		s, err := ParseShard(text)
		require.NoError(t, err)
		require.Equal(t, want, s)
	}
	for _, text := range []string{"1", "/", "1/", "/2", "1/0", "2/2", "9/3", "-1/3", "1/2/3", "a/b", "0/99999999999"} {
		_, err := ParseShard(text)
		require.Error(t, err, text)
	}
}

// record runs the swarm's seeds as one part of a campaign.
func record(t *testing.T, part, whole Seeds) *Campaign {
	r := NewRecorder("build", "-scenario swarm", part, whole)
	sum, err := Batch(Config{Scenario: "swarm"}, part, false, func(one Result) { r.Add(&one) })
	require.NoError(t, err)
	c := r.End(&sum)
	require.NoError(t, c.Check())
	return c
}

// TestMerge: shards together are what one process finds, whatever their order.
func TestMerge(t *testing.T) {
	all := Seeds{1, 12}
	whole, err := Merge([]*Campaign{record(t, all, all)})
	require.NoError(t, err)
	a, b, c := record(t, Seeds{1, 4}, all), record(t, Seeds{5, 8}, all), record(t, Seeds{9, 12}, all)
	for _, order := range [][]*Campaign{{a, b, c}, {c, a, b}} {
		sum, err := Merge(order)
		require.NoError(t, err)
		require.NoError(t, sum.Check())
		require.Len(t, sum.Parts, 3)
		require.Empty(t, sum.Missing)
		require.Equal(t, whole.Coverage, sum.Coverage)
		require.Equal(t, whole.FaultKinds, sum.FaultKinds)
		require.ElementsMatch(t, whole.Costs, sum.Costs)
		require.Equal(t, [4]uint64{whole.Seeds, whole.Sent, whole.Deliveries, whole.Violations},
			[4]uint64{sum.Seeds, sum.Sent, sum.Deliveries, sum.Violations})
		require.Len(t, sum.Missed(), len(whole.Missed()))
	}

	// In two steps, and one that never came.
	ac, err := Merge([]*Campaign{a, c})
	require.NoError(t, err)
	require.Equal(t, []Seeds{{5, 8}}, ac.Missing)
	abc, err := Merge([]*Campaign{ac, b})
	require.NoError(t, err)
	require.Empty(t, abc.Missing)
	require.Equal(t, whole.Coverage, abc.Coverage)
}

// made is a campaign as it might be read.
func made(first, last uint64, whole Seeds) *Campaign {
	return &Campaign{
		Version: CampaignVersion, Seeds: last - first + 1,
		Parts: []Part{{Seeds: Seeds{first, last}, Whole: whole}},
	}
}

func TestMergeRefuses(t *testing.T) {
	w := Seeds{1, 100}
	other := made(11, 20, w)
	other.Build = "another"
	_, err := Merge([]*Campaign{made(1, 10, w), other})
	require.ErrorContains(t, err, `the seeds 1-10 were run by "", the seeds 11-20 by "another"`)
	other = made(11, 20, w)
	other.Run = "-scenario storm"
	_, err = Merge([]*Campaign{made(1, 10, w), other})
	require.ErrorContains(t, err, "-scenario storm")
	for _, twice := range [][2]uint64{{1, 10}, {10, 20}, {5, 6}, {1, 100}} {
		_, err = Merge([]*Campaign{made(1, 10, w), made(twice[0], twice[1], w)})
		require.ErrorContains(t, err, "overlap", "%v", twice)
	}

	for text, spoil := range map[string]func(c *Campaign){
		"version 2":          func(c *Campaign) { c.Version = 2 },
		"no seeds":           func(c *Campaign) { c.Parts = nil },
		"a part of":          func(c *Campaign) { c.Parts[0].Last = 0 },
		"are no part of":     func(c *Campaign) { c.Parts[0].Whole = Seeds{2, 100} },
		"it was interrupted": func(c *Campaign) { c.Seeds-- },
	} {
		c := made(1, 10, w)
		require.NoError(t, c.Check())
		spoil(c)
		require.ErrorContains(t, c.Check(), text)
	}
}

// TestMergeMissing: what shards of several campaigns lack of theirs.
func TestMergeMissing(t *testing.T) {
	top := uint64(math.MaxUint64)
	sum, err := Merge([]*Campaign{
		made(11, 20, Seeds{1, 40}), made(31, 40, Seeds{1, 40}), made(50, 60, Seeds{50, 60}),
		made(top-5, top, Seeds{top - 9, top}),
	})
	require.NoError(t, err)
	require.Equal(t, []Seeds{{1, 10}, {21, 30}, {top - 9, top - 6}}, sum.Missing)
	require.Len(t, sum.Missed(), len(asynctest.Reachable()), "nothing was reached")
}

// TestFailuresAreBounded: the first of them stay.
func TestFailuresAreBounded(t *testing.T) {
	r := NewRecorder("", "", Seeds{1, 3000}, Seeds{1, 3000})
	for seed := range uint64(3000) {
		r.Add(&Result{Seed: seed + 1, Violations: 2, Violated: []string{"x"}})
	}
	c := r.End(&Result{})
	require.NoError(t, c.Check())
	require.EqualValues(t, 6000, c.Violations)
	require.Len(t, c.Failed, failedMax)
	require.EqualValues(t, 1, c.Failed[0].Seed)
}
