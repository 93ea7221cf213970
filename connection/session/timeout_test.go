package session

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// TestReadyTimeout: the handshake has an absolute deadline, in every state.
func TestReadyTimeout(t *testing.T) {
	for _, st := range States() {
		if !st.connecting() && !st.accepting() {
			continue
		}
		for role, l := range inState(t, st) {
			faults := len(l.c.faults)
			at, ok := l.s.Deadline()
			require.True(t, ok, "%s %s", st, role)
			l.w.now = at - 1
			l.s.HandleTimeout(l.w.now)
			require.Equal(t, st, l.s.State())
			l.w.now = at
			l.s.HandleTimeout(at)
			l.c.settle()
			require.Len(t, l.c.faults, faults+1)
			require.ErrorIs(t, l.lastFault(), ErrReadyTimeout, "%s %s", st, role)
			if st.accepting() {
				require.Equal(t, StateClosed, l.s.State())
				require.Zero(t, l.c.resets, "nobody knew of it")
			}
		}
	}
}

// TestSlowPeer: one byte at a time does not move the deadline.
func TestSlowPeer(t *testing.T) {
	l := acceptor(t, msg.StatefulServer())
	b := frame.Banner{Supported: 1}.Append(nil)
	for i := 0; l.s.State() != StateClosed; i++ {
		require.Less(t, l.w.now, 11*time.Second)
		if i < len(b)-1 {
			l.bytes(b[i : i+1])
		}
		l.pass(time.Second)
	}
	require.ErrorIs(t, l.lastFault(), ErrReadyTimeout)
}

func TestIdleTimeout(t *testing.T) {
	l := readyConnector(t, msg.LosslessPeer())
	l.pass(869 * time.Second).quiet()
	l.pass(time.Second)
	want[frame.Keepalive](l) // the peer is asked before it is given up
	l.pass(29*time.Second).msg(1, 0)
	want[frame.Ack](l)
	l.say(&frame.KeepaliveAck{}) // an old answer is a sign of life too
	l.pass(870 * time.Second)
	want[frame.Keepalive](l)
	l.pass(29 * time.Second)
	require.Empty(t, l.c.faults)
	l.pass(time.Second)
	require.ErrorIs(t, l.lastFault(), ErrIdleTimeout)
	require.Equal(t, StateStandby, l.s.State())

	// Who was held up and did not ask in time asks first.
	l = readyConnector(t, msg.LosslessPeer())
	l.pass(time.Hour)
	require.Empty(t, l.c.faults)
	want[frame.Keepalive](l)
	l.pass(30 * time.Second)
	require.ErrorIs(t, l.lastFault(), ErrIdleTimeout)
	_, ok := l.s.Deadline()
	require.False(t, ok)

	l = readyConnector(t, msg.LosslessPeer(), func(n *simNode) { n.cfg.IdleTimeout = -1 })
	_, ok = l.s.Deadline()
	require.False(t, ok)
}

func keepalives(interval, timeout time.Duration) nodeOption {
	return func(n *simNode) { n.cfg.KeepaliveInterval, n.cfg.KeepaliveTimeout = interval, timeout }
}

func TestKeepalive(t *testing.T) {
	l := readyConnector(t, msg.LosslessPeer(), keepalives(10*time.Second, 5*time.Second))
	l.pass(10 * time.Second)
	k := want[frame.Keepalive](l)
	l.pass(4 * time.Second).say(&frame.KeepaliveAck{Stamp: k.Stamp})
	require.Equal(t, k.Stamp.Time(), l.s.LastKeepaliveAck())
	l.quiet()
	l.pass(10 * time.Second)
	want[frame.Keepalive](l)
	l.pass(4*time.Second).msg(1, 0) // something else shows that it lives
	want[frame.Ack](l)
	l.pass(4 * time.Second)
	require.Empty(t, l.c.faults)
	l.pass(time.Second)
	require.ErrorIs(t, l.lastFault(), ErrKeepaliveTimeout)

	// The peer's are answered, the last one of many.
	l = readyConnector(t, msg.LosslessPeer())
	var b []byte
	for i := range 100 {
		b = append(b, l.encode(&frame.Keepalive{Stamp: frame.Stamp{Sec: uint32(i)}})...)
	}
	l.s.HandleBytes(0, b)
	l.settle()
	require.Equal(t, uint32(99), want[frame.KeepaliveAck](l).Stamp.Sec)
	l.quiet()
}

// TestKeepaliveThatCannotBeWritten: the deadline moves on, and then it is a fault.
func TestKeepaliveThatCannotBeWritten(t *testing.T) {
	for _, timeout := range []time.Duration{5 * time.Second, -1} {
		l := readyConnector(t, msg.LosslessPeer(), keepalives(10*time.Second, timeout))
		for i := 0; len(l.c.faults) == 0; i++ {
			require.Less(t, i, 5, "a hot loop")
			at, ok := l.s.Deadline()
			require.True(t, ok)
			require.GreaterOrEqual(t, at, l.w.now)
			l.w.now = at
			l.s.HandleTimeout(at)
			l.c.settle()
		}
		if timeout > 0 {
			require.ErrorIs(t, l.lastFault(), ErrKeepaliveTimeout)
			require.Equal(t, 15*time.Second, l.w.now)
		} else {
			require.ErrorIs(t, l.lastFault(), ErrIdleTimeout)
		}
	}
}

