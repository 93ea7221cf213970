package async

import (
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/stretchr/testify/require"
)

func allowFaults(c *Config) { c.AllowFaults = true }

// faulty is a server and a client that may be broken, connected.
func faulty(l *lab, change ...func(*Config)) (srv, cl *node, c msg.Connection) {
	change = append(change, allowFaults)
	srv = l.server(entity.OSD(0), msg.StatefulServer(), change...)
	cl = l.client(entity.Client(1), msg.LosslessClient(), change...)
	return srv, cl, l.connect(cl, srv)
}

func set(l *lab, n *node, in connection.Injected) {
	l.t.Helper()
	require.NoError(l.t, n.Faults().Set(in))
}

// TestFaultsAreAllowed: nothing breaks a messenger that does not allow it.
func TestFaultsAreAllowed(t *testing.T) {
	l := newLab(t)
	require.Nil(t, l.client(entity.Client(1), msg.LosslessClient()).Faults())
	n := l.client(entity.Client(2), msg.LosslessClient(), allowFaults)
	require.True(t, n.Settings().FaultsAllowed)
	was := n.Faults().Look()
	for _, in := range []connection.Injected{
		{DelayProbability: 1.5}, {DelayProbability: -1}, {DelayMax: -1}, {DelayMax: time.Hour},
		{Blackhole: []entity.Type{0}}, {DelayTypes: []entity.Type{entity.TypeAny}},
	} {
		require.Error(t, n.Faults().Set(in), "%+v", in)
	}
	require.Equal(t, was, n.Faults().Look())
}

// TestInjectedSocketFailures: sessions survive them, and every message arrives once, in order.
func TestInjectedSocketFailures(t *testing.T) {
	l := newLab(t)
	srv, cl, c := faulty(l)
	for _, n := range []*node{srv, cl} {
		set(l, n, connection.Injected{SocketFailures: 8})
	}
	for i := range 300 {
		require.NoError(t, c.Send(text("%d", i)))
		if i%10 == 0 {
			l.until("it came", func() bool { return srv.count.Load() > int64(i/2) })
		}
	}
	for sent := 300; cl.Faults().Look().Cuts == 0 || srv.Faults().Look().Cuts == 0; sent++ { // soon, by chance
		require.NoError(t, c.Send(text("%d", sent)))
		l.until("it came", func() bool { return srv.count.Load() > int64(sent-10) })
	}
	for _, n := range []*node{srv, cl} {
		set(l, n, connection.Injected{})
	}
	l.until("all came", func() bool { n, _ := c.SendQueue(); return n == 0 })
	l.until("it is dispatched", func() bool { return srv.count.Load() >= 300 })
	got := srv.texts()
	require.Equal(t, numbers(len(got)), got)
	require.NotZero(t, cl.Stats().Faults)
}

// TestInjectedCongestion: writes that find no room are tried again.
func TestInjectedCongestion(t *testing.T) {
	l := newLab(t)
	srv, cl, c := faulty(l)
	set(l, cl, connection.Injected{Congestion: 4})
	for range 50 {
		l.roundTrip(srv, c)
	}
	require.NotZero(t, cl.Faults().Look().Congested)
	require.Zero(t, cl.Stats().Faults)
}

// TestInjectedBlackhole: what is sent to such peers ends well and does not arrive, what comes
// from there is dropped, and nothing is held for it.
func TestInjectedBlackhole(t *testing.T) {
	l := newLab(t)
	srv, cl, c := faulty(l)
	l.roundTrip(srv, c)
	set(l, cl, connection.Injected{Blackhole: []entity.Type{entity.TypeOSD}})
	told := &ends{l: l}
	m := text("swallowed here")
	m.Notify = told
	require.NoError(t, c.Send(m))
	require.NoError(t, told.want(1)[0])
	l.until("nothing is held", func() bool { n, _ := c.SendQueue(); return n == 0 })
	require.EqualValues(t, 1, cl.Faults().Look().Swallowed)
	set(l, cl, connection.Injected{})

	set(l, srv, connection.Injected{Blackhole: []entity.Type{entity.TypeClient}})
	require.NoError(t, c.Send(text("swallowed there")))
	l.until("it is dropped", func() bool { return srv.Faults().Look().Swallowed == 1 })
	set(l, srv, connection.Injected{})
	l.roundTrip(srv, c)
	require.Equal(t, []string{"short", "short"}, srv.texts())
	l.until("nothing is held", func() bool { return srv.Stats().DispatchBytes == 0 && srv.Stats().Discarded == 1 })
}

