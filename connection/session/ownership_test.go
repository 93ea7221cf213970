package session

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/tlsauth"
)

// certified issues certificates, for names that are proofs.
type certified struct {
	t   testing.TB
	ca  *tlsauth.Authority
	now time.Time
}

func newCertified(t testing.TB) *certified {
	x := &certified{t: t, now: time.Date(2030, 6, 1, 12, 0, 0, 0, time.UTC)}
	var err error
	x.ca, err = tlsauth.NewAuthority("the tests' authority", x.now.Add(-time.Hour), x.now.Add(time.Hour), nil)
	require.NoError(t, err)
	return x
}

// as makes a node prove that it is name.
func (x *certified) as(name entity.AuthName) nodeOption {
	cert, err := x.ca.Issue(name, x.now.Add(-time.Minute), x.now.Add(time.Minute), nil)
	require.NoError(x.t, err)
	roots := x509.NewCertPool()
	roots.AddCert(x.ca.Certificate())
	a, err := tlsauth.New(tlsauth.Config{TLS: &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: roots},
		Time: func() time.Time { return x.now }})
	require.NoError(x.t, err)
	return func(n *simNode) { n.client, n.server = a.Client(), a.Server() }
}

// thief is a node that proves to be name, calls itself self, and says that the addresses
// are its own.
func (w *world) thief(x *certified, name entity.AuthName, self entity.Name, first, second entity.Addr) *simNode {
	n := w.node(3, msg.LosslessClient(), x.as(name))
	n.cfg.Self, n.listens, n.addr, n.alias = self, true, first, second
	n.gseq = 1000
	return n
}

// twoAddrs is an Env with a second address of its own.
type twoAddrs struct{ *simNode }

func (n twoAddrs) Addrs() entity.AddrVec {
	v := n.simNode.Addrs()
	if n.alias != (entity.Addr{}) {
		v = append(v, n.alias)
	}
	return v
}

