package simnet

import (
	"slices"
	"time"
)

// Outside is a world that a network is part of, see Config.Outside: one that has the time,
// and goroutines that use the network's hosts while it runs.
type Outside interface {
	// Now is the time since the beginning of the network. It never goes back, and does
	// not go on while an event happens. Any goroutine.
	Now() time.Duration
	// Posted says that there is something for Step that was not there before. Any
	// goroutine, that which runs the network included; it must neither wait nor use the
	// network.
	Posted()
}

// soon has f run on the goroutine that runs the network: at once where that is all there
// is, and before the next event where there is an outside, whoever calls.
func (n *Network) soon(f func()) {
	if n.cfg.Outside == nil {
		f()
		return
	}
	n.mu.Lock()
	n.calls = append(n.calls, f)
	n.posted.Store(true)
	n.mu.Unlock()
	n.cfg.Outside.Posted()
}

// tellPosted is called with the lock released.
func (n *Network) tellPosted() {
	if o := n.cfg.Outside; o != nil {
		o.Posted()
	}
}

// Next is when the next event happens, which is in the past where Outside's time went on
// without it; ok is false if there is none.
func (n *Network) Next() (at time.Duration, ok bool) {
	if n.posted.Load() {
		n.takePosted()
	}
	if n.queue.len() == 0 {
		return 0, false
	}
	return n.queue.next(), true
}

// inOrder puts what goroutines asked for, in whatever order they came, into the order of
// hosts, as far as that changes nothing for one of them.
func inOrder(woken []*worker, jobs []job) {
	slices.SortStableFunc(woken, func(a, b *worker) int {
		if d := a.host.machine.index - b.host.machine.index; d != 0 {
			return d
		}
		return a.id - b.id
	})
	slices.SortStableFunc(jobs, func(a, b job) int { return a.host.machine.index - b.host.machine.index })
}

// mustRunItself: with an outside, time is not the network's to move.
func (n *Network) mustRunItself(what string) {
	if n.cfg.Outside != nil {
		panic("simnet: " + what + " of a network whose time is Config.Outside's")
	}
}
