package sessiontest

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

const keyedMethod = 0x7e57

// keyed is both sides of a slow method in secure mode, with a key that everybody knows. It
// proves the name that the client says.
type keyed struct {
	in           func(what string) // each method but Close
	made, closed atomic.Int32
}

type (
	keyedClient         struct{ *keyed }
	keyedServer         struct{ *keyed }
	keyedClientExchange struct{ keyedExchange }
	keyedServerExchange struct{ keyedExchange }
	keyedExchange       struct{ *keyed }
)

func (k keyedExchange) Slow() bool   { return true }
func (k keyedExchange) Close() error { k.closed.Add(1); return nil }

func (k *keyed) exchange() keyedExchange {
	k.made.Add(1)
	return keyedExchange{k}
}

func (k *keyed) result() auth.Result {
	key := []byte("a key that everybody knows, and a secret of 40 bytes at least")
	return auth.Result{Mode: auth.ModeSecure, SessionKey: key[:16], ConnectionSecret: key}
}

func (k keyedClient) NewExchange(_, _ entity.Type) auth.ClientExchange {
	return keyedClientExchange{k.exchange()}
}

func (k keyedServer) NewExchange(_, _ entity.Type) auth.ServerExchange {
	return keyedServerExchange{k.exchange()}
}

func (k keyedClientExchange) Request() (auth.Request, error) {
	k.in("client Request")
	return auth.Request{Method: keyedMethod, Modes: []uint32{auth.ModeSecure}, Payload: []byte("client.admin")}, nil
}
func (k keyedClientExchange) BadMethod(r *auth.RefusedError) (auth.Request, error) {
	return auth.Request{}, r
}
func (k keyedClientExchange) More(p []byte) ([]byte, error) { return p, nil }
func (k keyedClientExchange) Done(uint64, uint32, []byte) (auth.Result, error) {
	k.in("client Done")
	return k.result(), nil
}

func (k keyedServerExchange) Request(r auth.Request) (auth.Reply, error) {
	k.in("server Request")
	return auth.Reply{Payload: r.Payload}, nil
}

func (k keyedServerExchange) More(p []byte) (auth.Reply, error) {
	k.in("server More")
	r := k.result()
	r.Peer, _ = entity.ParseAuthName(string(p))
	r.Proved = true
	return auth.Reply{Done: true, Result: r}, nil
}

func (k *keyed) use(o *Options) { o.AuthClient, o.AuthServer = keyedClient{k}, keyedServer{k} }

// testSlowAuthentication: steps that take their time hold up nobody else, and both ends
// know what came of them.
func testSlowAuthentication(r *rig) {
	hold := r.gate()
	var first atomic.Bool
	k := &keyed{in: func(what string) {
		if what == "server More" && first.CompareAndSwap(false, true) {
			hold.pass()
		}
	}}
	srv := r.srv(msg.StatefulServer(), k.use)
	held := r.cl(1, msg.LosslessClient(), k.use)
	require.NoError(r.t, held.SendTo(text("held"), entity.TypeOSD, srv.Addrs()))
	r.until("a step", first.Load)
	cl := r.cl(2, msg.LosslessClient(), k.use)
	c := r.connect(cl, srv)
	require.Equal(r.t, entity.Authenticated{Method: keyedMethod, Mode: auth.ModeSecure}, c.Authenticated())
	require.Equal(r.t, entity.Authenticated{Name: entity.AuthName{Type: entity.TypeClient, ID: "admin"}, Proved: true,
		Method: keyedMethod, Mode: auth.ModeSecure}, r.accepted(srv, cl).Authenticated())
	require.Equal(r.t, entity.Authenticated{}, srv.Loopback().Authenticated())
	require.NoError(r.t, c.Send(text("other")))
	require.Equal(r.t, []string{"other"}, srv.wantMessages(1))
	hold.open()
	require.Equal(r.t, []string{"other", "held"}, srv.wantMessages(2))
	r.until("closed", func() bool { return k.closed.Load() == k.made.Load() })
}

// testEndDuringStep: what ends a connection in the middle of a step ends it at once, and
// the exchange is closed when the step has returned.
func testEndDuringStep(r *rig) {
	for _, at := range []string{"client Request", "server Request"} {
		hold := r.gate()
		var first atomic.Bool
		k := &keyed{in: func(what string) {
			if what == at && first.CompareAndSwap(false, true) {
				hold.pass()
			}
		}}
		srv := r.srv(msg.StatefulServer(), k.use, func(o *Options) { o.ReadyTimeout = 100 * time.Millisecond })
		cl := r.cl(1, msg.LosslessClient(), k.use)
		c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
		require.NoError(r.t, err)
		r.until("a step", first.Load)
		if at == "client Request" {
			c.MarkDown()
			require.True(r.t, c.IsClosed())
		} else {
			r.until("the deadline", func() bool { return srv.Count().Faults > 0 })
		}
		require.Less(r.t, k.closed.Load(), k.made.Load(), "not while it runs")
		hold.open()
		c.MarkDown()
		r.until("closed", func() bool { return k.closed.Load() == k.made.Load() })
	}
}

// testNotAuthorized: who is not let in may try again.
func testNotAuthorized(r *rig) {
	var allow atomic.Bool
	srv := r.srv(msg.StatefulServer(), func(o *Options) {
		o.Authorize = func(p auth.Peer) error {
			if allow.Load() && p.Name.ID == "1" {
				return nil
			}
			return errors.New("not today")
		}
	})
	cl := r.cl(1, msg.LosslessClient())
	c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(r.t, err)
	r.until("attempts", func() bool { return cl.Count().Faults >= 3 })
	require.ErrorIs(r.t, c.LastError(), auth.ErrRefused)
	require.False(r.t, c.IsConnected())
	allow.Store(true)
	r.until("connected", c.IsConnected)
}
