package rivals

import (
	"errors"
	"sync"
	"sync/atomic"
)

// request is one to be sent.
type request struct {
	slot    int
	payload []byte
}

// slotLen is the header of the rivals whose messages are bytes: u32 slot,
// little-endian.
const slotLen = 4

// maxQueued bounds the requests that wait on one connection.
const maxQueued = 1 << 16

var errQueueFull = errors.New("too many requests wait on the connection")

// outbox writes the requests of one connection, for libraries whose Send waits for the
// peer and must not be called by two goroutines at once. The goroutine that receives
// answers sends the next requests, so it must not wait for the peer, which may be
// waiting for it. A request is therefore written at once if few bytes are in flight,
// too few to fill what is between the ends, and otherwise by a goroutine of its own,
// with all others that wait. That goroutine begins when it is first needed.
type outbox struct {
	// write writes requests and returns an error if the connection is dead. It is
	// called once at a time.
	write func(batch []request) error
	// direct is how many bytes may be in flight, with the request, when one is written
	// at once. With alone there must be no other requests in flight.
	direct int64
	alone  bool
	// hold, if not nil, says that the writing goroutine is to wait for release.
	hold func() bool

	flying atomic.Int64 // bytes sent and not answered

	mu      sync.Mutex
	changed sync.Cond // for the writing goroutine
	err     error     // why nothing more is written
	busy    bool      // somebody writes
	due     bool      // the queue is to be written
	queue   []request
	spare   []request
	single  [1]request // of who writes at once
	started bool
	writer  sync.WaitGroup
}

func newOutbox(write func([]request) error, direct int64) *outbox {
	o := &outbox{write: write, direct: direct}
	o.changed.L = &o.mu
	return o
}

// send writes r or puts it into the queue. Any goroutine may call it.
func (o *outbox) send(r request) error {
	size := int64(slotLen + len(r.payload))
	before := o.flying.Add(size) - size
	o.mu.Lock()
	if o.err != nil {
		defer o.mu.Unlock()
		return o.err
	}
	if o.busy || len(o.queue) > 0 || before+size > o.direct || o.alone && before > 0 {
		defer o.mu.Unlock()
		if len(o.queue) == maxQueued {
			return errQueueFull
		}
		o.queue = append(o.queue, r)
		if !o.started {
			o.started = true
			o.writer.Go(o.run)
		}
		if o.hold == nil || !o.hold() {
			o.due = true
			o.changed.Signal()
		}
		return nil
	}
	o.busy = true
	o.single[0] = r
	o.mu.Unlock()
	err := o.write(o.single[:])
	o.mu.Lock()
	defer o.mu.Unlock()
	o.single[0] = request{}
	o.wrote(err)
	return err
}

// wrote is called with the lock held.
func (o *outbox) wrote(err error) {
	o.busy = false
	if err != nil && o.err == nil {
		o.err = err
	}
	o.changed.Signal()
}

func (o *outbox) run() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		for o.err == nil && (o.busy || !o.due || len(o.queue) == 0) {
			o.changed.Wait()
		}
		if o.err != nil {
			return
		}
		batch := o.queue
		o.queue, o.busy, o.due = o.spare[:0], true, false
		o.mu.Unlock()
		err := o.write(batch)
		clear(batch)
		o.mu.Lock()
		o.spare = batch
		o.wrote(err)
	}
}

// release has the writing goroutine write what is in the queue.
func (o *outbox) release() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) > 0 {
		o.due = true
		o.changed.Signal()
	}
}

// answered says that n bytes of payload came back.
func (o *outbox) answered(n int) { o.flying.Add(-int64(slotLen + n)) }

// fail ends the outbox: every send from now on returns err, or what failed before.
func (o *outbox) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = err
	}
	o.changed.Signal()
}

// wait returns when the writing goroutine has ended, after fail.
func (o *outbox) wait() { o.writer.Wait() }
