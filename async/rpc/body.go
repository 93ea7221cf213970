package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// A body is what follows a request or a reply in chunks, for what is too large for a message or not
// there yet. Who receives it grants credit, bytes that may be sent: bodyWindow from the beginning,
// and more as they are read. A chunk costs its bytes and chunkCost, so that small ones are bounded
// too. Chunks are numbered from 0, and have the priority of the request or reply that they
// belong to, which keeps them behind it and in order.
//
// CHUNK: direction is 0 from the caller, 1 from the handler; flag 1 says that the body ends with it,
// flag 2 that the sender gives it up, and then its bytes are a text for people; flag 4 that the sender wants
// its credit back as soon as it was read, and not a quarter of the window at a time. CREDIT: direction
// is that of the body.
const (
	bodyWindow = 256 << 10
	chunkMax   = 32 << 10
	chunkCost  = 512
)

// direction says whose body it is.
type direction uint16

const (
	fromCaller  direction = 0
	fromHandler direction = 1
)

// bodyKey is what a body is known by at either end.
type bodyKey struct {
	callKey
	dir direction
}

// ErrBodyIncomplete: a body ended before its end. It wraps io.ErrUnexpectedEOF, and what the cause
// is, if that is known here: ErrPeerReset, ErrUndeliverable, context errors, or a *BodyError.
var ErrBodyIncomplete = fmt.Errorf("rpc: the body ends before its end: %w", io.ErrUnexpectedEOF)

// BodyError is why the sender of a body gave it up, in its words: what its io.Reader returned.
type BodyError struct{ Message string }

// Error is one line.
func (e *BodyError) Error() string { return "rpc: peer: " + e.Message }

// errBodyClosed is what Read returns after Close.
var errBodyClosed = errors.New("rpc: read of a body that was closed")

// inBody is a body that is received. It is an io.ReadCloser for one goroutine at a time.
type inBody struct {
	n    *Node
	c    msg.Connection
	key  bodyKey
	prio uint8
	ctx  context.Context // ends what waits in Read

	mu      sync.Mutex
	chunks  []chunk
	next    uint32 // number of the chunk that is to come
	granted int64  // what the sender may send yet
	owed    int64  // read, and not granted anew
	tells   bool   // to be granted now
	err     error  // how it ended; io.EOF: well
	closed  bool
	wake    chan struct{}
}

type chunk struct {
	m     *msg.Message
	left  []byte
	tells bool // flagChunkTell
}

// openIn makes a body that c's peer is going to send; nil: there are too many.
func (n *Node) openIn(ctx context.Context, c msg.Connection, tid uint64, dir direction, prio uint8) *inBody {
	if n.bodies.Add(1) > int64(n.opts.MaxBodies) {
		n.bodies.Add(-1)
		return nil
	}
	b := &inBody{n: n, c: c, key: bodyKey{callKey{c.ID(), tid}, dir}, prio: prio, ctx: ctx,
		granted: bodyWindow, wake: make(chan struct{}, 1)}
	sh := n.shardOf(c)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.bodies[b.key] != nil { // a peer that uses a tid twice
		n.bodies.Add(-1)
		return nil
	}
	sh.bodies[b.key] = b
	return b
}

// Read implements io.Reader.
func (b *inBody) Read(p []byte) (int, error) {
	for {
		b.mu.Lock()
		if b.closed {
			b.mu.Unlock()
			return 0, errBodyClosed
		}
		if len(b.chunks) > 0 {
			k := b.takeLocked(p)
			credit := b.creditLocked()
			b.mu.Unlock()
			b.grant(credit)
			return k, nil
		}
		err := b.err
		b.mu.Unlock()
		if err != nil {
			return 0, err
		}
		if len(p) == 0 {
			return 0, nil
		}
		select {
		case <-b.wake:
		case <-b.ctx.Done():
			b.giveUp(fmt.Errorf("%w: %w", ErrBodyIncomplete, b.ctx.Err()))
		}
	}
}

// takeLocked reads from the first chunk.
func (b *inBody) takeLocked(p []byte) int {
	x := &b.chunks[0]
	k := copy(p, x.left)
	if x.left = x.left[k:]; len(x.left) == 0 {
		b.owed += int64(x.m.PayloadLen()-shortHeader) + chunkCost
		b.tells = x.tells
		x.m.Release()
		b.chunks[0] = chunk{}
		b.chunks = b.chunks[1:]
	}
	return k
}

