package raftsim

import (
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/hashicorp/raft"
)

// fault is one fault, from its beginning to its end.
func (c *cluster) fault() {
	all := []struct {
		name string
		run  func()
	}{
		{"partition", c.partition}, {"one way", c.oneWay}, {"leader cut off", c.cutLeader},
		{"leader crashes", c.crashLeader}, {"crash", c.crashOne}, {"power failure", c.powerFailure},
		{"standstill", c.standstill}, {"connections reset", c.reset},
	}
	f := all[c.rand.IntN(len(all))]
	c.faults[f.name]++
	f.run()
}

func (c *cluster) names(nodes []int) (names []string) {
	for _, i := range nodes {
		names = append(names, c.nodes[i].name)
	}
	return names
}

// split draws two groups, both with somebody in them.
func (c *cluster) split() (a, b []string) {
	order := c.rand.Perm(len(c.nodes))
	k := 1 + c.rand.IntN(len(order)-1)
	return c.names(order[:k]), c.names(order[k:])
}

func (c *cluster) partition() {
	a, b := c.split()
	defer c.w.Add("partition", simnet.Partition(a, b))()
	c.sleep(time.Second, 20*time.Second)
}

func (c *cluster) oneWay() {
	from, to := c.leader().name, c.anybody().name
	defer c.w.Add("one way", simnet.OneWay(from, to))()
	c.sleep(time.Second, 20*time.Second)
}

// leader is who believes to lead, or anybody.
func (c *cluster) leader() *node {
	for _, n := range c.nodes {
		if l := n.life.Load(); l != nil && l.raft.State() == raft.Leader {
			return n
		}
	}
	return c.anybody()
}

func (c *cluster) anybody() *node { return c.nodes[c.rand.IntN(len(c.nodes))] }

func (c *cluster) cutLeader() {
	defer c.w.Add("leader cut off", simnet.Isolate(c.leader().name))()
	c.sleep(time.Second, 20*time.Second)
}

func (c *cluster) crashLeader() { c.crash(c.leader()) }

func (c *cluster) crashOne() { c.crash(c.anybody()) }

func (c *cluster) crash(n *node) {
	n.crash()
	c.sleep(time.Second, 20*time.Second)
	n.restart()
}

// powerFailure takes all nodes at once, and they come back one by one.
func (c *cluster) powerFailure() {
	for _, n := range c.nodes {
		n.crash()
	}
	for _, i := range c.rand.Perm(len(c.nodes)) {
		c.sleep(time.Millisecond, 2*time.Second)
		c.nodes[i].restart()
	}
}

// standstill stops the network of a node, not its Raft.
func (c *cluster) standstill() {
	n := c.leader()
	n.host.Pause()
	c.sleep(100*time.Millisecond, 5*time.Second)
	n.host.Resume()
}

// reset breaks all connections; sessions go on.
func (c *cluster) reset() {
	c.w.Do(func() {
		for _, conn := range c.w.Net.Conns() {
			conn.Kill()
		}
	})
}
