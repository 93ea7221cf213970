package async

import (
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/callback"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// sides notes where user code was called.
type sides struct {
	l  *lab
	mu sync.Mutex
	at map[string]map[callback.Side]bool
}

func newSides(l *lab) *sides { return &sides{l: l, at: map[string]map[callback.Side]bool{}} }

// note is called by such a callback.
func (s *sides) note(what string) {
	side := callback.Inside()
	s.mu.Lock()
	if s.at[what] == nil {
		s.at[what] = map[callback.Side]bool{}
	}
	s.at[what][side] = true
	s.mu.Unlock()
	s.l.notify()
}

// noting is note of something, as a function.
func (s *sides) noting(what string) func() { return func() { s.note(what) } }

// want waits until all of them were called, and checks where.
func (s *sides) want(side callback.Side, whats ...string) {
	s.l.t.Helper()
	for _, what := range whats {
		var at map[callback.Side]bool
		s.l.until(what, func() bool { at = s.taken(what); return at != nil })
		require.Equal(s.l.t, map[callback.Side]bool{side: true}, at, what)
	}
}

// taken returns where such callbacks were until now, and forgets it.
func (s *sides) taken(what string) map[callback.Side]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.at[what]
	delete(s.at, what)
	return at
}

// notedThrottle is a throttler that is not this library's.
type notedThrottle struct {
	t    *dispatch.Throttle
	note func(what string)
}

func (n notedThrottle) Acquire(k int64, w msg.ThrottleWaiter) bool {
	n.note("Acquire")
	return n.t.Acquire(k, w)
}
func (n notedThrottle) Cancel(w msg.ThrottleWaiter) bool { n.note("Cancel"); return n.t.Cancel(w) }
func (n notedThrottle) Take(k int64)                     { n.note("Take"); n.t.Take(k) }
func (n notedThrottle) Release(k int64)                  { n.note("Release"); n.t.Release(k) }

// notedExecutor notes its own code, and what runs in a job besides callbacks.
type notedExecutor struct {
	dispatch.Executor
	note func(what string)
}

func (n notedExecutor) Submit(job func()) error {
	n.note("Submit")
	return n.Executor.Submit(func() { n.note("before the job"); job(); n.note("after the job") })
}

