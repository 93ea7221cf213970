package asynctest

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
)

// truth is the history of a run in which all went well: two nodes, cut once.
func truth(t *testing.T, policy func(i int) msg.Policy) *History {
	c := NewCluster(t,
		Options{Seed: 1, N: 2, History: true, Setup: func(n *Node) { n.SetDefaultPolicy(policy(n.Index)) }})
	for range 3 {
		require.NoError(t, c.Send(0, 1, 100, 0))
	}
	c.Run(time.Second)
	c.Cut(0)
	c.Run(time.Second)
	c.Healed()
	for range 3 {
		require.NoError(t, c.Send(0, 1, 100, 200))
	}
	c.Run(20 * time.Second)
	c.History.Promises = Promises{
		Lossless: true, Quiet: time.Minute, Attempts: 5, Delay: time.Minute,
		Effort: true, Backoff: 200 * time.Millisecond, MaxBackoff: 15 * time.Second,
	}
	c.CloseHistory()
	require.Empty(t, c.History.Violations())
	return c.History
}

// find returns the n-th record of a kind.
func (h *History) find(kind RecordKind, n int) *Record {
	for i := range h.Records {
		if h.Records[i].Kind == kind {
			if n == 0 {
				return &h.Records[i]
			}
			n--
		}
	}
	panic("no such record")
}

func (h *History) frame(tag frame.Tag, n int) *WireRecord {
	for i := range h.Wire {
		if h.Wire[i].Tag == tag {
			if n == 0 {
				return &h.Wire[i]
			}
			n--
		}
	}
	panic("no such frame")
}

// remove takes out the records that f names.
func (h *History) remove(f func(r *Record) bool) {
	h.Records = slices.DeleteFunc(h.Records, func(r Record) bool { return f(&r) })
}

func (h *History) add(r Record) { h.Records = append(h.Records, r) }

