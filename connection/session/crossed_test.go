package session

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// upTo lets wire n go on until the state of c is st and all that it has said is
// in flight.
func (w *world) upTo(n int, c *simConn, st State) {
	w.t.Helper()
	for range 100 {
		if c.s.State() == st {
			return
		}
		for _, m := range w.moves() {
			if m.wire.n == n {
				w.do(m)
				break
			}
		}
	}
	w.failf("%s did not come to %s", c, st)
}

// crossed makes two sessions that cross: A, which has given its attempt up, takes
// B's; and B takes A's, which was still in flight.
func crossed(t *testing.T, p msg.Policy) (w *world, c, d *simConn) {
	w, a, b := peers(t, p, 1, 2)
	c, d = a.connectTo(b), b.connectTo(a)
	c.send(11, 127, 0)
	c.send(12, 127, 0)
	d.send(21, 127, 0)
	d.send(22, 127, 0)
	w.upTo(1, c, StateSessionConnecting)
	w.upTo(2, d, StateSessionConnecting)
	c.s.Fault(w.now, errCut)
	c.settle()
	require.Equal(t, StateBackoff, c.s.State())
	w.deliverAll(w.wires[1].ends[1])
	require.Equal(t, StateReady, c.s.State(), "A takes B's")
	require.Equal(t, StateSessionConnecting, d.s.State())
	w.deliverAll(w.wires[0].ends[1])
	require.Equal(t, StateReady, d.s.State(), "B takes A's")
	require.NotEqual(t, c.s.id.serverCookie, d.s.id.serverCookie)
	return w, c, d
}

// TestCrossedSessions: both sides are in a session that the other does not know,
// and nobody has lost anything.
func TestCrossedSessions(t *testing.T) {
	for _, p := range racePolicies {
		w, c, d := crossed(t, p.policy)
		w.runFor(20 * time.Second)
		raceRest(8)(w)
		require.Zero(t, c.s.id.crossed+d.s.id.crossed, p.name)
	}
}

// TestCrossedAndRestarted: one of them restarts instead. That is a reset.
func TestCrossedAndRestarted(t *testing.T) {
	for _, p := range racePolicies {
		if !p.policy.ResetCheck {
			continue
		}
		w, c, d := crossed(t, p.policy)
		d.n.restart(d.n.addr.Nonce)
		e := d.n.connectTo(c.n)
		e.send(23, 127, 0)
		w.runFor(20 * time.Second)
		require.Equal(t, 1, c.remote, p.name)
		require.Equal(t, []uint64{23}, c.n.got)
		require.ErrorIs(t, c.done[11], msg.ErrRemoteReset)
	}
}

// TestRestartWithoutResetcheck: the peer restarts under its old address and comes
// back before its end was noticed. Its numbers begin at 1 again, and what the old
// incarnation had not acknowledged is sent to the new one, in order (L5).
func TestRestartWithoutResetcheck(t *testing.T) {
	w, a, b := peers(t, msg.LosslessPeer(), 1, 2)
	a.connectTo(b).send(1, 127, 0)
	w.runFor(time.Second)
	d := b.to(a)
	for _, x := range w.wires {
		for _, e := range x.ends {
			e.deaf = true // nothing tells B
		}
	}
	d.send(100, 127, 0)
	d.send(101, 127, 0)
	gseq := a.gseq
	a.restart(a.addr.Nonce)
	a.gseq = gseq // such as a clock
	c := a.connectTo(b)
	c.send(2, 127, 0)
	w.runFor(time.Second)
	require.Equal(t, []uint64{1, 2}, b.got)
	require.Equal(t, []uint64{100, 101}, a.got)
	require.Zero(t, d.remote)
	require.Equal(t, []string{"Accepted", "Accepted"}, d.events)
	require.Len(t, d.done, 2)
}

// crossedSame makes two sessions that cross although both began with one client
// cookie: B has accepted A's attempt, which broke before A heard of it. A tries
// again while B comes back for the session that A does not know, is told RESET(false)
// and asks, with A's cookie, for a new one; and that passes A's second attempt, which
// A has given up.
func crossedSame(t *testing.T, p msg.Policy, i, j int) (w *world, c, d *simConn) {
	w, a, b := peers(t, p, i, j)
	c = a.connectTo(b)
	c.send(11, 127, 0)
	c.send(12, 127, 0)
	w.upTo(1, c, StateSessionConnecting)
	w.deliverAll(w.wires[0].ends[1])
	d = b.to(a)
	require.Equal(t, StateReady, d.s.State(), "B takes A's attempt")
	d.send(21, 127, 0)
	d.send(22, 127, 0)
	w.cut(w.wires[0])
	require.Equal(t, StateBackoff, c.s.State(), "A never heard of it")
	require.Equal(t, StateConnecting, d.s.State(), "B comes back at once")
	at, _ := c.s.Deadline()
	w.advance(at)
	w.upTo(3, c, StateSessionConnecting) // wire 3 is A's second attempt; its ident stays in flight
	second := w.wires[1]
	c.s.Fault(w.now, errCut)
	c.settle()
	w.upTo(2, d, StateSessionConnecting) // RECONNECT, RESET(false), and B's ident is in flight
	require.Equal(t, c.s.id.clientCookie, d.s.id.clientCookie)
	ofB := w.wires[0]
	w.deliverAll(second.ends[1])
	require.Equal(t, StateReady, d.s.State(), "B takes A's attempt")
	w.deliverAll(ofB.ends[1])
	require.Equal(t, StateReady, c.s.State(), "A takes B's")
	require.Equal(t, c.s.id.clientCookie, d.s.id.clientCookie)
	require.NotEqual(t, c.s.id.serverCookie, d.s.id.serverCookie)
	return w, c, d
}

// TestCrossedSessionsOfOneCookie: the client cookie says that nobody restarted, so
// nothing is reset.
func TestCrossedSessionsOfOneCookie(t *testing.T) {
	for _, p := range racePolicies {
		w, _, _ := crossedSame(t, p.policy, 1, 2)
		w.runFor(20 * time.Second)
		raceRest(12)(w)
	}
}
