package asynctest

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest/promise"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// TypeTracked is the type of the messages that Cluster.Send makes.
const TypeTracked = 0xA57E

// account is what is known of a flow. Where its messages arrive does not matter to it:
// those of pairs that may begin anew are tainted.
type account struct {
	Flow
	promise.Delivery
	broken []promise.Breach
}

// ledger knows of all tracked messages what was sent and what arrived.
type ledger struct {
	byFlow map[Flow]*account
	order  []*account
	broken []string // payloads that were wrong
	// tainted holds pairs of nodes whose sessions were ended by force: what was
	// under way between them may be lost, or come again.
	tainted map[[2]int]bool
	fell    map[int]bool // the same with whomever: nodes that have been down
	note    []byte       // scratch
}

func (l *ledger) init() {
	l.byFlow, l.tainted, l.fell = map[Flow]*account{}, map[[2]int]bool{}, map[int]bool{}
}

// trackedLen is the front of a tracked message: from, to, life, conn, priority,
// number, checksum of Data.
const trackedLen = 4 + 4 + 4 + 8 + 1 + 8 + 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// pattern is where the data of tracked messages is cut from.
var pattern = func() []byte {
	b := make([]byte, 1<<20)
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], rnd.Uint64())
	}
	return b
}()

// trackedData is the data of one message: read only.
func trackedData(size int, num uint64, from int) []byte {
	if size > len(pattern)/2 {
		b := make([]byte, size)
		for n := 0; n < size; n += copy(b[n:], pattern[num%7:]) {
		}
		return b
	}
	off := (num*7919 + uint64(from)*104729) % uint64(len(pattern)/2)
	return pattern[off : off+uint64(size) : off+uint64(size)]
}

// Send sends a tracked message of size bytes from one node to another, with that
// priority (0: the default). An error is that of ConnectTo or Connection.Send.
func (c *Cluster) Send(from, to, size int, priority uint8) error {
	conn, err := c.Nodes[from].ConnectTo(c.Nodes[to].Name().Type, c.Nodes[to].Addrs())
	if err != nil {
		return err
	}
	return c.SendOn(conn, from, to, size, priority)
}

// SendOn is Send on a connection of the sender's that leads to that node: for
// servers, which answer on the connections of their clients.
func (c *Cluster) SendOn(conn msg.Connection, from, to, size int, priority uint8) error {
	if priority == 0 {
		priority = msg.PriorityDefault
	}
	n := c.Nodes[from]
	f := Flow{From: from, To: to, Life: n.life, Conn: conn.ID(), Priority: priority}
	a := c.ledger.byFlow[f]
	if a == nil {
		a = &account{Flow: f}
		c.ledger.byFlow[f] = a
		c.ledger.order = append(c.ledger.order, a)
	}
	num := a.Send()
	data := trackedData(size, num, from)
	front := f.appendTracked(make([]byte, 0, trackedLen), num, crc32.Checksum(data, castagnoli))
	m := &msg.Message{Type: TypeTracked, Priority: priority, TID: num, Front: front, Data: data}
	m.Notify = &ending{n: n, a: a, num: num, size: size}
	n.add(RecSent, conn, Record{Flow: f, Num: num, Size: size}) // before: its end may come at once
	if err := conn.Send(m); err != nil {
		a.Unsend()
		n.unsent()
		return err
	}
	return nil
}

// ending is told of the end of one sending (msg.Notifier).
type ending struct {
	n    *Node
	a    *account
	num  uint64
	size int
}

// MessageSent implements msg.Notifier.
func (e *ending) MessageSent(conn msg.Connection, _ *msg.Message, err error) {
	a := e.a
	for _, b := range a.End(e.num, err) {
		l := &e.n.Cluster.ledger
		l.broken = append(l.broken, fmt.Sprintf("%v: %s", a.Flow, b.What))
	}
	e.n.add(RecEnded, conn, Record{Flow: a.Flow, Num: e.num, Size: e.size, Err: err})
}

func (f Flow) appendTracked(b []byte, num uint64, sum uint32) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, uint32(f.From))
	b = le.AppendUint32(b, uint32(f.To))
	b = le.AppendUint32(b, f.Life)
	b = le.AppendUint64(b, f.Conn)
	b = append(b, f.Priority)
	b = le.AppendUint64(b, num)
	return le.AppendUint32(b, sum)
}

