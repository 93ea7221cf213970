package connection

import (
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// Broadcast puts copies of one message into the inboxes of many connections of one
// messenger. It collects those whose workers have to be told, and tells each worker once:
// Take, Send and SendLoopback, Post. Not safe for concurrent use. Post has to be called
// soon: until then what others send over these connections waits too.
type Broadcast struct {
	sh       *Shared
	m        *msg.Shared
	accepted int
	rounds   []*rounds // by the worker's ID; nil: nothing for it
}

// NewBroadcast returns a broadcast over the connections of a messenger.
func NewBroadcast(sh *Shared) *Broadcast {
	return &Broadcast{sh: sh, rounds: make([]*rounds, len(sh.Buffers))}
}

// Take takes m from its sender, or refuses it: as Send does.
func (b *Broadcast) Take(m *msg.Message) error {
	if err := TakeMessage(m, b.sh.Session, b.sh.Clock); err != nil {
		return err
	}
	b.m = msg.Share(m)
	return nil
}

// Send puts a copy into c's inbox, or says why not.
func (b *Broadcast) Send(c *Conn) error {
	x := b.m.Copy()
	post, _, err := c.put(x, false)
	switch b.count(x, err); {
	case err != nil:
		return err
	case post:
		b.due(c, c.postedTo) // which changes by nobody until c has run
	}
	return nil
}

// SendLoopback puts a copy into l's inbox, or says why not.
func (b *Broadcast) SendLoopback(l *Loopback) error {
	x := b.m.Copy()
	_, err := l.enqueue(x, false)
	b.count(x, err)
	return err
}

func (b *Broadcast) count(x *msg.Message, err error) {
	if err != nil {
		b.m.Drop(x)
		return
	}
	b.accepted++
}

// due has w run c, with others.
func (b *Broadcast) due(c *Conn, w eventloop.Worker) {
	r := b.rounds[w.ID()]
	if r == nil {
		r = roundsPool.Get().(*rounds)
		r.w = w
		b.rounds[w.ID()] = r
	}
	if r.conns = append(r.conns, c); len(r.conns) == roundsMax {
		b.rounds[w.ID()] = nil
		r.post()
	}
}

// Post is the end of it: it tells the workers. Should all sendings have ended already, that
// is told on w, and not here: who broadcasts may hold a lock which the callback takes. failed
// is told of one that does not return.
func (b *Broadcast) Post(w eventloop.Worker, failed func(recovered any)) {
	for i, r := range b.rounds {
		if r != nil {
			b.rounds[i] = nil
			r.post()
		}
	}
	if !b.m.Made(b.accepted) {
		return
	}
	finish := func() { b.m.Finish(failed) }
	if w.Post(eventloop.TaskFunc(finish)) != nil {
		finish() // the stack is closed: there is no other place
	}
}

const (
	// roundsMax is for how many connections one post is, at most: it bounds for how long
	// the first of them wait for the last.
	roundsMax = 2048
	// roundLen is how many connections have their turn before the worker looks at its
	// sockets and at other tasks again: half a millisecond.
	roundLen = 64
)

// rounds is a task: to run the connections that were sent something, some at a time. Each
// of them is posted, as if by itself.
type rounds struct {
	w     eventloop.Worker
	conns []*Conn
	next  int
}

var roundsPool = sync.Pool{New: func() any { return new(rounds) }}

func (r *rounds) post() {
	if r.w.Post(r) == nil {
		return
	}
	for _, c := range r.conns[r.next:] {
		c.refused()
	}
	r.free()
}

// Run implements eventloop.Task.
func (r *rounds) Run() {
	for range min(roundLen, len(r.conns)-r.next) {
		r.next++
		r.conns[r.next-1].Run()
	}
	r.goOn()
}

// Abandoned implements eventloop.Abandoner: user code ended the goroutine in a callback of
// the connection whose turn it was.
func (r *rounds) Abandoned() {
	defer r.goOn()
	r.conns[r.next-1].Abandoned()
}

func (r *rounds) goOn() {
	if r.next < len(r.conns) {
		r.post()
		return
	}
	r.free()
}

func (r *rounds) free() {
	clear(r.conns)
	*r = rounds{conns: r.conns[:0]}
	roundsPool.Put(r)
}
