package msg

import "time"

// The functions of this file are for the messenger's own packages.

// Incoming holds what the messenger knows of a received message.
type Incoming struct {
	Conn    Connection
	Receipt Receipt
	Seq     uint64
	At      time.Duration
	// Charge is what was taken from the throttles for it, in bytes.
	Charge int64
	// Buf backs the segments and is freed by Release; nil leaves them to the
	// garbage collector.
	Buf *Buffer
}

// NewIncoming returns a pooled message with its receive side set; the caller
// fills in header and segments.
func NewIncoming(in Incoming) *Message {
	m := messagePool.Get().(*Message)
	*m = Message{conn: in.Conn, receipt: in.Receipt, seq: in.Seq, recvAt: in.At, charge: in.Charge, buf: in.Buf, pooled: true}
	return m
}

// Deliverable returns the message that a loopback connection delivers for m: a
// shallow copy, so that the sender's Notify and the receiver's Release do not
// meet. Whoever delivers it passes on m's buffers: for a message made by New
// they move to the copy.
func Deliverable(m *Message, in Incoming) *Message {
	d := NewIncoming(in)
	d.Type, d.Priority, d.Version, d.Compat = m.Type, m.Priority, m.Version, m.Compat
	d.TID, d.DataOff = m.TID, m.DataOff
	d.Front, d.Middle, d.Data = m.Front, m.Middle, m.Data
	if m.autoRelease {
		d.buf, m.buf = m.buf, nil
	}
	return d
}

// SetReceipt sets what is told when the dispatch of m is over, and the size it
// was charged with.
func SetReceipt(m *Message, r Receipt, charge int64) { m.receipt, m.charge = r, charge }

// Ticket is what is owed to the throttles for one received message. It is taken
// before user code sees the message, which may release it at any time.
type Ticket struct {
	receipt Receipt
	charge  int64
}

// TicketFor returns m's ticket.
func TicketFor(m *Message) Ticket { return Ticket{m.receipt, m.charge} }

// Done gives the charge back; called exactly once, when dispatch is over or the
// message was discarded.
func (t Ticket) Done() {
	if t.receipt != nil {
		t.receipt.DispatchDone(t.charge)
	}
}

// NotifySent tells the message's Notifier how the sending ended. A panic of it
// is returned, not propagated.
func NotifySent(c Connection, m *Message, err error) (panicked any) {
	if m.Notify == nil {
		return nil
	}
	defer func() { panicked = recover() }()
	m.Notify.MessageSent(c, m, err)
	return nil
}

// Sent is the very end of a sending: the message is released if that was asked
// for, and must not be used by the messenger any more.
func Sent(m *Message) {
	if m.autoRelease {
		m.Release()
	}
}
