package workload

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRoundsWithin: what is left of the time is shared by what is left to be measured.
func TestRoundsWithin(t *testing.T) {
	const s = time.Second
	require.Equal(t, 5, roundsWithin(5, 100*s, 0, 0, 90*s), "it fits")
	require.Equal(t, 4, roundsWithin(5, 100*s, 0, 0, 120*s), "four fifths")
	require.Equal(t, RoundsMin, roundsWithin(5, 100*s, 99*s, 50*s, 80*s), "no time is left")
	require.Equal(t, RoundsMin, roundsWithin(5, 100*s, 120*s, 50*s, 80*s), "less than none")
	require.Equal(t, 3, roundsWithin(5, 100*s, 20*s, 10*s, 60*s), "twice as slow as estimated")
	require.Equal(t, 5, roundsWithin(5, 100*s, 10*s, 20*s, 60*s), "faster than estimated")
	require.Equal(t, 2, roundsWithin(2, 100*s, 99*s, 50*s, 80*s), "never more than asked for")
}

// TestWithin: scenarios that do not fit have fewer rounds, and the report says so.
func TestWithin(t *testing.T) {
	s := Scenario{Name: "x", Connections: 2, Size: 8, Window: 1, Only: []string{"good"}}
	res, err := Run(t.Context(), Config{Contestants: fakes(), Scenarios: []Scenario{s, s}, Reference: "good",
		Rounds: 4, Seconds: 0.02, Within: time.Nanosecond})
	require.NoError(t, err)
	require.Len(t, res.Rows, 2)
	for _, r := range res.Rows {
		require.Equal(t, RoundsMin, r.Rounds)
	}
	require.Len(t, res.Samples, 2*RoundsMin)
	require.Contains(t, res.Notes[len(res.Notes)-1], "2 of 2 scenarios have fewer than 4 rounds, 3 at least")
}
