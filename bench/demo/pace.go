package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest/faultkit"
)

// The periods of what happens by the clock.
const (
	tickEvery     = 5 * time.Millisecond
	beatEvery     = 20 * time.Millisecond
	recoverEvery  = 10 * time.Millisecond
	pollEvery     = 10 * time.Millisecond
	sampleEvery   = 50 * time.Millisecond
	progressEvery = 200 * time.Millisecond
)

// handshakeCutPart is the part of new connections that are cut while they shake hands.
const handshakeCutPart = 0.15

// run has traffic until the time is over; false: ctx ended before. It is the demo's
// only goroutine.
func (d *demo) run(ctx context.Context) bool {
	d.start = time.Now()
	d.stack.Calm(d.cfg.CutRate < 0)
	for _, c := range d.clients {
		c.begin()
	}
	due := func(every time.Duration) func(time.Duration) bool {
		next := time.Duration(0)
		return func(now time.Duration) bool {
			if now < next {
				return false
			}
			next = max(next+every, now-every) // a late one is made up for once
			return true
		}
	}
	beat, recov, ask := due(beatEvery), due(recoverEvery), due(pollEvery)
	sample, progress := due(sampleEvery), due(progressEvery)
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	armed := 0.0
	for {
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
		now := time.Since(d.start)
		if now >= d.cfg.Duration {
			return true
		}
		for ; armed < d.cfg.CutRate*now.Seconds(); armed++ {
			d.armCut()
		}
		if beat(now) {
			for _, o := range d.osds {
				o.beat()
			}
		}
		if recov(now) {
			for _, o := range d.osds {
				o.recover()
			}
		}
		if ask(now) {
			d.manager.poll()
		}
		for _, c := range d.clients {
			c.tick(now)
		}
		for _, o := range d.osds {
			o.hurt.healLate()
		}
		if sample(now) {
			d.used.raise(usageNow())
		}
		if d.cfg.Progress != nil && progress(now) {
			d.progress(now)
		}
	}
}

// armCut plans the cut of a random connection.
func (d *demo) armCut() {
	d.rngMu.Lock()
	pick, c := d.rng.Uint64(), randomCut(d.rng)
	d.rngMu.Unlock()
	d.stack.Arm(pick, c)
}

// randomCut is at once, within the next message's head, or anywhere in what a
// busy connection moves.
func randomCut(rng *rand.Rand) faultkit.Cut {
	c := faultkit.Cut{Kind: faultkit.CutKind(rng.IntN(3)), Dir: faultkit.CutDir(rng.IntN(2))}
	switch rng.IntN(4) {
	case 0:
	case 1, 2:
		c.After = rng.Int64N(300)
	case 3:
		c.After = rng.Int64N(64 << 10)
	}
	return c
}

// planCut cuts some of the new connections in their handshake.
func (d *demo) planCut(bool) (faultkit.Cut, bool) {
	d.rngMu.Lock()
	defer d.rngMu.Unlock()
	if d.rng.Float64() >= handshakeCutPart {
		return faultkit.Cut{}, false
	}
	kind, dir := faultkit.CutKind(d.rng.IntN(3)), faultkit.CutDir(d.rng.IntN(2))
	return faultkit.Cut{Kind: kind, Dir: dir, After: d.rng.Int64N(d.keys.handshakeBytes() + 100)}, true
}

func (d *demo) onCut(c faultkit.Cut, written, _ int64) {
	d.cuts.kinds[c.Kind].Add(1)
	d.cuts.dirs[c.Dir].Add(1)
	if written < d.keys.handshakeBytes() {
		d.cuts.handshake.Add(1)
	}
}

func (d *demo) progress(now time.Duration) {
	var ops, bytes uint64
	for _, c := range []class{clientWrite, clientRead} {
		o, b := d.meters[c].total()
		ops, bytes = ops+o, bytes+b
	}
	fmt.Fprintf(d.cfg.Progress,
		"\r%4.1f s  %d client ops, %.0f MB  %d cuts  lost %d  duplicated %d  %d goroutines \x1b[K",
		now.Seconds(), ops, float64(bytes)/1e6, d.stack.Cuts(), d.oracle.lost.Load(),
		d.oracle.duplicated.Load(), d.used.goroutines)
}
