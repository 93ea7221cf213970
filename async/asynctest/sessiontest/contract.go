package sessiontest

import (
	"context"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// testAttempts: each attempt that fails is told with its reason, number and delay, and
// seen in State and LastError; RetryNow ends the delay.
func testAttempts(r *rig) {
	t := r.t
	forEver := func(o *Options) { o.InitialBackoff, o.MaxBackoff = time.Hour, time.Hour }
	wrong := func(n *node) entity.AddrVec { return entity.AddrVec{n.Addrs()[0].WithNonce(n.Addrs()[0].Nonce + 1)} }
	srv := r.srv(msg.StatefulServer())
	gone := r.srv(msg.StatefulServer())
	at := gone.Addrs()
	require.NoError(t, gone.Shutdown(r.timeout()))
	for _, x := range []struct {
		reason msg.Reason
		at     entity.AddrVec
	}{
		{msg.ReasonRefused, at},
		{msg.ReasonWrongPeer, wrong(srv)},
		{msg.ReasonNotMsgr, r.rude()},
	} {
		cl := r.cl(1, msg.LosslessClient(), forEver)
		c, err := cl.ConnectTo(entity.TypeOSD, x.at)
		require.NoError(t, err)
		for i := range 3 {
			failed := cl.want("connect failed", i+1)
			require.Same(t, c, failed.conn)
			var e *msg.ConnectError
			require.ErrorAs(t, failed.err, &e)
			require.Equal(t, x.reason, e.Reason, "%v", e)
			require.Equal(t, i+1, e.Attempt)
			require.Greater(t, e.Retry, 20*time.Minute)
			require.Equal(t, msg.StateBackoff, c.State())
			require.Equal(t, failed.err, c.LastError())
			c.RetryNow()
		}
		if x.reason == msg.ReasonRefused {
			require.ErrorIs(t, c.LastError(), syscall.ECONNREFUSED)
		} else {
			require.Zero(t, cl.times("refused"))
		}
		c.MarkDown()
		require.Equal(t, msg.StateClosed, c.State())
	}
	cl := r.cl(1, msg.LosslessClient())
	require.Equal(t, msg.StateReady, r.connect(cl, srv).State())
	require.Zero(t, cl.times("connect failed"))
}

// rude is the address of a listener that says something else than a messenger does.
func (r *rig) rude() entity.AddrVec {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(r.t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("220 mail.example.org ready, as ever\r\n"))
			_, _ = c.Read(make([]byte, 1<<10))
			c.Close()
		}
	}()
	r.t.Cleanup(func() {
		ln.Close()
		<-done
	})
	return entity.AddrVec{{Type: entity.AddrMsgr2, Nonce: 1, AddrPort: netip.MustParseAddrPort(ln.Addr().String())}}
}

// testFlush: it waits for the ends of all that was sent before, and their notices.
func testFlush(r *rig) {
	t := r.t
	srv := r.srv(msg.StatefulServer())
	cl, x := r.proxied(srv, 1, msg.LosslessClient())
	c := r.connect(cl, srv)
	require.NoError(t, c.Flush(r.timeout()), "nothing to wait for")
	const rounds, n = 50, 20
	e := &ends{r: r}
	for i := range rounds {
		if i%10 == 5 {
			x.CutAll()
		}
		r.sendAll(c, n, e)
		require.NoError(t, c.Flush(r.timeout()))
		require.Len(t, e.all(), (i+1)*n)
	}
	messages, bytes := c.SendQueue()
	require.Zero(t, messages)
	require.Zero(t, bytes)

	// The ends need not be good ones; and it does not wait longer than it should.
	lost := r.cl(2, msg.LosslessClient())
	c, err := lost.ConnectTo(entity.TypeOSD, silent(t))
	require.NoError(t, err)
	r.sendAll(c, n, nil)
	messages, _ = c.SendQueue()
	require.Equal(t, n, messages)
	ctx, cancel := context.WithCancel(t.Context())
	flushed := make(chan error, 2)
	go func() { flushed <- c.Flush(ctx) }()
	cancel()
	require.ErrorIs(t, <-flushed, context.Canceled)
	go func() { flushed <- c.Flush(r.timeout()) }()
	c.MarkDown()
	require.NoError(t, <-flushed)

	self := srv.Loopback()
	mine := &ends{r: r}
	for i := range rounds {
		r.sendAll(self, n, mine)
		require.NoError(t, self.Flush(r.timeout()))
		require.Len(t, mine.all(), (i+1)*n)
	}
}

