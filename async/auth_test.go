package async

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/callback"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

const keyedMethod = 0x7e57

// keyed is both sides of a method that is slow, in secure mode, with a key that everybody
// knows. The server takes two rounds and believes, or proves, the name it is told.
type keyed struct {
	name         string
	proves       bool
	in           func(what string)
	made, closed atomic.Int32
}

func (k *keyed) client() auth.Client { return keyedClient{k} }
func (k *keyed) server() auth.Server { return keyedServer{k} }

func (k *keyed) note(what string) {
	if k.in != nil {
		k.in(what)
	}
}

func (k *keyed) result(name string) auth.Result {
	key := []byte("a key that everybody knows, and a secret of 40 bytes at least")
	r := auth.Result{Mode: auth.ModeSecure, SessionKey: key[:16], ConnectionSecret: key, GlobalID: 4123}
	if r.Peer, _ = entity.ParseAuthName(name); name != "" {
		r.Proved = k.proves
	}
	return r
}

type keyedClient struct{ *keyed }
type keyedClientExchange struct{ *keyed }
type keyedServer struct{ *keyed }
type keyedServerExchange struct {
	*keyed
	said string
}

func (k *keyed) exchange(side string) {
	k.note(side + " NewExchange")
	k.made.Add(1)
}

func (k keyedClientExchange) Close() error  { k.closed.Add(1); k.note("client Close"); return nil }
func (k *keyedServerExchange) Close() error { k.closed.Add(1); k.note("server Close"); return nil }
func (keyedClientExchange) Slow() bool      { return true }
func (*keyedServerExchange) Slow() bool     { return true }

func (k keyedClient) NewExchange(_, _ entity.Type) auth.ClientExchange {
	k.exchange("client")
	return keyedClientExchange(k)
}

func (k keyedClientExchange) Request() (auth.Request, error) {
	k.note("client Request")
	return auth.Request{Method: keyedMethod, Modes: []uint32{auth.ModeSecure}, Payload: []byte(k.name)}, nil
}
func (k keyedClientExchange) BadMethod(r *auth.RefusedError) (auth.Request, error) {
	k.note("client BadMethod")
	return auth.Request{}, r
}
func (k keyedClientExchange) More(p []byte) ([]byte, error) { k.note("client More"); return p, nil }
func (k keyedClientExchange) Done(uint64, uint32, []byte) (auth.Result, error) {
	k.note("client Done")
	return k.result(""), nil
}

func (k keyedServer) NewExchange(_, _ entity.Type) auth.ServerExchange {
	k.exchange("server")
	return &keyedServerExchange{keyed: k.keyed}
}

func (k *keyedServerExchange) Request(r auth.Request) (auth.Reply, error) {
	k.note("server Request")
	k.said = string(r.Payload)
	return auth.Reply{Payload: []byte("more")}, nil
}
func (k *keyedServerExchange) More([]byte) (auth.Reply, error) {
	k.note("server More")
	return auth.Reply{Done: true, Result: k.result(k.said)}, nil
}

// withKeyed makes a messenger authenticate by k on both sides.
func withKeyed(k *keyed) func(*Config) {
	return func(c *Config) { c.AuthClient, c.AuthServer = k.client(), k.server() }
}

