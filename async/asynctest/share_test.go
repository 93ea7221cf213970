package asynctest_test

import (
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
)

// holder is a dispatcher of node 0 that keeps what the slow node has sent, and lets go of
// the rest at once.
type holder struct {
	fast bool
	n    *asynctest.Node
	kept []*msg.Message
	got  map[int64]int // by sender
	last map[int64]time.Duration
}

const slow = 1

func (h *holder) CanFastDispatch(m *msg.Message) bool { return h.fast }

func (h *holder) FastDispatch(m *msg.Message) { h.Dispatch(m) }

func (h *holder) Dispatch(m *msg.Message) bool {
	from := m.Source().Num
	h.got[from]++
	h.last[from] = h.n.Cluster.Net.Now()
	if from == slow {
		m.Hold()
		h.kept = append(h.kept, m)
		return true
	}
	m.Release()
	return true
}

// TestSlowConnectionWaitsAlone: the messages of one connection are not dispatched, or not
// let go of, while more of them come than all connections together may have in dispatch.
// Then this connection alone is not read from; the others go on at once.
func TestSlowConnectionWaitsAlone(t *testing.T) {
	const each, size, all, share = 60, 1000, 40_000, 10_000
	for _, x := range []struct {
		name       string
		fast, hold bool
		change     func(*msg.Policy)
		most       int // messages of the slow connection that get in
		others     bool
	}{
		{"queue", false, false, nil, share / size, true},
		{"queue, messages", false, false, func(p *msg.Policy) { p.ConnThrottleMessages = 5 }, 5, true},
		{"hold", false, true, nil, share / size, true},
		{"fast dispatch and hold", true, true, nil, share / size, true},
		{"no bound", false, false, func(p *msg.Policy) { p.ConnThrottleBytes = -1 }, all / size, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			policy := msg.LosslessPeer()
			if x.change != nil {
				x.change(&policy)
			}
			var h *holder
			c := asynctest.NewCluster(t, asynctest.Options{
				Seed: 1, N: 4, Policy: policy, Blocking: true,
				Network: simnet.Config{Link: simnet.LinkConfig{Latency: simnet.Fixed(time.Millisecond)}},
				Config:  func(_ int, cfg *async.Config) { cfg.DispatchThrottleBytes = all },
				Setup: func(n *asynctest.Node) {
					if n.Index == 0 && x.hold {
						h = &holder{fast: x.fast, n: n, got: map[int64]int{}, last: map[int64]time.Duration{}}
						n.AddDispatcherHead(h)
					}
				},
				Dispatch: func(n *asynctest.Node, m *msg.Message) {
					from := m.Source().Num
					m.Release()
					if n.Index == 0 && from == slow {
						n.Sleep(time.Second)
					}
				},
			})
			srv := c.Nodes[0]
			send := func(from int) {
				for range each {
					m := &msg.Message{Data: make([]byte, size)}
					require.NoError(t, c.Connect(from, 0).Send(m))
				}
			}
			c.Connect(2, 0)
			c.Connect(3, 0)
			send(slow)
			c.Run(500 * time.Millisecond)
			require.EqualValues(t, x.most, srv.Stats().Received, "of the slow connection")
			sent := c.Net.Now()
			send(2)
			send(3)
			c.Run(10 * time.Millisecond)
			if !x.others {
				require.Less(t, srv.Stats().Received, uint64(x.most+each), "the bound is not what lets others go on")
				require.Zero(t, srv.Stats().ConnThrottleWaits)
			} else {
				require.EqualValues(t, x.most+2*each, srv.Stats().Received)
				require.Positive(t, srv.Stats().ConnThrottleWaits)
				if h != nil {
					require.Equal(t, map[int64]int{slow: x.most, 2: each, 3: each}, h.got)
					require.LessOrEqual(t, max(h.last[2], h.last[3])-sent, 10*time.Millisecond)
				}
			}
			if x.fast {
				require.EqualValues(t, srv.Stats().Received, srv.Stats().FastDispatched)
			}
			c.Until("the rest", func() bool {
				for h != nil && len(h.kept) > 0 {
					h.kept[0].Release()
					h.kept = h.kept[1:]
				}
				return srv.Stats().Received == 3*each && srv.Stats().Queue.Len == 0
			})
			c.Run(10 * time.Second)
			require.Zero(t, srv.Stats().DispatchBytes)
		})
	}
}
