package asynctest

import "github.com/asyncmsgr/asyncmsgr/eventloop/simnet"

// stickyPool is the executor of a node: jobs wait while it is stuck, as they do
// behind dispatchers that take their time.
type stickyPool struct {
	net      *simnet.Network
	host     *simnet.Host
	blocking bool // jobs may Sleep
	stuck    bool
	waiting  []func()       // submitted while stuck
	jobs     []*blockingJob // that have begun and not ended
	idle     []*blockingJob // that have ended
	current  *blockingJob   // that runs now
}

// Submit implements dispatch.Executor.
func (p *stickyPool) Submit(run func()) error {
	switch {
	case p.stuck:
		p.waiting = append(p.waiting, run)
		return nil
	case p.blocking:
		return p.host.Submit(func() { p.run(run) })
	}
	return p.host.Submit(run)
}

// Stick has the dispatchers of a node stand still: what is submitted from now on
// waits for Free. What it receives stays in its queues and throttles.
func (c *Cluster) Stick(i int) { c.Nodes[i].pool.stuck = true }

// Stuck says whether its dispatchers stand still, by Stick.
func (n *Node) Stuck() bool { return n.pool.stuck }

// Free has the dispatchers of a node go on.
func (c *Cluster) Free(i int) {
	p := c.Nodes[i].pool
	p.stuck = false
	waiting := p.waiting
	p.waiting = nil
	for _, run := range waiting {
		_ = p.Submit(run)
	}
}