// TestSlowAuthentication: each step runs on the executor, where it may block: the workers
// go on. Both ends know what came of it, and every exchange is closed.
func TestSlowAuthentication(t *testing.T) {
	l := newLabOf(t, 1)
	s := newSides(l)
	hold := l.gate()
	methods := []string{"server Request", "server More", "client Request", "client More", "client Done"}
	var held atomic.Int32
	k := &keyed{name: "client.admin", proves: true}
	k.in = func(what string) {
		s.note(what)
		if strings.HasPrefix(what, "server Request") && held.Add(1) == 1 {
			hold.pass()
		}
	}
	var authorized atomic.Pointer[auth.Peer]
	srv := l.server(entity.OSD(0), msg.StatefulServer(), withKeyed(k), func(c *Config) {
		c.Authorize = func(p auth.Peer) error { s.note("Authorize"); authorized.Store(&p); return nil }
	})
	first := l.client(entity.Client(17), msg.LosslessClient(), withKeyed(k))
	c, err := first.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	require.NoError(t, c.Send(text("first")))
	hold.wantArrived(1)
	require.Equal(t, entity.Authenticated{}, c.Authenticated())

	// The only worker is free: others connect and send meanwhile.
	second := l.client(entity.Client(18), msg.LosslessClient(), withKeyed(k))
	l.connect(second, srv)
	require.NoError(t, second.SendTo(text("second"), entity.TypeOSD, srv.Addrs()))
	require.Equal(t, []string{"second"}, srv.wantMessages(1))
	require.False(t, c.IsConnected())
	hold.open()
	require.Equal(t, []string{"second", "first"}, srv.wantMessages(2))

	s.want(callback.Pool, append(methods, "Authorize")...)
	s.want(callback.Worker, "client NewExchange", "server NewExchange", "client Close", "server Close")
	require.Equal(t, k.made.Load(), k.closed.Load())
	admin := entity.AuthName{Type: entity.TypeClient, ID: "admin"}
	in := l.peerOf(srv, entity.Client(17))
	require.Equal(t, entity.Authenticated{Name: admin, Proved: true, Method: keyedMethod, Mode: auth.ModeSecure},
		in.Authenticated())
	require.EqualValues(t, 4123, in.PeerGlobalID())
	require.Equal(t, entity.Authenticated{Method: keyedMethod, Mode: auth.ModeSecure}, c.Authenticated())
	require.Zero(t, c.PeerGlobalID(), "the server has none")
	p := authorized.Load()
	require.Equal(t, admin, p.Name)
	require.Equal(t, entity.TypeClient, p.Type)
	require.Equal(t, "127.0.0.1", p.Addr.Addr().String())
	require.Equal(t, entity.Authenticated{}, srv.Loopback().Authenticated())
}

// TestEndDuringStep: whatever ends a connection while a step of its authentication runs,
// the exchange is closed once the step has returned, and nothing else comes of it.
func TestEndDuringStep(t *testing.T) {
	for name, tc := range map[string]struct {
		at  string // the step
		end func(l *lab, srv, cl *node, c msg.Connection)
	}{
		"mark down": {"client Request", func(_ *lab, _, _ *node, c msg.Connection) { c.MarkDown() }},
		"peer leaves": {"server More", func(l *lab, srv, _ *node, c msg.Connection) {
			c.MarkDown()
			// It is not read from meanwhile: the server finds out by its next write, or deadline.
			srv.MarkDownAll()
			l.until("forgotten", func() bool { return srv.Stats().Handshakes == 0 })
		}},
		"timeout": {"server Request", func(l *lab, srv, _ *node, _ msg.Connection) {
			l.until("a handshake that took too long",
				func() bool { return srv.Stats().AcceptFailures[msg.ReasonTimeout] > 0 })
		}},
		"shutdown": {"client Done", func(l *lab, _, cl *node, _ msg.Connection) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			require.ErrorIs(l.t, cl.Shutdown(ctx), context.Canceled, "it waits for the step")
			l.until("closed", func() bool { return cl.Stats().Connections == 0 })
			ctx, cancel = context.WithTimeout(context.Background(), 20*time.Millisecond)
			defer cancel()
			require.ErrorContains(l.t, cl.Shutdown(ctx), "a step of authentication runs")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			hold := l.gate()
			var once atomic.Bool
			k := &keyed{name: "client.1"}
			k.in = func(what string) {
				if what == tc.at && once.CompareAndSwap(false, true) {
					hold.pass()
				}
			}
			timeout := func(c *Config) {
				if c.ReadyTimeout = time.Minute; name == "timeout" {
					c.ReadyTimeout = 200 * time.Millisecond
				}
			}
			srv := l.server(entity.OSD(0), msg.StatefulServer(), withKeyed(k), timeout)
			cl := l.client(entity.Client(1), msg.LosslessClient(), withKeyed(k),
				func(c *Config) { c.ReadyTimeout = time.Minute })
			c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
			require.NoError(t, err)
			hold.wantArrived(1)
			tc.end(l, srv, cl, c)
			require.Less(t, k.closed.Load(), k.made.Load(), "not while it runs")
			hold.open()
			if name != "shutdown" {
				c.MarkDown()
				srv.MarkDownAll()
			}
			l.until("closed", func() bool { return k.closed.Load() == k.made.Load() })
		})
	}
}

