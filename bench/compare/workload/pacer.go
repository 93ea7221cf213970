package workload

import (
	"runtime"
	"sync/atomic"
	"time"
)

// pacer calls for messages at a rate: message k at k/rate seconds after the epoch,
// those that are due together if it comes late.
type pacer struct {
	rate    float64
	epoch   time.Time
	stopped atomic.Bool
	done    chan struct{}
	procs   int
}

// tick is the least time between two looks at the clock.
const tick = 100 * time.Microsecond

func newPacer(rate float64, epoch time.Time) *pacer {
	return &pacer{rate: rate, epoch: epoch, done: make(chan struct{}), procs: runtime.GOMAXPROCS(0)}
}

// start has send called, from a thread of its own, until stop. A processor of Go's
// scheduler is added for it, so that it need not wait until what it drives leaves it
// one.
func (p *pacer) start(send func(k int64)) {
	runtime.GOMAXPROCS(p.procs + 1)
	go p.run(send)
}

// at is when message k is to be sent, since the epoch.
func (p *pacer) at(k int64) time.Duration {
	return time.Duration(float64(k) / p.rate * float64(time.Second))
}

// first is the first message that is to be sent at d or later.
func (p *pacer) first(d time.Duration) int64 {
	k := int64(d.Seconds() * p.rate)
	for p.at(k) < d {
		k++
	}
	for k > 0 && p.at(k-1) >= d {
		k--
	}
	return k
}

func (p *pacer) run(send func(k int64)) {
	defer close(p.done)
	runtime.LockOSThread()
	napThread()
	for k := p.first(time.Since(p.epoch)); !p.stopped.Load(); {
		for now := time.Since(p.epoch); p.at(k) <= now && !p.stopped.Load(); k++ {
			send(k)
		}
		nap(max(p.at(k)-time.Since(p.epoch), tick))
	}
}

// stop returns when send is not called any more.
func (p *pacer) stop() {
	p.stopped.Store(true)
	<-p.done
	runtime.GOMAXPROCS(p.procs)
}
