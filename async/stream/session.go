package stream

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// session is the table of the streams of one connection. Its mutex is a leaf: it may be
// taken with that of a stream held, not the other way round.
type session struct {
	x      *Mux
	conn   msg.Connection
	worker eventloop.Worker // for timers, not that of conn
	timer  eventloop.Timer  // of retry, the worker's

	mu       sync.Mutex
	over     error // why the connection is gone; nil: it is not
	streams  map[streamKey]*Conn
	promised int64          // bytes of windows
	late     []*Conn        // owe the peer something that found no room in the send queue
	answers  []*msg.Message // the same of no stream; at most answersMax
	retrying bool
}

const (
	// answersMax bounds the refusals that wait for room in the send queue; further ones
	// are dropped and counted (Stats.AnswersDropped).
	answersMax = 1024
	// retryEvery is how often what found no room is tried again.
	retryEvery = 5 * time.Millisecond
)

func newSession(x *Mux, c msg.Connection) *session {
	stack := x.m.Stack()
	s := &session{x: x, conn: c, streams: map[streamKey]*Conn{},
		worker: stack.Worker(int(c.ID() % uint64(stack.NumWorkers())))}
	s.timer.Init(s)
	return s
}

// dial makes a stream and asks the peer to take it.
func (s *session) dial(service string, d dialing) (*Conn, error) {
	c := newConn(s, streamKey{id: s.x.lastID.Add(1) &^ (1 << 63), mine: true}, service, d.prio)
	if code, err := s.add(c); err != nil {
		return nil, err
	} else if code != CodeClosed {
		return nil, &CloseError{Code: code}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owed = oweOpen
	c.flushLocked()
	return c, nil
}

// add puts c into the table and gives it a window. A code other than CodeClosed says that
// there is no room.
func (s *session) add(c *Conn) (code uint32, err error) {
	o := &s.x.opt
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over != nil {
		return 0, s.over
	}
	if len(s.streams) >= o.StreamsMax {
		return CodeStreams, nil
	}
	if !s.promise(c, o.Window, o.ConnBufferMax/2, o.BufferMax/2) &&
		!s.promise(c, o.WindowMin, o.ConnBufferMax, o.BufferMax) {
		return CodeMemory, nil
	}
	s.streams[c.key] = c
	return CodeClosed, nil
}

// promise gives c a window of n bytes, if that leaves what is promised within the limits.
func (s *session) promise(c *Conn, n int, limit, all int64) bool {
	if s.promised+int64(n) > limit || !s.x.take(int64(n), all) {
		return false
	}
	s.promised += int64(n)
	c.window, c.grant = n, n
	return true
}

// release takes back what promise gave.
func (s *session) release(n int) {
	s.x.promised.Add(-int64(n))
	s.mu.Lock()
	s.promised -= int64(n)
	s.mu.Unlock()
}

func (s *session) remove(c *Conn) {
	s.mu.Lock()
	if s.streams[c.key] == c {
		delete(s.streams, c.key)
	}
	s.mu.Unlock()
}

func (s *session) stream(k streamKey) *Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.streams[k]
}

func (s *session) all() []*Conn { return inOrder(s.unordered()) }

// unordered is the same in any order, for who only adds up: sorting takes several times as long.
func (s *session) unordered() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	cs := make([]*Conn, 0, len(s.streams))
	for _, c := range s.streams {
		cs = append(cs, c)
	}
	return cs
}

// inOrder sorts streams, since simulations must not depend on the order of a map.
func inOrder(cs []*Conn) []*Conn {
	slices.SortFunc(cs, func(a, b *Conn) int { return cmp.Compare(a.key.tid(), b.key.tid()) })
	return cs
}

// fail ends all streams; over says that the connection is gone.
func (s *session) fail(reason error, over bool) {
	s.mu.Lock()
	if over && s.over == nil {
		s.over = reason
	}
	cs, answers := slices.Collect(maps.Values(s.streams)), s.answers
	s.streams, s.answers, s.late = map[streamKey]*Conn{}, nil, nil
	s.mu.Unlock()
	for _, m := range answers {
		m.Release()
	}
	for _, c := range inOrder(cs) {
		c.reset(reason)
	}
}