// TestStepsThatFail: a step that panics or ends its goroutine is reported, and an error of
// its connection, which tries again.
func TestStepsThatFail(t *testing.T) {
	for how, fail := range map[string]func(){"panic": func() { panic("planned") }, "goexit": runtime.Goexit} {
		for _, at := range []string{
			"client Request", "client More", "client Done", "client Close",
			"server Request", "server More", "server Close", "Authorize",
		} {
			t.Run(how+" in "+at, func(t *testing.T) {
				l := newLabOf(t, 1)
				var book logbook
				var once atomic.Bool
				k := &keyed{name: "client.1"}
				k.in = func(what string) {
					if what == at && once.CompareAndSwap(false, true) {
						fail()
					}
				}
				srv := l.server(entity.OSD(0), msg.StatefulServer(), withKeyed(k), l.withLog(&book), func(c *Config) {
					c.Authorize = func(auth.Peer) error { k.note("Authorize"); return nil }
				})
				cl := l.client(entity.Client(1), msg.LosslessClient(), withKeyed(k), l.withLog(&book))
				if how == "goexit" && at == "client Close" {
					// It is called by the session, which is left in the midst of things.
					c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
					require.NoError(t, err)
					l.until("closed", c.IsClosed)
				}
				c := l.connect(cl, srv)
				require.NoError(t, c.Send(text("x")))
				srv.wantMessages(1)
				require.EqualValues(t, 1, srv.Stats().Panics+cl.Stats().Panics)
				method := strings.TrimPrefix(strings.TrimPrefix(at, "client "), "server ")
				require.NotEmpty(t, book.lines("level=ERROR", "panic in a callback", method))
				l.until("closed", func() bool { return k.closed.Load() == k.made.Load() })
			})
		}
	}
}

// full is an executor that runs no steps of authentication, nor anything else.
type full struct{}

func (full) Submit(func()) error { return dispatch.ErrExecutorFull }

// TestNobodyRunsSteps: the connection is given up, with the reason.
func TestNobodyRunsSteps(t *testing.T) {
	l := newLab(t)
	var ours, theirs logbook
	k := &keyed{name: "client.1"}
	srv := l.server(entity.OSD(0), msg.StatefulServer(), withKeyed(k), l.withLog(&theirs),
		func(c *Config) { c.Executor = full{} })
	cl := l.client(entity.Client(1), msg.LosslessClient(), withKeyed(k), l.withLog(&ours))
	c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	l.until("turned away", func() bool { return srv.Stats().AcceptFailures[msg.ReasonFull] >= 3 })
	c.MarkDown()
	require.Len(t, theirs.lines("level=WARN", "a peer could not connect", `reason="too many handshakes"`,
		"Config.Executor"), 1)
	l.until("closed", func() bool { return k.closed.Load() == k.made.Load() })

	cl2 := l.client(entity.Client(2), msg.LosslessClient(), withKeyed(k), l.withLog(&ours),
		func(c *Config) { c.Executor = full{} })
	c, err = cl2.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	l.until("failed", func() bool { return cl2.Stats().ConnectFailures[msg.ReasonFull] >= 2 })
	c.MarkDown()
	require.Len(t, ours.lines("level=WARN", "cannot connect", "no room for another step of authentication"), 1)
}

// TestAuthorize: who is not authorized hears a number, and the operator why, once.
func TestAuthorize(t *testing.T) {
	for what, change := range map[string]func(*Config){
		"slow": withKeyed(&keyed{name: "client.1"}), "none": func(*Config) {},
	} {
		t.Run(what, func(t *testing.T) {
			l := newLab(t)
			var ours, theirs logbook
			var allow atomic.Bool
			srv := l.server(entity.OSD(0), msg.StatefulServer(), change, l.withLog(&theirs), func(c *Config) {
				c.Authorize = func(auth.Peer) error {
					if allow.Load() {
						return nil
					}
					return errors.New("closed on Sundays")
				}
			})
			cl := l.client(entity.Client(1), msg.LosslessClient(), change, l.withLog(&ours))
			c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
			require.NoError(t, err)
			l.until("three attempts", func() bool { return cl.Stats().ConnectFailures[msg.ReasonAuth] >= 3 })
			require.Len(t, theirs.lines("level=WARN", "client.1 is not authorized: closed on Sundays",
				"Config.Authorize"), 1)
			require.Len(t, ours.lines("level=WARN", "cannot connect", "(permission denied)"), 1)
			require.Empty(t, ours.lines("Sundays"))
			require.ErrorIs(t, c.LastError(), auth.ErrRefused)
			allow.Store(true)
			l.until("connected", c.IsConnected)
		})
	}
}

