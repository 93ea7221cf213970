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

func TestMissingFeatures(t *testing.T) {
	needs := func(n *simNode) { n.policy.FeaturesRequired = 1 << 20 }
	p := msg.StatefulServer()
	p.FeaturesRequired = 1 << 20
	l := acceptor(t, p, needs).drive(StateSessionAccepting)
	id := clientIdent(1, 2)
	id.FeaturesSupported &^= 1 << 20
	l.say(id)
	require.Equal(t, uint64(1<<20), want[frame.IdentMissingFeatures](l).Features)
	require.Equal(t, StateSessionAccepting, l.s.State(), "it may try again")
	l.say(clientIdent(1, 2))
	require.Equal(t, StateReady, l.s.State())
	require.Equal(t, uint64(msg.FeaturesAll), l.s.Features())

	// The connector is told that it lacks some.
	var mf *MissingFeaturesError
	l = connector(t, msg.LosslessClient()).drive(StateSessionConnecting).say(&frame.IdentMissingFeatures{Features: 12})
	require.ErrorAs(t, l.lastFault(), &mf)
	require.Equal(t, &MissingFeaturesError{Missing: 12, Ours: true}, mf)
	require.ErrorIs(t, l.lastFault(), ErrMissingFeatures)
	require.Equal(t, StateBackoff, l.s.State())

	// The connector finds that the server lacks some, or wants too many.
	pc := msg.LosslessClient()
	pc.FeaturesRequired = 1 << 21
	si := serverIdent(0, 5)
	si.FeaturesSupported &^= 1 << 21
	l = connector(t, pc).drive(StateSessionConnecting).say(si)
	require.ErrorAs(t, l.lastFault(), &mf)
	require.Equal(t, &MissingFeaturesError{Missing: 1 << 21}, mf)
	pc = msg.LosslessClient()
	pc.FeaturesSupported = msg.FeatureMsgAddr2
	si = serverIdent(0, 5)
	si.FeaturesRequired |= 1 << 21
	l = connector(t, pc).drive(StateSessionConnecting).say(si)
	require.ErrorAs(t, l.lastFault(), &mf)
	require.Equal(t, &MissingFeaturesError{Missing: 1 << 21, Ours: true}, mf)
	require.Zero(t, l.s.id.serverCookie, "no session came of it")
}

func TestIdentChecks(t *testing.T) {
	for name, change := range map[string]func(*frame.ClientIdent){
		"no address":    func(f *frame.ClientIdent) { f.Addrs = nil },
		"blank address": func(f *frame.ClientIdent) { f.Addrs = entity.AddrVec{{}} },
		"our address":   func(f *frame.ClientIdent) { f.Addrs = entity.AddrVec{labSelf} },
	} {
		f := clientIdent(1, 2)
		change(f)
		l := acceptor(t, msg.StatefulServer()).drive(StateSessionAccepting).say(f)
		require.ErrorIs(t, l.lastFault(), ErrProtocol, name)
		require.Equal(t, StateClosed, l.s.State())
	}
	si := serverIdent(0, 5)
	si.Addrs[0].Nonce++
	l := connector(t, msg.LosslessClient()).drive(StateSessionConnecting).say(si)
	var wrong *msg.WrongPeerError
	require.ErrorAs(t, l.lastFault(), &wrong)
	require.Equal(t, &msg.WrongPeerError{Asked: labPeer, Is: si.Addrs}, wrong)

	for _, r := range []*frame.SessionReconnect{
		{Addrs: entity.AddrVec{labSelf}}, {}, {Addrs: entity.AddrVec{labPeer}, GlobalSeq: 1 << 63},
		{Addrs: entity.AddrVec{labPeer}, ConnectSeq: 1<<64 - 1},
	} {
		l := acceptor(t, msg.StatefulServer()).drive(StateSessionAccepting).say(r)
		require.ErrorIs(t, l.lastFault(), ErrProtocol, r)
	}
}