// Each checker sees what it is there for.
func TestCheckersSeeLies(t *testing.T) {
	peer := func(int) msg.Policy { return msg.LosslessPeer() }
	lossy := func(i int) msg.Policy { return []msg.Policy{msg.LossyClient(), msg.StatelessServer()}[i] }
	// Who accepts decides: the first is lossy, the second is not.
	adopted := func(i int) msg.Policy { return []msg.Policy{msg.LosslessClient(), msg.StatelessServer()}[i] }
	kept := func(i int) msg.Policy { return []msg.Policy{msg.LossyClient(), msg.StatefulServer()}[i] }
	lies := map[string]bool{}
	for _, lie := range []struct {
		name, letter string
		policy       func(int) msg.Policy
		tell         func(h *History)
	}{
		{"lost", "L1", peer,
			func(h *History) { d := *h.find(RecDelivered, 1); h.remove(func(r *Record) bool { return *r == d }) }},
		{"twice", "L1", peer, func(h *History) { h.add(*h.find(RecDelivered, 1)) }},
		{"not told of the end", "L1", peer,
			func(h *History) { e := *h.find(RecEnded, 1); h.remove(func(r *Record) bool { return *r == e }) }},
		{"out of order", "L2", peer,
			func(h *History) { a, b := h.find(RecDelivered, 0), h.find(RecDelivered, 1); *a, *b = *b, *a }},
		{"inverted", "L2", peer, func(h *History) {
			a, b := h.find(RecDelivered, 4), h.find(RecDelivered, 5)
			a.Flow.Priority, a.ReceivedAt = 100, b.ReceivedAt+1
		}},
		{"inverted by the sender", "L2", peer, func(h *History) {
			// The last message becomes a more urgent one that was accepted before the others.
			for _, kind := range []RecordKind{RecSent, RecEnded, RecDelivered} {
				r := h.find(kind, 5)
				r.Flow.Priority, r.Num = 210, 1
			}
			w := h.frame(frame.TagMessage, 5)
			w.Flow.Priority, w.Num = 210, 1
			a, b := h.find(RecSent, 3), h.find(RecSent, 5)
			*a, *b = *b, *a
		}},
		{"number skipped", "L3", peer, func(h *History) { h.frame(frame.TagMessage, 2).Seq++ }},
		{"number taken back", "L3", peer, func(h *History) { h.frame(frame.TagMessage, 3).Seq = 1 }},
		{"ack taken back", "L3", peer, func(h *History) {
			w := *h.frame(frame.TagAck, 0)
			w.Ack = 0
			h.Wire = append(h.Wire, w)
		}},
		{"ack of what was not sent", "L4", peer, func(h *History) { h.frame(frame.TagAck, 0).Ack = 99 }},
		{"ended without ack", "L4", peer, func(h *History) {
			for i := range h.Wire {
				if w := &h.Wire[i]; !w.FromDialer {
					w.Ack = 0
				}
			}
		}},
		{"dropped silently", "L5", peer, func(h *History) { h.find(RecEnded, 0).Err = msg.ErrRemoteReset }},
		{"kept through a reset", "L5", peer, func(h *History) {
			s := h.find(RecSent, 0)
			reset := Record{Kind: RecRemoteReset, At: h.find(RecEnded, 0).At - 1, Node: s.Node, Life: s.Life,
				Conn: s.Conn, Peer: 1}
			h.find(RecReady, 1).At = reset.At
			h.frame(frame.TagMessage, 0).At = 0
			i := slices.IndexFunc(h.Records, func(r Record) bool { return r.Kind == RecEnded })
			h.Records = slices.Insert(h.Records, i,
				Record{Kind: RecReady, At: reset.At, Node: s.Node, Life: s.Life, Conn: s.Conn, Peer: 1}, reset)
		}},
		{"hole", "Y1", lossy,
			func(h *History) { d := *h.find(RecDelivered, 1); h.remove(func(r *Record) bool { return *r == d }) }},
		{"lossy and twice", "Y1", lossy, func(h *History) { h.add(*h.find(RecDelivered, 1)) }},
		{"a hole, and it was to be lossless", "Y1", adopted, func(h *History) {
			d := *h.find(RecDelivered, 1)
			h.remove(func(r *Record) bool { return *r == d })
		}},
		{"twice, and it was to be lossy", "L1", kept, func(h *History) { h.add(*h.find(RecDelivered, 1)) }},
		{"lost, and it was to be lossy", "C4", kept, func(h *History) {
			d := *h.find(RecDelivered, 5)
			h.remove(func(r *Record) bool { return *r == d })
		}},
		{"no ack, and it was to be lossy", "L4", kept, func(h *History) {
			for i := range h.Wire {
				if w := &h.Wire[i]; !w.FromDialer {
					w.Ack = 0
				}
			}
		}},
		{"forged", "B1", peer,
			func(h *History) { h.Broken = append(h.Broken, "number 1 arrived with other contents") }},
		{"connect not told", "C1", peer,
			func(h *History) { h.remove(func(r *Record) bool { return r.Kind == RecConnect }) }},
		{"accept told late", "C1", peer, func(h *History) {
			a := *h.find(RecAccept, 0)
			h.remove(func(r *Record) bool { return r.Kind == RecAccept })
			h.add(a)
		}},
		{"connect told twice", "C1", peer, func(h *History) { h.add(*h.find(RecConnect, 0)) }},
		{"two resets", "C2", lossy, func(h *History) { h.add(*h.find(RecReset, 0)) }},
		{"reset not told on the worker", "C2", lossy, func(h *History) {
			s := h.find(RecSent, 0)
			h.add(Record{Kind: RecReset, Node: s.Node, Conn: s.Conn, Peer: 1, Lossy: true})
		}},
		{"reset told on the worker too late", "C2", lossy, func(h *History) {
			s := h.find(RecSent, 0)
			h.add(Record{Kind: RecReset, Node: s.Node, Conn: s.Conn, Peer: 1, Lossy: true})
			h.add(Record{Kind: RecFastReset, Node: s.Node, Conn: s.Conn, Peer: 1, Lossy: true})
		}},
		{"reset told on the worker only", "C2", lossy, func(h *History) {
			h.remove(func(r *Record) bool { return r.Kind == RecReset })
		}},
		{"remote reset not told on the worker", "C2", peer, func(h *History) {
			s := h.find(RecSent, 0)
			h.add(Record{Kind: RecRemoteReset, Node: s.Node, Conn: s.Conn, Peer: 1})
		}},
		{"reset not told", "C2", lossy, func(h *History) {
			h.remove(func(r *Record) bool { return r.Kind == RecReset })
			h.find(RecEnded, 2).Err = msg.ErrReset
		}},
		{"reset after mark down", "C2", peer, func(h *History) {
			s := h.find(RecSent, 0)
			h.add(Record{Kind: RecMarkDown, Node: s.Node, Conn: s.Conn, Peer: 1})
			h.add(Record{Kind: RecReset, Node: s.Node, Conn: s.Conn, Peer: 1, Lossy: true})
		}},
		{"refused and not told", "C2", peer, func(h *History) { h.Ends[0].Refused++ }},
		{"delivered after the reset", "C3", lossy, func(h *History) {
			d := *h.find(RecDelivered, 0)
			h.add(Record{Kind: RecReset, Node: d.Node, Conn: d.Conn, Peer: 0, Lossy: true})
			h.add(d)
		}},
		{"told after shutdown", "C3", peer, func(h *History) {
			h.add(Record{Kind: RecShutdown, Node: 0, Peer: -1})
			h.add(Record{Kind: RecAccept, Node: 0, Conn: 2, Peer: 1})
		}},
		{"lost without a word", "C4", lossy, func(h *History) {
			s := *h.find(RecSent, 5)
			s.Num++
			h.add(s)
		}},
		{"reset without a reason", "C4", peer, func(h *History) {
			s := h.find(RecSent, 0)
			h.add(Record{Kind: RecRemoteReset, Node: s.Node, Conn: s.Conn, Peer: 1})
		}},
		{"throttle exceeded", "R1", peer,
			func(h *History) { d := h.find(RecDelivered, 0); d.Limit, d.Held = 1000, 1<<20 }},
		{"throttle kept", "R1", peer, func(h *History) { h.Ends[1].DispatchBytes = 1 }},
		{"policy throttle kept", "R1", peer, func(h *History) { h.Ends[1].PolicyHeld = 1 }},
		{"panic", "R1", peer, func(h *History) { h.Ends[1].Panics = 1 }},
		{"handshake left", "R2", peer, func(h *History) { h.Ends[0].Handshakes = 1 }},
		{"socket left", "R2", peer, func(h *History) { h.Left = append(h.Left, "a socket") }},
		{"late", "V1", peer, func(h *History) { h.find(RecDelivered, 3).At += 2 * time.Minute }},
		{"never", "V1", peer,
			func(h *History) { d := *h.find(RecDelivered, 5); h.remove(func(r *Record) bool { return *r == d }) }},
		{"dials without end", "V2", peer, func(h *History) { h.Dials[[2]int{0, 1}] = 6 }},
		{"the larger address wins", "V2", peer,
			func(h *History) { h.Wire = append(h.Wire, WireRecord{Stream: 99, From: 1, To: 0, Tag: frame.TagWait}) }},
		{"attempts not counted", "V2", peer, func(h *History) {
			h.Wire = append(h.Wire, WireRecord{Stream: 98, FromDialer: true, Tag: frame.TagSessionReconnect, To: 1},
				WireRecord{Stream: 99, FromDialer: true, Tag: frame.TagSessionReconnect, To: 1})
		}},
		{"attempts begin again", "V2", peer, func(h *History) {
			// Node 1 has resumed attempt 1 of node 0, and makes its own first one.
			q := *h.frame(frame.TagSessionReconnect, 0)
			q.Stream, q.At, q.From, q.To, q.ConnectSeq = uint64(len(h.Streams))+1, time.Hour, 1, 0, 1
			h.Streams = append(h.Streams, StreamRecord{At: time.Hour, From: 1, To: 0})
			h.Wire = append(h.Wire, q)
		}},
		{"written twice", "E1", peer, func(h *History) {
			i := slices.IndexFunc(h.Wire, func(w WireRecord) bool { return w.Tag == frame.TagMessage })
			h.Wire = slices.Insert(h.Wire, i, h.Wire[i])
		}},
		{"told to try again and again", "E1", peer, func(h *History) {
			for range 2 {
				h.Wire = append(h.Wire, WireRecord{Stream: 1, From: 1, Tag: frame.TagSessionRetry, At: time.Second})
			}
		}},
		{"accused", "E1", peer, func(h *History) {
			h.Flips[0]++ // of the other one
			h.ProtocolErrors = append(h.ProtocolErrors, ProtocolErrorRecord{Node: 1, Err: session.ErrProtocol})
		}},
		{"dials without a cause", "E1", peer,
			func(h *History) { h.Streams = append(h.Streams, make([]StreamRecord, 20)...) }},
		{"attempts without a pause", "E1", peer, func(h *History) {
			for i := range 3 {
				at := time.Hour + time.Duration(i)*time.Second/20
				h.Streams = append(h.Streams, StreamRecord{At: at, From: 0, To: 1, Harmed: true})
			}
		}},
		{"attempts whose pauses do not grow", "E1", peer, func(h *History) {
			for i := range 8 {
				at := time.Hour + time.Duration(i)*time.Second
				h.Streams = append(h.Streams, StreamRecord{At: at, From: 0, To: 1, Harmed: true})
			}
		}},
		{"faults without a cause", "E1", peer, func(h *History) { h.Ends[0].Faults = 30 }},
		{"resets without a cause", "E1", peer, func(h *History) { h.Ends[1].Resets = 20 }},
		{"a remote reset without force", "E1", peer, func(h *History) { h.Ends[1].RemoteResets = 1 }},
		{"replays without a cause", "E1", peer, func(h *History) { h.Ends[0].Replayed = 100 }},
		{"retries without a cause", "E1", peer, func(h *History) { h.Ends[0].Retries = 4 }},
		{"a global_seq that does not rise", "E1", peer, func(h *History) { h.Ends[0].RetryGlobals = 1 }},
		{"held up", "V3", peer, func(h *History) { h.find(RecDelivered, 0).At += 2 * time.Minute }},
	} {
		t.Run(lie.letter+" "+lie.name, func(t *testing.T) {
			h := truth(t, lie.policy)
			lie.tell(h)
			for i := range h.Records {
				h.Records[i].order = i
			}
			i := slices.IndexFunc(Checkers(), func(c Checker) bool { return c.Letter == lie.letter })
			require.NotEmpty(t, Checkers()[i].Check(h), "seen by others: %s", strings.Join(h.Violations(), "\n"))
		})
		lies[lie.letter] = true
	}
	for _, c := range Checkers() {
		require.True(t, lies[c.Letter], "%s was told no lie", c.Letter)
	}
}

