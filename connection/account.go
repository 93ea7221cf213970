package connection

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// SendLimits bound what is held for sending; constant.
type SendLimits struct {
	// MessagesMax and BytesMax bound what one connection holds: queued, and sent but
	// not acknowledged.
	MessagesMax int
	BytesMax    int64
	// HighWater is the number of bytes from which on a connection is under pressure,
	// until it has fallen to half of that; 0: never.
	HighWater int64
	// Total bounds the bytes of all connections together; nil: nothing does.
	Total *SendTotal
}

// TotalFree is what a connection holds without it counting in the total of all
// connections: it would cost every small message a visit to a number that all
// processors share.
const TotalFree = 64 << 10

// SendTotal bounds the bytes that the connections of a messenger hold for sending
// beyond TotalFree each. Any goroutine.
type SendTotal struct {
	max  int64
	held atomic.Int64

	mu   sync.Mutex
	room chan struct{} // closed when something was given back; nil: nobody waits
}

// NewSendTotal returns a total with that bound, in bytes.
func NewSendTotal(limit int64) *SendTotal { return &SendTotal{max: limit} }

// Held is what counts at the moment.
func (t *SendTotal) Held() int64 { return t.held.Load() }

// take takes n; an amount over the bound is let in alone.
func (t *SendTotal) take(n int64) bool {
	for {
		held := t.held.Load()
		if held > 0 && held+n > t.max {
			return false
		}
		if t.held.CompareAndSwap(held, held+n) {
			return true
		}
	}
}

func (t *SendTotal) give(n int64) {
	t.held.Add(-n)
	t.wake()
}

// wake lets those who wait try again.
func (t *SendTotal) wake() {
	t.mu.Lock()
	if t.room != nil {
		close(t.room)
		t.room = nil
	}
	t.mu.Unlock()
}

// wait returns a channel that is closed when something was given back.
func (t *SendTotal) wait() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.room == nil {
		t.room = make(chan struct{})
	}
	return t.room
}

// Account is what one connection holds for sending, from Send to the end of each
// message. Its owner's lock guards it.
type Account struct {
	limits *SendLimits
	n      int
	bytes  int64
	over   int64         // of bytes, what counts in the total
	room   chan struct{} // closed when there is room again; nil: nobody waits
	inLine bool          // somebody waits for room in the total
	gen    uint32        // of the messages that are accepted now
	high   bool          // under pressure
	since  time.Duration // nothing has ended since then, though something is held; 0: it is not known yet

	flushes *flush // under way
}

// flush waits for the messages of its generation and those before.
type flush struct {
	gen  uint32
	left int
	done chan struct{}
	next *flush
}

// Ended are messages whose sending has ended, all of one generation. A message is
// added before it is given back.
type Ended struct {
	gen   uint32
	n     int
	bytes int64
}

// Add adds m. false: e is of another generation, and has to be given back first.
func (e *Ended) Add(m *msg.Message) bool {
	g := msg.Generation(m)
	if e.n > 0 && g != e.gen {
		return false
	}
	e.gen = g
	e.n++
	e.bytes += int64(m.PayloadLen())
	return true
}

// Init sets the limits.
func (a *Account) Init(l *SendLimits) { a.limits = l }

// Held is how many messages are held, and how many bytes of payload.
func (a *Account) Held() (messages int, bytes int64) { return a.n, a.bytes }

// Take makes room for m and returns nil; or an error; or, if wait is set, a channel
// that is closed when there is room, and it is to be tried again. An oversized message
// is let in alone.
func (a *Account) Take(m *msg.Message, wait bool) (room <-chan struct{}, err error) {
	size := int64(m.PayloadLen())
	l := a.limits
	if a.n >= l.MessagesMax || a.n > 0 && a.bytes+size > l.BytesMax {
		if !wait {
			return nil, fmt.Errorf("%w: %d messages, %d bytes (at most %d, %d)",
				msg.ErrQueueFull, a.n, a.bytes, l.MessagesMax, l.BytesMax)
		}
		if a.room == nil {
			a.room = make(chan struct{})
		}
		return a.room, nil
	}
	over := a.overBy(a.bytes + size)
	if over > a.over {
		if wait {
			// Before the try, so that what is given back in between is not missed.
			room = l.Total.wait()
		}
		if !l.Total.take(over - a.over) {
			if wait {
				a.inLine = true
				return room, nil
			}
			return nil, fmt.Errorf("%w: all connections together hold %d bytes (at most %d)",
				msg.ErrQueueFull, l.Total.Held(), l.Total.max)
		}
		a.over = over
	}
	if a.n == 0 {
		a.since = 0
	}
	a.n++
	a.bytes += size
	msg.SetGeneration(m, a.gen)
	return nil, nil
}

// Give takes messages off the account whose sending has ended. It panics if that is
// more than there is.
func (a *Account) Give(e Ended) {
	a.n -= e.n
	a.bytes -= e.bytes
	if a.n < 0 || a.bytes < 0 || a.n == 0 && a.bytes != 0 {
		panic(fmt.Sprintf("connection: %d messages, %d bytes held after %+v was given back", a.n, a.bytes, e))
	}
	if over := a.overBy(a.bytes); over < a.over {
		a.limits.Total.give(a.over - over)
		a.over = over
	}
	for p := &a.flushes; *p != nil; {
		f := *p
		if f.gen >= e.gen {
			f.left -= e.n
		}
		if f.left == 0 {
			close(f.done)
			*p = f.next
		} else {
			p = &f.next
		}
	}
	a.Wake()
}

func (a *Account) overBy(bytes int64) int64 {
	if a.limits.Total == nil {
		return 0
	}
	return max(0, bytes-TotalFree)
}

// GiveOne is Give of one message of that size whose generation is not known: nobody may
// wait by Flush.
func (a *Account) GiveOne(bytes int64) { a.Give(Ended{n: 1, bytes: bytes}) }

// Wake lets those who wait for room try again, for room in the total too: they may
// not need that any more, or the connection is closed.
func (a *Account) Wake() {
	if a.inLine {
		a.inLine = false
		a.limits.Total.wake()
	}
	if a.room != nil {
		close(a.room)
		a.room = nil
	}
}

// Pressure says whether the pressure is high, and whether that has changed since the
// last call.
func (a *Account) Pressure() (high, changed bool) {
	if l := a.limits.HighWater; l > 0 {
		high = a.bytes >= l || a.high && a.bytes > l/2
	}
	changed = high != a.high
	a.high = high
	return high, changed
}

// Flush returns a channel that is closed when everything that is held now has ended;
// nil if nothing is.
func (a *Account) Flush() <-chan struct{} {
	if a.n == 0 {
		return nil
	}
	f := &flush{gen: a.gen, left: a.n, done: make(chan struct{}), next: a.flushes}
	a.gen++
	a.flushes = f
	return f.done
}