// creditLocked is what is to be granted now.
func (b *inBody) creditLocked() int64 {
	if b.err != nil || b.owed < bodyWindow/4 && !b.tells {
		return 0
	}
	k := b.owed
	b.tells = false
	b.granted += k
	b.owed = 0
	return k
}

func (b *inBody) grant(k int64) {
	if k == 0 {
		return
	}
	m := newMessage(typeCredit, header{method: uint16(b.key.dir), code: uint32(k)}, nil, false)
	m.TID, m.Priority = b.key.tid, b.prio
	if err := b.n.sendWaiting(b.ctx, b.c, m, 0); err != nil {
		m.Release()
		b.giveUp(fmt.Errorf("%w: %w", ErrBodyIncomplete, err))
	}
}

// Close implements io.Closer: what was not read is thrown away, and its sender told to stop.
func (b *inBody) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	for _, x := range b.chunks {
		x.m.Release()
	}
	b.chunks = nil
	b.mu.Unlock()
	b.n.bodies.Add(-1)
	b.giveUp(errBodyClosed)
	return nil
}

// giveUp ends b on this side, and tells its sender to stop, who otherwise hears it by the reply.
func (b *inBody) giveUp(err error) {
	if b.fail(err) && b.key.dir == fromHandler {
		b.n.cancelPeer(b.c, b.key.tid, b.prio)
	}
}

// forget has chunks find it no more.
func (b *inBody) forget() {
	sh := b.n.shardOf(b.c)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.bodies[b.key] == b {
		delete(sh.bodies, b.key)
	}
}

// fail ends b for that reason, and says whether it has not ended before.
func (b *inBody) fail(err error) (first bool) {
	b.mu.Lock()
	if first = b.err == nil; first {
		b.err = err
	}
	b.mu.Unlock()
	b.forget()
	b.poke()
	return first
}

func (b *inBody) poke() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// handleChunk takes a chunk to its body. On the worker.
func (n *Node) handleChunk(m *msg.Message) {
	c := m.Connection()
	sh := n.shardOf(c)
	h, data, err := parseHeader(typeChunk, m.Front, m.Middle, m.Data)
	if err != nil || len(data) > chunkMax {
		sh.counts.Malformed.Add(1)
		m.Release()
		return
	}
	sh.mu.Lock()
	b := sh.bodies[bodyKey{callKey{c.ID(), m.TID}, direction(h.method)}]
	sh.mu.Unlock()
	if b == nil {
		sh.counts.StrayChunks.Add(1)
		m.Release()
		return
	}
	sh.counts.Chunks.Add(1)
	if end := b.receive(m, h, data); end == errMalformed {
		sh.counts.Malformed.Add(1)
		b.giveUp(fmt.Errorf("%w: %w", ErrBodyIncomplete, errMalformed))
	} else if end != nil {
		b.fail(end)
	} else {
		b.poke()
	}
}

// receive keeps a chunk; end is how the body ends with it, errMalformed if it is out of order or more than
// was granted.
func (b *inBody) receive(m *msg.Message, h header, data []byte) (end error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.granted -= int64(len(data)) + chunkCost
	switch {
	case h.flags&flagChunkFail != 0:
		text := string(data[:min(len(data), messageMax)])
		m.Release()
		return fmt.Errorf("%w: %w", ErrBodyIncomplete, &BodyError{text})
	case h.code != b.next || b.granted < 0:
		m.Release()
		return errMalformed
	case h.flags&flagChunkLast != 0:
		end = io.EOF
	}
	b.next++
	if b.closed || b.err != nil || len(data) == 0 {
		m.Release()
		return end
	}
	b.chunks = append(b.chunks, chunk{m, data, h.flags&flagChunkTell != 0})
	return end
}

// endBodies fails all bodies that c's peer sends or receives.
func (n *Node) endBodies(c msg.Connection, reason error) {
	sh, id := n.shardOf(c), c.ID()
	var in []*inBody
	var out []*outBody
	sh.mu.Lock()
	for k, b := range sh.bodies {
		if k.conn == id {
			in = append(in, b)
		}
	}
	for k, o := range sh.outBodies {
		if k.conn == id {
			out = append(out, o)
		}
	}
	sh.mu.Unlock()
	for _, b := range in {
		b.fail(fmt.Errorf("%w: %w", ErrBodyIncomplete, lost(reason)))
	}
	for _, o := range out {
		o.lose()
	}
}