// parseTracked reads what appendTracked wrote.
func parseTracked(b []byte) (f Flow, num uint64) {
	le := binary.LittleEndian
	return Flow{
		From: int(le.Uint32(b)), To: int(le.Uint32(b[4:])), Life: le.Uint32(b[8:]),
		Conn: le.Uint64(b[12:]), Priority: b[20],
	}, le.Uint64(b[21:])
}

// arrived enters a tracked message.
func (c *Cluster) arrived(n *Node, m *msg.Message) {
	l := &c.ledger
	if len(m.Front) != trackedLen {
		l.broken = append(l.broken, fmt.Sprintf("front of %d bytes at %v", len(m.Front), n.Name()))
		return
	}
	f, num := parseTracked(m.Front)
	c.noteArrival(n, f, num)
	a := l.byFlow[f]
	switch {
	case a == nil || num == 0 || num > a.Sent:
		l.broken = append(l.broken, fmt.Sprintf("%v: number %d was not sent", f, num))
		return
	case f.To != n.Index:
		l.broken = append(l.broken, fmt.Sprintf("%v: arrived at node %d", f, n.Index))
	case m.TID != num || m.Version != 0 || m.Compat != 0 || m.DataOff != 0 || len(m.Middle) != 0:
		l.broken = append(l.broken, fmt.Sprintf("%v: number %d arrived with another header", f, num))
	case m.Priority != f.Priority || crc32.Checksum(m.Data, castagnoli) != binary.LittleEndian.Uint32(m.Front[29:]):
		l.broken = append(l.broken, fmt.Sprintf("%v: number %d arrived with other contents", f, num))
	}
	a.broken = append(a.broken, a.Arrive(num, promise.Receiver{})...)
	if c.History != nil {
		r := Record{Flow: f, Num: num, Size: len(m.Data), Seq: m.Seq(), ReceivedAt: m.ReceivedAt()}
		if n.Limit > 0 {
			r.Held, r.Limit = n.Stats().DispatchBytes, n.Limit
		}
		n.add(RecDelivered, m.Connection(), r)
	}
}

// noteArrival puts a delivery into the trace.
func (c *Cluster) noteArrival(n *Node, f Flow, num uint64) {
	b := append(c.ledger.note[:0], "node "...)
	b = strconv.AppendInt(b, int64(n.Index), 10)
	b = append(b, " got "...)
	b = strconv.AppendUint(b, num, 10)
	for _, x := range [...]uint64{uint64(f.From), uint64(f.Life), f.Conn, uint64(f.Priority)} {
		b = append(b, " of "...)
		b = strconv.AppendUint(b, x, 10)
	}
	c.ledger.note = b
	c.Net.NoteBytes(b)
}

// taint takes the promise from two nodes.
func (c *Cluster) taint(a, b int) {
	pair := [2]int{min(a, b), max(a, b)}
	c.ledger.tainted[pair] = true
	if c.History != nil {
		c.History.Tainted[pair] = true
	}
}

// taintAll takes the promise from a node and all others.
func (c *Cluster) taintAll(i int) {
	c.ledger.fell[i] = true
	if c.History != nil {
		for j := range c.Nodes {
			c.History.Tainted[[2]int{min(i, j), max(i, j)}] = true
		}
	}
}

func (l *ledger) isTainted(f Flow) bool {
	return l.fell[f.From] || l.fell[f.To] || l.tainted[[2]int{min(f.From, f.To), max(f.From, f.To)}]
}

// Complete says whether every tracked message has arrived and its sender been
// told. Messages between two nodes of which one crashed, or marked the other one's
// connection down, do not count.
func (c *Cluster) Complete() bool {
	for _, a := range c.ledger.order {
		if (a.Arrived < a.Sent || a.Ended < a.Sent) && !c.ledger.isTainted(a.Flow) {
			return false
		}
	}
	return true
}

// Tracked is how many tracked messages were accepted, and how many have arrived.
func (c *Cluster) Tracked() (sent, arrived int) {
	for _, a := range c.ledger.order {
		sent += int(a.Sent)
		arrived += int(a.Arrived)
	}
	return sent, arrived
}

// missing lists flows that are not complete.
func (l *ledger) missing(most int) string {
	var b strings.Builder
	for _, a := range l.order {
		if a.Arrived == a.Sent && a.Ended == a.Sent {
			continue
		}
		if most--; most < 0 {
			b.WriteString("...\n")
			break
		}
		fmt.Fprintf(&b, "%v: sent %d, arrived %d, ended %d, %d of them well; last error: %v\n",
			a.Flow, a.Sent, a.Arrived, a.Ended, a.Ended-a.Failed, a.Failure)
	}
	return b.String()
}
