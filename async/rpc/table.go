package rpc

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// The calls that are out are in slots, which are used again. A tid says where its slot is, and
// with the use of the slot changes, so that a reply that comes late finds nothing: no list of
// tids that nobody waits for is kept.
//
//	tid:  use of the slot (40 bits, begins at random) | slot (20 bits) | shard (4 bits)
const (
	shardBits = 4
	numShards = 1 << shardBits
	slotBits  = 20
	useBits   = 64 - slotBits - shardBits
	useMask   = 1<<useBits - 1
)

// shard is a part of the node: what belongs to the connections whose ID it is chosen by. Its lock
// is held shortly, and nothing is called with it held that may block or takes another lock, but for
// Post.
type shard struct {
	n     *Node
	index uint64
	first uint64 // the first use of its slots

	mu    sync.Mutex
	slots []*call
	free  *call // linked by next
	conns map[uint64]*connCalls
	spare []*connCalls
	times deadlines
	probe timed // when the connections are looked at: see probe.go

	running map[callKey]*serverCall // requests whose handlers may be told of a cancellation
	early   earlyCancels

	lives     map[uint64]uint32 // by connection
	bodies    map[bodyKey]*inBody
	outBodies map[bodyKey]*outBody

	counts counts
	_      [64]byte
}

// connCalls are the calls that are out over one connection.
type connCalls struct {
	conn msg.Connection
	head *call // linked by next and prev
	n    int
}

// callKey is what a call is known by at the peer.
type callKey struct{ conn, tid uint64 }

// call is a slot: one call that is out, or what is kept for the next one.
type call struct {
	// Constant.
	sh   *shard
	slot uint64
	ch   chan struct{} // who waits is woken by it, once per call

	// Under sh.mu.
	use        uint64
	tid        uint64 // 0: not out
	next, prev *call
	of         *connCalls
	timed      timed
	stop       func() bool // of the context that may end it

	// Set by begin.
	conn msg.Connection
	typ  uint16
	into []byte                        // room for the reply
	done func(reply []byte, err error) // nil: somebody waits for ch
	body context.Context               // nil: the reply must have no body

	// Of who has begun the call, until it is sent; then of whoever takes it from the table.
	prio  uint8
	m     *msg.Message // the request
	own   *msg.Message // what m is for small requests, with buf as its Front; nil: there is none
	buf   []byte
	lent  *[]byte // is m's Front, borrowed
	told  bool    // the peer knows when the caller gives up
	phase atomic.Uint32

	// Of whoever takes it, and then of who is told.
	doubt bool // the messenger may have m still
	reply []byte
	in    *inBody // the reply's body; nil: none
	err   error
}

// The phases of a call with done, which decide who tells its end if that comes before the request
// is sent: who has begun it has the slot until then.
const (
	phaseStarting = iota
	phaseSent
	phaseEnded // while starting
)

func (sh *shard) init(n *Node, i int, w eventloop.Worker, chance uint64) {
	sh.n, sh.index = n, uint64(i)
	sh.first = chance & (useMask >> 1) // far from the end, and not 0
	sh.first |= 1
	sh.conns = map[uint64]*connCalls{}
	sh.running = map[callKey]*serverCall{}
	sh.lives = map[uint64]uint32{}
	sh.bodies, sh.outBodies = map[bodyKey]*inBody{}, map[bodyKey]*outBody{}
	sh.times.init(sh, w)
	sh.probe.probe = sh
}

// shardOf is where what belongs to a connection is.
func (n *Node) shardOf(c msg.Connection) *shard { return &n.shards[c.ID()%numShards] }

// begin takes a slot for a call over c, which is out by then. body is nil, or the context of the
// reply's body if it may have one.
func (sh *shard) begin(c msg.Connection, typ uint16, into []byte, done func([]byte, error),
	body context.Context) (
	x *call, tid uint64, err error) {
	n := sh.n
	if n.out.Add(1) > int64(n.opts.MaxCalls) {
		n.out.Add(-1)
		sh.counts.TooManyCalls.Add(1)
		return nil, 0, ErrTooManyCalls
	}
	id := c.ID()
	sh.mu.Lock()
	defer sh.mu.Unlock()
	of := sh.conns[id]
	switch {
	case of == nil:
		if k := len(sh.spare); k > 0 {
			of, sh.spare = sh.spare[k-1], sh.spare[:k-1]
		} else {
			of = new(connCalls)
		}
		of.conn = c
		sh.conns[id] = of
	case of.n >= n.opts.MaxCallsPerConn:
		n.out.Add(-1)
		sh.counts.TooManyCalls.Add(1)
		return nil, 0, ErrTooManyCalls
	}
	x = sh.free
	if x != nil {
		sh.free = x.next
	} else {
		x = &call{sh: sh, slot: uint64(len(sh.slots)), use: sh.first, ch: make(chan struct{}, 1)}
		x.timed.call = x
		sh.slots = append(sh.slots, x)
	}
	x.tid = x.use<<(slotBits+shardBits) | x.slot<<shardBits | sh.index
	x.conn, x.typ, x.into, x.done, x.body = c, typ, into, done, body
	x.of, x.prev, x.next = of, nil, of.head
	if of.head != nil {
		of.head.prev = x
	}
	of.head = x
	of.n++
	if sh.probe.index == 0 {
		sh.times.addLocked(&sh.probe, n.clock.Now()+probeEvery)
	}
	x.phase.Store(phaseStarting)
	sh.counts.Calls.Add(1)
	return x, x.tid, nil
}