// testCancel: what waits to be sent can be taken back, once, and then ends so, whatever
// the network does meanwhile; nothing else can.
func testCancel(r *rig) {
	t := r.t
	srv := r.srv(msg.StatefulServer())
	cl, x := r.proxied(srv, 1, msg.LosslessClient())
	c := r.connect(cl, srv)
	done := text("done")
	require.False(t, c.Cancel(done), "it was not sent")
	require.False(t, cl.Loopback().Cancel(done))
	require.NoError(t, c.Send(done))
	require.NoError(t, c.Flush(r.timeout()))
	require.False(t, c.Cancel(done))
	c.MarkDown()

	x.Freeze()
	c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	const n = 2000
	var ms []*msg.Message
	e, kept := &ends{r: r}, &ends{r: r}
	for i := range n {
		m := text("%d", i)
		m.Notify = e
		if i%100 == 7 {
			m.Notify = kept
		}
		require.NoError(t, c.Send(m))
		ms = append(ms, m)
	}
	left := 0
	for i, m := range ms {
		if i%100 == 7 {
			left++
			continue
		}
		require.True(t, c.Cancel(m))
	}
	for _, err := range e.want(n - left) {
		require.ErrorIs(t, err, msg.ErrCancelled)
	}
	require.False(t, c.Cancel(ms[0]))
	require.Empty(t, kept.all())
	require.NoError(t, c.Send(ms[0]), "it is the sender's again")
	x.Thaw()
	require.Len(t, srv.wantMessages(1+left+1), 1+left+1)
	kept.want(left)
	cl.want("undeliverable", n-left)
}

// testDeadline: a message that still waits when its time is over is dropped, whatever
// the network does meanwhile; one that comes too late is refused.
func testDeadline(r *rig) {
	t := r.t
	cl := r.cl(1, msg.LosslessClient())
	c, err := cl.ConnectTo(entity.TypeOSD, silent(t))
	require.NoError(t, err)
	late := text("late")
	late.Deadline = time.Now().Add(-time.Millisecond)
	require.ErrorIs(t, c.Send(late), msg.ErrDeadline)
	require.ErrorIs(t, cl.Loopback().Send(late), msg.ErrDeadline)
	e, other := &ends{r: r}, &ends{r: r}
	r.sendAll(c, 3, other)
	for i := range 10 {
		m := text("%d", i)
		m.Notify, m.Deadline = e, time.Now().Add(time.Duration(10-i)*5*time.Millisecond)
		require.NoError(t, c.Send(m))
	}
	for _, err := range e.want(10) {
		require.ErrorIs(t, err, msg.ErrDeadline)
	}
	require.Empty(t, other.all())
	r.until("the others are held", func() bool { n, _ := c.SendQueue(); return n == 3 })
	c.MarkDown()
}

// testInUse: a message is sent once at a time.
func testInUse(r *rig) {
	t := r.t
	srv, cl := r.srv(msg.StatefulServer()), r.cl(1, msg.LosslessClient())
	nowhere, err := cl.ConnectTo(entity.TypeOSD, silent(t))
	require.NoError(t, err)
	c := r.connect(cl, srv)
	m := text("m")
	require.NoError(t, nowhere.Send(m))
	for _, other := range []msg.Connection{nowhere, c, cl.Loopback()} {
		require.ErrorIs(t, other.Send(m), msg.ErrInUse)
		require.ErrorIs(t, other.SendContext(t.Context(), m), msg.ErrInUse)
	}
	require.PanicsWithValue(t, "msg: Message of type 1000 released while it is being sent", m.Release)
	for _, to := range []msg.Connection{nowhere, cl.Loopback()} {
		require.Panics(t, func() { _ = to.Send(nil) })
		//lint:ignore SA1012 that is what is tested
		require.Panics(t, func() { _ = to.SendContext(nil, text("x")) })
	}
	nowhere.MarkDown()
	require.NoError(t, nowhere.Flush(r.timeout()))
	for i := range 3 {
		require.NoError(t, c.Send(m))
		require.Equal(t, []string{"m", "m", "m"}[:i+1], srv.wantMessages(i+1))
		require.NoError(t, c.Flush(r.timeout()))
	}

	for range 2 { // a refused message is its sender's
		require.ErrorIs(t, nowhere.Send(m), msg.ErrMarkedDown)
	}
	require.NoError(t, cl.Loopback().Send(m))
	require.Equal(t, []string{"m"}, cl.wantMessages(1))
}

