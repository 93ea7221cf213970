package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// The tests of this file replay what once went wrong in the origin, by the
// number of the change that mended it.

func stateful(t failer) (w *world, a, b *simNode, c *simConn) {
	w, a, b = pair(t, pairing{client: msg.LosslessClient(), server: msg.StatefulServer()})
	return w, a, b, a.connectTo(b)
}

// connect_seq was raised by faults of the first handshake; the server answered
// RESET and messages were lost.
func TestHistory25343_FaultWhileConnecting(t *testing.T) {
	w, _, b, c := stateful(t)
	c.send(1, 127, 0)
	for i := range 6 {
		for range 2 * i {
			if ms := w.moves(); len(ms) > 0 {
				w.do(ms[0])
			}
		}
		for _, x := range w.wires {
			if x.state == wireUp && b.to(c.n) == nil {
				w.cut(x)
			}
		}
		require.Zero(t, c.s.id.connectSeq)
		if at, ok := w.nextDeadline(); ok && c.s.State() == StateBackoff {
			w.advance(at)
		}
	}
	w.runFor(10 * time.Second)
	require.Equal(t, []uint64{1}, b.got)
	require.NotContains(t, b.verdicts, ActSendReset)
	require.Zero(t, c.remote)
}

// A server without a session (cookie 0) has to respect resetcheck: RESET(false)
// keeps the queue.
func TestHistory26256_CookieZero(t *testing.T) {
	for _, check := range []bool{false, true} {
		p := msg.LosslessPeer()
		p.ResetCheck = check
		v := Arbitrate(Incoming{Reconnect: true, ClientCookie: 5, ServerCookie: 7},
			&Existing{State: StateBackoff, ClientCookie: 5, ResetCheck: check}, false)
		require.Equal(t, Verdict{Action: ActSendReset, Full: false}, v)
		l := readyConnector(t, p).send(1, 127).fault().drive(StateSessionReconnecting)
		l.say(&frame.SessionReset{Full: false})
		require.Empty(t, l.c.done)
		require.Zero(t, l.c.remote)
	}
}

// Only with both cookies is a different client cookie a sign of a restart.
func TestHistory26484_BothCookies(t *testing.T) {
	ex := Existing{State: StateBackoff, ClientCookie: 5, ResetCheck: true}
	require.False(t, Arbitrate(Incoming{ClientCookie: 6, GlobalSeq: 1}, &ex, true).Reset)
	ex.ServerCookie = 7
	require.True(t, Arbitrate(Incoming{ClientCookie: 6, GlobalSeq: 1}, &ex, true).Reset)
}

// With resetcheck, connect_seq was raised where it must not, after a mark down and
// a new connection, which hid the reset.
func TestHistory3797_MarkDownAndComeBack(t *testing.T) {
	w, a, b, c := stateful(t)
	c.send(1, 127, 0)
	w.runFor(time.Second)
	d := b.open()[0]
	for i := range 3 {
		a.to(b).markDown()
		w.runFor(time.Second)
		e := a.connectTo(b)
		e.send(uint64(10+i), 127, 0)
		w.runFor(time.Second)
		require.Equal(t, i+1, d.remote, "one remote reset for each session that was lost")
		require.Equal(t, 1, e.ready)
		require.Zero(t, e.s.id.connectSeq)
		require.Zero(t, e.remote)
	}
	require.Equal(t, []uint64{1, 10, 11, 12}, b.got)
	require.Equal(t, []*simConn{d}, b.open(), "the same connection")
}

// After a mark down that crossed messages the numbers did not fit any more.
func TestHistory1794_MarkDownCrossesMessages(t *testing.T) {
	for steps := range 30 {
		w, a, b, c := stateful(t)
		c.send(1, 127, 0)
		w.runFor(time.Second)
		d := b.open()[0]
		c.send(2, 127, 0)
		d.send(100, 127, 0)
		for range steps {
			if ms := w.moves(); len(ms) > 0 {
				w.do(ms[0])
			}
		}
		c.markDown()
		e := a.connectTo(b)
		e.send(3, 127, 0)
		e.send(4, 127, 0)
		for range steps {
			if ms := w.moves(); len(ms) > 0 {
				w.do(ms[0])
			}
		}
		d.send(101, 127, 0)
		w.runFor(time.Minute)
		require.Equal(t, []uint64{3, 4}, b.got[len(b.got)-2:], steps)
		_, done := d.done[101]
		require.True(t, done, steps)
		if d.done[101] == nil {
			require.Equal(t, []uint64{101}, e.got)
		}
		require.Equal(t, 1, d.remote, steps)
	}
}

// A message sent in the very moment of a fault was dropped.
func TestHistory16009_SendMeetsFault(t *testing.T) {
	for _, p := range pairings {
		if p.lossy {
			continue
		}
		for steps := range 60 {
			w, a, b := pair(t, p)
			c := a.connectTo(b)
			c.send(1, 127, 0)
			for range steps {
				if ms := w.moves(); len(ms) > 0 {
					w.do(ms[0])
				}
			}
			for _, x := range w.wires {
				c.send(2, 127, 0)
				if x.state == wireUp {
					w.cut(x)
				}
			}
			c.send(3, 127, 0)
			w.runFor(time.Minute)
			if len(b.got) == 2 {
				require.Equal(t, []uint64{1, 3}, b.got) // no wire to cut
			} else {
				require.Equal(t, []uint64{1, 2, 3}, b.got, "%s after %d", p.name, steps)
			}
		}
	}
}

