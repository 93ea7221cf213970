package session

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// Peers that are known by their place alone: host and port, of any nonce.

// TestWrongTarget: who is asked for somebody else says who it is, makes no session, and
// listens on.
func TestWrongTarget(t *testing.T) {
	for name, tc := range map[string]struct {
		target entity.Addr
		noted  bool
	}{
		"another nonce": {labSelf.WithNonce(7), true},
		"no nonce":      {labSelf.WithNonce(0), false}, // who dials by host and port asks like this
		"another port":  {entity.Addr{Type: entity.AddrMsgr2, Nonce: labSelf.Nonce, AddrPort: addrPort(5)}, true},
		"another type":  {entity.Addr{Type: entity.AddrLegacy, Nonce: labSelf.Nonce, AddrPort: labSelf.AddrPort}, true},
	} {
		l := acceptor(t, msg.StatefulServer()).drive(StateSessionAccepting)
		f := clientIdent(1, 2)
		f.Target = tc.target
		l.say(f)
		si := want[frame.ServerIdent](l)
		require.Equal(t, entity.AddrVec{labSelf}, si.Addrs, name)
		require.Zero(t, si.Cookie, name)
		require.Equal(t, StateSessionAccepting, l.s.State(), name)
		require.Empty(t, l.c.faults, name)
		require.Empty(t, l.c.events, name)
		if tc.noted {
			var wrong *msg.WrongPeerError
			require.ErrorAs(t, l.c.refused[0], &wrong, name)
			require.Equal(t, &msg.WrongPeerError{Asked: tc.target, Is: entity.AddrVec{labSelf}}, wrong, name)
		} else {
			require.Empty(t, l.c.refused, name)
		}
		l.say(clientIdent(1, 2)) // now for us
		require.NotZero(t, want[frame.ServerIdent](l).Cookie, name)
		require.Equal(t, StateReady, l.s.State(), name)
	}
	// Not without an end.
	l := acceptor(t, msg.StatefulServer()).drive(StateSessionAccepting)
	f := clientIdent(1, 2)
	f.Target = f.Target.WithNonce(7)
	for range retriesMax + 1 {
		l.say(f)
	}
	require.ErrorIs(t, l.lastFault(), ErrProtocol)
}

// placed is a connector that knows its peer's place only.
func placed(t *testing.T, p msg.Policy, opts ...nodeOption) *lab {
	l := newLab(t, p, opts...)
	v := entity.AddrVec{labPeer.WithAnyNonce()}
	l.c = l.n.connectToAddrs(v)
	l.s = l.c.s
	return l
}

// asked drives a placed connector to its CLIENT_IDENT.
func (l *lab) asked(target entity.Addr) *lab {
	l.t.Helper()
	l.drive(StateSessionConnecting)
	require.Equal(l.t, target, want[frame.ClientIdent](l).Target)
	return l
}

// TestPlaceFindsItsNonce: asked by place, the peer says who it is, is asked by its own
// address, and is known by all of its addresses from then on.
func TestPlaceFindsItsNonce(t *testing.T) {
	l := placed(t, msg.LosslessClient()).asked(labPeer.WithNonce(0))
	si := serverIdent(frame.FlagLossy, 0) // as sayWhoWeAre has it
	other := entity.Addr{Type: entity.AddrMsgr2, Nonce: labPeer.Nonce, AddrPort: addrPort(77)}
	si.Addrs = entity.AddrVec{other, labPeer}
	l.say(si)
	require.Equal(t, labPeer, want[frame.ClientIdent](l).Target)
	require.Equal(t, StateSessionConnecting, l.s.State())
	require.Equal(t, si.Addrs, l.s.PeerAddrs())
	require.Equal(t, labPeer, l.s.Target(), "it is dialled where it was found")
	for _, a := range []entity.Addr{other, labPeer, labPeer.WithAnyNonce()} {
		c, _ := l.n.reg.Lookup(entity.AddrVec{a})
		require.Same(t, l.c, c, a)
	}
	good := serverIdent(0, 5)
	good.Addrs = si.Addrs
	l.say(good)
	require.Equal(t, StateReady, l.s.State())
	require.Zero(t, l.c.remote)
	require.Empty(t, l.c.failed)

	// A monitor's nonce is 0: it answers at once.
	l = placed(t, msg.LosslessClient()).asked(labPeer.WithNonce(0))
	si = serverIdent(0, 5)
	si.Addrs = entity.AddrVec{labPeer.WithNonce(0)}
	l.say(si)
	require.Equal(t, StateReady, l.s.State())

	// Somebody at another place is nobody.
	l = placed(t, msg.LosslessClient()).asked(labPeer.WithNonce(0))
	si = serverIdent(0, 5)
	si.Addrs = entity.AddrVec{other}
	l.say(si)
	require.Equal(t, msg.ReasonWrongPeer, l.c.failed[0].Reason)

	// A peer that has another nonce each time is not asked without an end.
	l = placed(t, msg.LosslessClient()).asked(labPeer.WithNonce(0))
	for i := range retriesMax + 1 {
		si := serverIdent(0, 5)
		si.Addrs = entity.AddrVec{labPeer.WithNonce(uint32(100 + i))}
		l.say(si)
	}
	require.ErrorIs(t, l.lastFault(), ErrProtocol)
}

