package demo

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest/promise"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Oracle keeps account of what was sent and received, and of every promise that
// was not kept. Its methods may be called by any goroutine.
type Oracle struct {
	lost, duplicated, failures atomic.Uint64

	mu      sync.Mutex
	streams map[streamKey]*Stream
	first   []string // of the failures
}

// failuresKept is how many failures are told in words.
const failuresKept = 10

// NewOracle returns an oracle that has seen nothing.
func NewOracle() *Oracle { return &Oracle{streams: map[streamKey]*Stream{}} }

type streamKey struct {
	from, to, channel string
	epoch             uint64
}

// Stream is what one messenger sends to another one in one session: a numbered
// sequence for each priority.
type Stream struct {
	o     *Oracle
	key   streamKey
	lossy atomic.Bool  // a tail may be missing: by its policy, or because one end was killed
	conn  atomic.Value // the receiver's connHolder
	lanes [3]lane
}

// lane is the flow of one priority, from the numbers to the dispatcher.
type lane struct {
	mu sync.Mutex
	promise.Delivery
}

type connHolder struct{ c msg.Connection }

func laneOf(prio uint8) int {
	switch prio {
	case prioHeartbeat:
		return 0
	case prioNormal:
		return 1
	case prioRecovery:
		return 2
	}
	panic(fmt.Sprintf("demo: message with priority %d", prio))
}

// Stream returns the stream from one messenger to another; sender and receiver
// get the same one. epoch tells the sessions of lossy pairs apart, which begin
// at 1 each.
func (o *Oracle) Stream(from, to, channel string, epoch uint64, lossy bool) *Stream {
	k := streamKey{from, to, channel, epoch}
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.streams[k]
	if s == nil {
		s = &Stream{o: o, key: k}
		s.lossy.Store(lossy)
		o.streams[k] = s
	}
	return s
}

func (s *Stream) String() string {
	e := ""
	if s.lossy.Load() {
		e = fmt.Sprintf(" session %d", s.key.epoch)
	}
	return fmt.Sprintf("%s -> %s %s%s", s.key.from, s.key.to, s.key.channel, e)
}

// Failed counts a promise that was not kept.
func (o *Oracle) Failed(format string, args ...any) {
	o.failures.Add(1)
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.first) < failuresKept {
		o.first = append(o.first, fmt.Sprintf(format, args...))
	}
}

// Lost counts n messages or objects as lost.
func (o *Oracle) Lost(n uint64, format string, args ...any) {
	o.lost.Add(n)
	o.Failed("lost: "+format, args...)
}

// Received checks number seq of a priority, as it arrives at the dispatcher by
// way of c.
func (s *Stream) Received(c msg.Connection, prio uint8, seq uint64) {
	if !s.conn.CompareAndSwap(nil, connHolder{c}) {
		if was := s.conn.Load().(connHolder); was.c != c {
			s.o.Failed("%s: arrives by another Connection: %v, was %v", s, c, was.c)
		}
	}
	l := &s.lanes[laneOf(prio)]
	l.mu.Lock()
	defer l.mu.Unlock()
	holes, repeated := l.Holes(), l.Repeated
	broken, what := l.Arrive(seq, promise.Receiver{}), "delivery"
	if l.Repeated > repeated {
		s.o.duplicated.Add(1)
		what = "duplicate"
	}
	for _, b := range broken {
		s.o.Failed("%s: %s priority %d: %v", what, s, prio, b)
	}
	if n := l.Holes(); n > holes {
		s.o.Lost(n-holes, "%s priority %d: before %d", s, prio, seq)
	}
}

// Missing is how many messages of lossless streams were sent and did not arrive
// until now, and how many of lossy ones.
func (o *Oracle) Missing() (lossless, lossy uint64) {
	o.each(func(s *Stream, _ int, d *promise.Delivery) {
		if s.lossy.Load() {
			lossy += d.Missing()
		} else {
			lossless += d.Missing()
		}
	})
	return lossless, lossy
}

// Close counts what is still missing on lossless streams as lost.
func (o *Oracle) Close() {
	o.each(func(s *Stream, i int, d *promise.Delivery) {
		if n := d.Missing() - d.Holes(); n > 0 && !s.lossy.Load() { // holes are counted already
			o.Lost(n, "%s lane %d: sent %d, received %d", s, i, d.Sent, d.Arrived)
		}
	})
}

// Killed says that one end of the streams of a client's life is gone: what is missing at their end
// is not lost.
func (o *Oracle) Killed(client string, epoch uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for k, s := range o.streams {
		if (k.from == client || k.to == client) && k.epoch == epoch {
			s.lossy.Store(true)
		}
	}
}

// each calls f for every lane, with its lock.
func (o *Oracle) each(f func(s *Stream, lane int, d *promise.Delivery)) {
	o.mu.Lock()
	streams := slices.Collect(maps.Values(o.streams))
	o.mu.Unlock()
	for _, s := range streams {
		for i := range s.lanes {
			l := &s.lanes[i]
			l.mu.Lock()
			f(s, i, &l.Delivery)
			l.mu.Unlock()
		}
	}
}

// Failures returns how many promises were broken and the first of them in words.
func (o *Oracle) Failures() (uint64, []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failures.Load(), append([]string(nil), o.first...)
}

// link is the sending side of a stream: a connection and its numbers.
type link struct {
	mu   sync.Mutex
	conn msg.Connection
	out  *Stream
}

// send numbers m and sends it. On an error m was not sent and is the caller's.
func (l *link) send(m *msg.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	lane := &l.out.lanes[laneOf(m.Priority)]
	lane.mu.Lock()
	n := lane.Send() // before the receiver can have it
	lane.mu.Unlock()
	setSeq(m, n)
	setEpoch(m, l.out.key.epoch)
	err := l.conn.Send(m)
	if err != nil {
		lane.mu.Lock()
		lane.Unsend()
		lane.mu.Unlock()
	}
	return err
}

// peer is a session as its receiver sees it, the value of the Connection.
type peer struct {
	in   *Stream
	back *link // to the sender
}
