package msg

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// Priorities (docs/PROTOCOL.md 1.6). At 64 and above the order is strict; below, a
// token bucket shares the dispatcher (spec 4.3). 0 means the messenger's
// default send priority.
const (
	PriorityLow     = 64
	PriorityDefault = 127
	PriorityHigh    = 196
	PriorityHighest = 255
)

// Some message types (docs/PROTOCOL.md 1.7). A system of its own may use any number;
// docs/TYPES.md has who uses which.
const (
	TypePing               = 2
	TypeMonMap             = 4
	TypeMonGetMap          = 5
	TypeMonSubscribe       = 15
	TypeMonSubscribeAck    = 16
	TypeMonGetVersion      = 19
	TypeMonGetVersionReply = 20
	TypeMonCommand         = 50
	TypeMonCommandAck      = 51
	TypeConfig             = 62
	TypeCommand            = 97
	TypeCommandReply       = 98
)

// Message is one message: a small header and three payload segments. The zero
// value with a Type is a valid message to send.
//
// Do not call Release unless a profile asks for it: the garbage collector takes messages
// that are not released, and a message that is released too early is overwritten by the
// next one while its payload is still being read.
//
// A message to send is built by its sender, who does not touch it or its slices
// after Send until its end (see Notify). It is sent over one connection at a time:
// a second Send before the end of the first answers ErrInUse. A received message
// belongs to the dispatcher that handled it; it stays valid for as long as it is
// referenced, unless Release is called.
type Message struct {
	// Type says how to read the payload.
	Type uint16
	// Priority, 0..255; see the constants. A message overtakes those of a lower one that
	// wait, not the one that has begun to be sent: see Data.
	Priority uint8
	// Version of the payload's encoding, and Compat, the oldest decoder that can
	// read it; Compat 0 is sent as Version (spec 1.6).
	Version, Compat uint16
	// TID is the application's transaction id, to match replies with requests.
	TID uint64
	// DataOff is a page offset hint for Data; the messenger only carries it.
	DataOff uint16
	// Front, Middle and Data are the segments; each may be empty. Front and
	// Middle are bounded by 16 MiB, Data by 64 MiB unless configured otherwise.
	//
	// Where something urgent may have to get past, send large things in pieces: a message
	// is sent in one piece, and what is urgent waits for the rest of the one that has begun.
	// At 1 Gb/s that is up to 0.5 ms if it is of 64 KiB, 10 ms if it is of 1 MiB and 700 ms
	// if it is of 64 MiB; at 100 Mb/s ten times as long. What is not overtaken besides is
	// what the network takes at a time (Config.WriteBatch, Config.Socket.UnsentMax): 2 ms,
	// or a little more, where the network is slower than this side; and what is on its way,
	// in the queues of the network, which is the kernel's affair. So pieces of less than
	// what the network carries in 2 ms gain little. Each piece is a message of its own; what
	// belongs together arrives in order if it has one priority.
	Front, Middle, Data []byte

	// TraceContext says which trace the message is part of: W3C's traceparent, say, in up to
	// TraceContextMax bytes; more is refused with ErrTooLarge. It is carried to peers with whom
	// FeatureTraceContext was negotiated (Connection.Features) when the message is encoded, and to
	// others the message goes without it, byte for byte as if it were empty. A received
	// message has the sender's, and keeps it when it is sent on. It is not in PayloadLen.
	TraceContext string

	// Deadline, if set, is until when the message is worth sending: if it still waits
	// in the send queue then, it is dropped and reported undeliverable with
	// ErrDeadline. Once its first byte is encoded it is sent, whatever the time. The
	// clock is the messenger's (Config.Clock). Not carried on the wire.
	Deadline time.Time

	// Notify, if set, is told once how the sending ended. It runs on the
	// connection's worker or on the goroutine that closed the connection, and
	// must not block. Not carried on the wire.
	Notify Notifier

	conn        Connection
	receipt     Receipt
	seq         uint64
	recvAt      time.Duration
	expires     time.Duration // Deadline in the stack's time; 0: never
	charge      int64
	sum         uint64        // of the payload, while it is checked: see CheckPayloads
	state       uint32        // atomic; see sending.go
	gen         uint32        // of Flush: see connection's account
	sentAt      time.Duration // when Send took it, if it is a sample; 0: it is none
	buf         *buffer
	shared      *Shared // it is a copy of, for one connection; nil: a message of its own
	small       []byte  // a pooled message's own room for small payloads
	pooled      bool    // the struct came from messagePool
	autoRelease bool    // Release when the sending has ended
	held        bool
	released    bool
}

// TraceContextMax is how many bytes Message.TraceContext has at most.
const TraceContextMax = 255

