package session

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// retry lets the wait for the next attempt pass.
func (l *lab) retry() *lab {
	l.t.Helper()
	at, ok := l.s.Deadline()
	require.True(l.t, ok, "no attempt is planned: %v", l.s)
	l.w.now = at
	l.s.HandleTimeout(at)
	l.c.settle()
	return l
}

// down breaks the transport with that error.
func (l *lab) down(err error) *lab {
	l.s.HandleTransportDown(l.w.now, err)
	l.c.settle()
	return l
}

// TestConnectFailures: each way in which an attempt fails has its reason, on either end.
func TestConnectFailures(t *testing.T) {
	p := msg.LosslessClient()
	drive := func(st State) func(l *lab) {
		return func(l *lab) { l.drive(st) }
	}
	for name, tc := range map[string]struct {
		before func(l *lab)
		fail   func(l *lab)
		state  State
		reason msg.Reason
		says   string
	}{
		"refused": {drive(StateConnecting), func(l *lab) { l.down(errRefused) },
			StateConnecting, msg.ReasonRefused, "refused"},
		"something": {drive(StateConnecting), func(l *lab) { l.down(errors.New("odd")) },
			StateConnecting, msg.ReasonOther, "odd"},
		"TCP takes too long": {drive(StateConnecting), func(l *lab) { l.pass(10 * time.Second) },
			StateConnecting, msg.ReasonTimeout, "timed out"},
		"handshake takes too long": {drive(StateAuthConnecting), func(l *lab) { l.pass(10 * time.Second) },
			StateAuthConnecting, msg.ReasonTimeout, "timed out"},
		"hung up": {drive(StateSessionConnecting), func(l *lab) { l.down(ErrPeerClosed) },
			StateSessionConnecting, msg.ReasonClosed, "closed by peer"},
		"reset": {drive(StateHelloConnecting), func(l *lab) { l.down(errCut) },
			StateHelloConnecting, msg.ReasonClosed, "reset"},
		"an HTTP server": {drive(StateBannerConnecting),
			func(l *lab) { l.bytes([]byte("HTTP/1.1 400 Bad Request\r\n")) },
			StateBannerConnecting, msg.ReasonNotMsgr, "begins with 'HTTP/1.1 400 Bad Request'"},
		"msgr v1": {drive(StateBannerConnecting), func(l *lab) { l.bytes([]byte("ceph v027")) },
			StateBannerConnecting, msg.ReasonVersion, "msgr v1"},
		"a TLS server": {drive(StateBannerConnecting), func(l *lab) { l.bytes([]byte("\x15\x03\x01\x00\x02\x02\x46")) },
			StateBannerConnecting, msg.ReasonNotMsgr, "msgr v2; what came begins with '......F'"},
		"msgr v2.0": {drive(StateBannerConnecting), func(l *lab) { l.bytes(frame.Banner{}.Append(nil)) },
			StateBannerConnecting, msg.ReasonVersion, "v2.1"},
		"another type": {drive(StateHelloConnecting),
			func(l *lab) { l.say(&frame.Hello{EntityType: entity.TypeMDS, PeerAddr: labSelf}) },
			StateHelloConnecting, msg.ReasonWrongPeer, "it is a mds, expected a osd"},
		"another nonce": {drive(StateSessionConnecting), func(l *lab) {
			si := serverIdent(0, 5)
			si.Addrs[0].Nonce++
			l.say(si)
		}, StateSessionConnecting, msg.ReasonWrongPeer,
			"asked for v2:10.0.0.9:6800/9, and the one that answers is v2:10.0.0.9:6800/10"},
		"authentication": {drive(StateAuthConnecting), func(l *lab) {
			l.say(&frame.AuthBadMethod{Method: 1, Result: -13, Methods: []uint32{2}, Modes: []uint32{2, 1}})
		}, StateAuthConnecting, msg.ReasonAuth, "allowed: methods [cephx], modes [secure crc]"},
		"features": {drive(StateSessionConnecting), func(l *lab) { l.say(&frame.IdentMissingFeatures{Features: 2}) },
			StateSessionConnecting, msg.ReasonFeatures, "this side lacks 0x2"},
		"too long": {drive(StateHelloConnecting),
			func(l *lab) { l.bytes(l.encode(rawFrame{frame.TagHello, make([]byte, 70<<10)})) },
			StateHelloConnecting, msg.ReasonLimit, "too large"},
		"nonsense": {drive(StateHelloConnecting), func(l *lab) { l.say(&frame.Ack{Seq: 1}) },
			StateHelloConnecting, msg.ReasonProtocol, "not allowed"},
	} {
		l := connector(t, p)
		for attempt := 1; attempt <= 3; attempt++ {
			tc.before(l)
			tc.fail(l)
			require.Len(t, l.c.failed, attempt, name)
			got := l.c.failed[attempt-1]
			require.Equal(t, tc.reason, got.Reason, "%s: %v", name, got)
			require.Equal(t, attempt, got.Attempt, name)
			require.Equal(t, tc.state.String(), got.State, name)
			require.ErrorContains(t, got, "while "+tc.state.Step()+": ", name)
			require.ErrorContains(t, got, tc.says, name)
			if l.s.State() == StateClosed {
				require.Negative(t, got.Retry, name)
				require.Equal(t, "Closed", l.c.events[len(l.c.events)-1], name)
				break
			}
			at, _ := l.s.Deadline()
			require.Equal(t, at-l.w.now, got.Retry, name)
			l.retry()
		}
	}
	// An attempt without anything to send is not repeated by a policy that stands by.
	l := connector(t, msg.LosslessPeer()).down(errRefused)
	require.Equal(t, StateStandby, l.s.State())
	require.Negative(t, l.c.failed[0].Retry)
	l.s.RetryNow(l.w.now)
	require.Equal(t, StateConnecting, l.s.State())
	// A race that was lost, and the peer's connection that came first, are no failures.
	l = connector(t, msg.LosslessPeer()).drive(StateSessionConnecting).say(&frame.Wait{})
	require.Equal(t, StateWait, l.s.State())
	l.s.Fault(l.w.now, ErrReplaced)
	l.c.settle()
	require.Empty(t, l.c.failed)
}

