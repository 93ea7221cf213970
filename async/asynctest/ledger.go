package asynctest

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// TypeTracked is the type of the messages that Cluster.Send makes.
const TypeTracked = 0xA57E

// flow is what keeps its order: messages of one priority, from one Connection
// object of the sender to one node.
type flow struct {
	from, to int
	life     uint32 // of the sender
	conn     uint64 // the sender's
	priority uint8
}

func (f flow) String() string {
	return fmt.Sprintf("node %d.%d conn %d to node %d priority %d", f.from, f.life, f.conn, f.to, f.priority)
}

// account is what is known of a flow.
type account struct {
	flow
	sent  uint64   // accepted by Send, numbered from 1
	ended uint64   // told by Notify
	fine  uint64   // of them without an error
	err   error    // the last one
	got   []uint64 // in the order of dispatch
}

// ledger knows of all tracked messages what was sent and what arrived.
type ledger struct {
	byFlow map[flow]*account
	order  []*account
	broken []string // payloads that were wrong
	// tainted holds pairs of nodes whose sessions were ended by force: what was
	// under way between them may be lost, or come again.
	tainted map[[2]int]bool
}

func (l *ledger) init() {
	l.byFlow, l.tainted = map[flow]*account{}, map[[2]int]bool{}
}

// trackedLen is the front of a tracked message: from, to, life, conn, priority,
// number, checksum of Data.
const trackedLen = 4 + 4 + 4 + 8 + 1 + 8 + 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

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
	f := flow{from: from, to: to, life: c.Nodes[from].life, conn: conn.ID(), priority: priority}
	a := c.ledger.byFlow[f]
	if a == nil {
		a = &account{flow: f}
		c.ledger.byFlow[f] = a
		c.ledger.order = append(c.ledger.order, a)
	}
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(uint64(i)*31 + a.sent*7 + uint64(from))
	}
	le := binary.LittleEndian
	front := make([]byte, 0, trackedLen)
	front = le.AppendUint32(front, uint32(from))
	front = le.AppendUint32(front, uint32(to))
	front = le.AppendUint32(front, f.life)
	front = le.AppendUint64(front, f.conn)
	front = append(front, priority)
	front = le.AppendUint64(front, a.sent+1)
	front = le.AppendUint32(front, crc32.Checksum(data, castagnoli))
	m := &msg.Message{Type: TypeTracked, Priority: priority, TID: a.sent + 1, Front: front, Data: data}
	ended := false
	m.Notify = msg.NotifyFunc(func(_ msg.Connection, _ *msg.Message, err error) {
		if ended {
			c.ledger.broken = append(c.ledger.broken, fmt.Sprintf("%v: a message ended twice", f))
		}
		ended = true
		a.ended++
		if err == nil {
			a.fine++
		} else {
			a.err = err
		}
	})
	a.sent++
	if err := conn.Send(m); err != nil {
		a.sent--
		return err
	}
	return nil
}

// arrived enters a tracked message.
func (c *Cluster) arrived(n *Node, m *msg.Message) {
	l := &c.ledger
	if len(m.Front) != trackedLen {
		l.broken = append(l.broken, fmt.Sprintf("front of %d bytes at %v", len(m.Front), n.Name()))
		return
	}
	le := binary.LittleEndian
	b := m.Front
	f := flow{
		from: int(le.Uint32(b)), to: int(le.Uint32(b[4:])), life: le.Uint32(b[8:]), conn: le.Uint64(b[12:]), priority: b[20],
	}
	num := le.Uint64(b[21:])
	c.Net.Note(fmt.Sprintf("%v got %d of %v", n.Name(), num, f))
	a := l.byFlow[f]
	switch {
	case a == nil || num == 0 || num > a.sent:
		l.broken = append(l.broken, fmt.Sprintf("%v: number %d was never sent", f, num))
		return
	case f.to != n.Index:
		l.broken = append(l.broken, fmt.Sprintf("%v: arrived at node %d", f, n.Index))
	case m.Priority != f.priority || crc32.Checksum(m.Data, castagnoli) != le.Uint32(b[29:]):
		l.broken = append(l.broken, fmt.Sprintf("%v: number %d arrived with other contents", f, num))
	}
	a.got = append(a.got, num)
}

// taint takes the promise from two nodes.
func (l *ledger) taint(a, b int) { l.tainted[[2]int{min(a, b), max(a, b)}] = true }

func (l *ledger) isTainted(f flow) bool {
	return l.tainted[[2]int{min(f.from, f.to), max(f.from, f.to)}]
}

// Complete says whether every tracked message has arrived and its sender been
// told. Messages between two nodes of which one crashed, or marked the other one's
// connection down, do not count.
func (c *Cluster) Complete() bool {
	for _, a := range c.ledger.order {
		if c.ledger.isTainted(a.flow) {
			continue
		}
		if uint64(len(a.got)) < a.sent || a.ended < a.sent {
			return false
		}
	}
	return true
}

// Tracked is how many tracked messages were accepted, and how many have arrived.
func (c *Cluster) Tracked() (sent, arrived int) {
	for _, a := range c.ledger.order {
		sent += int(a.sent)
		arrived += len(a.got)
	}
	return sent, arrived
}

// missing lists flows that are not complete.
func (l *ledger) missing(most int) string {
	var b strings.Builder
	for _, a := range l.order {
		if uint64(len(a.got)) == a.sent && a.ended == a.sent {
			continue
		}
		if most--; most < 0 {
			b.WriteString("...\n")
			break
		}
		fmt.Fprintf(&b, "%v: sent %d, arrived %d, ended %d, %d of them well; last error: %v\n", a.flow, a.sent, len(a.got), a.ended, a.fine, a.err)
	}
	return b.String()
}
