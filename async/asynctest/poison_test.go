package asynctest

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
)

// rejections keeps what a RejectedHandler is told.
type rejections struct {
	told []*msg.RejectedError
	conn msg.Connection
}

func (r *rejections) Dispatch(*msg.Message) bool { return false }

func (r *rejections) HandleRejected(c msg.Connection, e *msg.RejectedError) {
	r.told, r.conn = append(r.told, e), c
}

// poisonCase is two nodes of which 0 sends, and 1 takes no more than limit.
type poisonCase struct {
	policies    [2]msg.Policy
	accepted    bool // 0 is the one that is called
	rejectAfter int
	limit       uint32
}

const poisonSize = 5000

func (p *poisonCase) cluster(
	t *testing.T, seed uint64, link simnet.LinkConfig,
) (*Cluster, *rejections, msg.Connection) {
	told := &rejections{}
	c := NewCluster(t, Options{
		Seed: seed, N: 2, History: true, SameNonce: true, Network: simnet.Config{Link: link},
		Name:   func(i int) entity.Name { return entity.OSD(int64(i)) },
		Client: func(i int) bool { return p.accepted && i == 1 },
		Setup: func(n *Node) {
			if n.SetDefaultPolicy(p.policies[n.Index]); n.Index == 0 {
				n.AddDispatcherTail(told)
			}
		},
		Config: func(i int, cfg *async.Config) {
			cfg.StandbyTimeout = -1
			if cfg.RejectAfter = p.rejectAfter; i == 1 {
				cfg.Limits.Data = p.limit
			}
		},
	})
	if !p.accepted {
		conn := c.Connect(0, 1)
		c.Until("connected", conn.IsConnected)
		return c, told, conn
	}
	c.Connect(1, 0)
	var conn msg.Connection
	c.Until("connected", func() bool {
		for conn = range c.Nodes[0].Connections() {
			return conn.IsConnected()
		}
		return false
	})
	return c, told, conn
}

// A message that the peer refuses, between others: it is reported, and what is behind it
// arrives, in order and once.
func TestPoisonIsRejected(t *testing.T) {
	for name, p := range map[string]poisonCase{
		"peer":    {policies: [2]msg.Policy{msg.LosslessPeer(), msg.LosslessPeer()}},
		"reuse":   {policies: [2]msg.Policy{msg.LosslessPeerReuse(), msg.LosslessPeerReuse()}},
		"client":  {policies: [2]msg.Policy{msg.LosslessClient(), msg.StatefulServer()}},
		"server":  {policies: [2]msg.Policy{msg.StatefulServer(), msg.LosslessClient()}, accepted: true},
		"seven":   {policies: [2]msg.Policy{msg.LosslessClient(), msg.StatefulServer()}, rejectAfter: 7},
		"distant": {policies: [2]msg.Policy{msg.LosslessPeer(), msg.LosslessPeer()}},
	} {
		t.Run(name, func(t *testing.T) {
			link := simnet.LinkConfig{}
			if name == "distant" {
				link.Latency = simnet.Uniform(250*time.Millisecond, 300*time.Millisecond)
			}
			p.limit = 1000
			for seed := range uint64(5) {
				testPoison(t, &p, seed, link)
			}
		})
	}
}