// TestPermanent: what no reconnection can mend ends the connection.
func TestPermanent(t *testing.T) {
	l := connector(t, msg.LosslessClient()).send(1, 127).up()
	l.bytes(frame.Banner{Supported: 0}.Append(nil))
	require.Equal(t, StateClosed, l.s.State())
	require.ErrorIs(t, l.lastFault(), frame.ErrBanner)
	require.ErrorIs(t, l.c.done[1], msg.ErrReset)
	require.Equal(t, 1, l.c.resets)

	l = connector(t, msg.LosslessClient()).send(1, 127).drive(StateHelloConnecting)
	l.say(&frame.Hello{EntityType: entity.TypeMDS, PeerAddr: labSelf})
	require.Equal(t, StateClosed, l.s.State())
	require.Equal(t, 1, l.c.resets)

	l = acceptor(t, msg.StatefulServer()).bytes([]byte("ceph v027"))
	require.Equal(t, StateClosed, l.s.State())
	require.ErrorIs(t, l.lastFault(), frame.ErrPeerIsV1)
}

func TestPeerOfAnyType(t *testing.T) {
	l := newLab(t, msg.LosslessPeer())
	l.c.s = NewConnector(&l.n.cfg, l.n, l.c, nil, nil,
		Peer{Type: entity.TypeAny, Addrs: entity.AddrVec{labPeer}, Policy: msg.LosslessPeer()})
	l.s = l.c.s
	l.s.Start(0)
	l.c.settle()
	l.drive(StateReady)
	require.Equal(t, entity.OSD(9), l.s.PeerName())
	require.Equal(t, entity.TypeOSD, l.s.PeerType())
}

// TestPreAuthBytes: a peer that is not authenticated may send so much, in all.
func TestPreAuthBytes(t *testing.T) {
	small := func(n *simNode) {
		n.cfg.PreAuthBytes = 1000
		useFake(fakeAuth{rounds: 100, mode: auth.ModeCRC})(n)
	}
	l := acceptor(t, msg.StatefulServer(), small).drive(StateAuthAcceptingMore)
	sent := 0
	for len(l.c.faults) == 0 {
		sent += 200
		l.say(&frame.AuthRequestMore{Payload: make([]byte, 160)})
		require.Less(t, sent, 2000)
	}
	require.ErrorIs(t, l.lastFault(), ErrPreAuthLimit)
	require.ErrorIs(t, l.lastFault(), ErrProtocol)
	require.Nil(t, l.s.stream.hs)

	// One frame that declares too much is refused by its preamble.
	l = acceptor(t, msg.StatefulServer()).drive(StateAuthAccepting)
	b := l.encode(rawFrame{frame.TagAuthRequest, make([]byte, 65<<10)})
	l.bytes(b[:32])
	require.ErrorIs(t, l.lastFault(), frame.ErrTooLarge)
}

func TestAuthRounds(t *testing.T) {
	for rounds := range authRoundsMax + 2 {
		for _, mode := range []uint32{auth.ModeCRC, auth.ModeSecure} {
			w := &world{t: t}
			f := useFake(fakeAuth{key: "secret", rounds: rounds, mode: mode})
			a, b := w.node(1, msg.LosslessClient(), f, clientOnly), w.node(2, msg.StatefulServer(), f)
			c := a.connectTo(b)
			c.send(1, 127, 100)
			w.run(500*time.Millisecond, 1000)
			if rounds < authRoundsMax {
				require.Equal(t, []uint64{1}, b.got, "%d rounds, mode %d", rounds, mode)
			} else {
				require.Empty(t, b.got)
				require.ErrorIs(t, c.faults[0], ErrPeerClosed)
				require.ErrorIs(t, b.conns[0].faults[0], ErrProtocol)
			}
		}
	}
}