// TestCallbacksAreMarked: whatever a user hands to a messenger is called on its side.
// (All methods of dispatchers: dispatch.TestInside.)
func TestCallbacksAreMarked(t *testing.T) {
	l := newLabOf(t, 1)
	s := newSides(l)
	srv := l.node(entity.OSD(0), msg.StatefulServer(), func(c *Config) {
		c.Executor = notedExecutor{c.Executor, s.note}
		c.AuthServer = failingAuth{Server: new(auth.NoneServer), fail: s.noting("auth.Server")}.server()
		c.Observe = func(session.State, frame.Tag) { s.note("Observe") }
	})
	cl := l.node(entity.Client(1), msg.LosslessClient(), func(c *Config) {
		c.Nonce, c.Rand = 5, func() uint64 { s.note("Rand"); return 7 }
		name := entity.AuthName{Type: entity.TypeClient, ID: "1"}
		c.AuthClient = failingAuth{Client: auth.NoneClient{Name: name}, fail: s.noting("auth.Client")}.client()
	})
	th := notedThrottle{dispatch.NewThrottle(1), func(what string) { s.note("Throttler." + what) }}
	srv.SetPolicyThrottlers(entity.TypeClient, th, nil)
	srv.preprocess = func(*msg.Message) { s.note("FastPreprocess") }
	srv.canFast = func(m *msg.Message) bool { s.note("CanFastDispatch"); return m.Type == 7 }
	srv.onFast = func(*msg.Message) {
		s.note("FastDispatch")
		started := make(chan struct{})
		go func() { defer close(started); s.note("a goroutine of FastDispatch") }()
		<-started
	}
	hold := l.gate()
	srv.onMessage = func(m *msg.Message) {
		s.note("Dispatch")
		if string(m.Front) == "hold" {
			hold.pass()
		}
	}
	srv.onEvent = func(what string, _ msg.Connection) { s.note("server's " + what) }
	cl.onEvent = func(what string, _ msg.Connection) { s.note("client's " + what) }
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	require.NoError(t, cl.Start())

	c := l.connect(cl, srv)
	s.want(callback.Worker, "auth.Server", "auth.Client", "Observe", "Rand", "Submit",
		"client's fast connect", "server's fast accept")
	s.want(callback.Pool, "client's connect", "server's accept")
	s.want(callback.Outside, "before the job", "after the job")

	send := func(typ uint16, front string) {
		m := text("%s", front)
		m.Type, m.Notify = typ, msg.NotifyFunc(func(msg.Connection, *msg.Message, error) { s.note("Notify") })
		require.NoError(t, c.Send(m))
	}
	send(7, "fast")
	s.want(callback.Worker, "Throttler.Acquire", "FastPreprocess", "CanFastDispatch", "FastDispatch",
		"Throttler.Release", "Notify")
	s.want(callback.Outside, "a goroutine of FastDispatch")
	send(1, "hold")
	hold.wantArrived(1)
	s.want(callback.Pool, "Dispatch")
	send(1, "waits")
	l.until("it waits", func() bool { return srv.Stats().ThrottleWaits == 1 })
	l.peerOf(srv, cl.Name()).MarkDown()
	s.want(callback.Worker, "Throttler.Cancel")
	hold.open()
	s.want(callback.Pool, "client's remote reset")

	// The loopback's.
	lost := func() *msg.Message {
		m := text("to itself")
		m.Notify = msg.NotifyFunc(func(msg.Connection, *msg.Message, error) { s.note("Notify of the loopback") })
		return m
	}
	require.NoError(t, cl.Loopback().Send(lost()))
	s.want(callback.Worker, "Notify of the loopback")

	// On the goroutine that closes a connection it is as on a worker, and in a callback
	// of the pool that does so it is as on the pool.
	closes := func() {
		release := make(chan struct{})
		defer close(release)
		require.NoError(t, l.stack.Pick().Post(taskFunc(func() { <-release }))) // the worker ends nothing
		require.NoError(t, cl.Loopback().Send(lost()))
		cl.Loopback().MarkDown()
	}
	closes()
	s.want(callback.Worker, "Notify of the loopback", "client's undeliverable")
	cl.onMessage = func(*msg.Message) { closes() }
	require.NoError(t, cl.Loopback().Send(text("close")))
	s.want(callback.Pool, "Notify of the loopback", "client's undeliverable")
}

// taskFunc is a task on a worker.
type taskFunc func()

func (f taskFunc) Run() { f() }

// TestNoMarkIsLeft: a worker on which user code has panicked or ended its goroutine, and
// a goroutine of the pool, are outside afterwards.
func TestNoMarkIsLeft(t *testing.T) {
	for how, fails := range map[string]func(){"goexit": runtime.Goexit, "panic": func() { panic("planned") }} {
		t.Run(how, func(t *testing.T) {
			l := newLabOf(t, 1)
			s := newSides(l)
			srv := l.node(entity.OSD(0), msg.StatefulServer(), func(c *Config) { c.IgnorePanics = true })
			srv.canFast = func(m *msg.Message) bool { return m.Type == 7 }
			srv.onFast = func(*msg.Message) { fails() }
			srv.onMessage = func(*msg.Message) { fails() }
			require.NoError(t, srv.Bind(local))
			require.NoError(t, srv.Start())
			c := l.connect(l.client(entity.Client(1), msg.LosslessClient()), srv)
			for i, typ := range []uint16{7, 1} {
				m := text("x")
				m.Type = typ
				require.NoError(t, c.Send(m))
				l.until("it failed", func() bool { return srv.Stats().Panics == uint64(i+1) })
			}
			require.NoError(t, l.stack.Pick().Post(taskFunc(s.noting("the worker"))))
			s.want(callback.Outside, "the worker")
			require.NoError(t, l.pool.Submit(s.noting("the pool")))
			s.want(callback.Outside, "the pool")
		})
	}
}
