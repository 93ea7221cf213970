package connection

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
)

// FailureLog says why connections do not come up, or break by what peers send: the
// first time at once, then, while it goes on, at most once a minute for each reason, with
// how often; and when a connection that failed is up again. Any goroutine.
type FailureLog struct {
	log *slog.Logger
	// healthy is how long a connection has to be up for what was before to be over.
	healthy time.Duration

	mu     sync.Mutex
	series map[failureKey]*failures
	minute time.Duration // when the minute began that lines counts in
	lines  int
	unsaid int // lines left out since, for want of room
}

// failureKey is what belongs together: the attempts of one connection of ours, or what
// happens for one reason with accepted connections from one host.
type failureKey struct {
	conn   uint64
	reason msg.Reason
	host   netip.Addr
}

// failures is one series.
type failures struct {
	count  int // since the last line
	total  int
	first  time.Duration
	last   time.Duration                 // of the failures
	said   [msg.NumReasons]time.Duration // 1 ns after the last line with that reason; 0: there was none
	upAt   time.Duration                 // when it was up again; 0: it is not
	upSaid time.Duration
}

const (
	// saidEvery is how often one series is logged.
	saidEvery = time.Minute
	// seriesMax bounds how many series are remembered. At the bound those that are over
	// are forgotten; if there are none, new ones are counted as unsaid.
	seriesMax = 1024
	// linesMax bounds the lines a minute, over all series: a server that is away takes
	// the connections of all its clients along. The rest is counted and said with the
	// next line.
	linesMax = 60
)

// Init makes l ready for use.
func (l *FailureLog) Init(log *slog.Logger, healthy time.Duration) {
	l.log, l.healthy, l.series = log, healthy, map[failureKey]*failures{}
}

// note counts a failure and says whether it is to be logged, with how many there were
// since the last line.
func (l *FailureLog) note(now time.Duration, k failureKey, reason msg.Reason) (f failures, say bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.series[k]
	if s != nil && s.upAt != 0 && now-s.upAt > l.healthy {
		s = nil // that was another story
	}
	if s == nil {
		if len(l.series) >= seriesMax && !l.forget(now) {
			l.unsaid++
			return f, false
		}
		s = &failures{first: now}
		l.series[k] = s
	}
	s.count++
	s.total++
	s.last, s.upAt = now, 0
	if said := s.said[reason]; said != 0 && now+1-said < saidEvery || !l.mayLog(now) {
		return f, false
	}
	s.said[reason] = now + 1
	f = *s
	s.count = 0
	return f, true
}

// mayLog takes one of the minute's lines; under mu.
func (l *FailureLog) mayLog(now time.Duration) bool {
	if now-l.minute >= time.Minute || l.minute == 0 {
		l.minute, l.lines = max(now, 1), 0
	}
	if l.lines >= linesMax {
		l.unsaid++
		return false
	}
	l.lines++
	return true
}

// forget drops the series that are over; under mu.
func (l *FailureLog) forget(now time.Duration) bool {
	for k, s := range l.series {
		if now-s.last > saidEvery || s.upAt != 0 && now-s.upAt > l.healthy {
			delete(l.series, k)
		}
	}
	return len(l.series) < seriesMax
}

// takeUnsaid returns how many lines were left out, once.
func (l *FailureLog) takeUnsaid() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, l.unsaid = l.unsaid, 0
	return n
}

func (l *FailureLog) warn(text string, args ...any) {
	if n := l.takeUnsaid(); n > 0 {
		args = append(args, "lines left out before this one", n)
	}
	l.log.Warn(text, args...)
}

// ConnectFailed is an attempt of ours.
func (l *FailureLog) ConnectFailed(now time.Duration, c msg.Connection, err *msg.ConnectError) {
	f, say := l.note(now, failureKey{conn: c.ID()}, err.Reason)
	if !say {
		return
	}
	args := []any{"conn", c, "reason", err.Reason.String(), "err", err.Err, "while", err.Step, "attempt", err.Attempt}
	switch {
	case err.Retry < 0 && c.State() == msg.StateStandby:
		args = append(args, "next attempt", "when there is something to send")
	case err.Retry < 0:
		args = append(args, "next attempt", "none")
	default:
		args = append(args, "next attempt in", err.Retry.Round(time.Millisecond))
	}
	if f.total > 1 {
		args = append(args, "failures since the last line", f.count, "for", (now - f.first).Round(time.Second))
	}
	text := "cannot connect"
	if err.Reason == msg.ReasonBroken {
		text = "a connection does not last"
	}
	l.warn(text, append(args, hint(err.Hint())...)...)
}

// Connected is a connection of ours that is up, or up again.
func (l *FailureLog) Connected(now time.Duration, c msg.Connection) {
	l.mu.Lock()
	s := l.series[failureKey{conn: c.ID()}]
	say := s != nil && s.upAt == 0 && (s.upSaid == 0 || now-s.upSaid >= saidEvery) && l.mayLog(now)
	var f failures
	if s != nil {
		s.upAt = max(now, 1)
		f = *s
		if say {
			s.upSaid = max(now, 1)
		}
	}
	l.mu.Unlock()
	if say {
		l.log.Info("connected after failed attempts", "conn", c, "failures", f.total,
			"after", (now - f.first).Round(time.Millisecond))
	}
}

// Gone forgets a connection.
func (l *FailureLog) Gone(c msg.Connection) {
	l.mu.Lock()
	delete(l.series, failureKey{conn: c.ID()})
	l.mu.Unlock()
}

// Fault is a fault of c in that state, which the peer may be to blame for: one that was
// accepted and did not come up or was turned away, or a session that was broken by what
// the peer sent. Other faults are the network's, or attempts of ours: see ConnectFailed.
// announced says that the user knows of c. stranger says that a peer did not come up, for
// that reason; it is to be counted.
func (l *FailureLog) Fault(
	now time.Duration, c fromPeer, announced bool, state session.State, err error,
) (reason msg.Reason, stranger bool) {
	reason = session.ReasonOf(err)
	text := "a peer broke its session"
	if reason == msg.ReasonLimit {
		text = "a peer sends more than is allowed here"
	}
	switch {
	case state == session.StateReady:
		if reason != msg.ReasonProtocol && reason != msg.ReasonLimit {
			return reason, false
		}
	case !c.Accepted() || announced:
		return reason, false
	default:
		text, stranger = "a peer could not connect", true
		if reason == msg.ReasonClosed && state == session.StateBannerAccepting {
			return reason, true // somebody looked whether the port is open
		}
	}
	l.AcceptFailed(now, text, c.Remote(), reason, err, "conn", c, "while", state.Step())
	return reason, stranger
}

// fromPeer is a connection with a Face.
type fromPeer interface {
	msg.Connection
	Remote() netip.AddrPort
	Accepted() bool
}

// AcceptFailed is an accepted connection that did not come up, or was refused what it
// asked for; or one that broke by what its peer sent.
func (l *FailureLog) AcceptFailed(
	now time.Duration, text string, from netip.AddrPort, reason msg.Reason, err error, args ...any,
) {
	f, say := l.note(now, failureKey{reason: reason, host: from.Addr()}, reason)
	if !say {
		return
	}
	args = append([]any{"from", from, "reason", reason.String(), "err", err}, args...)
	if f.total > 1 {
		args = append(args, "of this kind since the last line", f.count)
	}
	l.warn(text, append(args, hint(msg.AcceptHint(reason, err))...)...)
}

func hint(text string) []any {
	if text == "" {
		return nil
	}
	return []any{"hint", text}
}