// TestAttemptsAreCountedAnew once a session was of use, and not before.
func TestAttemptsAreCountedAnew(t *testing.T) {
	l := connector(t, msg.LosslessClient())
	for range 3 {
		l.down(errRefused).retry()
	}
	l.drive(StateReady)
	require.Equal(t, 4, l.s.Attempts())
	l.down(errCut) // once is nothing
	require.Len(t, l.c.failed, 3)
	l.drive(StateSessionReconnecting).say(&frame.SessionReconnectOK{}).down(errCut) // twice, at once, is
	require.Len(t, l.c.failed, 4)
	require.Equal(t, msg.ReasonBroken, l.c.failed[3].Reason)
	require.Equal(t, 1, l.c.failed[3].Attempt)
	l.retry().down(errRefused)
	require.Equal(t, 2, l.c.failed[4].Attempt)
	l.retry().drive(StateSessionReconnecting).say(&frame.SessionReconnectOK{}).msg(1, 0).down(errCut)
	require.Len(t, l.c.failed, 5)
	l.down(errRefused)
	require.Equal(t, 1, l.c.failed[5].Attempt)
}

// TestTurnedAway: what an accepted peer is refused is noted, and it may ask again.
func TestTurnedAway(t *testing.T) {
	p := msg.StatefulServer()
	p.FeaturesRequired = 2
	l := acceptor(t, p).drive(StateSessionAccepting)
	f := clientIdent(1, 2)
	f.FeaturesSupported &^= 2
	l.say(f)
	require.Equal(t, StateSessionAccepting, l.s.State())
	require.Equal(t, msg.ReasonFeatures, ReasonOf(l.c.refused[0]))

	l = acceptor(t, msg.StatefulServer()).drive(StateAuthAccepting)
	l.say(&frame.AuthRequest{Method: auth.MethodCephX, Modes: []uint32{1}})
	require.Equal(t, StateAuthAccepting, l.s.State())
	require.Equal(t, msg.ReasonAuth, ReasonOf(l.c.refused[0]))
	want[frame.AuthBadMethod](l)
}

