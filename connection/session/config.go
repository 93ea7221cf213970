package session

import (
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// Config is what all sessions of a messenger share. It is read only once the
// first session exists; WithDefaults fills in zero fields.
type Config struct {
	// Self is the messenger's own name.
	Self entity.Name
	// Limits bound every length on the wire; see frame.Limits.
	Limits frame.Limits
	// PreAuthBytes bounds all bytes of one connection before authentication; 64 KiB.
	PreAuthBytes int

	// InitialBackoff (200 ms) and MaxBackoff (15 s) bound the delay before a
	// reconnection attempt; it doubles in between and is spread by jitter over
	// [1/2, 1] of its value.
	InitialBackoff, MaxBackoff time.Duration
	// ReadyTimeout bounds a handshake, from the TCP connect to READY; 10 s.
	ReadyTimeout time.Duration
	// IdleTimeout: a ready connection that receives nothing for so long is a
	// fault; 900 s. Negative: never.
	IdleTimeout time.Duration
	// KeepaliveInterval: send KEEPALIVE2 when nothing was received for so long;
	// 0: only when asked for.
	KeepaliveInterval time.Duration
	// KeepaliveTimeout: when nothing is received for so long after a KEEPALIVE2
	// was sent, the connection is taken for dead; 30 s. Negative: never.
	KeepaliveTimeout time.Duration

	// AckDelay bounds for how long HoldAck keeps an acknowledgement back; 5 ms.
	// Negative: not at all.
	AckDelay time.Duration

	// AllowSeqGaps accepts sequence numbers that skip, as the origin does (the
	// Linux kernel client skips). Otherwise a gap inside a session means loss
	// and resets the session.
	AllowSeqGaps bool

	// Observe, if set, is called for each frame before it is handled, with the
	// state it found; for tests that want to know what they reach.
	Observe func(State, frame.Tag)

	// Epoch is the time of day at which the monotonic time is 0, for the stamps
	// in KEEPALIVE2. Peers only echo them.
	Epoch time.Time
}

// WithDefaults returns c with defaults for zero fields.
func (c Config) WithDefaults() Config {
	def := func(p *time.Duration, d time.Duration) {
		if *p == 0 {
			*p = d
		}
	}
	c.Limits = c.Limits.WithDefaults()
	if c.PreAuthBytes == 0 {
		c.PreAuthBytes = 64 << 10
	}
	def(&c.InitialBackoff, 200*time.Millisecond)
	def(&c.MaxBackoff, 15*time.Second)
	def(&c.ReadyTimeout, 10*time.Second)
	def(&c.IdleTimeout, 900*time.Second)
	def(&c.KeepaliveTimeout, 30*time.Second)
	def(&c.AckDelay, 5*time.Millisecond)
	return c
}

// Env is what a session asks of its messenger. The calls are made on the
// session's worker, several workers may call at once; they must not block and
// must not call back into a session.
type Env interface {
	// Addrs are the messenger's own addresses; the slice is read only.
	Addrs() entity.AddrVec
	// LearnAddr reports how a peer sees this messenger (HELLO).
	LearnAddr(addr entity.Addr)
	// NextGlobalSeq returns a number above atLeast and above all it returned before.
	NextGlobalSeq(atLeast uint64) uint64
	// PolicyFor is the policy for a peer that connected to us.
	PolicyFor(peer entity.Type) msg.Policy
	// Rand64 returns random bits: unpredictable ones in production.
	Rand64() uint64
	AuthClient() auth.Client
	AuthServer() auth.Server
}

// Gate lets messages in: the throttles of spec 4.4, taken before a payload is
// read. Implemented by the connection; worker only.
type Gate interface {
	// Admit takes what a message of size payload bytes needs. On false it waits
	// in line, and the session's Resume is called once everything was taken.
	Admit(size int64) bool
	// Abandon gives back what was taken, or stops waiting, for a message of that
	// size that will not be delivered.
	Abandon(size int64)
}
