package connection

import (
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/hist"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
)

// traffic is what a connection counts of its own. Its worker adds, any goroutine looks.
type traffic struct {
	received, receivedBytes Counter
	sent, sentBytes         Counter
	lastIn                  atomic.Int64         // when a message was received last, to a millisecond
	trouble                 atomic.Pointer[rare] // nil: there was none
	ackTime                 atomic.Uint32        // from Send to its end, in us: a mean; 0: none yet
	sends                   uint8                // for the samples; under Conn.mu
	ready                   bool                 // it was ready once; the worker's
}

// rare is what few connections count: those that have had trouble, or compress.
type rare struct {
	faults, resumed, replayed, waits Counter
	attempts                         Counter // to connect, since the session was of use
	faultAt                          atomic.Int64
	waitSince                        atomic.Int64 // reading is stopped since then; 0: it is not
	waitFor                          atomic.Uint32
	packed
}

// sampleSends is how many messages of a connection there are for each one whose time from
// Send to its end is measured: a look at the clock costs as much as a tenth of a sending.
const sampleSends = 16

// troubled returns the counters for it. The worker only.
func (x *traffic) troubled() *rare {
	r := x.trouble.Load()
	if r == nil {
		r = new(rare)
		x.trouble.Store(r)
	}
	return r
}

// in counts received messages.
func (x *traffic) in(now time.Duration, messages, bytes uint64) {
	x.received.Add(messages)
	x.receivedBytes.Add(bytes)
	if last := x.lastIn.Load(); int64(now)-last >= int64(time.Millisecond) || last == 0 {
		x.lastIn.Store(max(int64(now), 1)) // a store costs more than a look
	}
}

// out counts messages that were encoded.
func (x *traffic) out(f session.Filled) {
	x.sent.Add(f.Messages)
	x.sentBytes.Add(f.Bytes)
	if f.Replayed > 0 {
		x.troubled().replayed.Add(f.Replayed)
	}
}

// fault counts a transport that is lost.
func (x *traffic) fault(now time.Duration, attempts int) {
	r := x.troubled()
	r.faults.Add(1)
	r.faultAt.Store(int64(max(now, 1)))
	r.attempts.v.Store(uint64(attempts))
}

// stopped notes that reading stops for want of room in a throttle.
func (x *traffic) stopped(now time.Duration, throttle int) {
	r := x.troubled()
	r.waits.Add(1)
	r.waitFor.Store(uint32(throttle))
	r.waitSince.Store(int64(max(now, 1)))
}

// goesOn notes that it goes on.
func (x *traffic) goesOn() {
	if r := x.trouble.Load(); r != nil && r.waitSince.Load() != 0 {
		r.waitSince.Store(0)
	}
}

// stamp notes when m is sent, if it is one of the samples. Under Conn.mu.
func (c *Conn) stamp(m *msg.Message) {
	at := time.Duration(0)
	if c.traffic.sends++; c.traffic.sends%sampleSends == 1 {
		at = max(c.w.Now(), 1)
	}
	msg.SetSentAt(m, at)
}

// measure measures a sending that ended well. The worker only.
func (c *Conn) measure(m *msg.Message) {
	at := msg.SentAt(m)
	if at == 0 {
		return
	}
	took := max(c.now()-at, 0)
	h := &c.stats().SendToAck
	h.Counts[hist.Bucket(took)].Add(1)
	h.Sum.Add(uint64(took))
	us := uint32(min(max(took.Microseconds(), 1), 1<<31))
	if was := c.traffic.ackTime.Load(); was != 0 {
		us = uint32((7*uint64(was) + uint64(us)) / 8)
	}
	c.traffic.ackTime.Store(max(us, 1))
}

// throttleNames are what ConnStats.WaitsFor says.
var throttleNames = [numThrottles]string{
	ownShare: "connection", policyMessages: "policy messages", policyBytes: "policy bytes", dispatchBytes: "dispatch",
}
