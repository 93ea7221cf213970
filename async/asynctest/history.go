package asynctest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// RecordKind says what a Record is about.
type RecordKind uint8

// The kinds of records. "The connection" is the Connection object of that node.
const (
	RecSent            RecordKind = iota + 1 // a message was accepted by Send
	RecEnded                                 // its sender was told how the sending ended
	RecDelivered                             // a message was dispatched
	RecReady                                 // the session became ready, on the worker
	RecConnect                               // HandleConnect
	RecAccept                                // HandleAccept
	RecReset                                 // HandleReset
	RecRemoteReset                           // HandleRemoteReset
	RecRefused                               // HandleRefused
	RecMarkDown                              // MarkDown returned
	RecDisposable                            // MarkDisposable returned
	RecDown                                  // the node crashed or was killed
	RecUp                                    // it was started again
	RecShutdown                              // its Shutdown returned
	RecHealed                                // the last fault was lifted
	RecStuck                                 // the dispatcher of the connection begins to take long
	RecFree                                  // and no longer does
	RecFastReset                             // HandleFastReset
	RecFastRemoteReset                       // HandleFastRemoteReset
	RecFault                                 // HandleFault
)

var recordNames = [...]string{"?", "sent", "ended", "delivered", "ready", "connect", "accept", "reset",
	"remote reset", "refused", "mark down", "disposable", "down", "up", "shutdown", "healed", "stuck", "free",
	"fast reset", "fast remote reset", "fault"}

func (k RecordKind) String() string { return recordNames[k] }

// Flow is what keeps its order: messages of one priority, from one Connection
// object of the sender to one node.
type Flow struct {
	From, To int
	// Life of the sender: how often it was restarted.
	Life uint32
	// Conn is the sender's Connection.ID.
	Conn     uint64
	Priority uint8
}

func (f Flow) String() string {
	return fmt.Sprintf("node %d.%d conn %d to node %d priority %d", f.From, f.Life, f.Conn, f.To, f.Priority)
}

// Record is one thing that happened.
type Record struct {
	// At is the network's time, by which records of different nodes compare; Local
	// is what the node's own clock showed, by which it compares with ReceivedAt.
	At, Local time.Duration
	Kind      RecordKind
	// Where it happened: the node, which of its lives, its Connection.ID (0: none)
	// and the node at the other end (-1: not known).
	Node int
	Life uint32
	Conn uint64
	Peer int
	// Lossy is the policy of the connection at that moment, OwnLossy what the node's own
	// policy says of such peers: the accepting side's is what counts.
	Lossy, OwnLossy bool
	// Flow and Num, from 1 up, identify a tracked message, Size is that of its data.
	Flow Flow
	Num  uint64
	Size int
	// Err is the reason of an end, reset or refusal.
	Err error
	// Held is what the dispatch throttle holds at a delivery, of Limit; 0: unlimited.
	Held, Limit int64
	// Seq is the number of a delivered message in its session, ReceivedAt when it
	// had come in, by the node's own clock.
	Seq        uint64
	ReceivedAt time.Duration
	order      int // among all records
}

func (r *Record) String() string {
	s := fmt.Sprintf("%v %v node %d.%d conn %d", r.At, r.Kind, r.Node, r.Life, r.Conn)
	if r.Num != 0 {
		s += fmt.Sprintf(" number %d of %v", r.Num, r.Flow)
	}
	if r.Err != nil {
		s += ": " + r.Err.Error()
	}
	return s
}

// WireRecord is a frame that one side of a stream wrote, as an observer of the
// network sees it: before faults of the network, and whether or not it arrives.
type WireRecord struct {
	At time.Duration
	// Stream is the TCP connection, from 1 up; FromDialer says who wrote.
	Stream     uint64
	FromDialer bool
	From, To   int
	Tag        frame.Tag
	// Of MESSAGE: the numbers of its header and, of tracked ones, Flow and Num.
	// Of ACK: Ack. Of SESSION_RECONNECT and SESSION_RECONNECT_OK: Ack is msg_seq.
	Seq, Ack uint64
	Flow     Flow
	Num      uint64
	// Of CLIENT_IDENT and SESSION_RECONNECT: the client's cookie; of the latter also the
	// server's, global_seq, and connect_seq, as in SESSION_RETRY.
	Cookie, ServerCookie, GlobalSeq, ConnectSeq uint64
	// Full is SESSION_RESET's.
	Full bool
}