// A peer that was rebooted answers RESET, and what was queued is lost: not silently.
func TestHistory30609_RebootedPeer(t *testing.T) {
	for _, p := range []msg.Policy{msg.LosslessPeer(), msg.LosslessPeerReuse()} {
		w, a, b := pair(t, pairing{client: p, server: p})
		c := a.connectTo(b)
		c.send(1, 127, 0)
		w.runFor(time.Second)
		b.restart(b.addr.Nonce)
		c.send(2, 127, 0)
		w.runFor(time.Minute)
		require.Equal(t, []uint64{1}, b.got)
		require.Equal(t, 1, c.remote)
		require.ErrorIs(t, c.done[2], msg.ErrRemoteReset)
		c.send(3, 127, 0)
		w.runFor(time.Minute)
		require.Equal(t, []uint64{1, 3}, b.got)
	}
}

// What was negotiated on the winning socket has to go with it: features, the
// decoder's mode, the keys.
func TestHistory35816_FeaturesOfTheWinner(t *testing.T) {
	for _, mode := range []uint32{auth.ModeCRC, auth.ModeSecure} {
		w := &world{t: t}
		f := useFake(fakeAuth{key: "secret", mode: mode})
		p, q := msg.LosslessPeer(), msg.LosslessPeer()
		p.FeaturesSupported = msg.FeaturesAll &^ (1 << 40)
		a, b := w.node(1, p, f), w.node(2, q, f)
		c, d := a.connectTo(b), b.connectTo(a)
		c.send(1, 127, 0)
		d.send(2, 127, 0)
		w.runFor(time.Second)
		require.Equal(t, []uint64{1}, b.got)
		require.Equal(t, []uint64{2}, a.got)
		require.Equal(t, p.FeaturesSupported, c.s.Features())
		require.Equal(t, p.FeaturesSupported, d.s.Features())
		require.Contains(t, append(a.verdicts, b.verdicts...), ActReplace)
	}
}

// The server marks a client down; the client comes back, is told and starts anew.
func TestHistory441_ServerMarksDown(t *testing.T) {
	w, _, b, c := stateful(t)
	c.send(1, 127, 0)
	w.runFor(time.Second)
	b.open()[0].markDown()
	w.runFor(time.Minute)
	require.Equal(t, []string{"Connected", "RemoteReset", "Connected"}, c.events)
	c.send(2, 127, 0)
	w.runFor(time.Second)
	require.Equal(t, []uint64{1, 2}, b.got)
	require.Equal(t, uint64(1), c.s.num.out)
}

// The server's session faults before the client has seen SERVER_IDENT.
func TestHistory29788_AcceptedSessionFaults(t *testing.T) {
	w, a, b, c := stateful(t)
	c.send(1, 127, 0)
	for b.to(a) == nil {
		w.do(w.moves()[0])
	}
	d := b.open()[0]
	d.send(100, 127, 0)
	require.False(t, c.isReady())
	w.cut(w.wires[0])
	require.Zero(t, d.s.id.connectSeq)
	w.runFor(time.Minute)
	require.Equal(t, []uint64{1}, b.got)
	require.Equal(t, []uint64{100}, a.got)
	require.Equal(t, []*simConn{d}, b.open())
	require.Equal(t, []string{"Accepted", "Accepted"}, d.events)
	require.NotContains(t, b.verdicts, ActSendReset)
}

// A peer with a fixed nonce restarts: its global_seq starts again below the one
// known, and it was refused for ever.
func TestHistory67033_NonceZero(t *testing.T) {
	for _, p := range pairings {
		for _, idle := range []bool{false, true} {
			name := fmt.Sprint(p.name, " idle=", idle)
			w, a, b := pair(t, p)
			a.addr.Nonce = 0
			for _, n := range w.nodes {
				n.cfg.KeepaliveInterval, n.cfg.KeepaliveTimeout = 2*time.Second, time.Second
			}
			a.gseq = 1000
			a.connectTo(b).send(1, 127, 0)
			w.runFor(time.Second)
			d := b.open()[0]
			if !idle {
				d.send(100, 127, 0)
			}
			// Without a word: nothing tells B that A is gone.
			for _, x := range w.wires {
				for _, e := range x.ends {
					e.deaf = true
				}
			}
			a.restart(0)
			c := a.connectTo(b)
			c.send(2, 127, 0)
			w.runFor(90 * time.Second)
			require.Equal(t, []uint64{1, 2}, b.got, name)
			require.NoError(t, c.done[2], name)
			require.LessOrEqual(t, w.dialed, 30, name)
			if !p.lossy && p.server.ResetCheck {
				require.Equal(t, 1, d.remote, name)
			}
		}
	}
}
