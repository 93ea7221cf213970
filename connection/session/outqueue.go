package session

import (
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// sending is one message on its way out.
type sending struct {
	m   *msg.Message
	seq uint64 // 0: not yet assigned
	end uint64 // position in the transport's stream after its last byte; 0: not yet encoded on this transport
}

// fifoKept is the capacity up to which an empty fifo keeps its memory: enough for
// a connection with a few hundred messages in flight not to allocate.
const fifoKept = 512

// fifo is a queue of sendings that keeps little memory when empty.
type fifo struct {
	items []sending
	head  int
}

func (f *fifo) len() int          { return len(f.items) - f.head }
func (f *fifo) push(x sending)    { f.items = append(f.items, x) }
func (f *fifo) at(i int) *sending { return &f.items[f.head+i] }

func (f *fifo) pop() sending {
	x := f.items[f.head]
	f.items[f.head] = sending{}
	f.head++
	switch {
	case f.head == len(f.items):
		if cap(f.items) > fifoKept {
			f.items = nil
		}
		f.items, f.head = f.items[:0], 0
	case f.head > 1024 && f.head > len(f.items)/2:
		n := copy(f.items, f.items[f.head:])
		clear(f.items[n:])
		f.items, f.head = f.items[:n], 0
	}
	return x
}

// outQueue holds what was not yet encoded, highest priority first, FIFO within
// one priority (spec 3.2). Few priorities are in use at a time.
type outQueue struct {
	levels []level // descending priority, none empty
	n      int
}

type level struct {
	prio uint8
	q    fifo
}

func (o *outQueue) push(m *msg.Message) {
	o.n++
	if len(o.levels) == 0 && cap(o.levels) > 0 {
		// The level that pop left behind, with its memory.
		o.levels = o.levels[:1]
		o.levels[0].prio = m.Priority
		o.levels[0].q.push(sending{m: m})
		return
	}
	i := 0
	for ; i < len(o.levels); i++ {
		if o.levels[i].prio == m.Priority {
			o.levels[i].q.push(sending{m: m})
			return
		}
		if o.levels[i].prio < m.Priority {
			break
		}
	}
	o.levels = append(o.levels, level{})
	copy(o.levels[i+1:], o.levels[i:])
	o.levels[i] = level{prio: m.Priority}
	o.levels[i].q.push(sending{m: m})
}

// pop returns the next message; the queue must not be empty.
func (o *outQueue) pop() *msg.Message {
	x := o.levels[0].q.pop()
	o.n--
	if o.levels[0].q.len() > 0 {
		return x.m
	}
	if n := len(o.levels); n > 1 {
		copy(o.levels, o.levels[1:])
		o.levels[n-1] = level{}
		o.levels = o.levels[:n-1]
	} else {
		o.levels = o.levels[:0]
	}
	return x.m
}

// sweep takes out what was cancelled or has expired, and hands it to gone with the
// reason. It returns when the first of the others expires, 0 for never.
func (o *outQueue) sweep(now time.Duration, gone func(m *msg.Message, why error)) (soonest time.Duration) {
	all := *o
	*o = outQueue{}
	for all.n > 0 {
		m := all.pop()
		switch {
		case expired(m, now):
			gone(m, begin(m, now))
		case msg.Cancelled(m):
			gone(m, msg.ErrCancelled)
		default:
			o.push(m)
			if at := msg.Expiry(m); at != 0 && (soonest == 0 || at < soonest) {
				soonest = at
			}
		}
	}
	return soonest
}

func expired(m *msg.Message, now time.Duration) bool {
	at := msg.Expiry(m)
	return at != 0 && now >= at
}

// begin takes m, which is not in the queue any more, for being sent, or says why it is
// not to be sent.
func begin(m *msg.Message, now time.Duration) error {
	switch late := expired(m, now); {
	case !msg.Begin(m):
		return msg.ErrCancelled
	case late:
		return msg.ErrDeadline
	}
	return nil
}
