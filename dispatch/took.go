package dispatch

import (
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/hist"
)

// took is what a queue measures with the looks at the clock that it takes anyway, once per
// turn. Under Queue.mu.
type took struct {
	wait, run hist.Durations
	bytes     [Bands]uint64 // of the messages that were enqueued
	inPlace   uint64        // turns of what a worker has received
}

// timedPer is how many turns in place there are for each one that is measured: no other
// looks at the clock when it ends.
const timedPer = 16

func (t *took) beginInPlace(d *drainer) {
	t.inPlace++
	d.timed = t.inPlace%timedPer == 1
}

// waited counts how long the items of a turn were queued, which begins at that time.
func (t *took) waited(began time.Duration, items []Item) {
	for i := range items {
		t.wait.Add(began - items[i].at)
	}
}

// ran counts the callbacks of a turn, each with its share of the time.
func (t *took) ran(took time.Duration, callbacks int) {
	if callbacks > 0 {
		t.run.AddN(took/time.Duration(callbacks), uint64(callbacks))
	}
}

// Look is what is known of a Queue beyond Stats.
//
// Implementation: not for users of the library; may change in any release.
type Look struct {
	// Wait is for how long items were queued, and Run how long callbacks took: those of one
	// turn share its time, and of turns in place (Config.InPlace) one in sixteen is measured.
	Wait, Run hist.Durations
	Bands     [Bands]Band
}

// Band is what is known of the items of some priorities: see BandEvents and the others.
//
// Implementation: not for users of the library; may change in any release.
type Band struct {
	Len           int           // items queued
	OldestAge     time.Duration // of the item that is queued longest; an upper bound beyond the oldest 1024 of all
	Enqueued      uint64        // items
	EnqueuedBytes uint64        // payload bytes of these
}

// lookMax is how many items Look looks at to find the oldest of each band: it has the lock
// meanwhile.
const lookMax = 1024

// Look is a snapshot. Any goroutine.
func (q *Queue) Look() (l Look) {
	now := q.cfg.Clock()
	q.mu.Lock()
	defer q.mu.Unlock()
	l.Wait, l.Run = q.took.wait, q.took.run
	for i := range l.Bands {
		l.Bands[i].Enqueued, l.Bands[i].EnqueuedBytes = q.stats.EnqueuedBy[i], q.took.bytes[i]
	}
	q.prio.lookInto(&l.Bands, now)
	for _, d := range q.drainers { // what is in their turns and was not begun
		if left := d.leftLocked(); left > 0 {
			b := &l.Bands[bandOf(d.level)]
			b.Len += left
			b.OldestAge = max(b.OldestAge, now-d.at)
		}
	}
	return l
}

// leftLocked is how many items of d's turn were not begun.
func (d *drainer) leftLocked() int {
	if d.class == nil {
		return 0
	}
	return d.left()
}

// lookInto fills in how many items there are in each band, and since when.
func (p *prio) lookInto(bands *[Bands]Band, now time.Duration) {
	rest := p.items
	for i, page := range p.levels {
		if page == nil {
			continue
		}
		for j := range page {
			if n := page[j].items; n > 0 {
				bands[bandOf(i*pageLevels+j)].Len += n
				rest -= n
			}
		}
	}
	bands[BandEvents].Len = rest
	want := 0
	for i := range bands {
		if bands[i].Len > 0 {
			want++
		}
	}
	n, seen := p.oldest, [Bands]bool{}
	for k := 0; n != nil && want > 0 && k < lookMax; n, k = n.newer, k+1 {
		if b := band(&n.Item); !seen[b] {
			seen[b], bands[b].OldestAge = true, max(now-n.at, 0)
			want--
		}
	}
	for i := range bands {
		if n != nil && bands[i].Len > 0 && !seen[i] {
			bands[i].OldestAge = max(now-n.at, 0) // its oldest is no older than that one
		}
	}
}