// TestForgottenAgainAndAgain: sessions that the peer does not know, one short one after
// the other, are begun anew ever more slowly, and that has a reason.
func TestForgottenAgainAndAgain(t *testing.T) {
	l := readyConnector(t, msg.LosslessClient())
	var pauses []time.Duration
	for range 8 {
		l.msg(l.s.InSeq()+1, 0) // the session is of use meanwhile
		l.down(errCut)
		pause := time.Duration(0)
		if l.s.State() == StateBackoff {
			at, _ := l.s.Deadline()
			pause = at - l.w.now
			l.retry()
		}
		pauses = append(pauses, pause)
		l.drive(StateSessionReconnecting).say(&frame.SessionReset{Full: true}).say(serverIdent(0, 0xbeef))
		require.Equal(t, StateReady, l.s.State())
	}
	require.Zero(t, pauses[0]+pauses[1])
	for i := 3; i < len(pauses); i++ {
		require.Greater(t, pauses[i], time.Duration(0), "%v", pauses)
	}
	last := l.c.failed[len(l.c.failed)-1]
	require.Equal(t, msg.ReasonDisplaced, last.Reason)
	require.ErrorIs(t, last, ErrForgotten)
	// One that lives ends it.
	l.w.now += 11 * time.Second
	l.msg(1, 0).down(errCut)
	require.Equal(t, StateConnecting, l.s.State())
}

// TestForgottenOnce: a peer that restarts twice within seconds is none whose place is taken
// by somebody else.
func TestForgottenOnce(t *testing.T) {
	l := readyConnector(t, msg.LosslessClient()).down(errCut)
	l.drive(StateSessionReconnecting).say(&frame.SessionReset{Full: true}).say(serverIdent(0, 0xbeef))
	require.Empty(t, l.c.failed)
	l.down(errCut)
	require.Len(t, l.c.failed, 1)
	require.Equal(t, msg.ReasonBroken, l.c.failed[0].Reason)
}

// TestForgottenInStandby: the same when all is sent each time, so that only the next
// message calls the peer.
func TestForgottenInStandby(t *testing.T) {
	l := readyConnector(t, msg.LosslessPeer())
	var pauses []time.Duration
	broken := func() {
		l.down(errCut)
		require.Equal(t, StateStandby, l.s.State())
	}
	forgotten := func() {
		l.drive(StateSessionReconnecting).say(&frame.SessionReset{}).say(serverIdent(0, 0xbeef))
		require.Equal(t, StateReady, l.s.State())
		l.out = nil
		l.say(&frame.Ack{Seq: 1})
	}
	for i := range uint64(8) {
		broken()
		if i < 2 {
			require.Empty(t, l.c.failed, "once is a peer that restarted")
		}
		l.send(i, 127)
		pause := time.Duration(0)
		if l.s.State() == StateBackoff {
			at, _ := l.s.Deadline()
			pause = at - l.w.now
			l.retry()
		}
		pauses = append(pauses, pause)
		forgotten()
	}
	require.Zero(t, pauses[0]+pauses[1])
	require.Greater(t, pauses[2], time.Duration(0), "%v", pauses)
	require.GreaterOrEqual(t, pauses[7], l.n.cfg.MaxBackoff/2, "%v", pauses)
	last := l.c.failed[len(l.c.failed)-1]
	require.Equal(t, msg.ReasonDisplaced, last.Reason)
	require.ErrorIs(t, last, ErrForgotten)
	require.Negative(t, last.Retry)

	broken()
	l.s.RetryNow(l.w.now)
	l.c.settle()
	require.Equal(t, StateConnecting, l.s.State(), "the user knows better")
	forgotten()
	broken()
	l.w.now += 20 * time.Second
	l.send(20, 127)
	require.Equal(t, StateConnecting, l.s.State(), "it has waited")
}