func testPoison(t *testing.T, p *poisonCase, seed uint64, link simnet.LinkConfig) {
	limit := p.rejectAfter
	if limit == 0 {
		limit = 5
	}
	c, told, conn := p.cluster(t, seed, link)
	var poisons []*msg.Message
	var ends []error
	for i := range 12 {
		if i == 3 || i == 4 || i == 9 { // one after the other, and one by itself
			m := &msg.Message{Type: 77, TID: uint64(i), Data: make([]byte, poisonSize),
				Notify: notifier(func(err error) { ends = append(ends, err) })}
			require.NoError(t, conn.Send(m))
			poisons = append(poisons, m)
		}
		require.NoError(t, c.SendOn(conn, 0, 1, 100, 0))
		require.NoError(t, c.SendOn(c.back(conn), 1, 0, 100, 0), "the other direction")
	}
	c.Until("everything", func() bool { return c.Complete() && len(ends) == len(poisons) })
	c.Run(5 * time.Minute)
	require.NoError(t, c.SendOn(conn, 0, 1, 100, 0), "and the numbers go on")
	c.Run(time.Minute)
	c.CheckExactlyOnce()
	c.CheckNothingHeld()
	require.Len(t, told.told, len(poisons), "seed %d", seed)
	for i, e := range told.told {
		require.Equal(t, conn, told.conn)
		require.Equal(t, uint16(77), e.Type)
		require.Equal(t, poisons[i].TID, e.TID)
		require.Equal(t, poisonSize, e.Size)
		// Those before it that are no more have given their numbers back.
		require.Equal(t, []uint64{4, 5, 10}[i], e.Seq, "seed %d", seed)
		require.True(t, e.Dropped)
		require.GreaterOrEqual(t, e.Attempts, limit)
		require.LessOrEqual(t, e.Attempts, limit+3, "seed %d", seed)
		require.ErrorIs(t, ends[i], msg.ErrRejected)
		var why *msg.RejectedError
		require.True(t, errors.As(ends[i], &why))
		require.Equal(t, e, why)
	}
	require.EqualValues(t, len(poisons), c.Nodes[0].Stats().Rejected)
	require.Zero(t, c.Nodes[0].Count("remote reset")+c.Nodes[1].Count("remote reset")+c.Nodes[0].Count("reset"))
	lines := strings.Join(c.logs.last(slog.LevelWarn), "\n")
	require.Contains(t, lines, "osd.0 WARN: a message breaks its connection each time that it is sent")
	require.Contains(t, lines, fmt.Sprintf("type 77, tid 3, seq 4, %d bytes", poisonSize))
}

// back is the connection of node 1 with node 0.
func (c *Cluster) back(conn msg.Connection) msg.Connection {
	c.tb.Helper()
	for x := range c.Nodes[1].Connections() {
		return x
	}
	c.tb.Fatalf("there is none for %v", conn)
	return nil
}

// notifier is a msg.Notifier.
type notifier func(error)

func (f notifier) MessageSent(_ msg.Connection, _ *msg.Message, err error) { f(err) }

// With a negative RejectAfter it is told once, and sent on for ever, ever more seldom.
func TestPoisonIsSentOn(t *testing.T) {
	const seed = 4
	p := poisonCase{policies: [2]msg.Policy{msg.LosslessClient(), msg.StatefulServer()}, rejectAfter: -5, limit: 1000}
	c, told, conn := p.cluster(t, seed, simnet.LinkConfig{})
	ended := 0
	require.NoError(t,
		conn.Send(&msg.Message{Type: 77, Data: make([]byte, poisonSize), Notify: notifier(func(error) { ended++ })}))
	require.NoError(t, c.SendOn(conn, 0, 1, 100, 0))
	c.Run(time.Minute)
	require.Len(t, told.told, 1)
	require.False(t, told.told[0].Dropped)
	require.GreaterOrEqual(t, told.told[0].Attempts, 5)
	faults := func() int { return int(c.Nodes[0].Stats().Faults) }
	before := faults()
	require.Less(t, before, 20, "in the first minute")
	c.Run(time.Hour)
	require.Len(t, told.told, 1, "told once")
	require.Zero(t, ended)
	require.InDelta(t, 3600/11.25, float64(faults()-before), 60, "each 7.5 to 15 s")
	_, arrived := c.Tracked()
	require.Zero(t, arrived, "nothing overtakes it")
	messages, _ := conn.SendQueue()
	require.Equal(t, 2, messages)
	conn.MarkDown()
	c.Run(time.Minute)
	require.Equal(t, 1, ended)
	c.CheckEnded()
}
