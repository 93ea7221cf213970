package session

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// Config is what all sessions of a messenger share. It is read only once the
// first session exists; WithDefaults fills in zero fields. Durations beyond Forever
// mean Forever.
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
	// IdleTimeout: a ready connection without a sign of life of the peer for so long is
	// a fault; 900 s. The peer is asked for one (KEEPALIVE2) before. Negative: never.
	IdleTimeout time.Duration
	// KeepaliveInterval: send KEEPALIVE2 when nothing was received for so long;
	// 0: only when asked for, and before IdleTimeout.
	KeepaliveInterval time.Duration
	// KeepaliveTimeout: when nothing is received for so long after a KEEPALIVE2
	// left, the connection is taken for dead; 30 s. Negative: never.
	KeepaliveTimeout time.Duration
	// StandbyTimeout: a session that only the peer can resume is given up when the
	// peer stays away for so long; 0 means four times IdleTimeout, negative never (as
	// does a negative IdleTimeout then).
	StandbyTimeout time.Duration

	// AckDelay bounds for how long HoldAck keeps an acknowledgement back; 5 ms.
	// Negative: not at all.
	AckDelay time.Duration

	// RejectAfter is how many times a message of a lossless session may break its
	// connection, with nothing new acknowledged between, until it is taken out and
	// reported (see msg.RejectedError); 0 means 5. Negative: it is never taken out,
	// only reported after as many.
	RejectAfter int

	// RekeyUnits and RekeyBytes bound what is sealed with one key of secure mode in one
	// direction: units (a message is two, another frame one or two) and bytes; 0 means 2^32
	// and 2^38, more of either is refused. Then the session goes on over another connection,
	// which has keys of its own: see rekey.
	RekeyUnits, RekeyBytes uint64

	// Compression says what is compressed on the wire.
	Compression Compression

	// AllowSeqGaps accepts sequence numbers that skip, as the origin does (the
	// Linux kernel client skips). Otherwise a gap inside a session means loss
	// and resets the session.
	AllowSeqGaps bool
	// CheckPayloads, for debugging, looks whether a message is still as it was when
	// Send sealed it (msg.Seal) each time that it is encoded: see OutChanged.
	CheckPayloads bool

	// Authorize, if set, decides whether a peer that has connected and authenticated is let
	// in: with an error it is refused. It is called by whoever ran the last step of the
	// authentication, several at a time; slow says that it is nobody whom it holds up.
	Authorize func(p auth.Peer, slow bool) error

	// Observe, if set, is called for each frame before it is handled, with the
	// state it found; for tests that want to know what they reach.
	Observe func(State, frame.Tag)

	// Live, if set, has what may change while there are sessions: see Live.
	Live *Live

	// Epoch is the time of day at which the monotonic time is 0, for the stamps
	// in KEEPALIVE2. Peers only echo them.
	Epoch time.Time
}

// Forever is the longest duration that makes a difference, 73 years: what is longer
// could overflow when it is added to a time.
const Forever time.Duration = 1 << 61

// defaultRejectAfter is RejectAfter's.
const defaultRejectAfter = 5

// WithDefaults returns c with defaults for zero fields, and no duration beyond
// Forever.
func (c Config) WithDefaults() Config {
	def := func(p *time.Duration, d time.Duration) {
		if *p == 0 {
			*p = d
		}
		*p = min(*p, Forever)
	}
	c.Limits = c.Limits.WithDefaults()
	if c.PreAuthBytes == 0 {
		c.PreAuthBytes = 64 << 10
	}
	if c.Compression.MinSize == 0 {
		c.Compression.MinSize = compressMinSize
	}
	if c.RejectAfter == 0 {
		c.RejectAfter = defaultRejectAfter
	}
	if c.RekeyUnits == 0 {
		c.RekeyUnits = rekeyUnitsMax
	}
	if c.RekeyBytes == 0 {
		c.RekeyBytes = rekeyBytesMax
	}
	def(&c.InitialBackoff, 200*time.Millisecond)
	def(&c.MaxBackoff, max(15*time.Second, c.InitialBackoff))
	def(&c.ReadyTimeout, 10*time.Second)
	def(&c.IdleTimeout, 900*time.Second)
	def(&c.KeepaliveInterval, 0)
	def(&c.KeepaliveTimeout, 30*time.Second)
	def(&c.AckDelay, 5*time.Millisecond)
	standby := Forever
	if c.IdleTimeout > 0 {
		standby = 4 * min(c.IdleTimeout, Forever/4)
	}
	def(&c.StandbyTimeout, standby)
	for _, d := range []*time.Duration{&c.IdleTimeout, &c.KeepaliveTimeout, &c.StandbyTimeout} {
		if *d == Forever {
			*d = -1
		}
	}
	if c.KeepaliveInterval == Forever {
		c.KeepaliveInterval = 0
	}
	return c
}

