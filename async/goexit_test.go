package async

import (
	"errors"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// failingAuth is AUTH_NONE that fails when told to.
type failingAuth struct {
	auth.Client
	auth.Server
	fail func()
}

func (f failingAuth) client() auth.Client { return failingClient{f.Client, f.fail} }
func (f failingAuth) server() auth.Server { return failingServer{f.Server, f.fail} }

type failingClient struct {
	auth.Client
	fail func()
}

func (f failingClient) NewExchange(self, peer entity.Type) auth.ClientExchange {
	f.fail()
	return f.Client.NewExchange(self, peer)
}

type failingServer struct {
	auth.Server
	fail func()
}

func (f failingServer) NewExchange(self, peer entity.Type) auth.ServerExchange {
	f.fail()
	return f.Server.NewExchange(self, peer)
}

// failingThrottle is a throttler that is not this library's.
type failingThrottle struct {
	*dispatch.Throttle
	fail func()
}

func (f failingThrottle) Acquire(n int64, w msg.ThrottleWaiter) bool {
	f.fail()
	return f.Throttle.Acquire(n, w)
}

// TestCallbacksThatFail: whichever callback panics or ends its goroutine, that is counted
// and logged, and everything else goes on: other connections of the worker, and the one
// it happened for, unless that has to end.
func TestCallbacksThatFail(t *testing.T) {
	for how, fails := range map[string]func(){
		"goexit": runtime.Goexit,
		"panic":  func() { panic("planned") },
	} {
		for name, tc := range map[string]struct {
			server, client func(fail func()) func(*Config)
			set            func(srv, cl *node, fail func())
			policy         func(p *msg.Policy, fail func())
			notify         bool // of a message of the client's
			gone           bool // the connection may not survive
			lost           bool // the message that it happened for
		}{
			"FastDispatch": {lost: true, set: func(srv, _ *node, fail func()) {
				srv.canFast = func(m *msg.Message) bool { return m.Type == 7 }
				srv.onFast = func(*msg.Message) { fail() }
			}},
			"CanFastDispatch": {lost: true, set: func(srv, _ *node, fail func()) {
				srv.canFast = func(m *msg.Message) bool {
					if m.Type == 7 {
						fail()
					}
					return false
				}
			}},
			"FastPreprocess": {lost: true, set: func(srv, _ *node, fail func()) {
				srv.preprocess = func(m *msg.Message) {
					if m.Type == 7 {
						fail()
					}
				}
			}},
			"Dispatch": {lost: true, set: func(srv, _ *node, fail func()) {
				srv.onMessage = func(m *msg.Message) {
					if m.Type == 7 {
						fail()
					}
				}
			}},
			"Notify":            {notify: true},
			"HandleFastConnect": {set: func(_, cl *node, fail func()) { cl.failOn("fast connect", fail) }},
			"HandleConnect":     {set: func(_, cl *node, fail func()) { cl.failOn("connect", fail) }},
			"HandleFastAccept":  {set: func(srv, _ *node, fail func()) { srv.failOn("fast accept", fail) }},
			"HandleAccept":      {set: func(srv, _ *node, fail func()) { srv.failOn("accept", fail) }},
			"Throttler": {gone: true, policy: func(p *msg.Policy, fail func()) {
				p.ThrottleMessages = failingThrottle{dispatch.NewThrottle(100), fail}
			}},
			"Observe": {gone: true, server: func(fail func()) func(*Config) {
				return func(c *Config) {
					c.Observe = func(_ session.State, tag frame.Tag) {
						if tag == frame.TagMessage {
							fail()
						}
					}
				}
			}},
			"Rand": {gone: true, client: func(fail func()) func(*Config) {
				return func(c *Config) { c.Nonce, c.Rand = 5, func() uint64 { fail(); return 7 } }
			}},
			"auth.Client": {gone: true, client: func(fail func()) func(*Config) {
				return func(c *Config) {
					name := entity.AuthName{Type: entity.TypeClient, ID: "1"}
					c.AuthClient = failingAuth{Client: auth.NoneClient{Name: name}, fail: fail}.client()
				}
			}},
			"auth.Server": {server: func(fail func()) func(*Config) {
				return func(c *Config) { c.AuthServer = failingAuth{Server: new(auth.NoneServer), fail: fail}.server() }
			}},
		} {
			t.Run(how+" in "+name, func(t *testing.T) {
				l := newLabOf(t, 1) // everybody on one worker
				var book logbook
				var left atomic.Int32
				left.Store(1)
				fail := func() {
					if left.Add(-1) == 0 {
						fails()
					}
				}
				nothing := func(*Config) {}
				change := func(f func(func()) func(*Config)) func(*Config) {
					if f == nil {
						return nothing
					}
					return f(fail)
				}
				p := msg.StatefulServer()
				if tc.policy != nil {
					tc.policy(&p, fail)
				}
				srv := l.node(entity.OSD(0), p, l.withLog(&book), change(tc.server))
				cl := l.node(entity.Client(1), msg.LosslessClient(), l.withLog(&book), change(tc.client))
				if tc.set != nil {
					tc.set(srv, cl, fail)
				}
				require.NoError(t, srv.Bind(local))
				require.NoError(t, srv.Start())
				require.NoError(t, cl.Start())
				c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
				require.NoError(t, err)
				m := text("it")
				m.Type = 7
				if tc.notify {
					m.Notify = msg.NotifyFunc(func(msg.Connection, *msg.Message, error) { fail() })
				}
				if err := c.Send(m); !tc.gone { // it may have failed already
					require.NoError(t, err)
				}
				l.until("it failed", func() bool { return left.Load() <= 0 })
				l.until("it is counted", func() bool { return srv.Stats().Panics+cl.Stats().Panics == 1 })
				l.until("it is logged",
					func() bool { return len(book.lines("level=ERROR", "panic in a callback")) == 1 })
				if how == "goexit" {
					require.Len(t, book.lines("level=ERROR", "runtime.Goexit"), 1)
				} else {
					require.Len(t, book.lines("level=ERROR", "planned"), 1)
				}

				other := l.client(entity.Client(2), msg.LosslessClient())
				require.NoError(t, l.connect(other, srv).Send(text("other")))
				l.until("other", func() bool { return has(srv.texts(), "other") })
				l.until("after", func() bool {
					if c.IsClosed() {
						c, err = cl.ConnectTo(entity.TypeOSD, srv.Addrs())
						require.NoError(t, err)
					}
					_ = c.Send(text("after"))
					return has(srv.texts(), "after")
				})
				if !tc.lost && !tc.gone {
					require.Contains(t, srv.texts(), "it")
				}
				l.until("nothing is held", func() bool {
					n, bytes := c.SendQueue()
					s := srv.Stats()
					return n == 0 && bytes == 0 && s.DispatchBytes == 0 && s.Queue.Len == 0
				})
			})
		}
	}
}

func has(texts []string, want string) bool {
	for _, s := range texts {
		if s == want {
			return true
		}
	}
	return false
}

// failOn has the probe call fail when it is told of such an event.
func (n *node) failOn(what string, fail func()) {
	n.onEvent = func(w string, _ msg.Connection) {
		if w == what {
			fail()
		}
	}
}

// TestUndeliverableThatFails: the callback that is told of what was dropped.
func TestUndeliverableThatFails(t *testing.T) {
	for how, fails := range map[string]func(){"goexit": runtime.Goexit, "panic": func() { panic("planned") }} {
		t.Run(how, func(t *testing.T) {
			l := newLabOf(t, 1)
			srv := l.server(entity.OSD(0), msg.StatefulServer())
			cl := l.node(entity.Client(1), msg.LosslessClient())
			first := true
			cl.failOn("undeliverable", func() {
				if first {
					first = false
					fails()
				}
			})
			require.NoError(t, cl.Start())
			c, err := cl.ConnectTo(entity.TypeOSD, silent(t))
			require.NoError(t, err)
			for i := range 5 {
				require.NoError(t, c.Send(text("%d", i)))
			}
			l.until("it dials", func() bool { return c.State() == msg.StateConnecting })
			c.MarkDown()
			cl.want("undeliverable", 4) // the others are told all the same
			require.NoError(t, l.connect(cl, srv).Send(text("after")))
			require.Equal(t, []string{"after"}, srv.wantMessages(1))
			require.Equal(t, uint64(1), cl.Stats().Panics)
			l.until("nothing is held", func() bool { n, _ := c.SendQueue(); return n == 0 })
		})
	}
}

// TestLogHandlerThatPanics takes nobody along.
func TestLogHandlerThatPanics(t *testing.T) {
	l := newLab(t)
	cl := l.client(entity.Client(1), msg.LosslessClient(), func(c *Config) { c.Logger = brokenLogger() })
	c, err := cl.ConnectTo(entity.TypeOSD, saying(t, "HTTP/1.1 400"))
	require.NoError(t, err)
	cl.want("connect failed", 2)
	c.MarkDown()
}

// TestWaitingOnAWorker: what blocks answers an error on a worker instead of waiting for
// itself, and does what can be done.
func TestWaitingOnAWorker(t *testing.T) {
	l := newLabOf(t, 1)
	srv := l.node(entity.OSD(0), msg.StatefulServer())
	cl := l.client(entity.Client(1), msg.LosslessClient(), func(c *Config) { c.SendQueueMessages = 2 })
	full, err := cl.ConnectTo(entity.TypeOSD, silent(t))
	require.NoError(t, err)
	sendAll(t, full, 2, nil)
	errs := make(chan error, 10)
	srv.canFast = func(*msg.Message) bool { return true }
	srv.onFast = func(*msg.Message) {
		errs <- srv.Bind(local)
		errs <- srv.Rebind()
		errs <- srv.Drain(t.Context())
		errs <- full.Flush(t.Context())
		errs <- cl.Flush(t.Context())
		errs <- full.SendContext(t.Context(), text("no room"))
		errs <- srv.Shutdown(t.Context()) // last: it begins
		srv.Wait()
	}
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	require.NoError(t, l.connect(cl, srv).Send(text("x")))
	for i := range 7 {
		err := <-errs
		require.ErrorIs(t, err, msg.ErrOnWorker, i)
		if i == 5 {
			require.ErrorIs(t, err, msg.ErrQueueFull)
		}
	}
	require.NoError(t, srv.Shutdown(timeout(t)))

	// Notify is called on workers too.
	m := text("x")
	m.Notify = msg.NotifyFunc(func(msg.Connection, *msg.Message, error) { errs <- cl.Shutdown(t.Context()) })
	require.NoError(t, cl.Loopback().Send(m))
	require.ErrorIs(t, <-errs, msg.ErrOnWorker)
	require.NoError(t, cl.Shutdown(timeout(t)))
}

var errPlanned = errors.New("planned")

// TestFaultOfAConnectionThatIsGone: nothing happens.
func TestFaultOfAConnectionThatIsGone(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatefulServer())
	cl := l.client(entity.Client(1), msg.LosslessClient())
	c := l.connect(cl, srv)
	c.MarkDown()
	c.(*connection.Conn).Fault(errPlanned)
	c.(*connection.Conn).GiveUp(errPlanned)
	c.RetryNow()
	c.SendKeepalive()
	require.False(t, c.Cancel(text("x")))
	require.NoError(t, c.Flush(timeout(t)))
}
