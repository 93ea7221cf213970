package threadpipe

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
)

// Config configures a Messenger; the fields mean what they mean in async.Config.
type Config struct {
	Name entity.Name
	// Nonce is part of the addresses; 0 means a random one, unless FixedNonce says
	// that 0 is meant.
	Nonce      uint32
	FixedNonce bool
	// Logger; nil means slog.Default(): what fails is said there.
	Logger *slog.Logger

	// Threads makes readers, writers, accepters and the dispatch thread OS threads
	// on blocking sockets instead of goroutines (Linux only). A blocked thread keeps
	// the processor that the Go scheduler gave it for a while, so GOMAXPROCS should
	// be above the number of threads that are awake at a time.
	Threads bool
	// Batch lets OS threads read and write as goroutines do: 64 KiB at a time, all
	// that is queued in one write, and the writer woken once for all that the messages
	// of one read had sent. Without it they do what SimpleMessenger's did: reads of at
	// most 4 KiB, a write for each message, the writer woken for each message.
	Batch bool

	// DispatchThrottleBytes; 0 means 100 MiB, negative no bound.
	DispatchThrottleBytes int64
	// SendQueueMessages and SendQueueBytes; 0 means 65536 and 256 MiB.
	SendQueueMessages int
	SendQueueBytes    int64
	// SendTotalBytes; 0 means 1 GiB, negative no bound.
	SendTotalBytes int64
	// SendHighWater; 0 means half of SendQueueBytes, negative never.
	SendHighWater int64
	// RejectAfter; 0 means 5.
	RejectAfter   int
	CheckPayloads bool
	// RekeyUnits and RekeyBytes; 0 means 2^32 and 2^38.
	RekeyUnits, RekeyBytes uint64
	// HandshakesMax; 0 means 4096.
	HandshakesMax int
	Limits        frame.Limits
	// AuthClient and AuthServer; nil means AUTH_NONE. Slow methods run on the reader.
	AuthClient auth.Client
	AuthServer auth.Server
	Authorize  func(auth.Peer) error

	InitialBackoff, MaxBackoff                                     time.Duration
	ReadyTimeout, IdleTimeout, KeepaliveInterval, KeepaliveTimeout time.Duration
	// StandbyTimeout; 0 means four times IdleTimeout, negative for ever. StandbyMax; 0
	// means 65536, negative no bound. A pipe whose peer is away keeps its writer.
	StandbyTimeout time.Duration
	StandbyMax     int
	AllowSeqGaps   bool

	// Via, if set, says where to dial instead of at a peer's address: a proxy.
	Via func(peer netip.AddrPort) netip.AddrPort

	// ReadBuffer is how many bytes a reader asks for; 0 means 64 KiB where there is
	// much to read and 1 KiB where there is not, or always 4 KiB for threads without
	// Batch. Long payloads are read into their place in all cases.
	ReadBuffer int
	// WriteBatch is about how many bytes go into one writev; 0 means 256 KiB, one
	// message for threads without Batch.
	WriteBatch int
}

func orDefault[T int | int64 | time.Duration](p *T, d T) {
	if *p == 0 {
		*p = d
	}
}

// plain: each message is read, written and announced by itself.
func (c *Config) plain() bool { return c.Threads && !c.Batch }

// session is the part of c that sessions need. epoch is when the time of the messenger
// began.
func (c *Config) session(epoch time.Time) session.Config {
	s := session.Config{
		Self: c.Name, Limits: c.Limits, InitialBackoff: c.InitialBackoff, MaxBackoff: c.MaxBackoff,
		ReadyTimeout: c.ReadyTimeout, IdleTimeout: c.IdleTimeout, KeepaliveInterval: c.KeepaliveInterval,
		KeepaliveTimeout: c.KeepaliveTimeout, StandbyTimeout: c.StandbyTimeout, AllowSeqGaps: c.AllowSeqGaps,
		RejectAfter: c.RejectAfter, CheckPayloads: c.CheckPayloads, RekeyUnits: c.RekeyUnits, RekeyBytes: c.RekeyBytes,
		Epoch: epoch,
	}
	if c.Authorize != nil {
		s.Authorize = func(p auth.Peer, _ bool) error { return c.Authorize(p) }
	}
	return s
}

func (c Config) withDefaults() Config {
	if c.Name == (entity.Name{}) {
		c.Name = entity.Client(-1)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	for c.Nonce == 0 && !c.FixedNonce {
		c.Nonce = uint32(rand64())
	}
	orDefault(&c.DispatchThrottleBytes, 100<<20)
	orDefault(&c.SendQueueMessages, 1<<16)
	orDefault(&c.SendQueueBytes, 256<<20)
	orDefault(&c.SendTotalBytes, 1<<30)
	orDefault(&c.SendHighWater, c.SendQueueBytes/2)
	orDefault(&c.StandbyMax, 1<<16)
	orDefault(&c.HandshakesMax, 4096)
	orDefault(&c.ReadyTimeout, 10*time.Second)
	if c.plain() {
		orDefault(&c.ReadBuffer, 4<<10)
		orDefault(&c.WriteBatch, 1)
	}
	orDefault(&c.WriteBatch, 256<<10)
	return c
}
