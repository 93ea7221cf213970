package simnet

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestEventQueue: the queue gives what a sorted list gives, at every length.
func TestEventQueue(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	type event struct {
		at time.Duration
		no uint64
	}
	var q eventQueue
	var want []event
	no := uint64(0)
	for step := range 20_000 {
		grow := step/2000%2 == 0
		if q.len() == 0 || rnd.IntN(10) < 4 || grow && rnd.IntN(2) == 0 {
			no++
			e := event{time.Duration(rnd.IntN(50)), no}
			q.push(e.at, nil, no)
			i, _ := slices.BinarySearchFunc(want, e, func(a, b event) int {
				return int(a.at-b.at)*1_000_000 + int(a.no) - int(b.no)
			})
			want = slices.Insert(want, i, e)
		} else {
			require.Equal(t, want[0].at, q.next(), "seed %d", seed)
			at, _, arg := q.pop()
			require.Equal(t, want[0], event{at, arg}, "seed %d", seed)
			want = want[1:]
		}
		require.Equal(t, len(want), q.len(), "seed %d", seed)
	}
	require.Equal(t, no, q.seq)
}

// TestNoteBytes: a note is the same, however its text came.
func TestNoteBytes(t *testing.T) {
	a, b := New(1, Config{}), New(1, Config{})
	text := []byte("first")
	for range 3 * lastRecords {
		a.Note(string(text))
		b.NoteBytes(text)
		text[0]++
	}
	require.Equal(t, a.Hash(), b.Hash())
	require.Equal(t, a.Last(), b.Last())
	require.Contains(t, a.Last(), `irst"`)
}
