package dispatch

import (
	"fmt"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Kind says what an Item is: a message or one of the connection events.
//
// Implementation: not for users of the library; may change in any release.
type Kind uint8

// The kinds. All but KindMessage are events.
//
// Implementation: not for users of the library; may change in any release.
const (
	KindMessage Kind = iota
	KindConnect
	KindAccept
	KindReset
	KindRemoteReset
	KindRefused
	KindConnectFailed
	KindRejected
	KindHighWater
	KindLowWater
	KindFault

	numKinds
)

var kindNames = [numKinds]string{
	"message", "connect", "accept", "reset", "remote reset", "refused",
	"connect failed", "rejected", "high water", "low water", "fault",
}

// String is the kind's name in logs.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Item is one thing to dispatch. Use MessageItem and EventItem, or fill it in.
//
// Implementation: not for users of the library; may change in any release.
type Item struct {
	// Kind selects the callback.
	Kind Kind
	// Priority orders messages, 0..255; it is ignored for events, which come
	// before all messages.
	Priority uint8
	// Class is the connection's ID, what order and Discard go by; 0 means no
	// connection, is a class of its own and is never discarded by Discard.
	Class uint64
	// Msg is the message (KindMessage only; then it is not nil).
	Msg *msg.Message
	// Conn is the connection; it may be nil for messages of class 0.
	Conn msg.Connection
	// Err is the reason of a reset or a fault, or the error of a refused attempt. It is a
	// *msg.ConnectError with KindConnectFailed, a *msg.RejectedError with KindRejected.
	Err error

	at time.Duration // when it was enqueued
}

// MessageItem is the item of a received message: of its connection's class and
// its own priority.
//
// Implementation: not for users of the library; may change in any release.
func MessageItem(m *msg.Message) Item {
	it := Item{Kind: KindMessage, Priority: m.Priority, Msg: m, Conn: m.Connection()}
	if it.Conn != nil {
		it.Class = it.Conn.ID()
	}
	return it
}

// EventItem is the item of an event of c. err is for the kinds that have one, see
// Item.Err.
//
// Implementation: not for users of the library; may change in any release.
func EventItem(k Kind, c msg.Connection, err error) Item {
	return Item{Kind: k, Class: c.ID(), Conn: c, Err: err}
}

// mustMakeSense panics unless the item's fields fit its kind; i is its place.
func (it *Item) mustMakeSense(i int) {
	ok := it.Kind < numKinds && (it.Kind == KindMessage) == (it.Msg != nil)
	switch it.Kind {
	case KindConnectFailed:
		e, is := it.Err.(*msg.ConnectError)
		ok = ok && is && e != nil
	case KindFault:
		ok = ok && it.Err != nil
	case KindRejected:
		e, is := it.Err.(*msg.RejectedError)
		ok = ok && is && e != nil
	}
	if !ok {
		panic(fmt.Sprintf("dispatch: item %d of class %d is of kind %d, with message: %t, with error %T",
			i, it.Class, it.Kind, it.Msg != nil, it.Err))
	}
}

// EnqueuedAt is when the item was enqueued, by the queue's clock.
func (it *Item) EnqueuedAt() time.Duration { return it.at }