// TestInjectedDelay: messages of some peers come late, in order and with their room in the
// throttles; what is late when its connection ends is dropped.
func TestInjectedDelay(t *testing.T) {
	l := newLab(t)
	srv, _, c := faulty(l)
	messages := dispatch.NewThrottle(0)
	srv.SetPolicyThrottlers(entity.TypeClient, messages, nil)
	other := l.connect(l.client(entity.MDS(1), msg.LosslessPeer()), srv)
	set(l, srv, connection.Injected{DelayTypes: []entity.Type{entity.TypeClient}, DelayProbability: 0.5,
		DelayMax: 5 * time.Millisecond})
	for i := range 200 {
		require.NoError(t, c.Send(text("%d", i)))
	}
	require.Equal(t, numbers(200), srv.wantMessages(200))
	require.NotZero(t, srv.Faults().Look().Delayed)

	set(l, srv, connection.Injected{DelayTypes: []entity.Type{entity.TypeClient}, DelayProbability: 1,
		DelayMax: time.Minute, DelayMessages: 7})
	require.NoError(t, c.Send(&msg.Message{Type: 7, Front: []byte("late")}))
	require.NoError(t, c.Send(text("behind it")))
	l.until("it is late", func() bool { return srv.Faults().Look().Delayed >= 1 && srv.Stats().Received == 202 })
	require.NoError(t, other.Send(text("of another one")))
	require.Equal(t, "of another one", srv.wantMessages(201)[200])
	require.NotZero(t, srv.Stats().DispatchBytes)

	// Shutdown drops them; the node's end checks that nothing is held.
	require.NoError(t, srv.Shutdown(timeout(t)))
	require.EqualValues(t, 2, srv.Snapshot().DiscardedBy[msg.LossShutdown])
	require.Zero(t, srv.Stats().DispatchBytes)
}

// TestDelayedBeforeReset: what is late of a session is dropped when the peer has reset it, and nothing of
// others; nothing is known of what is over.
func TestDelayedBeforeReset(t *testing.T) {
	l := newLabOf(t, 1)
	srv, cl, c := faulty(l)
	set(l, srv, connection.Injected{DelayTypes: []entity.Type{entity.TypeClient, entity.TypeOSD}, DelayProbability: 1,
		DelayMax: time.Second})
	line := srv.delays[0]
	untilAnHour := func(c *connection.Conn) { // what a message of c's waits for that is in the line
		onWorker(t, c, func() { line.last[c] = lastDelayed{due: line.w.Now() + time.Hour} })
	}
	received := func(n uint64) {
		l.until("received", func() bool { return srv.Stats().Received == n })
	}
	others := l.peerOf(srv, cl.Name()).(*connection.Conn)
	untilAnHour(others)
	require.NoError(t, c.Send(text("0")))
	received(1)
	from := rawAddrs()
	p := l.rawPeer(srv)
	p.ident(from, 1, 0xc0)
	wantFrame[frame.ServerIdent](p)
	untilAnHour(connOf(srv, from))
	p.send(1, "one", "two", "three")
	received(4)
	require.NoError(t, c.Send(text("1")))
	received(5)

	p = l.rawPeer(srv)
	p.ident(from, 2, 0xc1) // it knows nothing of that session
	wantFrame[frame.ServerIdent](p)
	srv.want("remote reset", 1)
	require.EqualValues(t, 3, srv.Stats().Discarded)
	require.Empty(t, srv.texts())

	var waited, wait, known int
	onWorker(t, others, func() {
		waited = len(line.line)
		for i := range line.line {
			line.line[i].due = line.w.Now() // an hour later
		}
		line.HandleTimer(line.w.Now())
		wait, known = len(line.line), len(line.last)
	})
	require.Equal(t, []int{2, 0, 0}, []int{waited, wait, known}, "in the line, afterwards, and connections known to it")
	require.Equal(t, numbers(2), srv.wantMessages(2))
}

