package async

import (
	"fmt"
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

	// Advertise are the addresses to be known by, in place of those of Bind: behind NAT,
	// in a container, or bound to 0.0.0.0 on a host with several addresses. Port 0 means
	// the bound one. Peers must be able to reach the messenger there.
	Advertise []netip.AddrPort

	// Stack is the network; nil means DefaultStack.
	Stack eventloop.Stack
	// Executor runs Dispatch and the event callbacks; nil means DefaultExecutor.
	Executor dispatch.Executor
	// Clock, nil: the stack's.
	Clock eventloop.Clock
	// Rand gives cookies, nonces and jitter; any goroutine calls it. nil:
	// crypto/rand.
	Rand func() uint64
	// Logger; nil means slog.Default() as it is at New: what fails is said there.
	// slog.New(slog.DiscardHandler) is silent.
	Logger *slog.Logger
	// AuthClient and AuthServer authenticate; nil means AUTH_NONE. auth.Methods makes them
	// of several methods, and auth.Demand says what this side does not do without. Steps
	// of a slow method (auth.Slow) are run on Executor, and may block there; if it refuses
	// one, that connection is given up.
	AuthClient auth.Client
	AuthServer auth.Server
	// AuthStepsMax is how many such steps run at a time; 0 means one for each processor, of
	// all messengers together that have 0 and the DefaultExecutor, since each may compute
	// for a millisecond, during which workers wait for one. Where
	// steps wait for something else, as Authorize may, set more. Others wait, by turns of
	// the hosts of their peers, at most 65536; at that bound the connection is given up.
	AuthStepsMax int
	// Authorize, if set, decides whether a peer that has connected and authenticated is let
	// in. With an error it is not: the log says why, and the peer hears that permission is
	// denied. It runs where the last step of the authentication ran: on Executor with a
	// slow method, where it may block, and otherwise on a worker. It may be called several
	// times at once.
	Authorize func(auth.Peer) error

	// DispatchWidth is how many connections are dispatched at the same time; 0 means 4,
	// or the number of workers if that is more, 1 is the single dispatch thread of the
	// origin. A width of 1 keeps callbacks from running at the same time only as long as
	// none is held up for DispatchLimit; with DispatchLimit negative, always.
	DispatchWidth int
	// DispatchPlace is where Dispatch runs: by default on the worker that has decoded
	// the message, as long as callbacks are short, and on Executor when they are not. An
	// Executor that is neither nil nor an AntsPool runs all.
	DispatchPlace DispatchPlace
	// DispatchLimit is how long a callback may hold up a job of the pool before it is
	// logged with its stack, counted, and no longer counts against DispatchWidth; 0
	// means 1 s, negative never. DispatchWidthMax bounds how many run at a time with
	// those that were held up; 0 means 16 times DispatchWidth.
	DispatchLimit    time.Duration
	DispatchWidthMax int
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
	// SendTotalBytes bounds the same over all connections together, not counting the
	// first 64 KiB of each; 0 means 1 GiB, negative no bound.
	SendTotalBytes int64
	// SendHighWater is from how many bytes on a connection's send queue is reported
	// (SendPressureHandler), until it has fallen to half of that; 0 means half of
	// SendQueueBytes, negative never.
	SendHighWater int64
	// RejectAfter is how many times a message of a lossless session may break its
	// connection, with nothing new acknowledged between, until it is reported
	// (RejectedHandler), taken out, and reported undeliverable with ErrRejected, so that
	// what is behind it is sent; 0 means 5. Negative: it is reported, and sent on. Only
	// breaks within a round trip of its being sent count, and 5 s of them at least: a
	// connection that lives longer carried a part of it.
	RejectAfter int
	// CheckPayloads, for debugging, notices messages whose payload changes between Send
	// and their end: they are logged and counted (Stats.Changed). It costs a checksum
	// at each step.
	CheckPayloads bool
	// RekeyUnits and RekeyBytes bound what is sealed with one key in secure mode, in one
	// direction of a connection: units, of which a message has two, and bytes; 0 means 2^32
	// and 2^38, the most that can be set; the least are 64 and 64 KiB. The connection is
	// then made anew, with other keys, and counted (Stats.Rekeys): a lossless session goes
	// on as after any lost connection, a lossy one is reset.
	RekeyUnits, RekeyBytes uint64
	// Compression says what is compressed on the wire, and with whom; by default nothing.
	Compression Compression
	// Limits bound the lengths of frames; zero fields have defaults: 64 KiB before
	// authentication, 16 MiB for control frames, front and middle, 64 MiB for data.
	Limits frame.Limits

	// The durations: what is longer than 73 years means for ever; negative ones are
	// refused by New where nothing is said of them.

	// Backoff between attempts to reconnect; 0 means 200 ms and 15 s.
	InitialBackoff, MaxBackoff time.Duration
	// ReadyTimeout bounds a handshake, from the accept or the dial to the session,
	// authentication included and whatever comes in meanwhile, 10 s. IdleTimeout is for how long a ready
	// connection may be without a sign of life of the peer, which is asked for one
	// before; 900 s, negative: for ever. KeepaliveInterval sends KEEPALIVE2 on silence;
	// 0: only before IdleTimeout. KeepaliveTimeout gives up on its answer, 30 s
	// (negative: never).
	ReadyTimeout, IdleTimeout, KeepaliveInterval, KeepaliveTimeout time.Duration
	// StandbyTimeout is for how long a session is kept that only its peer can resume
	// (policies with Server, peers that do not listen); then it ends with HandleReset
	// and ErrPeerAbsent. 0 means four times IdleTimeout (an hour), negative for ever.
	// StandbyMax bounds how many such sessions are kept while their peers are away: the
	// one away longest ends; 0 means 65536, negative no bound.
	StandbyTimeout time.Duration
	StandbyMax     int
	// AckDelay bounds for how long an acknowledgement waits for a message that carries
	// it, while messages of the connection are in dispatch and may be answered; 0 means
	// 5 ms, negative that it never waits.
	AckDelay time.Duration
	// AllowSeqGaps: see session.Config.
	AllowSeqGaps bool

	// Observe, if set, is called on the worker for each frame before it is handled,
	// with the state of its session; for tests that want to know what they reach.
	Observe func(session.State, frame.Tag)

	// AllowFaults lets Messenger.Faults break the messenger's connections on purpose, for tests
	// of what is built on it. Without it nothing can.
	AllowFaults bool

	// HandshakesMax bounds accepted connections that are not ready yet; 0 means
	// 4096. At the bound a new one takes the place of the oldest from the host that has the
	// most, if its own host has fewer by two; otherwise it is closed at once. Both are counted
	// (Stats.TurnedAway). HandshakesMaxPerHost bounds those from one IPv4 address, or from
	// one /64 of IPv6; 0 means half of HandshakesMax, but at least 256.
	HandshakesMax, HandshakesMaxPerHost int
	// EventsMax bounds the events (a connection was accepted, lost, ...) that wait for
	// dispatchers which are behind or hang; 0 means 65536. At the bound what connects is closed
	// at once and comes again, counted (Stats.TurnedAway) and said as ReasonFull.
	EventsMax int
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

	// WriteBatch is about how many bytes are encoded at a time, for one writev. What is
	// encoded is not overtaken any more. 0 means what a full socket took when it last had
	// room, 256 KiB at most and 4 KiB at least, and one message in any case; another number
	// is kept to. WriteBudget is how many bytes a connection writes before its neighbours'
	// turn; 0 means 1 MiB.
	WriteBatch, WriteBudget int
	fixedBatch              bool
}

