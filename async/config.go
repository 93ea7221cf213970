package async

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// Config configures a Messenger. The zero value works: a client on the shared
// netpoll stack.
type Config struct {
	// Name is who the messenger is; the zero Name means client.? (number -1), as
	// a client that no monitor has given a number.
	Name entity.Name
	// AuthName is what AUTH_NONE says; the zero value is made of Name ("osd.3").
	AuthName entity.AuthName
	// Nonce tells incarnations of a process apart: part of its addresses. 0 means
	// a random one, unless FixedNonce says that 0 is meant (as monitors have it).
	Nonce      uint32
	FixedNonce bool

	// Stack is the network; nil means DefaultStack.
	Stack eventloop.Stack
	// Executor runs Dispatch and the event callbacks; nil means DefaultExecutor.
	Executor dispatch.Executor
	// Clock, nil: the stack's.
	Clock eventloop.Clock
	// Rand gives cookies, nonces and jitter; any goroutine calls it. nil:
	// crypto/rand.
	Rand func() uint64
	// Logger; nil means silent.
	Logger *slog.Logger
	// AuthClient and AuthServer authenticate; nil means AUTH_NONE.
	AuthClient auth.Client
	AuthServer auth.Server

	// DispatchWidth is how many connections are dispatched at the same time by
	// the pool; 0 means 4, 1 is the single dispatch thread of the origin.
	DispatchWidth int
	// DispatchThrottleBytes bounds the payload bytes received and not yet
	// dispatched, over all connections; 0 means 100 MiB, negative no bound. At the
	// bound the connections are not read from.
	DispatchThrottleBytes int64
	// FastDispatchLimit is how long a fast dispatcher may run before the watchdog
	// counts and logs it; 0 means 100 ms, negative never.
	FastDispatchLimit time.Duration
	// IgnorePanics leaves a connection alone after a dispatcher panicked for it;
	// otherwise it is faulted: a lossy session ends, a lossless one reconnects.
	IgnorePanics bool

	// SendQueueMessages and SendQueueBytes bound what one connection holds for
	// sending, sent and unacknowledged messages included; 0 means 65536 and 256
	// MiB. At the bound Send answers ErrQueueFull.
	SendQueueMessages int
	SendQueueBytes    int64
	// Limits bound the lengths of frames; zero fields have defaults: 64 KiB before
	// authentication, 16 MiB for control frames, front and middle, 64 MiB for data.
	Limits frame.Limits

	// Backoff between attempts to reconnect; 0 means 200 ms and 15 s.
	InitialBackoff, MaxBackoff time.Duration
	// ReadyTimeout bounds a handshake, 10 s; IdleTimeout the silence on a ready
	// connection, 900 s (negative: none); KeepaliveInterval sends KEEPALIVE2 on
	// silence, 0: never; KeepaliveTimeout gives up on its answer, 30 s (negative: never).
	ReadyTimeout, IdleTimeout, KeepaliveInterval, KeepaliveTimeout time.Duration
	// AckDelay bounds for how long an acknowledgement waits for a message that carries
	// it, while messages of the connection are in dispatch and may be answered; 0 means
	// 5 ms, negative that it never waits.
	AckDelay time.Duration
	// AllowSeqGaps: see session.Config.
	AllowSeqGaps bool

	// Observe, if set, is called on the worker for each frame before it is handled,
	// with the state of its session; for tests that want to know what they reach.
	Observe func(session.State, frame.Tag)

	// HandshakesMax bounds accepted connections that are not ready yet; 0 means
	// 4096. At the bound a new one is closed at once, and counted.
	HandshakesMax int
	// BindPortMin and BindPortMax are where Bind looks for a free port when asked
	// for port 0; 0 leaves the choice to the kernel. (Ceph's daemons: 6800, 7300.)
	BindPortMin, BindPortMax uint16
	// BindRetries is how often Bind tries again, after BindRetryDelay each, when
	// all ports are taken; 0 means 3 and 5 s, negative not at all.
	BindRetries    int
	BindRetryDelay time.Duration
	// ListenBacklog; 0 means 512.
	ListenBacklog int
	// Socket holds options of all sockets.
	Socket eventloop.SocketOptions
	// BindBeforeConnect is the local address of outgoing connections; its zero
	// value leaves it to the kernel.
	BindBeforeConnect netip.AddrPort
	// DialTimeout bounds a TCP connect; 0 means ReadyTimeout.
	DialTimeout time.Duration

	// WriteBatch is about how many bytes go into one writev, WriteBudget how many
	// bytes a connection writes before its neighbours' turn; 0 means 256 KiB and 1 MiB.
	WriteBatch, WriteBudget int
}

func orDefault[T int | int64 | uint16 | time.Duration](v, d T) T {
	if v == 0 {
		return d
	}
	return v
}

func (c Config) withDefaults() (Config, error) {
	if c.Name == (entity.Name{}) {
		c.Name = entity.Client(-1)
	}
	if c.AuthName == (entity.AuthName{}) {
		c.AuthName = authNameOf(c.Name)
	}
	if c.Stack == nil {
		s, err := DefaultStack()
		if err != nil {
			return c, err
		}
		c.Stack = s
	}
	if c.Executor == nil {
		e, err := DefaultExecutor()
		if err != nil {
			return c, err
		}
		c.Executor = e
	}
	if c.Clock == nil {
		c.Clock = c.Stack.Clock()
	}
	if c.Rand == nil {
		c.Rand = systemRand
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.AuthClient == nil {
		c.AuthClient = auth.NoneClient{Name: c.AuthName}
	}
	if c.AuthServer == nil {
		c.AuthServer = &auth.NoneServer{}
	}
	for c.Nonce == 0 && !c.FixedNonce {
		c.Nonce = uint32(c.Rand())
	}
	c.DispatchWidth = orDefault(c.DispatchWidth, 4)
	c.DispatchThrottleBytes = orDefault(c.DispatchThrottleBytes, 100<<20)
	c.FastDispatchLimit = orDefault(c.FastDispatchLimit, 100*time.Millisecond)
	c.SendQueueMessages = orDefault(c.SendQueueMessages, 1<<16)
	c.SendQueueBytes = orDefault(c.SendQueueBytes, 256<<20)
	c.ReadyTimeout = orDefault(c.ReadyTimeout, 10*time.Second)
	c.DialTimeout = orDefault(c.DialTimeout, c.ReadyTimeout)
	c.HandshakesMax = orDefault(c.HandshakesMax, 4096)
	c.BindRetries = orDefault(c.BindRetries, 3)
	c.BindRetryDelay = orDefault(c.BindRetryDelay, 5*time.Second)
	c.WriteBatch = orDefault(c.WriteBatch, 256<<10)
	c.WriteBudget = orDefault(c.WriteBudget, 1<<20)
	return c, nil
}

func (c *Config) session() session.Config {
	return session.Config{
		Self: c.Name, Limits: c.Limits,
		InitialBackoff: c.InitialBackoff, MaxBackoff: c.MaxBackoff, ReadyTimeout: c.ReadyTimeout,
		IdleTimeout: c.IdleTimeout, KeepaliveInterval: c.KeepaliveInterval, KeepaliveTimeout: c.KeepaliveTimeout,
		AckDelay: c.AckDelay, AllowSeqGaps: c.AllowSeqGaps, Observe: c.Observe,
		Epoch: c.Clock.Wall().Add(-c.Clock.Now()),
	}.WithDefaults()
}

// defaultPriority is what SetDefaultSendPriority begins with.
const defaultPriority = msg.PriorityDefault
