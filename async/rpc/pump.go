package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// outBody is a body that is sent: its credit.
type outBody struct {
	mu     sync.Mutex
	credit int64
	pace   *pace // nil: credit is all that bounds it
	wake   chan struct{}
	gone   chan struct{} // closed when the session is lost
	lost   bool
}

func (n *Node) openOut(c msg.Connection, tid uint64, dir direction, p *pace) *outBody {
	o := &outBody{credit: bodyWindow, pace: p, wake: make(chan struct{}, 1), gone: make(chan struct{})}
	sh := n.shardOf(c)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.outBodies[bodyKey{callKey{c.ID(), tid}, dir}] = o
	return o
}

func (n *Node) closeOut(c msg.Connection, tid uint64, dir direction) {
	sh := n.shardOf(c)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	delete(sh.outBodies, bodyKey{callKey{c.ID(), tid}, dir})
}

// lose says that nobody receives it any more.
func (o *outBody) lose() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.lost {
		o.lost = true
		close(o.gone)
	}
}

// take takes the credit of a whole chunk, if there is so much, and says how large the chunk is.
func (o *outBody) take() (size int, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if size = chunkMax; o.pace != nil {
		size = o.pace.chunk()
	}
	cost := int64(size) + chunkCost
	if o.credit < cost || o.pace != nil && !o.pace.admits(cost) {
		return 0, false
	}
	o.credit -= cost
	return size, true
}

// sends gives back what a chunk did not cost, which is sent now.
func (o *outBody) sends(cost, less int64, now time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.credit += less
	if o.pace != nil {
		o.pace.send(cost, now)
	}
}

// granted adds what the receiver has read.
func (o *outBody) granted(k int64, now time.Duration) {
	o.mu.Lock()
	o.credit = min(o.credit+k, bodyWindow)
	if o.pace != nil {
		o.pace.read(k, now)
	}
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// handleCredit lets a body go on. On the worker.
func (n *Node) handleCredit(m *msg.Message) {
	c := m.Connection()
	sh := n.shardOf(c)
	h, _, err := parseHeader(typeCredit, m.Front, m.Middle, m.Data)
	k := bodyKey{callKey{c.ID(), m.TID}, direction(h.method)}
	m.Release()
	if err != nil {
		sh.counts.Malformed.Add(1)
		return
	}
	sh.mu.Lock()
	o := sh.outBodies[k]
	sh.mu.Unlock()
	if o != nil { // else it has ended
		o.granted(int64(h.code), n.clock.Now())
	}
}

// errStopped: who was to receive a body wants no more of it.
var errStopped = errors.New("rpc: the receiver wants no more of the body")

// bodyFailure is an error of a body's reader, which the receiver was told.
type bodyFailure struct{ err error }

func (e *bodyFailure) Error() string { return "reading the body: " + e.err.Error() }
func (e *bodyFailure) Unwrap() error { return e.err }

// pump sends what r gives in chunks, until its end, or until stop is ready or ctx ends. It
// returns nil if the receiver has all of it. A failure of r is told to the receiver, and returned.
func (n *Node) pump(ctx context.Context, o *outBody, c msg.Connection, tid uint64, dir direction, prio uint8,
	r io.Reader, stop <-chan struct{}) error {
	number := uint32(0)
	reading := false
	defer func() {
		if reading { // and r has panicked
			n.sendFailure(c, tid, dir, prio, number, "the sender's Read panicked")
		}
	}()
	stopped := func() error {
		n.sendFailure(c, tid, dir, prio, number, "the reply came before the end of the request's body")
		return errStopped
	}
	for ; ; number++ {
		size, ok := o.take()
		for ; !ok; size, ok = o.take() {
			select {
			case <-o.wake:
			case <-stop:
				return stopped()
			case <-ctx.Done():
				return ctx.Err()
			case <-o.gone:
				return ErrPeerReset
			}
		}
		select {
		case <-stop:
			return stopped()
		case <-ctx.Done():
			return ctx.Err()
		case <-o.gone:
			return ErrPeerReset
		default:
		}
		m := msg.New(typeChunk, shortHeader+size)
		reading = true
		k, err := readSome(r, m.Front[shortHeader:])
		reading = false
		h := header{method: uint16(dir), code: number}
		switch {
		case err == io.EOF:
			h.flags = flagChunkLast
		case err != nil:
			h.flags = flagChunkFail
			k = copy(m.Front[shortHeader:shortHeader+messageMax], err.Error())
		case o.pace != nil:
			h.flags = flagChunkTell
		}
		m.Front = m.Front[:shortHeader+k]
		appendHeader(m.Front[:0], typeChunk, h)
		m.TID, m.Priority = tid, prio
		o.sends(int64(k)+chunkCost, int64(size-k), n.clock.Now())
		if sendErr := n.sendWaiting(ctx, c, m, 0); sendErr != nil {
			m.Release()
			return sendErr
		}
		n.shardOf(c).counts.ChunksSent.Add(1)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return &bodyFailure{err}
		}
	}
}

// sendFailure ends a body before its end.
func (n *Node) sendFailure(c msg.Connection, tid uint64, dir direction, prio uint8, number uint32, why string) {
	h := header{flags: flagChunkFail, method: uint16(dir), code: number}
	m := newMessage(typeChunk, h, []byte(why), false)
	m.TID, m.Priority = tid, prio
	if c.Send(m) != nil { // full or closed: the call's deadline, or the session's end, tells
		m.Release()
	}
}

// readSome reads until there is something; a reader that gives nothing a hundred times fails, as
// for bufio. What came with an error comes first.
func readSome(r io.Reader, p []byte) (k int, err error) {
	for range 100 {
		k, err = r.Read(p)
		if k < 0 || k > len(p) {
			panic(fmt.Sprintf("rpc: a body's Read of %d bytes returned %d", len(p), k))
		}
		if k > 0 && err != nil && err != io.EOF {
			return k, nil // a reader that fails fails again
		}
		if k > 0 || err != nil {
			return k, err
		}
	}
	return 0, io.ErrNoProgress
}

// cancelPeer tells the peer that nobody waits for what it does for that call.
func (n *Node) cancelPeer(c msg.Connection, tid uint64, prio uint8) {
	m := newMessage(typeCancel, header{}, nil, false)
	m.TID, m.Priority = tid, prio
	if c.Send(m) != nil { // it works on, for nobody
		m.Release()
		return
	}
	n.shardOf(c).counts.CancelsSent.Add(1)
}