// TestStolenSession: who proved another name knows all of a session, its addresses and
// cookies, and asks for its continuation, or for a new one in its place, under each name it
// may say. It gets nothing, whatever the session is doing, and that goes on: nothing is
// lost, doubled or reset.
func TestStolenSession(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	x := newCertified(t)
	mallory := entity.AuthName{Type: entity.TypeClient, ID: "mallory"}
	policies := map[string]pairing{
		"client": {client: msg.LosslessClient(), server: msg.StatefulServer()},
		"peer":   {client: msg.LosslessPeer(), server: msg.LosslessPeer()},
	}
	thieves := []struct {
		what string
		name entity.AuthName
		self entity.Name
		want error
	}{
		{"client.mallory", mallory, entity.Client(entity.NumNew), ErrNotOwner},
		// A client whose name is no number may have any (entity.AuthName.Is).
		{"client.mallory says client.1", mallory, entity.Client(1), ErrNotOwner},
		{"client.3 says client.1", entity.AuthName{Type: entity.TypeClient, ID: "3"}, entity.Client(1), ErrWrongName},
		{"client.mallory says osd.1", mallory, entity.OSD(1), tlsauth.ErrWrongType},
		{"osd.3", osd("3"), entity.OSD(3), ErrNotOwner},
		{"osd.3 says osd.1", osd("3"), entity.OSD(1), ErrWrongName},
	}
	states := map[string]func(w *world, c, d *simConn){
		"idle": func(*world, *simConn, *simConn) {},
		"messages on their way": func(w *world, c, d *simConn) {
			c.held, d.held = true, true
			c.send(2, 127, 5000)
			d.send(102, 127, 5000)
		},
		"cut":                func(w *world, c, d *simConn) { w.cut(c.end.w) },
		"cut, with messages": func(w *world, c, d *simConn) { c.send(2, 127, 0); d.send(102, 127, 0); w.cut(c.end.w) },
	}
	tries := 0
	for policy, p := range policies {
		for state, bring := range states {
			for _, th := range thieves {
				for _, reconnect := range []bool{false, true} {
					for _, alone := range []bool{true, false} {
						tries++
						what := fmt.Sprintf("%s, %s, %s, reconnect %t, alone %t", policy, state, th.what, reconnect,
							alone)
						w, a, b := pair(t, p)
						x.as(osd("1"))(a)
						x.as(osd("2"))(b)
						c := a.connectTo(b)
						c.send(1, 127, 0)
						w.runFor(time.Millisecond)
						d := b.open()[0]
						d.send(101, 127, 0)
						w.runFor(time.Millisecond)
						bring(w, c, d)

						first, second := a.vec()[0], entity.Addr{}
						if !alone {
							first, second = entity.Addr{Type: entity.AddrMsgr2, Nonce: 3, AddrPort: addrPort(3)}, first
						}
						n := w.thief(x, th.name, th.self, first, second)
						n.up = false // nobody calls it
						s := n.newConn()
						s.s = NewConnector(&n.cfg, twoAddrs{n}, s, nil, nil,
							Peer{Type: entity.TypeOSD, Addrs: b.vec(), Policy: n.policy})
						if reconnect {
							s.s.id.clientCookie, s.s.id.serverCookie = c.s.id.clientCookie, c.s.id.serverCookie
							s.s.id.connectSeq = c.s.id.connectSeq + 5
						}
						s.s.Start(w.now)
						s.settle()
						for s.end != nil { // and the victim's own attempts wait
							ms := w.moves()
							at := 0
							for at < len(ms) && ms[at].wire != s.end.w {
								at++
							}
							if at == len(ms) {
								break
							}
							w.do(ms[at])
						}
						if s.ready > 0 || len(n.got) > 0 {
							w.failf("%s: it got the session", what)
						}
						accepted := b.conns[len(b.conns)-1]
						why := append(accepted.faults, accepted.refused...)
						if len(why) == 0 {
							w.failf("%s: nothing was refused", what)
						}
						want := th.want
						if reconnect && want == ErrWrongName {
							want = ErrNotOwner // SESSION_RECONNECT has no name in it: that it is another's counts
						}
						require.ErrorIs(t, why[0], want, what)
						s.markDown()

						c.release()
						d.release()
						w.runFor(time.Minute)
						c.send(3, 127, 0)
						d.send(103, 127, 0)
						w.runFor(time.Minute)
						require.True(t, c.isReady() && d.isReady(), "%s: %v %v", what, c.s, d.s)
						got, back := []uint64{1, 3}, []uint64{101, 103}
						if state != "idle" && state != "cut" {
							got, back = []uint64{1, 2, 3}, []uint64{101, 102, 103}
						}
						require.Equal(t, got, b.got, what)
						require.Equal(t, back, a.got, what)
						require.Zero(t, c.resets+c.remote+d.resets+d.remote, what)
						require.Len(t, c.done, len(got), what)
						w.endAll()
					}
				}
			}
		}
	}
	t.Logf("%d attempts", tries)
}

// TestStolenPlace: who proved another name and listens where the peer of a session did gets
// nothing of it either: neither the queue nor its cookies.
func TestStolenPlace(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	x := newCertified(t)
	for name, want := range map[entity.AuthName]error{
		osd("3"): ErrWrongName, {Type: entity.TypeClient, ID: "mallory"}: tlsauth.ErrWrongType,
	} {
		what := name.String()
		w, a, b := pair(t, pairing{client: msg.LosslessClient(), server: msg.StatefulServer()})
		x.as(osd("1"))(a)
		x.as(osd("2"))(b)
		c := a.connectTo(b)
		c.send(1, 127, 0)
		w.runFor(time.Millisecond)
		require.Equal(t, []uint64{1}, b.got)
		addr := b.addr
		b.up = false
		w.cut(c.end.w)
		c.send(2, 127, 0)
		n := w.thief(x, name, entity.OSD(2), addr, entity.Addr{})
		n.policy = msg.StatefulServer()
		w.runFor(time.Minute)
		require.Empty(t, n.got, what)
		require.Zero(t, c.ready-1, what)
		require.NotEmpty(t, c.faults)
		require.ErrorIs(t, c.faults[len(c.faults)-1], want, what)
		w.endAll()
	}
}