// Notifier is told how the sending of a message ended.
type Notifier interface {
	// MessageSent is called once per accepted Send. err is nil when the message
	// was acknowledged by the peer (lossless session), written to the network
	// (lossy) or handed to the dispatch queue (loopback); otherwise it is the
	// reason why it was not, or possibly not, delivered. c is the connection.
	MessageSent(c Connection, m *Message, err error)
}

// NotifyFunc makes a function a Notifier.
type NotifyFunc func(c Connection, m *Message, err error)

// MessageSent calls f.
func (f NotifyFunc) MessageSent(c Connection, m *Message, err error) { f(c, m, err) }

// Receipt takes back what a received message holds of the throttles.
// Implemented by the messenger; any goroutine may call it.
//
// Implementation: not for users of the library; may change in any release.
type Receipt interface {
	// DispatchDone: the dispatcher returned, or the message was discarded.
	// Everything that was charged for the message is given back.
	DispatchDone(size int64)
	// Hold charges the connection's and the policy's throttles once more, without
	// waiting, and Unhold gives that back.
	Hold(size int64)
	Unhold(size int64)
}

// Connection is where the message came from, or nil for one that was not received.
func (m *Message) Connection() Connection { return m.conn }

// Source is the name of the peer that sent it, or the zero Name.
func (m *Message) Source() entity.Name {
	if m.conn == nil {
		return entity.Name{}
	}
	return m.conn.PeerName()
}

// Seq is the sequence number in its session, 0 for loopback and unsent messages.
func (m *Message) Seq() uint64 { return m.seq }

// ReceivedAt is the stack's monotonic time of complete reception.
func (m *Message) ReceivedAt() time.Duration { return m.recvAt }

// PayloadLen is the number of bytes in the three segments, the size that
// throttles and queue bounds count.
func (m *Message) PayloadLen() int { return len(m.Front) + len(m.Middle) + len(m.Data) }

// Hold keeps a received message's share of its connection's and the policy's throttles beyond the
// return of Dispatch, until Release. It is for dispatchers that hand the message
// to another goroutine and want back-pressure to count it. Call it in Dispatch.
func (m *Message) Hold() {
	if !m.held && m.receipt != nil {
		m.held = true
		m.receipt.Hold(m.charge)
	}
}

// Release gives the buffers back to the messenger's pools (and, after Hold, the
// throttles). It is optional: without it the garbage collector takes the
// buffers. After Release neither the message nor any slice of it may be touched.
// Releasing twice panics where it can be seen, and so does releasing a message that
// was handed to Send and has not had its end: until then the message is the messenger's.
func (m *Message) Release() {
	if m.letGo() {
		messagePool.Put(m)
	}
}

// letGo gives back what m holds and says whether m itself can be used again.
func (m *Message) letGo() (reusable bool) {
	if m.released {
		panic("msg: Message released twice")
	}
	if st := atomic.LoadUint32(&m.state); st != stateFree {
		panic(fmt.Sprintf("msg: Message of type %d released while it is being sent", m.Type))
	}
	if m.held {
		m.receipt.Unhold(m.charge)
	}
	if b := m.buf; b != nil {
		b.free()
	}
	if !m.pooled {
		m.buf, m.held, m.released = nil, false, true
		return false
	}
	if PoisonBuffers {
		poison(m.small)
	}
	*m = Message{released: true, small: m.small}
	return true
}

// ReleaseAfterSend has the messenger Release the message when its sending has
// ended. With it, a received message can be sent back or on without a copy. It
// is the default for messages made by New.
func (m *Message) ReleaseAfterSend() { m.autoRelease = true }

// pooledMessage is a message with room for a small payload behind it, so that
// receiving one is at most one allocation.
type pooledMessage struct {
	Message
	room [smallMax]byte
}

// smallMax is the payload up to which a pooled message needs no Buffer.
const smallMax = 128

var messagePool = sync.Pool{New: func() any {
	p := new(pooledMessage)
	p.small = p.room[:]
	return &p.Message
}}

func fromPool() *Message {
	m := messagePool.Get().(*Message)
	m.pooled, m.released = true, false
	return m
}

// reserve returns n bytes that belong to the message until its Release, for its
// segments. Their content is arbitrary. It is called at most once.
func (m *Message) reserve(n int) []byte {
	switch {
	case n == 0:
		return nil
	case n <= len(m.small):
		return m.small[:n:n]
	}
	m.buf = newBuffer(n)
	return m.buf.bytes()
}

// New returns a pooled message whose Front has the given length, in a pooled
// buffer (its content is arbitrary). The messenger takes both back when the
// sending has ended, so that sending allocates nothing; the sender must not
// touch it after Send. A message that was not sent may be given back with
// Release.
func New(typ uint16, frontLen int) *Message {
	m := fromPool()
	m.Type, m.autoRelease = typ, true
	m.Front = m.reserve(frontLen)
	return m
}
