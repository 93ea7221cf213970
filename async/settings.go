package async

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// Settings is a Config with its defaults, as far as an operator wants to see it, with what was
// changed since; negative durations and 0 bounds mean what they mean in Config.
type Settings struct {
	// These can be changed: SetDispatchThrottleBytes, SetKeepalive.
	DispatchThrottleBytes               int64 // 0: no bound
	KeepaliveInterval, KeepaliveTimeout time.Duration

	InitialBackoff, MaxBackoff, ReadyTimeout, IdleTimeout time.Duration
	StandbyTimeout, AckDelay, DialTimeout                 time.Duration
	DispatchLimit, FastDispatchLimit                      time.Duration
	Workers, DispatchWidth, DispatchWidthMax              int
	SendQueueMessages                                     int
	SendQueueBytes, SendTotalBytes, SendHighWater         int64
	HandshakesMax, HandshakesMaxPerHost                   int
	EventsMax, StandbyMax                                 int
	BindPortMin, BindPortMax                              uint16
	ListenBacklog, RecvBuffer                             int
	FaultsAllowed                                         bool

	// CompressionAlgorithms are those of Config.Compression, separated by blanks.
	CompressionAlgorithms string
	CompressionMinSize    int
	CompressionWithSecure bool
}

// Settings are the messenger's now. Any goroutine.
func (m *Messenger) Settings() Settings {
	c, s := &m.cfg, &m.sessCfg
	out := Settings{
		InitialBackoff: s.InitialBackoff, MaxBackoff: s.MaxBackoff, ReadyTimeout: s.ReadyTimeout,
		IdleTimeout: s.IdleTimeout, StandbyTimeout: s.StandbyTimeout, AckDelay: s.AckDelay,
		DialTimeout: c.DialTimeout, DispatchLimit: c.DispatchLimit, FastDispatchLimit: c.FastDispatchLimit,
		Workers: c.Stack.NumWorkers(), DispatchWidth: c.DispatchWidth, DispatchWidthMax: c.DispatchWidthMax,
		SendQueueMessages: c.SendQueueMessages, SendQueueBytes: c.SendQueueBytes,
		SendTotalBytes: c.SendTotalBytes, SendHighWater: c.SendHighWater,
		HandshakesMax: c.HandshakesMax, HandshakesMaxPerHost: c.HandshakesMaxPerHost,
		EventsMax: c.EventsMax, StandbyMax: c.StandbyMax,
		BindPortMin: c.BindPortMin, BindPortMax: c.BindPortMax,
		ListenBacklog: orDefault(c.ListenBacklog, 512), RecvBuffer: c.Socket.RecvBuffer,
		FaultsAllowed:         m.Faults() != nil,
		CompressionAlgorithms: strings.Join(c.Compression.Algorithms, " "), CompressionMinSize: c.Compression.MinSize,
		CompressionWithSecure: c.Compression.WithSecure,
	}
	out.KeepaliveInterval, out.KeepaliveTimeout = s.Live.Keepalive()
	if m.throttle != nil {
		out.DispatchThrottleBytes = m.throttle.Stats().Limit
	}
	return out
}

// ErrFixed: a bound that does not exist since New cannot be set.
var ErrFixed = errors.New("async: cannot be changed in this messenger")

// SetDispatchThrottleBytes changes Config.DispatchThrottleBytes; what is held is not taken
// back. What one connection may have of it stays as it was. It fails with ErrFixed if New
// was told that there is no bound, and if n is not positive. Any goroutine.
func (m *Messenger) SetDispatchThrottleBytes(n int64) error {
	switch {
	case m.throttle == nil:
		return fmt.Errorf("%w: Config.DispatchThrottleBytes is negative", ErrFixed)
	case n <= 0:
		return fmt.Errorf("async: a dispatch throttle of %d bytes", n)
	}
	m.throttle.SetLimit(n)
	return nil
}

// SetPolicyThrottle changes the limit of a throttle of the policy for peers of type t (0: of
// the default policy), if that is a *dispatch.Throttle: that for messages, or for bytes. All policies
// that share the throttle have the new limit; 0 means unlimited. Any goroutine.
func (m *Messenger) SetPolicyThrottle(t entity.Type, bytes bool, limit int64) error {
	x, ok := m.policyThrottle(t, bytes)
	switch {
	case !ok:
		return fmt.Errorf("%w: the policy for peers of type %v has no such throttle", ErrFixed, t)
	case limit < 0:
		return fmt.Errorf("async: a throttle of %d", limit)
	}
	x.SetLimit(limit)
	return nil
}

// SetKeepalive changes Config.KeepaliveInterval and KeepaliveTimeout, for the connections
// that there are too. Any goroutine.
func (m *Messenger) SetKeepalive(interval, timeout time.Duration) error {
	c := session.Config{KeepaliveInterval: interval, KeepaliveTimeout: timeout}
	if err := c.Check(); err != nil {
		return fmt.Errorf("async: %w", err)
	}
	c = c.WithDefaults()
	m.sessCfg.Live.SetKeepalive(c.KeepaliveInterval, c.KeepaliveTimeout)
	for _, conn := range m.reg.Snapshot() {
		connection.Rearm(conn)
	}
	return nil
}

// PolicyThrottle is the limit of what SetPolicyThrottle sets; ok is false if there is no such
// throttle. Any goroutine.
func (m *Messenger) PolicyThrottle(t entity.Type, bytes bool) (limit int64, ok bool) {
	x, ok := m.policyThrottle(t, bytes)
	if !ok {
		return 0, false
	}
	return x.Stats().Limit, true
}

func (m *Messenger) policyThrottle(t entity.Type, bytes bool) (*dispatch.Throttle, bool) {
	p := m.PolicyFor(t)
	th := p.ThrottleMessages
	if bytes {
		th = p.ThrottleBytes
	}
	x, ok := th.(*dispatch.Throttle)
	return x, ok && x != nil
}
