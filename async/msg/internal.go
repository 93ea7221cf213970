package msg

import (
	"sync/atomic"
	"time"
)

// The functions of this file are for the messenger's own packages.

// Incoming holds what the messenger knows of a received message.
//
// Implementation: not for users of the library; may change in any release.
type Incoming struct {
	Conn    Connection
	Receipt Receipt
	Seq     uint64
	At      time.Duration
	// Charge is what was taken from the throttles for it, in bytes.
	Charge int64
}

// SetIncoming sets the receive side of a message.
//
// Implementation: not for users of the library; may change in any release.
func SetIncoming(m *Message, in Incoming) {
	m.conn, m.receipt, m.seq, m.recvAt, m.charge = in.Conn, in.Receipt, in.Seq, in.At, in.Charge
}

// Deliverable returns the message that a loopback connection delivers for m: a
// shallow copy, so that the sender's Notify and the receiver's Release do not
// meet; or, if m is to be released after its sending, m itself, without its Notifier. What
// is made of a copy of a Shared has a payload of its own, since that of all is given back
// before the receiver is done with it.
//
// Implementation: not for users of the library; may change in any release.
func Deliverable(m *Message, in Incoming) *Message {
	if m.autoRelease && m.pooled && m.shared == nil {
		// The same object changes sides; the sender has given it away.
		if m.held {
			m.held = false
			m.receipt.Unhold(m.charge)
		}
		m.autoRelease, m.Notify = false, nil
		SetIncoming(m, in)
		return m
	}
	d := fromPool()
	SetIncoming(d, in)
	d.Type, d.Priority, d.Version, d.Compat = m.Type, m.Priority, m.Version, m.Compat
	d.TID, d.DataOff, d.TraceContext = m.TID, m.DataOff, m.TraceContext
	d.Front, d.Middle, d.Data = m.Front, m.Middle, m.Data
	if m.shared != nil {
		room := d.reserve(m.PayloadLen())
		for _, p := range []*[]byte{&d.Front, &d.Middle, &d.Data} {
			n := copy(room, *p)
			*p, room = room[:n:n], room[n:]
		}
	}
	return d
}

// Ticket is what is owed to the throttles for one received message. It is taken
// before user code sees the message, which may release it at any time.
//
// Implementation: not for users of the library; may change in any release.
type Ticket struct {
	receipt Receipt
	charge  int64
}

// ChargeOf is what was taken from the throttles for m, which was received, in bytes.
//
// Implementation: not for users of the library; may change in any release.
func ChargeOf(m *Message) int64 { return m.charge }

// TicketFor returns m's ticket.
//
// Implementation: not for users of the library; may change in any release.
func TicketFor(m *Message) Ticket { return Ticket{m.receipt, m.charge} }

// BatchReceipt is what a Receipt may be in addition: one that takes the ends of several
// dispatches together.
//
// Implementation: not for users of the library; may change in any release.
type BatchReceipt interface {
	// DispatchesDone is DispatchDone of n messages, of size payload bytes together.
	DispatchesDone(n int, size int64)
}

// Tally collects tickets of the messages of one connection, to give them back together.
// One goroutine begins and adds; Take may be called by any, between Begin and the next.
//
// Implementation: not for users of the library; may change in any release.
type Tally struct {
	receipt Receipt
	batch   BatchReceipt
	owed    atomic.Int64 // payload bytes << tallyBits + messages
}

const (
	tallyBits = 8
	// TallyMax is how many tickets a Tally takes until they are given back.
	TallyMax = 1<<tallyBits - 1
)

// Begin makes it one for messages like m; nothing is owed. m is nil: for none.
func (t *Tally) Begin(m *Message) {
	t.receipt, t.batch = nil, nil
	if m != nil {
		t.receipt = m.receipt
		t.batch, _ = m.receipt.(BatchReceipt)
	}
}

// Add takes the ticket, or gives it back at once if it is of another connection.
func (t *Tally) Add(k Ticket) {
	if t.batch == nil || k.receipt != t.receipt {
		k.Done()
		return
	}
	t.owed.Add(k.charge<<tallyBits + 1)
}

// Take returns what was added, for Done; it is not the tally's any more.
func (t *Tally) Take() Tickets { return Tickets{t.batch, t.owed.Swap(0)} }

// Tickets is several tickets together.
//
// Implementation: not for users of the library; may change in any release.
type Tickets struct {
	batch BatchReceipt
	owed  int64
}

// Done gives them back.
func (t Tickets) Done() {
	if t.owed != 0 {
		t.batch.DispatchesDone(int(t.owed&TallyMax), t.owed>>tallyBits)
	}
}

// Done gives the charge back; called exactly once, when dispatch is over or the
// message was discarded.
func (t Ticket) Done() {
	if t.receipt != nil {
		t.receipt.DispatchDone(t.charge)
	}
}

// NotifySent gives m back to its sender and tells the message's Notifier how the
// sending ended. failed is told of a panic in it, which goes no further, and with
// ErrGoexit of a runtime.Goexit, which cannot be stopped.
//
// Implementation: not for users of the library; may change in any release.
func NotifySent(c Connection, m *Message, err error, failed func(recovered any)) {
	GiveBack(m)
	notify(c, m, m.Notify, err, failed)
}

// NotifyDelivered is NotifySent for a message that Deliverable made d of. n was its
// Notifier before; one that does not return keeps nobody from dispatching d.
//
// Implementation: not for users of the library; may change in any release.
func NotifyDelivered(c Connection, m, d *Message, n Notifier, failed func(recovered any)) {
	if m != d {
		GiveBack(m)
	}
	defer GiveBack(d) // who sends it from its Notify sends what is not his
	notify(c, m, n, nil, failed)
}

func notify(c Connection, m *Message, n Notifier, err error, failed func(recovered any)) {
	if n != nil {
		guarded(func() { n.MessageSent(c, Original(m), err) }, failed)
	}
}