// NodeEnd is what a messenger had counted when its life or the run ended.
type NodeEnd struct {
	Node int
	Life uint32
	// Alive says that it lived to the end, and the rest is known.
	Alive bool
	// Ready counts sessions becoming ready, Refused refused attempts.
	Ready, Refused uint64
	// What it still held: bytes of dispatch throttle, messages in the queue,
	// handshakes, bytes and messages of policy throttles.
	DispatchBytes int64
	Queue         int
	Handshakes    int
	PolicyHeld    int64
	Panics        uint64
	// Calling are the IDs of its connections to an address that nobody has any more: the peer
	// came back under another one, and they call until they are marked down. What they hold
	// waits, and is not lost.
	Calling []uint64
	Effort
}

// Promises are what a run was set up to keep, for the checkers.
type Promises struct {
	// Lossless: the sessions are; ResetCheck says whether a policy has it.
	Lossless, ResetCheck bool
	// Panics is how many panics of dispatchers were planned.
	Panics uint64
	// Quiet bounds the time without any delivery, after the last fault was healed,
	// while messages of lossless sessions wait (V1); 0: not checked.
	Quiet time.Duration
	// Attempts bounds the TCP connections between two nodes after that (V2); 0: not
	// checked.
	Attempts int
	// Effort has the costs of trouble bounded (E1): connections, faults, replays. All
	// trouble has to be made through the cluster then, which notes it: Add, Cut, Reset,
	// Sever, Forget, Crash, Kill, MarkDown, PlanPanic.
	Effort bool
	// Backoff is what async.Config.InitialBackoff is, as short as the fastest clock makes
	// it: attempts to connect that lead to nothing have to become rarer from there on
	// (E1), up to MaxBackoff. 0: not checked. There must be no anonymous connections.
	Backoff, MaxBackoff time.Duration
	// Delay bounds the time from Send to dispatch, on connections whose dispatcher
	// is not stuck (V3); 0: not checked.
	Delay time.Duration
}

// History is what happened in a run, in order. A cluster records it if
// Options.History is set; the checkers judge it.
type History struct {
	Promises
	Records []Record
	Wire    []WireRecord
	// Broken are payloads that were not what was sent, one line each.
	Broken []string
	Ends   []NodeEnd
	// Left are connections, sockets and buffers that outlived the shutdown.
	Left []string
	// Healed is when the last fault was lifted, Dials how often node i dialled node
	// j since then.
	Healed time.Duration
	Dials  map[[2]int]int
	// Streams are the TCP connections, in the order in which they were dialled.
	Streams []StreamRecord
	// ProtocolErrors are what nodes accused their peers of, Flips are how many packets
	// on their way to a node had a bit inverted.
	ProtocolErrors []ProtocolErrorRecord
	Flips          map[int]int
	// Disturbed counts the attempts to connect that may follow from what was done to
	// messengers by force: two for each mark down and panic, and for a restart two with
	// each other node.
	Disturbed int
	// Tainted are pairs of nodes whose sessions were ended by force.
	Tainted map[[2]int]bool

	costs []Cost // as the checker E1 counted them
}

func newHistory() *History {
	return &History{Dials: map[[2]int]int{}, Tainted: map[[2]int]bool{}, Flips: map[int]int{}}
}

// written is the memory of what a history has recorded. The seeds of a campaign record about
// as much as each other, so the next one uses it again.
type written struct {
	records []Record
	wire    []WireRecord
}

var writtenPool sync.Pool // of *written, cleared; any goroutine