// testPressure: the sender is told when a connection holds much, and when it does not
// any more.
func testPressure(r *rig) {
	t := r.t
	srv := r.node(r.server, entity.OSD(0), msg.StatefulServer())
	require.NoError(t, srv.Bind(local)) // it answers nobody yet
	cl := r.cl(1, msg.LosslessClient(), func(o *Options) { o.SendHighWater = 1000 })
	c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	sized := func(n int) *msg.Message { return &msg.Message{Type: 1, Data: make([]byte, n)} }
	require.NoError(t, c.Send(sized(999)))
	require.NoError(t, c.Send(sized(0)))
	require.Zero(t, cl.times("high water"))
	for range 5 {
		require.NoError(t, c.Send(sized(100)))
	}
	require.Same(t, c, cl.want("high water", 1).conn)
	require.Zero(t, cl.times("low water"))
	require.NoError(t, srv.Start())
	require.Same(t, c, cl.want("low water", 1).conn)
	srv.wantMessages(7)
	require.NoError(t, c.Send(sized(5000)))
	cl.want("high water", 2)
	cl.want("low water", 2)
	require.EqualValues(t, 2, cl.Count().HighWaters)

	// Never, if that is wanted.
	cl = r.cl(2, msg.LosslessClient(), func(o *Options) { o.SendHighWater = -1 })
	c, err = cl.ConnectTo(entity.TypeOSD, silent(t))
	require.NoError(t, err)
	require.NoError(t, c.Send(sized(1<<20)))
	c.MarkDown()
	cl.want("undeliverable", 1)
	require.Zero(t, cl.times("high water"))
}

// testSendTotal: the bytes that all connections hold together are bounded, the first 64
// KiB of each apart. Who waits for room goes on when there is some, and is told when the
// connection is closed.
func testSendTotal(r *rig) {
	t := r.t
	cl := r.cl(1, msg.LosslessClient(), func(o *Options) { o.SendTotalBytes = 1 << 20 })
	var conns []msg.Connection
	for range 3 {
		c, err := cl.ConnectTo(entity.TypeOSD, silent(t))
		require.NoError(t, err)
		conns = append(conns, c)
	}
	sized := func(n int) *msg.Message { return &msg.Message{Type: 1, Data: make([]byte, n)} }
	require.NoError(t, conns[0].Send(sized(1<<20+64<<10)))
	require.NoError(t, conns[1].Send(sized(64<<10)))
	require.ErrorIs(t, conns[1].Send(sized(1)), msg.ErrQueueFull)
	err := conns[2].Send(sized(65 << 10))
	require.ErrorIs(t, err, msg.ErrQueueFull)
	require.ErrorContains(t, err, "all connections together")
	waited := make([]chan error, 2)
	for i, c := range conns[1:] {
		waited[i] = make(chan error, 1)
		go func() { waited[i] <- c.SendContext(r.timeout(), sized(65<<10)) }()
	}
	conns[2].MarkDown()
	require.ErrorIs(t, <-waited[1], msg.ErrMarkedDown)
	require.Empty(t, waited[0])
	conns[0].MarkDown()
	require.NoError(t, <-waited[0])
	conns[1].MarkDown()
	r.until("all of it is given back", func() bool { return cl.Count().SendBytes == 0 })

	// What is larger than the bound is let in alone.
	c, err := cl.ConnectTo(entity.TypeOSD, silent(t))
	require.NoError(t, err)
	require.NoError(t, c.Send(sized(2<<20)))
	require.ErrorIs(t, c.Send(sized(100<<10)), msg.ErrQueueFull)
}