// slotsMax is how many slots a shard has at most: MaxCalls is bounded by it.
const slotsMax = 1 << slotBits

// takeLocked takes x out of the table: it is the caller's of takeLocked, who ends it.
func (sh *shard) takeLocked(x *call) (stop func() bool) {
	of := x.of
	if x.prev != nil {
		x.prev.next = x.next
	} else {
		of.head = x.next
	}
	if x.next != nil {
		x.next.prev = x.prev
	}
	if of.n--; of.n == 0 {
		delete(sh.conns, x.conn.ID())
		of.conn = nil
		if len(sh.spare) < sparesMax {
			sh.spare = append(sh.spare, of)
		}
	}
	sh.times.dropLocked(&x.timed)
	x.tid, x.of, x.next, x.prev = 0, nil, nil, nil
	if x.use = (x.use + 1) & useMask; x.use == 0 {
		x.use = 1
	}
	stop, x.stop = x.stop, nil
	return stop
}

// sparesMax bounds what is kept of connections without calls.
const sparesMax = 64

// take takes the call with that tid out of the table, if it is out over c. late says that it was
// once.
func (n *Node) take(c msg.Connection, tid uint64) (x *call, late bool) {
	sh := &n.shards[tid%numShards]
	sh.mu.Lock()
	slot, use := tid>>shardBits&(slotsMax-1), tid>>(slotBits+shardBits)
	if slot >= uint64(len(sh.slots)) {
		sh.mu.Unlock()
		return nil, false
	}
	x = sh.slots[slot]
	if x.tid != tid || x.conn != c {
		// By use alone: another peer that knows the tid is told nothing by this.
		late = x.tid != tid && use >= sh.first && use < x.use
		sh.mu.Unlock()
		return nil, late
	}
	stop := sh.takeLocked(x)
	sh.mu.Unlock()
	if stop != nil {
		stop()
	}
	return x, false
}

// takeIf takes x if it is still out as tid.
func (x *call) takeIf(tid uint64) bool {
	x.sh.mu.Lock()
	if x.tid != tid {
		x.sh.mu.Unlock()
		return false
	}
	stop := x.sh.takeLocked(x)
	x.sh.mu.Unlock()
	if stop != nil {
		stop()
	}
	return true
}

// end tells the caller of x, which was taken.
func (x *call) end(reply []byte, err error) {
	x.reply, x.err = reply, err
	switch {
	case x.done == nil:
		x.ch <- struct{}{}
	case x.phase.CompareAndSwap(phaseStarting, phaseEnded): // who has begun it will tell
	default:
		x.tell()
	}
}

// sent says that whoever has begun x, a call with done, is through with it.
func (x *call) sent() {
	if !x.phase.CompareAndSwap(phaseStarting, phaseSent) {
		x.tell()
	}
}

// tell calls done, and is the end of x.
func (x *call) tell() {
	done, reply, err, n := x.done, x.reply, x.err, x.sh.n
	x.giveBack()
	n.callDone(done, reply, err)
}

// giveBack makes the slot free: nobody has x any more.
func (x *call) giveBack() {
	if x.own != nil && x.m == x.own {
		if x.doubt || msg.InUse(x.own) {
			x.own, x.buf = nil, nil
		} else if x.lent != nil {
			x.own.Front = nil
			giveBackBuffer(x.lent)
		}
	}
	x.lent = nil
	x.conn, x.done, x.body, x.m, x.into = nil, nil, nil, nil, nil
	x.reply, x.in, x.err, x.doubt = nil, nil, nil, false
	sh := x.sh
	sh.mu.Lock()
	x.next, sh.free = sh.free, x
	sh.mu.Unlock()
	sh.n.out.Add(-1)
}

// endAll ends all calls over c.
func (n *Node) endAll(c msg.Connection, err error) {
	sh := n.shardOf(c)
	var all []*call
	var stops []func() bool
	sh.mu.Lock()
	for of := sh.conns[c.ID()]; of != nil && of.head != nil; {
		x := of.head
		if stop := sh.takeLocked(x); stop != nil {
			stops = append(stops, stop)
		}
		all = append(all, x)
	}
	sh.mu.Unlock()
	for _, stop := range stops {
		stop()
	}
	for i := len(all) - 1; i >= 0; i-- { // in the order in which they were made
		x := all[i]
		x.doubt = true
		sh.counts.Failed.Add(1)
		x.end(nil, err)
	}
}

// watch has x, which was out as tid and may be another call by now, end with ctx, if nobody
// waits for that, or at a time of the messenger's clock (0: none).
func (x *call) watch(ctx context.Context, tid uint64, at time.Duration, waited bool) {
	if ctx.Done() == nil && at == 0 {
		return
	}
	var stop func() bool
	if !waited && ctx.Done() != nil {
		stop = afterEnd(ctx, func() { x.abandon(tid, ctx.Err()) })
	}
	sh := x.sh
	sh.mu.Lock()
	over := x.tid != tid
	if !over {
		if at != 0 {
			x.timed.tid = tid
			sh.times.addLocked(&x.timed, at)
		}
		x.stop = stop
	}
	sh.mu.Unlock()
	if over && stop != nil {
		stop()
	}
}