// TestProvedNameBinds: a peer under another name than it proved is refused, which is said
// once with both.
func TestProvedNameBinds(t *testing.T) {
	l := newLab(t)
	var theirs logbook
	k := &keyed{name: "client.5", proves: true}
	srv := l.server(entity.OSD(0), msg.StatefulServer(), withKeyed(k), l.withLog(&theirs))
	cl := l.client(entity.Client(6), msg.LosslessClient(), withKeyed(k))
	c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	l.until("three attempts", func() bool { return srv.Stats().AcceptFailures[msg.ReasonAuth] >= 3 })
	require.False(t, c.IsConnected())
	c.MarkDown()
	require.Len(t, theirs.lines("level=WARN",
		"the peer proved that it is client.5, and says that it is client.6", "Config.Name"), 1)
	l.connect(l.client(entity.Client(5), msg.LosslessClient(), withKeyed(k)), srv)
	l.connect(l.client(entity.Client(4123), msg.LosslessClient(), withKeyed(k)), srv)
}

// TestDowngradeIsTold: a client that demands more than the server has says so once, with
// both lists and what to do, and comes back no faster than after any other failure.
func TestDowngradeIsTold(t *testing.T) {
	l := newLab(t)
	var ours logbook
	k := &keyed{name: "client.1"}
	srv := l.server(entity.OSD(0), msg.StatefulServer())
	both := &auth.Methods{Default: []auth.Method{
		{Number: keyedMethod, Client: k.client()},
		{Number: auth.MethodNone, Client: auth.NoneClient{Name: entity.AuthName{Type: entity.TypeClient, ID: "1"}}},
	}}
	cl := l.client(entity.Client(1), msg.LosslessClient(), l.withLog(&ours), func(c *Config) {
		c.AuthClient = auth.Secure(both.Client())
		c.InitialBackoff, c.MaxBackoff = 20*time.Millisecond, 20*time.Millisecond
	})
	begin := time.Now()
	c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	l.until("attempts", func() bool { return cl.Stats().ConnectFailures[msg.ReasonAuth] >= 5 })
	require.GreaterOrEqual(t, time.Since(begin), 4*10*time.Millisecond, "half of the backoff, at least")
	var down *auth.DowngradeError
	require.ErrorAs(t, c.LastError(), &down)
	require.Equal(t, []uint32{auth.MethodNone}, down.OfferedMethods)
	require.Len(t, ours.lines("level=WARN", "cannot connect",
		"demanded modes [secure]; offered methods [none], modes [crc]", "configure one of those demanded"), 1)
	c.MarkDown()
	// Without the demand, and with both configured, it goes on to the other one.
	weak := l.client(entity.Client(2), msg.LosslessClient(), func(c *Config) { c.AuthClient = both.Client() })
	require.Equal(t, auth.MethodNone, l.connect(weak, srv).Authenticated().Method)
	l.until("closed", func() bool { return k.closed.Load() == k.made.Load() })
}

// TestHandshakesPerHost: one host does not take all of them.
func TestHandshakesPerHost(t *testing.T) {
	l := newLab(t)
	var theirs logbook
	srv := l.server(entity.OSD(0), msg.StatefulServer(), l.withLog(&theirs),
		func(c *Config) { c.HandshakesMax, c.HandshakesMaxPerHost = 10, 2 })
	dial := func() net.Conn {
		c, err := net.Dial("tcp", srv.Addrs()[0].AddrPort.String())
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
		return c
	}
	first := dial()
	dial()
	l.until("two", func() bool { return srv.Stats().Handshakes == 2 })
	for range 3 {
		n, err := dial().Read(make([]byte, 1))
		require.Zero(t, n)
		require.Error(t, err)
	}
	l.until("counted", func() bool { return srv.Stats().TurnedAway == 3 })
	require.Len(t, theirs.lines("level=WARN", connection.ErrHostHandshakes.Error()), 1)
	first.Close()
	l.until("room", func() bool { return srv.Stats().Handshakes == 1 })
	l.connect(l.client(entity.Client(1), msg.LosslessClient()), srv)
}