// What is planned is no violation.
func TestCheckersExcuseWhatIsPlanned(t *testing.T) {
	h := truth(t, func(int) msg.Policy { return msg.LosslessPeer() })
	s := *h.find(RecSent, 0)
	h.add(Record{Kind: RecFastRemoteReset, At: time.Minute, Node: s.Node, Conn: s.Conn, Peer: 1})
	h.add(Record{Kind: RecRemoteReset, At: time.Minute, Node: s.Node, Conn: s.Conn, Peer: 1,
		Err: errors.Join(ErrPlanned)})
	require.Empty(t, h.Violations())

	// So is an accusation of a peer whose bytes were altered.
	h = truth(t, func(int) msg.Policy { return msg.LosslessPeer() })
	h.Flips[1]++
	h.ProtocolErrors = append(h.ProtocolErrors, ProtocolErrorRecord{Node: 1, Err: session.ErrProtocol})
	require.Empty(t, h.Violations())
}

// What E1 counts, it counts.
func TestEffortIsNoted(t *testing.T) {
	c := NewCluster(t, Options{Seed: 1, N: 2, History: true})
	h := c.History
	require.NoError(t, c.Send(0, 1, 100, 0))
	c.Run(time.Second)
	require.Equal(t, []StreamRecord{{At: h.Streams[0].At, From: 0, To: 1}}, h.Streams)
	c.Cut(0)
	require.True(t, h.Streams[0].Harmed)
	require.NoError(t, c.Send(0, 1, 100, 0))
	c.Run(time.Second)
	// A bit of a message is inverted.
	c.Add("flip", simnet.Once(func(p *simnet.Packet) simnet.Verdict {
		if p.Kind != simnet.Data || p.To != c.Nodes[1].Host.Name() {
			return simnet.Pass()
		}
		return simnet.Flip(8 * 50)
	}))
	require.NoError(t, c.Send(0, 1, 100, 0))
	c.Until("everything", c.Complete)
	require.Equal(t, map[int]int{1: 1}, h.Flips)
	require.Len(t, h.ProtocolErrors, 1)
	require.Equal(t, 1, h.ProtocolErrors[0].Node)
	require.ErrorIs(t, h.ProtocolErrors[0].Err, session.ErrProtocol)
	n := len(h.Streams)
	require.True(t, h.Streams[n-2].Harmed)
	require.False(t, h.Streams[n-1].Harmed)
	c.MarkDown(0, 1)
	require.Equal(t, 2, h.Disturbed)
	c.Kill(1)
	require.Len(t, h.Ends, 1, "what the dead have spent counts")
	require.NotZero(t, h.Ends[0].Faults)
	require.NoError(t, c.Send(0, 1, 100, 0))
	c.Run(100 * time.Millisecond)
	require.True(t, h.Streams[len(h.Streams)-1].Harmed, "it was dialled in vain")
	c.Restart(1)
	require.Equal(t, 4, h.Disturbed)
	c.PlanPanic()
	require.Equal(t, 6, h.Disturbed)
	c.CloseHistory()
	h.Panics = 0 // there was none
	require.Empty(t,
		Checkers()[slices.IndexFunc(Checkers(), func(c Checker) bool { return c.Letter == "E1" })].Check(h))
}