// DispatchPlace is where Dispatch runs, for Config. It is called in the same order
// everywhere, and may do the same, block among that. A callback that is held up on a worker
// holds up the worker's connections for a millisecond or so; then the worker goes on
// without it. It must not return with runtime.LockOSThread held more than four times: the
// runtime takes that for a fatal error. Callbacks of events run on the Executor.
type DispatchPlace uint8

// The places.
const (
	// DispatchMeasured: on the worker while the messenger's callbacks are short, which it
	// measures, and on the Executor when they are not (Stats.Queue.InPlaceNow says which).
	// docs/decisions/0011-short-callbacks-run-in-place.md has the rule.
	DispatchMeasured DispatchPlace = iota
	// DispatchOnPool: on the Executor.
	DispatchOnPool
	// DispatchOnWorker: on the worker, for callbacks that are known to be short.
	DispatchOnWorker
	numDispatchPlaces
)

func orDefault[T int | int64 | uint16 | time.Duration](v, d T) T {
	if v == 0 {
		return d
	}
	return v
}

// check returns what is wrong with c, naming the field.
func (c *Config) check() error {
	for _, f := range []struct {
		name string
		is   int64
	}{
		{"DialTimeout", int64(c.DialTimeout)}, {"BindRetryDelay", int64(c.BindRetryDelay)},
		{"DispatchWidth", int64(c.DispatchWidth)}, {"DispatchWidthMax", int64(c.DispatchWidthMax)},
		{"SendQueueMessages", int64(c.SendQueueMessages)}, {"SendQueueBytes", c.SendQueueBytes},
		{"HandshakesMax", int64(c.HandshakesMax)}, {"AuthStepsMax", int64(c.AuthStepsMax)},
		{"HandshakesMaxPerHost", int64(c.HandshakesMaxPerHost)}, {"EventsMax", int64(c.EventsMax)},
		{"ListenBacklog", int64(c.ListenBacklog)},
		{"WriteBatch", int64(c.WriteBatch)}, {"WriteBudget", int64(c.WriteBudget)},
		{"Socket.RecvBuffer", int64(c.Socket.RecvBuffer)}, {"Socket.SendBuffer", int64(c.Socket.SendBuffer)},
		{"Socket.UserTimeout", int64(c.Socket.UserTimeout)},
	} {
		if f.is < 0 {
			return fmt.Errorf("async: Config.%s is %d, and must not be negative", f.name, f.is)
		}
	}
	if w := c.DispatchWidthMax; w != 0 && w < c.DispatchWidth {
		return fmt.Errorf("async: Config.DispatchWidthMax is %d, less than DispatchWidth %d", w, c.DispatchWidth)
	}
	if c.BindPortMax != 0 && c.BindPortMax < c.BindPortMin {
		return fmt.Errorf("async: Config.BindPortMax is %d, less than BindPortMin %d", c.BindPortMax, c.BindPortMin)
	}
	if c.DispatchPlace >= numDispatchPlaces {
		return fmt.Errorf("async: Config.DispatchPlace is %d, which is none", c.DispatchPlace)
	}
	for i, a := range c.Advertise {
		if !a.Addr().IsValid() || a.Addr().IsUnspecified() {
			return fmt.Errorf("async: Config.Advertise[%d] is %q, which is no address that peers could reach", i, a)
		}
	}
	if _, err := c.Compression.session(); err != nil {
		return fmt.Errorf("async: Config.%w", err)
	}
	s := c.sessionConfig()
	if err := s.Check(); err != nil {
		return fmt.Errorf("async: Config.%w", err)
	}
	return nil
}