// testStandbyMax: of the sessions whose peers are away only so many are kept; the one
// that is away longest ends. Who comes back does not count.
func testStandbyMax(r *rig) {
	t := r.t
	srv := r.srv(msg.StatefulServer(), func(o *Options) { o.StandbyMax = 2 })
	var sessions []msg.Connection
	for i := range 4 {
		cl := r.cl(int64(i+1), msg.LosslessClient())
		r.connect(cl, srv)
		s := r.accepted(srv, cl)
		sessions = append(sessions, s)
		require.NoError(t, cl.Shutdown(r.timeout()))
		r.until("it is away", func() bool { return s.State() == msg.StateStandby })
	}
	srv.want("reset", 2)
	for i, gone := range srv.of("reset") {
		require.Same(t, sessions[i], gone.conn)
		require.ErrorIs(t, gone.err, msg.ErrPeerAbsent)
	}
	require.False(t, slices.ContainsFunc(sessions[2:], msg.Connection.IsClosed))
	r.until("two sessions", func() bool { return srv.Count().Connections == 2 })
	cl, x := r.proxied(srv, 5, msg.LosslessClient())
	c := r.connect(cl, srv)
	s := r.accepted(srv, cl)
	for i := range 3 {
		require.Equal(t, 1, x.CutAll())
		require.NoError(t, c.Send(text("back")))
		srv.wantMessages(i + 1)
		require.NoError(t, c.Flush(r.timeout()))
	}
	require.False(t, s.IsClosed())
}

// testGoexit: user code that ends the goroutine it runs on (t.FailNow) is counted, and
// takes nothing along but the message that it was told of.
func testGoexit(r *rig) {
	t := r.t
	for _, where := range []string{"fast", "fast accept", "message", "accept", "notify"} {
		var once sync.Once
		end := func(here string) {
			if here == where {
				once.Do(runtime.Goexit)
			}
		}
		srv := r.node(r.server, entity.OSD(0), msg.StatefulServer())
		srv.fast = func(*msg.Message) bool { return where == "fast" }
		srv.onMessage = func(m *msg.Message) {
			end("fast")
			end("message")
			_ = m.Connection().Send(&msg.Message{Type: 1, Front: m.Front,
				Notify: msg.NotifyFunc(func(msg.Connection, *msg.Message, error) { end("notify") })})
		}
		srv.onEvent = func(what string, _ msg.Connection) { end(what) }
		r.up(srv)
		cl := r.cl(1, msg.LosslessClient())
		c := r.connect(cl, srv)
		const n = 60
		e := &ends{r: r}
		r.sendAll(c, n, e)
		for _, err := range e.want(n) {
			require.NoError(t, err)
		}
		r.until(where+": counted", func() bool { return srv.Count().Panics == 1 })
		want := numbers(n)
		if where == "fast" || where == "message" {
			want = want[1:]
		}
		require.Equal(t, want, cl.wantMessages(len(want)))
		require.EqualValues(t, 1, srv.Count().Accepted, "the connection is left alone")
		require.NoError(t, c.Flush(r.timeout()))
		r.until("nothing held", func() bool { return srv.Count().DispatchBytes == 0 })
	}
}