// Who calls an address whose process is another one by now breaks no protocol.
func TestWrongPeerIsNoBreach(t *testing.T) {
	c := NewCluster(t, Options{Seed: 1, N: 2, History: true})
	c.History.Promises = Promises{Lossless: true, Effort: true}
	require.NoError(t, c.Send(0, 1, 100, 0))
	c.Run(time.Second)
	c.Kill(1)
	conn := c.Connect(0, 1) // to the address that it had
	c.Restart(1)
	require.NoError(t, c.SendOn(conn, 0, 1, 100, 0))
	c.Run(time.Minute)
	require.NotZero(t, c.Nodes[0].effort.Refusals)
	c.MarkDownAddrs(0, 1, conn.PeerAddrs())
	c.Run(time.Second)
	c.CheckPromises()
}

// Twice is once too often, unless the receiver was told that the session is lost, and the
// sender had a lossy one in mind.
func TestTwiceAfterARemoteReset(t *testing.T) {
	l1 := Checkers()[slices.IndexFunc(Checkers(), func(c Checker) bool { return c.Letter == "L1" })]
	for _, sender := range []msg.Policy{msg.LossyClient(), msg.LosslessClient()} {
		for _, told := range []bool{false, true} {
			h := truth(t, func(i int) msg.Policy { return []msg.Policy{sender, msg.StatefulServer()}[i] })
			again := *h.find(RecDelivered, 5)
			reset := again
			reset.Kind, reset.At = RecRemoteReset, again.At+1
			if told {
				h.add(reset)
			}
			again.At += 2
			h.add(again)
			for i := range h.Records {
				h.Records[i].order = i
			}
			require.Equal(t, told && sender.Lossy, len(l1.Check(h)) == 0,
				"sender lossy %v, told %v", sender.Lossy, told)
		}
	}
}
