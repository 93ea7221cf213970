package asynctest_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// A rumour among a thousand nodes: who hears it for the first time tells three
// others, over links with a long tail of latencies.
func Example_gossip() {
	tb := &exampleTB{} // in a test: t
	defer tb.end()
	const nodes = 1000
	rnd := rand.New(rand.NewPCG(1, 2))
	heard := map[int]bool{}
	var tell func(n *asynctest.Node)
	c := asynctest.NewCluster(tb, asynctest.Options{
		Seed: 1, N: nodes,
		Network: simnet.Config{Link: simnet.LinkConfig{Latency: simnet.LogNormal(20*time.Millisecond, 0.8)}},
		Dispatch: func(n *asynctest.Node, m *msg.Message) {
			m.Release()
			tell(n)
		},
	})
	tell = func(n *asynctest.Node) {
		if heard[n.Index] {
			return
		}
		heard[n.Index] = true
		for range 3 {
			peer := c.Nodes[(n.Index+1+rnd.IntN(nodes-1))%nodes]
			_ = n.SendTo(&msg.Message{Type: 1, Front: []byte("rumour")}, peer.Name().Type, peer.Addrs())
		}
	}
	tell(c.Nodes[0])
	c.Run(5 * time.Second)
	fmt.Println("nearly everybody knows:", len(heard) > 850)
	// Output: nearly everybody knows: true
}