// TestSettings: what can be changed is, for the connections that there are too.
func TestSettings(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatefulServer())
	cl := l.client(entity.Client(1), msg.LosslessClient())
	c := l.connect(cl, srv)
	require.True(t, c.LastKeepaliveAck().IsZero())
	require.NoError(t, cl.SetKeepalive(5*time.Millisecond, time.Minute))
	l.until("it is asked", func() bool { return !c.LastKeepaliveAck().IsZero() })
	require.Error(t, cl.SetKeepalive(-1, 0))
	s := cl.Settings()
	require.Equal(t, 5*time.Millisecond, s.KeepaliveInterval)
	require.Equal(t, time.Minute, s.KeepaliveTimeout)
	require.NoError(t, cl.SetKeepalive(0, -1))
	require.Negative(t, cl.Settings().KeepaliveTimeout)
	require.True(t, c.IsConnected())

	require.NoError(t, srv.SetDispatchThrottleBytes(7))
	require.EqualValues(t, 7, srv.Settings().DispatchThrottleBytes)
	require.NoError(t, srv.SetDispatchThrottleBytes(1))
	require.NoError(t, srv.SetDispatchThrottleBytes(7))
	require.EqualValues(t, 7, srv.Snapshot().Throttle.Limit)
	require.Error(t, srv.SetDispatchThrottleBytes(0))
	none := l.client(entity.Client(2), msg.LosslessClient(), func(c *Config) { c.DispatchThrottleBytes = -1 })
	require.ErrorIs(t, none.SetDispatchThrottleBytes(7), ErrFixed)
	require.Zero(t, none.Settings().DispatchThrottleBytes)

	require.ErrorIs(t, srv.SetPolicyThrottle(entity.TypeClient, true, 7), ErrFixed)
	_, ok := srv.PolicyThrottle(entity.TypeClient, true)
	require.False(t, ok)
	th := dispatch.NewThrottle(1)
	srv.SetPolicyThrottlers(entity.TypeClient, nil, th)
	require.NoError(t, srv.SetPolicyThrottle(entity.TypeClient, true, 7))
	require.EqualValues(t, 7, th.Stats().Limit)
	limit, ok := srv.PolicyThrottle(entity.TypeClient, true)
	require.True(t, ok)
	require.EqualValues(t, 7, limit)
	require.Error(t, srv.SetPolicyThrottle(entity.TypeClient, true, -7))
}

// TestCutOne: a connection is cut on purpose, alone, and goes on as after any fault; those of others
// are not this messenger's to cut.
func TestCutOne(t *testing.T) {
	l := newLab(t)
	srv, cl, c := faulty(l)
	other := l.client(entity.Client(2), msg.LosslessClient(), allowFaults)
	spared := l.connect(other, srv)
	require.False(t, cl.Faults().Cut(spared), "of another messenger")
	require.False(t, (*connection.Injector)(nil).Cut(c), "not allowed")
	require.True(t, cl.Faults().Cut(c))
	require.NoError(t, c.Send(text("after")))
	l.until("it came", func() bool { return srv.count.Load() == 1 })
	require.EqualValues(t, 1, cl.Faults().Look().Cuts)
	require.EqualValues(t, 1, cl.Stats().Resumed)
	require.ErrorIs(t, c.LastError(), connection.ErrInjected)
	require.Zero(t, other.Stats().Faults)
}