// handle takes a message of the peer, on the connection's worker.
func (s *session) handle(m *msg.Message) {
	k := keyOf(m.TID)
	if m.Type == typeOpen {
		s.open(k, m)
		m.Release()
		return
	}
	c := s.stream(k)
	if c == nil {
		s.unknown(k, m)
		m.Release()
		return
	}
	if m.Type == typeData {
		c.handleData(m)
		return
	}
	typ := m.Type
	h, err := parse(typ, m.Front)
	m.Release()
	c.handleControl(typ, h, err)
}

// unknown takes a message of a stream that is not in the table.
func (s *session) unknown(k streamKey, m *msg.Message) {
	s.x.count.unknown.Add(1)
	if m.Type != typeClose {
		s.answer(k, m.Priority, CodeUnknown, "")
	}
}

// open takes an OPEN.
func (s *session) open(k streamKey, m *msg.Message) {
	h, err := parse(m.Type, m.Front)
	switch {
	case k.mine:
		s.x.count.protocol.Add(1)
		return // nobody to answer to: the number is one of ours
	case err == nil && m.Compat > version:
		s.refuse(k, m.Priority, CodeVersion, fmt.Sprintf("version %d is spoken here", version))
		return
	case err != nil:
		s.x.count.protocol.Add(1)
		s.refuse(k, m.Priority, CodeProtocol, err.Error())
		return
	}
	if c := s.stream(k); c != nil {
		c.breach("opened twice")
		return
	}
	l := s.x.listener(h.service)
	if l == nil {
		s.refuse(k, m.Priority, CodeNoService, "")
		return
	}
	c := newConn(s, k, h.service, m.Priority)
	c.opened, c.credit, c.sendWindow, c.owed = true, int(h.window), int(h.window), oweAccept
	switch code, err := s.add(c); {
	case err != nil:
		return
	case code != CodeClosed:
		s.refuse(k, m.Priority, code, "")
		return
	}
	if code := l.push(c); code != CodeClosed {
		s.remove(c)
		s.release(c.window)
		s.refuse(k, m.Priority, code, "")
		return
	}
	s.x.count.accepted.Add(1)
	c.mu.Lock()
	c.flushLocked()
	c.mu.Unlock()
}

func (s *session) refuse(k streamKey, prio uint8, code uint32, reason string) {
	s.x.count.refused.Add(1)
	s.answer(k, prio, code, reason)
}

// answer sends a CLOSE for a stream that is not in the table.
func (s *session) answer(k streamKey, prio uint8, code uint32, reason string) {
	m := build(typeClose, k, prio, header{code: code, reason: reason})
	s.mu.Lock()
	wait := len(s.answers) > 0 // in order
	s.mu.Unlock()
	if !wait {
		err := s.conn.Send(m)
		if err == nil {
			return
		}
		if !errors.Is(err, msg.ErrQueueFull) {
			m.Release() // the connection is closed
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over != nil || len(s.answers) >= answersMax {
		s.x.count.answersDropped.Add(1)
		m.Release()
		return
	}
	s.answers = append(s.answers, m)
	s.retryLocked()
}

// postpone has c flushed again later.
func (s *session) postpone(c *Conn) {
	s.x.count.postponed.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = append(s.late, c)
	s.retryLocked()
}

func (s *session) retryLocked() {
	if !s.retrying {
		s.retrying = true
		_ = s.worker.Post(s) // refused: the stack is closed
	}
}

// Run implements eventloop.Task.
func (s *session) Run() { s.worker.SetTimer(&s.timer, s.worker.Now()+retryEvery) }

// HandleTimer implements eventloop.TimerHandler: it sends what found no room in the send
// queue.
func (s *session) HandleTimer(time.Duration) {
	s.mu.Lock()
	late, answers := s.late, s.answers
	s.late, s.answers, s.retrying = nil, nil, false
	s.mu.Unlock()
	for i, m := range answers {
		err := s.conn.Send(m)
		if errors.Is(err, msg.ErrQueueFull) {
			s.mu.Lock()
			s.answers = append(answers[i:len(answers):len(answers)], s.answers...)
			s.retryLocked()
			s.mu.Unlock()
			break
		}
		if err != nil {
			m.Release()
		}
	}
	for _, c := range late {
		c.mu.Lock()
		c.late = false
		c.flushLocked()
		c.mu.Unlock()
	}
}
