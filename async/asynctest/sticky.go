package asynctest

import "github.com/asyncmsgr/asyncmsgr/eventloop/simnet"

// stickyPool is the executor of a node: jobs wait while it is stuck, as they do
// behind dispatchers that take their time.
type stickyPool struct {
	host  *simnet.Host
	stuck bool
	jobs  []func()
}

// Submit implements dispatch.Executor.
func (p *stickyPool) Submit(run func()) error {
	if p.stuck {
		p.jobs = append(p.jobs, run)
		return nil
	}
	return p.host.Submit(run)
}

// Stick has the dispatchers of a node stand still: what is submitted from now on
// waits for Free. What it receives stays in its queues and throttles.
func (c *Cluster) Stick(i int) { c.Nodes[i].pool.stuck = true }

// Free has the dispatchers of a node go on.
func (c *Cluster) Free(i int) {
	p := c.Nodes[i].pool
	p.stuck = false
	for _, run := range p.jobs {
		_ = p.host.Submit(run)
	}
	p.jobs = nil
}