// TestGlobalID: what a monitor calls us we call ourselves, except to monitors and unless
// we have a number.
func TestGlobalID(t *testing.T) {
	gid := func(typ entity.Type, self entity.Name, known uint64) (int64, *simNode) {
		l := newLab(t, msg.LosslessClient(), func(n *simNode) { n.cfg.Self, n.globalID = self, known })
		l.c.s = NewConnector(&l.n.cfg, l.n, l.c, nil, nil,
			Peer{Type: typ, Addrs: entity.AddrVec{labPeer}, Policy: l.n.policy})
		l.s = l.c.s
		l.s.Start(0)
		l.c.settle()
		l.drive(StateHelloConnecting)
		want[frame.Hello](l)
		l.say(&frame.Hello{EntityType: typ, PeerAddr: labSelf})
		l.drive(StateSessionConnecting)
		return want[frame.ClientIdent](l).GID, l.n
	}
	nobody := entity.Client(entity.NumNew)
	got, n := gid(entity.TypeMon, nobody, 0)
	require.Equal(t, int64(entity.NumNew), got)
	require.Equal(t, uint64(5), n.globalID, "the monitor says so in AUTH_DONE")
	got, n = gid(entity.TypeOSD, nobody, 4123)
	require.Equal(t, int64(4123), got)
	require.Equal(t, uint64(4123), n.globalID, "an OSD gives no numbers")
	got, _ = gid(entity.TypeMon, nobody, 4123)
	require.Equal(t, int64(entity.NumNew), got)
	got, _ = gid(entity.TypeOSD, nobody, 0)
	require.Equal(t, int64(entity.NumNew), got)
	got, _ = gid(entity.TypeOSD, entity.Client(7), 4123)
	require.Equal(t, int64(7), got)
}

// TestStandbyTimeout: a session that only its peer can resume is not kept for ever.
func TestStandbyTimeout(t *testing.T) {
	l := readyAcceptor(t, msg.StatefulServer(), func(n *simNode) { n.cfg.StandbyTimeout = time.Minute })
	l.send(1, 127).down(errCut)
	require.Equal(t, StateStandby, l.s.State())
	require.Equal(t, 1, l.c.absent)
	l.pass(59 * time.Second)
	require.Equal(t, StateStandby, l.s.State())
	l.pass(time.Second)
	require.Equal(t, StateClosed, l.s.State())
	require.ErrorIs(t, l.c.done[1], msg.ErrPeerAbsent)
	require.ErrorIs(t, l.c.done[1], msg.ErrReset)
	require.Equal(t, 1, l.c.resets)

	// Never, if that is wanted; and who can call the peer has no need of it.
	for _, l := range []*lab{
		readyAcceptor(t, msg.StatefulServer(), func(n *simNode) { n.cfg.StandbyTimeout = -1 }).down(errCut),
		readyConnector(t, msg.LosslessPeer(), func(n *simNode) { n.cfg.StandbyTimeout = time.Minute }).down(errCut),
	} {
		require.Equal(t, StateStandby, l.s.State())
		_, ok := l.s.Deadline()
		require.False(t, ok)
	}

	// Given up by somebody else, for want of room.
	l = readyAcceptor(t, msg.StatefulServer()).down(errCut)
	l.s.GiveUp(l.w.now, msg.ErrPeerAbsent)
	l.c.settle()
	require.Equal(t, StateClosed, l.s.State())
	l = readyAcceptor(t, msg.StatefulServer())
	l.s.GiveUp(l.w.now, msg.ErrPeerAbsent)
	require.Equal(t, StateReady, l.s.State(), "its peer is there")
}