func TestAuthRefusals(t *testing.T) {
	for _, tc := range []struct {
		refusals int
		good     bool
	}{{0, true}, {3, true}, {authRoundsMax, false}} {
		w := &world{t: t}
		opt := useFake(fakeAuth{refusals: tc.refusals, loop: true, mode: auth.ModeCRC})
		a, b := w.node(1, msg.LosslessClient(), opt, clientOnly), w.node(2, msg.StatefulServer(), opt)
		c := a.connectTo(b)
		c.send(1, 127, 0)
		w.run(20*time.Millisecond, 1000)
		require.Equal(t, tc.good, len(b.got) == 1, tc.refusals)
	}
	// A client that takes no for an answer.
	l := connector(t, msg.LosslessClient()).drive(StateAuthConnecting)
	l.say(&frame.AuthBadMethod{Method: 1, Result: -13, Methods: []uint32{2}, Modes: []uint32{2}})
	var r *auth.RefusedError
	require.ErrorAs(t, l.lastFault(), &r)
	require.Equal(t, int32(-13), r.Result)
	require.Equal(t, StateBackoff, l.s.State())
	// A server that is spoken to in a method it does not know.
	l = acceptor(t, msg.StatefulServer()).drive(StateAuthAccepting)
	l.say(&frame.AuthRequest{Method: 4, Modes: []uint32{1}})
	require.Equal(t, []uint32{1}, want[frame.AuthBadMethod](l).Methods)
	require.Equal(t, StateAuthAccepting, l.s.State())
}

// TestSignature: each bit that is changed before it is found out.
func TestSignature(t *testing.T) {
	f := useFake(fakeAuth{key: "secret", rounds: 1, mode: auth.ModeCRC})
	total := [2]int{}
	run := func(side, bit int) (w *world, b *simNode) {
		w = &world{t: t}
		a, b := w.node(1, msg.LosslessClient(), f, clientOnly), w.node(2, msg.StatefulServer(), f)
		off := 0
		w.alter = func(e *wireEnd, p []byte) []byte {
			if e.side == side && e.w.n == 1 {
				if i := bit/8 - off; i >= 0 && i < len(p) {
					p[i] ^= 1 << (bit % 8)
				}
				off += len(p)
				total[side] = off
			}
			return p
		}
		a.connectTo(b).send(1, 127, 0)
		w.run(10*time.Millisecond, 1000)
		return w, b
	}
	for side := range 2 {
		_, b := run(side, 1<<30)
		require.Len(t, b.got, 1)
		for bit := 0; bit < 8*(total[side]-1); bit += 5 {
			if w, b := run(side, bit); len(b.got) > 0 {
				w.failf("side %d: bit %d changed and nobody noticed", side, bit)
			}
		}
	}
	// The keys differ: no frame is wrong but the signature.
	w := &world{t: t}
	a := w.node(1, msg.LosslessClient(), useFake(fakeAuth{key: "secret", mode: auth.ModeCRC}), clientOnly)
	b := w.node(2, msg.StatefulServer(), useFake(fakeAuth{key: "other", mode: auth.ModeCRC}))
	c := a.connectTo(b)
	w.run(time.Millisecond, 1000)
	require.True(t, errors.Is(c.faults[0], ErrBadSignature) || errors.Is(b.conns[0].faults[0], ErrBadSignature))
}

// TestSecureMode: all that is tested in crc mode works in secure mode, WAIT,
// takeover and replay included, and nothing is sent in the clear.
func TestSecureMode(t *testing.T) {
	f := useFake(fakeAuth{key: "secret", mode: auth.ModeSecure, rounds: 1})
	for _, p := range pairings {
		w := &world{t: t}
		a, b := w.node(1, p.client, f), w.node(2, p.server, f)
		clear := false
		w.alter = func(e *wireEnd, x []byte) []byte {
			for i := range x {
				if i+4 <= len(x) && string(x[i:i+4]) == "MARK" {
					clear = true
				}
			}
			return x
		}
		c := a.connectTo(b)
		c.sendMsg(message(1, 127, 0, 0, 0))
		c.sendMsg(message(2, 127, 5, 0, 5000))
		m := message(3, 127, 0, 0, 0)
		m.Middle = nil
		c.sendMsg(m)
		w.runFor(time.Second)
		require.Equal(t, []uint64{1, 2, 3}, b.got, p.name)
		require.False(t, clear)
		if p.lossy {
			continue
		}
		w.cut(w.wires[0])
		c.send(4, 127, 0)
		w.runFor(time.Minute)
		require.Equal(t, []uint64{1, 2, 3, 4}, b.got, p.name)
	}
	l := newLab(t, msg.LosslessPeer(), useFake(fakeAuth{key: "k", short: true, mode: auth.ModeSecure}))
	l.c.s = NewAcceptor(&l.n.cfg, l.n, l.c, nil, nil)
	l.s = l.c.s
	l.up().drive(StateAuthAccepting).say(l.authRequest())
	var own *OwnError
	require.ErrorAs(t, l.lastFault(), &own, "a short connection secret is the method's mistake, not the peer's")
	require.NotErrorIs(t, l.lastFault(), ErrProtocol)
}