// TestKeepaliveInStandby wakes a session that may call, and only that.
func TestKeepaliveInStandby(t *testing.T) {
	l := readyConnector(t, msg.LosslessPeer()).fault()
	require.Equal(t, StateStandby, l.s.State())
	l.s.Keepalive(0)
	require.Equal(t, StateConnecting, l.s.State())
	require.Equal(t, uint64(1), l.s.id.connectSeq)
	l.drive(StateSessionReconnecting)
	want[frame.SessionReconnect](l)
	l.say(&frame.SessionReconnectOK{})
	want[frame.Keepalive](l)

	l = readyAcceptor(t, msg.StatefulServer()).fault()
	l.s.Keepalive(0)
	l.send(1, 127)
	require.Equal(t, StateStandby, l.s.State(), "a server waits")
}

// TestStandbyWithoutAddress: a peer that does not listen cannot be called back,
// whatever the policy.
func TestStandbyWithoutAddress(t *testing.T) {
	for _, p := range []msg.Policy{msg.LosslessPeer(), msg.DefaultPolicy()} {
		w := &world{t: t}
		a, b := w.node(1, p, clientOnly), w.node(2, p)
		c := a.connectTo(b)
		w.runFor(time.Second)
		w.cut(w.wires[0])
		d := b.open()[0]
		if c.s.State() == StateStandby {
			d.send(1, 127, 0)
			d.s.Keepalive(w.now)
			d.settle()
			w.runFor(time.Minute)
			require.Equal(t, StateStandby, d.s.State())
			c.send(2, 127, 0)
		} else {
			d.send(1, 127, 0)
		}
		w.runFor(time.Minute)
		require.Equal(t, []uint64{1}, a.got)
	}
}

// TestStandbyWakes with the next message, and only then.
func TestStandbyWakes(t *testing.T) {
	l := readyConnector(t, msg.LosslessPeer()).fault()
	require.Equal(t, StateStandby, l.s.State())
	_, ok := l.s.Deadline()
	require.False(t, ok)
	l.c.send(1, 127, 0)
	require.Equal(t, StateConnecting, l.s.State())

	l = readyConnector(t, msg.LosslessClient()).fault()
	require.Equal(t, StateConnecting, l.s.State(), "without standby it comes back at once")
}

// TestBackoff doubles from InitialBackoff to MaxBackoff, each spread over its
// upper half.
func TestBackoff(t *testing.T) {
	l := connector(t, msg.LosslessClient(), func(n *simNode) { n.cfg.MaxBackoff = 15 * time.Second })
	seen := map[bool]int{}
	for i, d := range []time.Duration{200, 400, 800, 1600, 3200, 6400, 12800, 15000, 15000, 15000} {
		d *= time.Millisecond
		l.s.HandleTransportDown(l.w.now, errRefused)
		l.c.settle()
		require.Equal(t, StateBackoff, l.s.State())
		at, _ := l.s.Deadline()
		require.GreaterOrEqual(t, at-l.w.now, d/2, i)
		require.LessOrEqual(t, at-l.w.now, d, i)
		seen[at-l.w.now > 3*d/4]++
		l.w.now = at
		l.s.HandleTimeout(at)
		l.c.settle()
		require.Equal(t, StateConnecting, l.s.State())
	}
	require.Len(t, seen, 2, "no jitter")
	require.Zero(t, l.s.id.connectSeq, "there is no session whose attempts could be counted")
	l.drive(StateReady)
	l.s.HandleTransportDown(l.w.now, errCut)
	l.c.settle()
	require.Equal(t, StateConnecting, l.s.State(), "a session that broke is resumed at once")
	l.s.HandleTransportDown(l.w.now, errCut)
	require.Equal(t, 200*time.Millisecond, l.s.rarely().backoff)
}

func TestRefused(t *testing.T) {
	l := connector(t, msg.LosslessClient())
	l.s.HandleTransportDown(0, errRefused)
	l.c.settle()
	l.s.HandleTransportDown(0, errRefused) // late news of the same
	l.c.settle()
	require.Equal(t, []string{"Refused"}, l.c.events)
}

func TestWait(t *testing.T) {
	l := connector(t, msg.LosslessPeer(), func(n *simNode) { n.cfg.MaxBackoff = 15 * time.Second })
	l.drive(StateSessionConnecting)
	l.say(&frame.Wait{})
	require.Equal(t, StateWait, l.s.State())
	require.ErrorIs(t, l.lastFault(), ErrLostRace)
	at, _ := l.s.Deadline()
	require.GreaterOrEqual(t, at, 7500*time.Millisecond)
	require.LessOrEqual(t, at, 15*time.Second)
	l.pass(at)
	require.Equal(t, StateConnecting, l.s.State())

	l = readyConnector(t, msg.LosslessPeer()).send(1, 127).fault().drive(StateSessionReconnecting)
	l.say(&frame.Wait{})
	require.Equal(t, StateWait, l.s.State())
	require.Equal(t, 1, l.s.Unacked())
}