// TestPlaceSurvivesARestart: another process at the place is a remote reset, told once,
// whichever of the two calls first, and the connection goes on with it.
func TestPlaceSurvivesARestart(t *testing.T) {
	for _, idle := range []bool{false, true} {
		for _, p := range pairings {
			if p.lossy || p.client.Server {
				continue
			}
			w, a, b := pair(t, p)
			c := a.connectToAddrs(entity.AddrVec{b.addr.WithAnyNonce()})
			c.send(1, 127, 0)
			w.runFor(time.Second)
			require.Equal(t, []uint64{1}, b.got, p.name)
			require.Same(t, c, a.to(b), p.name)
			for round := range 3 {
				b.restart(b.addr.Nonce + 1)
				if idle {
					w.runFor(time.Minute)
				}
				id := uint64(10 + round)
				c.send(id, 127, 0)
				w.runFor(time.Minute)
				require.Equal(t, 1+round, c.remote, "%s, round %d: remote resets", p.name, round)
				if !idle || p.client.Standby { // what was under way belonged to the session that was lost
					id += 100
					c.send(id, 127, 0)
					w.runFor(time.Minute)
				}
				require.Contains(t, b.got, id, p.name)
				require.Same(t, c, a.to(b), p.name)
				require.Len(t, a.open(), 1, "%s: one connection, whatever comes", p.name)
			}
			require.Empty(t, c.resets, p.name)
		}
	}
}

// TestPlaceIsCalledByItsSuccessor: the new process calls first, while this side still
// believes in the connection with the old one, or has found out.
func TestPlaceIsCalledByItsSuccessor(t *testing.T) {
	for _, p := range []msg.Policy{msg.LosslessPeer(), msg.LosslessPeerReuse()} {
		for _, silent := range []bool{false, true} {
			w := &world{t: t}
			a, b := w.node(1, p), w.node(2, p)
			for _, n := range w.nodes {
				n.cfg.KeepaliveTimeout = 5 * time.Second
			}
			c := a.connectToAddrs(entity.AddrVec{b.addr.WithAnyNonce()})
			c.send(1, 127, 0)
			w.runFor(time.Second)
			if silent { // nothing tells a that b is gone
				for _, x := range w.wires {
					for _, e := range x.ends {
						e.deaf = true
					}
				}
			}
			b.restart(b.addr.Nonce + 1)
			d := b.connectTo(a)
			d.send(2, 127, 0)
			w.runFor(2 * time.Minute)
			require.Equal(t, []uint64{2}, a.got)
			require.Equal(t, 1, c.remote, "told once")
			require.Same(t, c, a.to(b))
			require.Len(t, a.open(), 1)
			c.send(3, 127, 0)
			w.runFor(time.Minute)
			require.Contains(t, b.got, uint64(3))
		}
	}
}

// TestNextAddress: while nobody answers at one address of the peer the next is tried.
func TestNextAddress(t *testing.T) {
	l := newLab(t, msg.LosslessClient())
	second := entity.Addr{Type: entity.AddrMsgr2, Nonce: labPeer.Nonce, AddrPort: addrPort(8)}
	v1 := entity.Addr{Type: entity.AddrLegacy, Nonce: labPeer.Nonce, AddrPort: addrPort(7)}
	l.c = l.n.connectToAddrs(entity.AddrVec{v1, labPeer, second})
	l.s = l.c.s
	for _, want := range []entity.Addr{labPeer, second, labPeer, second} {
		require.Equal(t, want, l.s.Target())
		l.s.HandleTransportDown(l.w.now, errRefused)
		l.c.settle()
		at, _ := l.s.Deadline()
		l.w.now = at
		l.s.HandleTimeout(at)
		l.c.settle()
	}
	require.Equal(t, labPeer, l.s.Target())
	// What goes wrong later is not the address's fault.
	l.drive(StateSessionConnecting).fault()
	require.Equal(t, labPeer, l.s.Target())
}

// TestNobodyToDial: a peer that listens nowhere has no address to dial.
func TestNobodyToDial(t *testing.T) {
	for port, callable := range map[uint16]bool{0: false, 7: true} {
		l := acceptor(t, msg.StatefulServer()).drive(StateSessionAccepting)
		f := clientIdent(1, 2)
		at := labPeer
		at.AddrPort = netip.AddrPortFrom(labPeer.AddrPort.Addr(), port)
		f.Addrs = entity.AddrVec{at}
		l.say(f)
		require.Equal(t, StateReady, l.s.State())
		if !callable {
			at = entity.Addr{}
		}
		require.Equal(t, at, l.s.Target(), "port %d", port)
	}
}

// TestLinkLocalZones: what a peer says of its zones means nothing here.
func TestLinkLocalZones(t *testing.T) {
	l := acceptor(t, msg.LosslessPeer())
	l.s.stream.hs.remote = netip.MustParseAddrPort("[fe80::9%3]:1000")
	l.drive(StateSessionAccepting)
	f := clientIdent(1, 2)
	f.Addrs = entity.AddrVec{
		{Type: entity.AddrMsgr2, Nonce: 9, AddrPort: netip.MustParseAddrPort("[fe80::9%7]:6800")}, labPeer,
	}
	l.say(f)
	require.Equal(t, entity.AddrVec{
		{Type: entity.AddrMsgr2, Nonce: 9, AddrPort: netip.MustParseAddrPort("[fe80::9%3]:6800")}, labPeer,
	}, l.s.PeerAddrs())
}

// TestServerIdentHasTheTarget: a peer that reached us under a name of ours that we do
// not use finds it in our answer.
func TestServerIdentHasTheTarget(t *testing.T) {
	alias := entity.Addr{Type: entity.AddrMsgr2, Nonce: labSelf.Nonce, AddrPort: addrPort(200)}
	l := acceptor(t, msg.StatefulServer(), func(n *simNode) { n.alias = alias }).drive(StateSessionAccepting)
	f := clientIdent(1, 2)
	f.Target = alias
	l.say(f)
	require.Equal(t, entity.AddrVec{labSelf, alias}, want[frame.ServerIdent](l).Addrs)
	require.Equal(t, StateReady, l.s.State())
}
