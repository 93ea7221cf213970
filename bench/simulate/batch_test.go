package simulate

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBatch(t *testing.T) {
	cfg := Config{Scenario: "gossip", Nodes: 4}
	var seeds, hashes []uint64
	sum, err := Batch(cfg, Seeds{5, 12}, true, func(r Result) {
		require.Empty(t, r.Violated)
		seeds, hashes = append(seeds, r.Seed), append(hashes, r.Hash)
	})
	require.NoError(t, err)
	require.Equal(t, []uint64{5, 6, 7, 8, 9, 10, 11, 12}, seeds)
	require.Zero(t, sum.Violations)

	one, err := Batch(cfg, Seeds{7, 7}, false, func(r Result) { require.EqualValues(t, 7, r.Seed) })
	require.NoError(t, err)
	require.Equal(t, hashes[2], one.Hash, "of one seed the hash is that of its run")
	again, err := Batch(cfg, Seeds{5, 12}, false, func(Result) {})
	require.NoError(t, err)
	require.Equal(t, sum.Hash, again.Hash)

	_, err = Batch(Config{Scenario: "gossip", Nodes: 1}, Seeds{1, 100}, false, func(Result) { t.Fatal("a result") })
	require.ErrorIs(t, err, ErrConfig)
}

func TestParse(t *testing.T) {
	for s, want := range map[string]Seeds{"7": {7, 7}, "1-1000": {1, 1000}, "0-0": {0, 0}} {
		got, err := ParseSeeds(s)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, s := range []string{"", "-", "1-", "-1", "3-2", "a", "1-2-3", "0-99999999999"} {
		_, err := ParseSeeds(s)
		require.Error(t, err, s)
	}
	for s, want := range map[string]Faults{
		"": {}, "none": {Given: true}, "20": {Given: true, Count: 20}, "2.5/s": {Given: true, PerSecond: 2.5},
	} {
		got, err := ParseFaults(s)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, s := range []string{"-1", "x", "/s", "-1/s", "NaN/s", "1e9", "9999999"} {
		_, err := ParseFaults(s)
		require.Error(t, err, s)
	}
}

func TestUntil(t *testing.T) {
	r, err := Run(Config{Scenario: "store", Nodes: 8, Seed: 1, Until: 1500e6})
	require.NoError(t, err)
	require.True(t, r.Early)
	require.EqualValues(t, 1500e6, r.Virtual)
	require.Empty(t, r.Violated)
}