// TestIdleWhilePaused: it is this side that does not read.
func TestIdleWhilePaused(t *testing.T) {
	l := readyConnector(t, msg.LosslessPeer(), keepalives(10*time.Second, 5*time.Second))
	l.c.held = true
	l.msg(1, 0)
	require.True(t, l.s.Paused())
	for range 300 {
		l.pass(10 * time.Second)
	}
	require.Empty(t, l.c.faults)
	require.Equal(t, StateReady, l.s.State())
}

// TestFruitless: a peer with which every session breaks at once is not called
// again and again without a pause, and one message or ack ends the suspicion.
func TestFruitless(t *testing.T) {
	l := readyConnector(t, msg.LosslessClient())
	var pauses []time.Duration
	again := func() {
		l.s.HandleTransportDown(l.w.now, errCut)
		l.c.settle()
		if l.s.State() == StateBackoff {
			at, _ := l.s.Deadline()
			pauses = append(pauses, at-l.w.now)
			l.w.now = at
			l.s.HandleTimeout(at)
			l.c.settle()
		} else {
			pauses = append(pauses, 0)
		}
		l.drive(StateSessionReconnecting).say(&frame.SessionReconnectOK{MsgSeq: l.s.num.acked})
		require.Equal(t, StateReady, l.s.State())
	}
	for range 40 {
		again()
	}
	require.Zero(t, pauses[0])
	for i, p := range pauses[1:] {
		d := min(200*time.Millisecond<<min(i, 20), time.Second)
		require.GreaterOrEqual(t, p, d/2, i)
		require.LessOrEqual(t, p, d, i)
	}
	for name, good := range map[string]func(){
		"message": func() { l.msg(1, 0) },
		"ack":     func() { l.send(1, 127).say(&frame.Ack{Seq: 1}) },
		"time":    func() { l.w.now += l.n.cfg.ReadyTimeout },
	} {
		again()
		good()
		pauses = nil
		again()
		require.Equal(t, []time.Duration{0}, pauses, name)
	}
}

// TestCrossedEnds with the first frame in the session.
func TestCrossedEnds(t *testing.T) {
	for _, whole := range []bool{false, true} {
		for name, say := range map[string]func(l *lab) []byte{
			"message": func(l *lab) []byte { return l.encodeMsg(1, 0) },
			"ack":     func(l *lab) []byte { return l.encode(&frame.Ack{}) },
		} {
			l := readyConnector(t, msg.LosslessPeer())
			l.s.id.crossed = 5
			b := say(l)
			if !whole {
				l.bytes(b[:len(b)-1])
				require.NotZero(t, l.s.id.crossed)
				b = b[len(b)-1:]
			}
			l.bytes(b)
			require.Zero(t, l.s.id.crossed, name)
		}
	}
}

// TestKeepaliveAfterTheGate: a session that waited for room asks its peer for a sign of life
// before it gives it up, for it has not asked yet.
func TestKeepaliveAfterTheGate(t *testing.T) {
	l := readyConnector(t, msg.LosslessPeer(), keepalives(10*time.Second, 5*time.Second))
	l.w.now += time.Second
	l.c.held = true
	b := l.encodeMsg(1, 0)
	n := l.s.HandleBytes(l.w.now, b)
	require.True(t, l.s.Paused())
	l.w.now += time.Second
	l.c.waiting, l.c.held = false, false
	l.c.admitted++
	l.s.Resume(l.w.now)
	l.s.HandleBytes(l.w.now, b[n:])
	l.settle()
	require.Equal(t, []uint64{1}, l.c.got)
	want[frame.Ack](l)
	l.pass(9 * time.Second)
	require.Empty(t, l.c.faults)
	l.quiet()
	l.pass(time.Second)
	require.Empty(t, l.c.faults)
	want[frame.Keepalive](l)
}

// TestFaultInStandby: there is no transport to give up, so nothing comes of it; one that is
// being dialed is given up.
func TestFaultInStandby(t *testing.T) {
	l := readyConnector(t, msg.LosslessPeer()).fault()
	require.Equal(t, StateStandby, l.s.State())
	faults := len(l.c.faults)
	l.s.Fault(l.w.now, errCut)
	l.c.settle()
	require.Equal(t, StateStandby, l.s.State())
	require.Len(t, l.c.faults, faults)
	l.c.send(1, 127, 0)
	require.Equal(t, StateConnecting, l.s.State())
	l.s.Fault(l.w.now, errCut)
	l.c.settle()
	require.Len(t, l.c.faults, faults+1)
}
