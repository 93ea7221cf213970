package asynctest

import (
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Event is something that a Recorder saw.
type Event struct {
	// At is the network's time; the node's own clock may be wrong.
	At time.Duration
	// What: "message", "connect", "accept", "reset", "remote reset", "refused".
	What string
	Conn msg.Connection
	Peer entity.Name
	// Of messages: Type, TID, Priority and a copy of Front.
	Type     uint16
	TID      uint64
	Priority uint8
	Front    string
	// Err is the reason of a reset or refusal.
	Err error
}

// Recorder is a dispatcher that records what it sees, in order, and handles every
// message. Tracked messages (see Cluster.Send) go to the cluster's ledger, and are
// counted only. It belongs to the goroutine that runs the network.
type Recorder struct {
	Events []Event
	// Received counts messages, tracked ones included.
	Received int
	node     *Node
}

// Count is how many events of a kind were recorded.
func (r *Recorder) Count(what string) (n int) {
	for i := range r.Events {
		if r.Events[i].What == what {
			n++
		}
	}
	return n
}

func (r *Recorder) record(e Event) {
	n := r.node
	if n.Down { // a job that slept is being ended
		return
	}
	if j := n.pool.current; j != nil {
		j.conn = e.Conn
	}
	e.At, e.Peer = n.Cluster.Net.Now(), e.Conn.PeerName()
	n.Cluster.noteEvent(n, &e)
	r.Events = append(r.Events, e)
}

// noteEvent puts an event into the trace: there may be millions.
func (c *Cluster) noteEvent(n *Node, e *Event) {
	b := appendName(c.ledger.note[:0], n.Name())
	b = append(append(append(b, ": "...), e.What...), ' ')
	b = append(appendName(b, e.Peer), ' ')
	b = append(strconv.AppendUint(b, uint64(e.Type), 10), ' ')
	b = append(strconv.AppendUint(b, e.TID, 10), ' ')
	c.ledger.note = appendQuote(b, e.Front)
	c.Net.NoteBytes(c.ledger.note)
}

// appendName appends what n.String returns.
func appendName(b []byte, n entity.Name) []byte {
	if n.Num == entity.NumNew {
		return append(b, n.String()...)
	}
	return strconv.AppendInt(append(append(b, n.Type.String()...), '.'), n.Num, 10)
}

// quoted is what strconv.Quote makes of each byte that is ASCII, or no UTF-8.
var quoted = func() (q [256]string) {
	for i := range q {
		s := strconv.Quote(string([]byte{byte(i)}))
		q[i] = s[1 : len(s)-1]
	}
	return q
}()

// appendQuote appends what strconv.Quote returns of bytes that are no text most often.
func appendQuote(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		size := 1
		if s[i] >= utf8.RuneSelf {
			_, size = utf8.DecodeRuneInString(s[i:])
		}
		if size == 1 {
			b = append(b, quoted[s[i]]...)
		} else {
			q := strconv.Quote(s[i : i+size])
			b = append(b, q[1:len(q)-1]...)
		}
		i += size
	}
	return append(b, '"')
}

// Dispatch implements msg.Dispatcher.
func (r *Recorder) Dispatch(m *msg.Message) bool {
	n := r.node
	if n.Down { // as in record
		m.Release()
		return true
	}
	if j := n.pool.current; j != nil {
		j.conn = m.Connection()
	}
	r.Received++
	if m.Type == TypeTracked {
		n.Cluster.arrived(n, m)
	} else {
		r.record(Event{What: "message", Conn: m.Connection(), Type: m.Type, TID: m.TID, Priority: m.Priority,
			Front: string(m.Front)})
	}
	if f := n.Cluster.opt.Dispatch; f != nil {
		f(n, m)
	} else {
		m.Release()
	}
	return true
}

// HandleConnect implements msg.ConnectHandler.
func (r *Recorder) HandleConnect(c msg.Connection) {
	r.node.add(RecConnect, c, Record{})
	r.record(Event{What: "connect", Conn: c})
}

// HandleAccept implements msg.AcceptHandler.
func (r *Recorder) HandleAccept(c msg.Connection) {
	r.node.add(RecAccept, c, Record{})
	r.record(Event{What: "accept", Conn: c})
}

// HandleFastConnect implements msg.FastConnectHandler.
func (r *Recorder) HandleFastConnect(c msg.Connection) { r.node.add(RecReady, c, Record{}) }

// HandleFastAccept implements msg.FastAcceptHandler.
func (r *Recorder) HandleFastAccept(c msg.Connection) { r.node.add(RecReady, c, Record{}) }

// HandleFastReset implements msg.FastResetHandler.
func (r *Recorder) HandleFastReset(c msg.Connection) { r.node.add(RecFastReset, c, Record{}) }

// HandleFastRemoteReset implements msg.FastRemoteResetHandler.
func (r *Recorder) HandleFastRemoteReset(c msg.Connection) {
	r.node.add(RecFastRemoteReset, c, Record{})
}

// HandleFault implements msg.FaultHandler.
func (r *Recorder) HandleFault(c msg.Connection, err error) {
	r.node.add(RecFault, c, Record{Err: err})
}

// HandleReset implements msg.ResetHandler.
func (r *Recorder) HandleReset(c msg.Connection, reason error) bool {
	r.node.add(RecReset, c, Record{Err: reason})
	r.record(Event{What: "reset", Conn: c, Err: reason})
	return true
}

// HandleRemoteReset implements msg.RemoteResetHandler.
func (r *Recorder) HandleRemoteReset(c msg.Connection) {
	r.node.add(RecRemoteReset, c, Record{})
	r.record(Event{What: "remote reset", Conn: c})
}

// HandleRefused implements msg.RefusedHandler.
func (r *Recorder) HandleRefused(c msg.Connection, err error) bool {
	r.node.add(RecRefused, c, Record{Err: err})
	r.record(Event{What: "refused", Conn: c, Err: err})
	return true
}