// TestSecureFrameAtOnce: a frame that is complete with its first block is handled
// without waiting for more bytes.
func TestSecureFrameAtOnce(t *testing.T) {
	f := useFake(fakeAuth{key: "secret", mode: auth.ModeSecure})
	w := &world{t: t}
	a, b := w.node(1, msg.LosslessPeer(), f), w.node(2, msg.LosslessPeer(), f)
	c := a.connectTo(b)
	w.runFor(time.Millisecond)
	d := b.open()[0]
	d.held = true
	c.sendMsg(&msg.Message{TID: 5, Type: 1, Priority: 127, Front: message(5, 0, 0, 0, 0).Front})
	w.runFor(time.Millisecond)
	require.True(t, d.s.Paused())
	d.release()
	w.runFor(time.Millisecond)
	require.Equal(t, []uint64{5}, b.got)

	l := connector(t, msg.LosslessPeer()).drive(StateSessionConnecting)
	l.say(&frame.Wait{}) // 32 bytes in crc mode: a preamble and nothing else
	require.Equal(t, StateWait, l.s.State())
}

func TestOwner(t *testing.T) {
	w := &world{t: t}
	a, b := w.node(1, msg.LosslessClient(), clientOnly), w.node(2, msg.StatefulServer())
	c := a.connectTo(b)
	c.send(1, 127, 0)
	w.runFor(time.Second)
	// Another entity claims A's address, and knows its cookies even.
	thief := &simNode{}
	*thief = *a
	thief.client = auth.NoneClient{Name: entity.AuthName{Type: entity.TypeOSD, ID: "thief"}}
	thief.conns, thief.reg = nil, entity.Index[*simConn]{}
	w.nodes = append(w.nodes, thief)
	for _, reconnect := range []bool{false, true} {
		x := thief.newConn()
		x.s = NewConnector(&thief.cfg, thief, x, nil, nil,
			Peer{Type: entity.TypeOSD, Addrs: b.vec(), Policy: thief.policy})
		if reconnect {
			x.s.id.clientCookie, x.s.id.serverCookie, x.s.id.connectSeq = c.s.id.clientCookie, c.s.id.serverCookie, 5
		}
		thief.gseq = 100
		x.s.Start(w.now)
		x.settle()
		w.run(w.now+10*time.Millisecond, 200)
		require.False(t, x.isReady())
		x.markDown()
		require.True(t, c.isReady())
		require.Len(t, b.open(), 1)
		require.ErrorIs(t, b.conns[len(b.conns)-1].faults[0], ErrNotOwner)
	}
	c.send(2, 127, 0)
	w.runFor(time.Second)
	require.Equal(t, []uint64{1, 2}, b.got)
}

func TestStrings(t *testing.T) {
	for _, st := range States() {
		require.NotEqual(t, "?", st.String())
	}
	require.Equal(t, "?", State(200).String())
	for k := OutDeliver; k <= OutKeepalive; k++ {
		require.NotEqual(t, "?", k.String())
	}
	e := &ProtocolError{State: StateReady, Tag: frame.TagAck, Reason: "why", Err: errCut}
	require.Equal(t, "session: protocol error in READY at ACK: why: connection reset by peer", e.Error())
	require.Contains(t, fmt.Sprint(Output{Kind: OutFault, Err: errCut}, &MissingFeaturesError{Missing: 4}), "0x4")
}