// Check returns what is wrong with c, naming the field: a negative value where none
// has a meaning.
func (c *Config) Check() error {
	for _, f := range []struct {
		name string
		d    time.Duration
	}{
		{"InitialBackoff", c.InitialBackoff}, {"MaxBackoff", c.MaxBackoff}, {"ReadyTimeout", c.ReadyTimeout},
		{"KeepaliveInterval", c.KeepaliveInterval},
	} {
		if f.d < 0 {
			return fmt.Errorf("%s is %v, and must not be negative", f.name, f.d)
		}
	}
	if c.MaxBackoff != 0 && c.MaxBackoff < c.InitialBackoff {
		return fmt.Errorf("MaxBackoff is %v, less than InitialBackoff %v", c.MaxBackoff, c.InitialBackoff)
	}
	if c.PreAuthBytes < 0 {
		return fmt.Errorf("PreAuthBytes is %d, and must not be negative", c.PreAuthBytes)
	}
	if n := c.Compression.MinSize; n < 0 {
		return fmt.Errorf("Compression.MinSize is %d, and must not be negative", n)
	}
	if n := c.RekeyUnits; n != 0 && (n < rekeyUnitsMin || n > rekeyUnitsMax) {
		return fmt.Errorf("RekeyUnits is %d, and must be %d to %d", n, rekeyUnitsMin, uint64(rekeyUnitsMax))
	}
	if n := c.RekeyBytes; n != 0 && (n < rekeyBytesMin || n > rekeyBytesMax) {
		return fmt.Errorf("RekeyBytes is %d, and must be %d to %d", n, rekeyBytesMin, uint64(rekeyBytesMax))
	}
	return nil
}

// Live is what of a Config may change while there are sessions: it takes the place of the
// fields of the same name. Any goroutine. A session sees a change when it is called next.
type Live struct{ keepaliveInterval, keepaliveTimeout atomic.Int64 }

// NewLive returns what c has, which is with defaults.
func NewLive(c *Config) *Live {
	l := new(Live)
	l.SetKeepalive(c.KeepaliveInterval, c.KeepaliveTimeout)
	return l
}

// SetKeepalive sets both; they mean what they mean in a Config with defaults.
func (l *Live) SetKeepalive(interval, timeout time.Duration) {
	l.keepaliveInterval.Store(int64(interval))
	l.keepaliveTimeout.Store(int64(timeout))
}

// Keepalive returns both.
func (l *Live) Keepalive() (interval, timeout time.Duration) {
	return time.Duration(l.keepaliveInterval.Load()), time.Duration(l.keepaliveTimeout.Load())
}

func (c *Config) keepalive() (interval, timeout time.Duration) {
	if c.Live != nil {
		return c.Live.Keepalive()
	}
	return c.KeepaliveInterval, c.KeepaliveTimeout
}

// Env is what a session asks of its messenger. The calls are made on the
// session's worker, several workers may call at once; they must not block and
// must not call back into a session.
type Env interface {
	// Addrs are the messenger's own addresses; the slice is read only.
	Addrs() entity.AddrVec
	// Owns says whether the messenger is reached at target, over a connection whose
	// local IP address is local; nonces count.
	Owns(target entity.Addr, local netip.Addr) bool
	// LearnAddr reports how a peer sees this messenger (HELLO).
	LearnAddr(addr entity.Addr)
	// GlobalID is the number that a monitor gave this messenger, 0 if none did;
	// LearnGlobalID reports one.
	GlobalID() uint64
	LearnGlobalID(id uint64)
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