// TestRetryNow ends a wait, and the delays begin anew.
func TestRetryNow(t *testing.T) {
	l := connector(t, msg.LosslessClient())
	for range 4 {
		l.down(errRefused).retry()
	}
	l.down(errRefused)
	l.s.RetryNow(l.w.now)
	l.c.settle()
	require.Equal(t, StateConnecting, l.s.State())
	l.down(errRefused)
	require.LessOrEqual(t, l.c.failed[5].Retry, 200*time.Millisecond)
	require.Equal(t, 6, l.c.failed[5].Attempt)

	l = readyConnector(t, msg.LosslessClient())
	l.s.RetryNow(0)
	require.Equal(t, StateReady, l.s.State(), "there is nothing to be tried again")
}

// TestDurations: for ever is for ever, and nothing overflows.
func TestDurations(t *testing.T) {
	forever := time.Duration(1<<63 - 1)
	for name, set := range map[string]func(c *Config){
		"IdleTimeout":       func(c *Config) { c.IdleTimeout = forever },
		"ReadyTimeout":      func(c *Config) { c.ReadyTimeout = forever },
		"KeepaliveInterval": func(c *Config) { c.KeepaliveInterval = forever },
		"KeepaliveTimeout":  func(c *Config) { c.KeepaliveTimeout, c.KeepaliveInterval = forever, time.Second },
		"MaxBackoff":        func(c *Config) { c.MaxBackoff = forever },
		"InitialBackoff":    func(c *Config) { c.InitialBackoff, c.MaxBackoff = forever, forever },
		"AckDelay":          func(c *Config) { c.AckDelay = forever },
		"StandbyTimeout":    func(c *Config) { c.StandbyTimeout = forever },
	} {
		c := Config{Self: entity.OSD(1)}
		set(&c)
		require.NoError(t, c.Check(), name)
		c = c.WithDefaults()
		l := readyConnector(t, msg.LosslessPeer(), func(n *simNode) { n.cfg = c })
		for range 1000 {
			at, ok := l.s.Deadline()
			if !ok || at > 100*time.Hour {
				break
			}
			require.GreaterOrEqual(t, at, l.w.now, name)
			l.retry()
			l.settle()
			l.say(&frame.KeepaliveAck{})
		}
		require.Empty(t, l.c.faults, name)
		for range 3 {
			l.down(errRefused)
			if at, ok := l.s.Deadline(); ok {
				require.Greater(t, at, l.w.now, name)
			}
			l.s.RetryNow(l.w.now)
			l.c.settle()
		}
	}
	for name, c := range map[string]Config{
		"InitialBackoff is -1ns": {InitialBackoff: -1}, "MaxBackoff": {MaxBackoff: -1},
		"ReadyTimeout": {ReadyTimeout: -1}, "KeepaliveInterval": {KeepaliveInterval: -1},
		"PreAuthBytes": {PreAuthBytes: -1}, "less than InitialBackoff": {InitialBackoff: 2, MaxBackoff: 1},
	} {
		require.ErrorContains(t, c.Check(), name)
	}
	for _, c := range []Config{
		{}, {IdleTimeout: -1, KeepaliveTimeout: -1, AckDelay: -1, StandbyTimeout: -1, RejectAfter: -1},
	} {
		require.NoError(t, c.Check())
	}
	c := Config{IdleTimeout: time.Minute}.WithDefaults()
	require.Equal(t, 4*time.Minute, c.StandbyTimeout)
	require.Negative(t, Config{IdleTimeout: -1}.WithDefaults().StandbyTimeout)
}

// TestReasonNames: each reason has a name of its own.
func TestReasonNames(t *testing.T) {
	seen := map[string]bool{}
	for r := range msg.Reason(msg.NumReasons) {
		require.False(t, seen[r.String()], r.String())
		seen[r.String()] = true
		if r != msg.ReasonOther {
			require.NotEmpty(t, r.Hint()+fmt.Sprint(msg.AcceptHint(r, nil)))
		}
	}
}