// reuse has h record into memory of a history that was given back, if there is one.
func (h *History) reuse() {
	if w, ok := writtenPool.Get().(*written); ok {
		h.Records = append(w.records, h.Records...)
		h.Wire = append(w.wire, h.Wire...)
	}
}

// giveBack ends h: nobody may look at its records any more.
func (h *History) giveBack() {
	clear(h.Records)
	clear(h.Wire)
	writtenPool.Put(&written{h.Records[:0], h.Wire[:0]})
	h.Records, h.Wire = nil, nil
}

// IsTainted says whether a session between two nodes was ended by force: a crash,
// a mark down. What was under way then may be lost, or come again.
func (h *History) IsTainted(a, b int) bool { return h.Tainted[[2]int{min(a, b), max(a, b)}] }

// add appends a record of something that happened to a connection of a node.
func (n *Node) add(kind RecordKind, conn msg.Connection, r Record) {
	h := n.Cluster.History
	if h == nil || n.Down && kind != RecDown && kind != RecEnded {
		return
	}
	r.At, r.Local = n.Cluster.Net.Now(), n.Host.Clock().Now()
	r.Kind, r.Node, r.Life, r.Peer = kind, n.Index, n.life, -1
	if conn != nil {
		r.Conn = conn.ID()
		r.Lossy, r.OwnLossy = conn.Policy().Lossy, n.PolicyFor(conn.PeerType()).Lossy
		if i, ok := n.Cluster.byName[conn.PeerName()]; ok {
			r.Peer = i
		}
	}
	r.order = len(h.Records)
	h.Records = append(h.Records, r)
}

// unsent takes back the last record: Send refused the message.
func (n *Node) unsent() {
	if h := n.Cluster.History; h != nil {
		h.Records = h.Records[:len(h.Records)-1]
	}
}

// closeLife notes what a messenger has counted; alive says that it lives.
func (n *Node) closeLife(alive bool) {
	h := n.Cluster.History
	if h == nil {
		return
	}
	s := n.Stats()
	e := NodeEnd{Node: n.Index, Life: n.life, Alive: alive, Effort: n.spent(&s)}
	if alive {
		e.Ready, e.Refused, e.Panics = s.Connected+s.Accepted, s.Refused, s.Panics
		e.DispatchBytes, e.Queue, e.Handshakes = s.DispatchBytes, s.Queue.Len, s.Handshakes
		for _, t := range n.Throttles {
			e.PolicyHeld += t.Stats().Held
		}
		for conn := range n.ConnectionStats() {
			if !conn.IsConnected() && n.Cluster.nobody(conn.PeerAddrs()) {
				e.Calling = append(e.Calling, conn.ID())
			}
		}
	}
	h.Ends = append(h.Ends, e)
}

// nobody says that no messenger that runs has this address.
func (c *Cluster) nobody(has entity.AddrVec) bool {
	return !slices.ContainsFunc(c.Nodes, func(n *Node) bool { return !n.Down && n.Addrs().Equal(has) })
}

// String is the record in one line.
func (w *WireRecord) String() string {
	s := fmt.Sprintf("%-12v stream %d node %d to %d %v", w.At, w.Stream, w.From, w.To, w.Tag)
	switch w.Tag {
	case frame.TagMessage:
		s += fmt.Sprintf(" seq %d ack %d", w.Seq, w.Ack)
	case frame.TagAck:
		s += fmt.Sprintf(" %d", w.Ack)
	case frame.TagSessionReconnect:
		s += fmt.Sprintf(" connect_seq %d msg_seq %d", w.ConnectSeq, w.Ack)
	case frame.TagSessionReconnectOK:
		s += fmt.Sprintf(" msg_seq %d", w.Ack)
	case frame.TagSessionRetry:
		s += fmt.Sprintf(" connect_seq %d", w.ConnectSeq)
	case frame.TagSessionReset:
		s += fmt.Sprintf(" full %v", w.Full)
	}
	return s
}
