package mon

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// hunted is a hunt with the default settings, whose pauses are as long as they are meant.
func hunted(t *testing.T, mons, first int) *hunt {
	t.Helper()
	cfg := Config{Mons: []entity.AddrVec{{{Type: entity.AddrMsgr2}}}}
	require.NoError(t, cfg.complete())
	h := newHunt(&cfg, mons, first, nil)
	h.rand = func() uint64 { return uint64(h.pause / 4) } // in the middle of the spread
	return h
}

// step is what a hunt does at a time, in ms.
func step(h *hunt, ms int) (begin, giveUp []int, wake int) {
	begin, giveUp, at := h.step(time.Duration(ms) * time.Millisecond)
	return begin, giveUp, int(at / time.Millisecond)
}

// TestHuntTwoAtATime: two monitors are called at a time, the next one when a call has failed or
// has taken too long, and the first that lets in ends the other call.
func TestHuntTwoAtATime(t *testing.T) {
	h := hunted(t, 4, 3)
	begin, giveUp, wake := step(h, 1000)
	require.Equal(t, []int{3, 0}, begin)
	require.Empty(t, giveUp)
	require.Equal(t, 4000, wake)
	begin, _, _ = step(h, 1500)
	require.Empty(t, begin)
	h.failed(0)
	begin, _, wake = step(h, 2000)
	require.Equal(t, []int{1}, begin)
	require.Equal(t, 4000, wake)
	begin, giveUp, wake = step(h, 4000)
	require.Equal(t, []int{3}, giveUp)
	require.Equal(t, []int{2}, begin)
	require.Equal(t, 5000, wake)
	require.Equal(t, []int{1}, h.up(2, 4500*time.Millisecond))
	begin, giveUp, wake = step(h, 100_000)
	require.Empty(t, begin)
	require.Empty(t, giveUp)
	require.Zero(t, wake)
}

// TestHuntPauses: rounds in which nobody lets in are followed by pauses that double up to the
// bound, within a quarter of them.
func TestHuntPauses(t *testing.T) {
	h := hunted(t, 2, 0)
	now, pauses := 0, []int{}
	for range 9 {
		begin, _, _ := step(h, now)
		require.Len(t, begin, 2, "at %d ms", now)
		h.failed(0)
		h.failed(1)
		begin, _, wake := step(h, now+1)
		require.Empty(t, begin)
		pauses = append(pauses, wake-now-1)
		begin, _, _ = step(h, wake-1)
		require.Empty(t, begin, "the pause is kept")
		now = wake
	}
	require.Equal(t, []int{200, 400, 800, 1600, 3200, 6400, 12800, 15000, 15000}, pauses)
	for _, chance := range []uint64{0, 1<<64 - 1, 12345678901} {
		h.rand = func() uint64 { return chance }
		h.wait(0)
		require.InDelta(t, 15*time.Second, h.resume, float64(15*time.Second/4)+1)
	}
}

// TestHuntAfterASession: one that lasted is followed by a call of the same monitor at once, or
// of the others first; one that did not, by a pause.
func TestHuntAfterASession(t *testing.T) {
	h := hunted(t, 3, 0)
	step(h, 0)
	h.up(1, time.Second)
	h.lost(time.Minute, false)
	begin, _, _ := step(h, 60_000)
	require.Equal(t, []int{1, 2}, begin)
	h.up(1, time.Minute)
	h.lost(2*time.Minute, true)
	begin, _, _ = step(h, 120_000)
	require.Equal(t, []int{2, 0}, begin)
	for i, pause := range []int{200, 400, 800} { // no hot loop where each session breaks at once
		h.up(2, 120*time.Second)
		h.lost(120*time.Second, false)
		begin, _, wake := step(h, 120_000)
		require.Empty(t, begin, i)
		require.Equal(t, 120_000+pause, wake)
		begin, _, _ = step(h, wake)
		require.Equal(t, []int{2, 0}, begin)
	}
	h.up(0, 200*time.Second)
	h.setMons(1, 0) // the others have left the map
	h.lost(300*time.Second, true)
	begin, _, _ = step(h, 300_000)
	require.Equal(t, []int{0}, begin)
}

// TestAsks: questions go out together and again after a session; those that broke one by a
// limit go out alone, and the one that breaks the next is hopeless, the others not.
func TestAsks(t *testing.T) {
	var a asks
	ids := func(list []*ask) (ids []uint64) {
		for _, x := range list {
			ids = append(ids, x.id)
			x.sent(time.Duration(x.id))
		}
		return ids
	}
	for id := range uint64(4) {
		a.add(id + 1)
	}
	require.Zero(t, a.oldest())
	require.Equal(t, []uint64{1, 2, 3, 4}, ids(a.due()))
	require.Empty(t, a.due())
	require.EqualValues(t, 1, a.oldest())
	require.True(t, a.end(1))
	require.False(t, a.end(1))
	require.EqualValues(t, 2, a.oldest())

	require.Empty(t, a.lost(false))
	require.Equal(t, []uint64{2, 3, 4}, ids(a.due()))
	a.add(5)
	require.Empty(t, a.lost(true))
	require.Equal(t, []uint64{2}, ids(a.due()))
	require.Empty(t, a.due(), "one at a time")
	a.end(2)
	require.Equal(t, []uint64{3}, ids(a.due()))
	require.Equal(t, []uint64{3}, a.lost(true))
	require.Equal(t, []uint64{4}, ids(a.due()))
	require.Empty(t, a.lost(false), "a session may break by something else")
	require.Equal(t, []uint64{4}, ids(a.due()))
	a.end(4)
	require.Equal(t, []uint64{5}, ids(a.due()))
}

// TestAsksAfterALoss: over a network that has just lost a session the questions go out few at
// a time, and more as it carries answers.
func TestAsksAfterALoss(t *testing.T) {
	var a asks
	send := func() (n int) {
		for _, x := range a.due() {
			x.sent(1)
			n++
		}
		return n
	}
	for id := range uint64(64) {
		a.add(id)
	}
	require.Equal(t, 64, send())
	require.Empty(t, a.lost(false))
	require.Equal(t, askedAgain, send())
	require.Zero(t, send())
	for id := range uint64(askedAgain) {
		a.answered()
		a.end(id)
	}
	require.Equal(t, 2*askedAgain, send(), "each answer makes room for two")
	require.Empty(t, a.lost(false))
	require.Equal(t, askedAgain, send(), "again")
	for round := 0; len(a.list) > 0; round++ {
		require.Less(t, round, 8, "doubled each time")
		for _, x := range a.list {
			if x.out {
				a.answered()
			}
		}
		for len(a.list) > 0 && a.list[0].out {
			a.end(a.list[0].id)
		}
		send()
	}
}
