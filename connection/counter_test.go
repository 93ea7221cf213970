package connection

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCountsAreCounters: addUp takes a Counts for an array of counters, so nothing else may
// be in it, and every field is added up.
func TestCountsAreCounters(t *testing.T) {
	var shared Counts[SharedCounter]
	var workers [2]Stats
	v := reflect.ValueOf(&shared).Elem()
	n := uint64(0)
	count := func(f reflect.Value) {
		n++
		f.Addr().Interface().(*SharedCounter).Add(n)
	}
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Array {
			for j := range f.Len() {
				count(f.Index(j))
			}
		} else {
			count(f)
		}
	}
	require.Len(t, shared.cells(), int(n))
	for i := range workers {
		for j := range workers[i].cells() {
			workers[i].cells()[j].Add(uint64(1000 * (i + 1)))
		}
	}
	sum, of := Sum(workers[:], &shared), workers[1].Load()
	for i, s := range sum.cells() {
		require.Equal(t, uint64(3000+i+1), s, "counter %d", i)
		require.Equal(t, uint64(2000), of.cells()[i], "counter %d", i)
	}
	require.Equal(t, uint64(3001), sum.Received)
	require.Equal(t, uint64(3000)+n, sum.TurnedAway)
}