func (c Config) withDefaults() (Config, error) {
	if err := c.check(); err != nil {
		return c, err
	}
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
		c.Logger = slog.Default()
	}
	if c.AuthServer == nil {
		c.AuthServer = &auth.NoneServer{}
	}
	for c.Nonce == 0 && !c.FixedNonce {
		c.Nonce = uint32(c.Rand())
	}
	c.DispatchWidth = orDefault(c.DispatchWidth, max(4, c.Stack.NumWorkers()))
	c.DispatchLimit = orDefault(c.DispatchLimit, time.Second)
	c.DispatchWidthMax = orDefault(c.DispatchWidthMax, 16*c.DispatchWidth)
	c.DispatchThrottleBytes = orDefault(c.DispatchThrottleBytes, 100<<20)
	c.FastDispatchLimit = orDefault(c.FastDispatchLimit, 100*time.Millisecond)
	c.SendQueueMessages = orDefault(c.SendQueueMessages, 1<<16)
	c.SendQueueBytes = orDefault(c.SendQueueBytes, 256<<20)
	c.SendTotalBytes = orDefault(c.SendTotalBytes, 1<<30)
	c.SendHighWater = orDefault(c.SendHighWater, c.SendQueueBytes/2)
	c.StandbyMax = orDefault(c.StandbyMax, 1<<16)
	c.ReadyTimeout = orDefault(c.ReadyTimeout, 10*time.Second)
	if c.DialTimeout = orDefault(c.DialTimeout, c.ReadyTimeout); c.DialTimeout >= session.Forever {
		c.DialTimeout = 0 // the kernel's
	}
	c.HandshakesMax = orDefault(c.HandshakesMax, 4096)
	c.HandshakesMaxPerHost = orDefault(c.HandshakesMaxPerHost, max(c.HandshakesMax/2, 256))
	c.EventsMax = orDefault(c.EventsMax, 1<<16)
	c.BindRetries = orDefault(c.BindRetries, 3)
	c.BindRetryDelay = orDefault(c.BindRetryDelay, 5*time.Second)
	c.Compression.MinSize = orDefault(c.Compression.MinSize, 1<<10)
	c.fixedBatch = c.WriteBatch != 0
	c.WriteBatch = orDefault(c.WriteBatch, 256<<10)
	c.WriteBudget = orDefault(c.WriteBudget, 1<<20)
	return c, nil
}

// sessionConfig is the part of c that sessions need, without what depends on the clock.
func (c *Config) sessionConfig() session.Config {
	packs, _ := c.Compression.session() // check has seen to it
	return session.Config{
		Self: c.Name, Limits: c.Limits, Compression: packs,
		InitialBackoff: c.InitialBackoff, MaxBackoff: c.MaxBackoff, ReadyTimeout: c.ReadyTimeout,
		IdleTimeout: c.IdleTimeout, KeepaliveInterval: c.KeepaliveInterval, KeepaliveTimeout: c.KeepaliveTimeout,
		StandbyTimeout: c.StandbyTimeout, AckDelay: c.AckDelay, AllowSeqGaps: c.AllowSeqGaps,
		RekeyUnits: c.RekeyUnits, RekeyBytes: c.RekeyBytes,
		RejectAfter: c.RejectAfter, CheckPayloads: c.CheckPayloads, Observe: c.Observe,
	}
}

func (c *Config) session() session.Config {
	s := c.sessionConfig()
	s.Epoch = c.Clock.Wall().Add(-c.Clock.Now())
	return s.WithDefaults()
}

// defaultPriority is what SetDefaultSendPriority begins with.
const defaultPriority = msg.PriorityDefault