// testGoexitInReset: user code that ends the goroutine when a worker tells it of a lost session
// is counted; the user is told by the pool all the same, and the connection goes on.
func testGoexitInReset(r *rig) {
	t := r.t
	srv := r.node(r.server, entity.OSD(0), msg.StatefulServer())
	srv.fast = func(*msg.Message) bool { return true }
	var once sync.Once
	srv.onEvent = func(what string, c msg.Connection) {
		if what == "fast remote reset" {
			srv.record(seen{what: what, conn: c})
			once.Do(runtime.Goexit)
		}
	}
	r.up(srv)
	cl := r.cl(1, msg.LosslessClient())
	r.connect(cl, srv)
	s := r.accepted(srv, cl)
	cl.MarkDownAll()
	c := r.connect(cl, srv)
	r.sendAll(c, 10, nil)
	require.Equal(t, numbers(10), srv.wantMessages(10))
	require.Same(t, s, srv.want("remote reset", 1).conn)
	require.EqualValues(t, 1, srv.Count().Panics)
	require.NoError(t, c.Flush(r.timeout()))
	r.until("nothing held", func() bool { return srv.Count().DispatchBytes == 0 })

	lossy := r.node(r.client, entity.Client(2), msg.LossyClient())
	lossy.onEvent = func(what string, c msg.Connection) {
		if what == "fast reset" {
			lossy.record(seen{what: what, conn: c})
			runtime.Goexit()
		}
	}
	require.NoError(t, lossy.Start())
	less := r.srv(msg.StatelessServer())
	c = r.connect(lossy, less)
	require.NoError(t, c.Send(text("x")))
	less.wantMessages(1)
	less.MarkDownAll()
	require.Same(t, c, lossy.want("reset", 1).conn)
	require.EqualValues(t, 1, lossy.Count().Panics)
	require.NoError(t, r.connect(lossy, less).Send(text("y")))
	less.wantMessages(2)
}

// testLoopbackNotify: the Notifier of a message to oneself may change it and send it
// again, and may end its goroutine: what is delivered is what was sent.
func testLoopbackNotify(r *rig) {
	t := r.t
	n := r.node(r.server, entity.OSD(5), msg.LosslessPeer())
	r.up(n)
	c := n.Loopback()
	inUse := make(chan error, 1)
	var once sync.Once
	notify := func(c msg.Connection, m *msg.Message, err error) {
		switch string(m.Front) {
		case "1":
			m.Front, m.Notify = []byte("4"), nil
			require.NoError(t, c.Send(m))
		case "2":
			once.Do(runtime.Goexit)
		case "3": // the messenger's since it was sent
			inUse <- c.Send(m)
		}
	}
	for i := range 3 {
		m := text("%d", i+1)
		if i == 2 {
			m = msg.New(1, 1)
			m.Front[0] = '3'
		}
		m.Notify = msg.NotifyFunc(notify)
		require.NoError(t, c.Send(m))
	}
	got := n.wantMessages(4)
	slices.Sort(got)
	require.Equal(t, []string{"1", "2", "3", "4"}, got)
	require.ErrorIs(t, <-inUse, msg.ErrInUse)
	require.NoError(t, c.Flush(r.timeout()))
	r.until("counted", func() bool { return n.Count().Panics == 1 })
	r.until("nothing held", func() bool { return n.Count().DispatchBytes == 0 })
}

// testOnWorker: what waits is refused where others wait for it. A dispatcher may wait.
func testOnWorker(r *rig) {
	t := r.t
	srv := r.node(r.server, entity.OSD(0), msg.StatefulServer())
	srv.echo = true
	r.up(srv)
	cl := r.node(r.client, entity.Client(1), msg.LosslessClient(), func(o *Options) { o.SendQueueMessages = 1 })
	errs := make(chan error, 10)
	var full msg.Connection
	cl.fast = func(m *msg.Message) bool { return string(m.Front) == "fast" }
	cl.onMessage = func(m *msg.Message) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		if !cl.fast(m) {
			errs <- full.Flush(ctx)
			return
		}
		errs <- full.Flush(context.Background())
		errs <- full.SendContext(context.Background(), text("no room"))
		errs <- cl.Shutdown(context.Background())
	}
	require.NoError(t, cl.Start())
	c := r.connect(cl, srv)
	var err error
	full, err = cl.ConnectTo(entity.TypeOSD, silent(t))
	require.NoError(t, err)
	require.NoError(t, full.Send(text("to nobody")))
	require.NoError(t, c.Send(text("slow")))
	require.ErrorIs(t, <-errs, context.DeadlineExceeded)
	require.NoError(t, c.Flush(r.timeout()))
	require.NoError(t, c.Send(text("fast")))
	for range 3 {
		require.ErrorIs(t, <-errs, msg.ErrOnWorker)
	}
	require.ErrorIs(t, c.Send(text("late")), msg.ErrShutdown, "it has begun")
}
