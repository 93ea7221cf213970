package rpc

import "time"

// pace says how much of a body that gives way (Background) is under way at a time: no more than
// makes its chunks wait somewhere. It is LEDBAT's rule (RFC 6817) with other numbers: how long chunks take from being
// sent to being read is compared with the shortest time that one took in the last minutes, and the window grows while
// the difference is below a target, and shrinks while it is above. Where the line is what bounds the body, the
// window comes to what the line holds and what it carries in that target; where nothing waits, to
// bodyWindow. Of some chunks in a row the fastest counts, so that one which waited for a processor
// does not. Each minute the window is small for a moment, as in LEDBAT++: the shortest time
// of that minute is then one of a line in which no chunk waits for another, and what was longer ago can be
// forgotten, in case that the line has become longer.
//
// It has no clock and no lock of its own.
type pace struct {
	window int64 // bytes that may be under way, chunkCost of each chunk included
	under  int64 // bytes that are

	base    [paceMinutes]time.Duration // the shortest time of a chunk in each; 0: none was read
	minute  time.Duration              // when the present one began, which is base[0]
	recent  [paceRecent]time.Duration
	samples int
	settled bool // the window has been large enough once: it grows slowly

	sent []pacedChunk // under way, the oldest first
}

type pacedChunk struct {
	at   time.Duration
	cost int64
}

const (
	// paceTarget is for how long chunks may wait on their way, on short lines. On long ones it is a part
	// of what the line takes, or what the time varies by would keep the window small.
	paceTarget     = time.Millisecond
	paceTargetPart = 8
	// paceMinutes is for how many the shortest time counts.
	paceMinutes = 4
	// paceRecent is of how many chunks the fastest counts.
	paceRecent = 8
	// Less than four chunks of paceChunk are never under way: what follows one is there
	// when it was read.
	paceChunk = 4 << 10
	paceMin   = 4 * (paceChunk + chunkCost)
)

func newPace() *pace { return &pace{window: 2 * paceMin} }

// chunk is how large the next chunk is at most: a quarter of the window.
func (p *pace) chunk() int {
	return int(min(max(p.window/4-chunkCost, paceChunk), chunkMax))
}

// admits says whether so many bytes more may be under way.
func (p *pace) admits(cost int64) bool { return p.under == 0 || p.under+cost <= p.window }

// send counts a chunk that is sent.
func (p *pace) send(cost int64, now time.Duration) {
	p.under += cost
	p.sent = append(p.sent, pacedChunk{now, cost})
}

// read counts what the peer says it has read.
func (p *pace) read(cost int64, now time.Duration) {
	full := p.under >= p.window/2 // else the window was not what held the body up
	for left := cost; left > 0 && len(p.sent) > 0; {
		c := &p.sent[0]
		if c.cost > left {
			c.cost -= left
			break
		}
		left -= c.cost
		p.sample(now-c.at, now)
		p.sent = p.sent[1:]
	}
	if p.under = max(p.under-cost, 0); p.samples == 0 {
		return
	}
	base := p.shortest()
	target := max(paceTarget, base/paceTargetPart)
	off := max(float64(target-(p.fastest()-base))/float64(target), -1)
	switch {
	case off < 0:
		p.settled = true
		p.window += int64(off * float64(cost) / 2)
	case !full:
	case p.settled || off < 0.5:
		p.settled = true
		p.window += int64(off * float64(cost) * float64(p.chunk()) / float64(p.window))
	default:
		p.window += cost
	}
	p.window = min(max(p.window, paceMin), bodyWindow)
}

// sample counts how long a chunk took that was read now.
func (p *pace) sample(d, now time.Duration) {
	d = max(d, 1)
	p.recent[p.samples%paceRecent] = d
	switch p.samples++; {
	case p.samples == 1:
		p.minute = now
	case now-p.minute >= time.Minute:
		copy(p.base[1:], p.base[:])
		p.base[0], p.minute = 0, now
		p.window, p.settled = paceMin, false
	}
	if p.base[0] == 0 || d < p.base[0] {
		p.base[0] = d
	}
}

// shortest is the time of a chunk that did not wait.
func (p *pace) shortest() time.Duration {
	least := p.base[0]
	for _, d := range p.base[1:] {
		if d != 0 {
			least = min(least, d)
		}
	}
	return least
}

// fastest is the time of the fastest of the last chunks.
func (p *pace) fastest() time.Duration {
	least := p.recent[0]
	for _, d := range p.recent[1:min(p.samples, paceRecent)] {
		least = min(least, d)
	}
	return least
}
