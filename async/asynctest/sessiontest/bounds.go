package sessiontest

import (
	"bytes"
	"context"
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest/faultkit"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/stretchr/testify/require"
)

// testPriorities: higher priorities overtake what is queued, at the receiver and at
// the sender; within one the order stays.
func testPriorities(r *rig) {
	t := r.t
	srv := r.node(r.server, entity.OSD(0), msg.StatefulServer())
	hold := srv.heldAt("first")
	r.up(srv)
	cl := r.cl(1, msg.LosslessClient())
	send := func(c msg.Connection, prio uint8, s string) {
		m := text("%s", s)
		m.Priority = prio
		require.NoError(t, c.Send(m))
	}
	c := r.connect(cl, srv)
	send(c, 0, "first")
	hold.wantArrived(1)
	send(c, 10, "d")
	send(c, 64, "c")
	send(c, 127, "b1")
	send(c, 0, "b2") // the default is 127
	send(c, 255, "a")
	r.until("received", func() bool { return srv.Count().Received == 6 && srv.Count().Queued == 5 })
	hold.open()
	require.Equal(t, []string{"first", "a", "b1", "b2", "c", "d"}, srv.wantMessages(6))
	require.EqualValues(t, 127, srv.of("message")[3].m.Priority)

	// In the sender's queue, until there is a session.
	cl.SetDefaultSendPriority(70)
	late := r.node(r.server, entity.OSD(1), msg.StatefulServer())
	late.fast = func(*msg.Message) bool { return true } // in the order of arrival
	require.NoError(t, late.Bind(local))
	c, err := cl.ConnectTo(entity.TypeOSD, late.Addrs())
	require.NoError(t, err)
	for _, p := range []uint8{10, 64, 127, 0, 255, 127} {
		send(c, p, fmt.Sprint(p))
	}
	require.NoError(t, late.Start())
	require.Equal(t, []string{"255", "127", "127", "0", "64", "10"}, late.wantMessages(6))
	require.EqualValues(t, 70, late.of("fast")[3].m.Priority)
}

// throttled is a server whose dispatcher is held up by messages that say "hold", with
// throttles for clients but not for MDSs, and one of each.
type throttled struct {
	srv, cl, mds *node
	hold         *gate
	x            *faultkit.Proxy // that the client dials through
	a, b         msg.Connection  // of the client, and of the MDS
}

func (r *rig) throttled(messages, bytes msg.Throttler, change ...func(*Options)) throttled {
	r.t.Helper()
	p := msg.StatefulServer()
	p.ThrottleMessages, p.ThrottleBytes = messages, bytes
	return r.throttledBy(p, change...)
}

// throttledBy is throttled with that policy for clients.
func (r *rig) throttledBy(p msg.Policy, change ...func(*Options)) throttled {
	r.t.Helper()
	srv := r.node(r.server, entity.OSD(0), msg.StatefulServer(), change...)
	hold := srv.heldAt("hold")
	srv.SetPolicy(entity.TypeClient, p)
	r.up(srv)
	cl, x := r.proxied(srv, 1, msg.LosslessClient())
	mds := r.node(r.client, entity.MDS(2), msg.LosslessClient())
	require.NoError(r.t, mds.Start())
	return throttled{srv, cl, mds, hold, x, r.connect(cl, srv), r.connect(mds, srv)}
}

// testPolicyThrottles: of the messages and bytes that a policy allows, no more are
// received; other peers go on.
func testPolicyThrottles(r *rig) {
	t := r.t
	th := dispatch.NewThrottle(3)
	h := r.throttled(th, nil)
	srv, hold, a, b := h.srv, h.hold, h.a, h.b
	require.NoError(t, a.Send(text("hold")))
	hold.wantArrived(1)
	r.sendAll(a, 100, nil)
	// What was received is counted after all of a read.
	r.until("reading stopped", func() bool {
		n := srv.Count()
		return n.ThrottleWaits == 1 && th.Stats().Waiting == 1 && n.Received >= 3
	})
	require.EqualValues(t, 3, th.Stats().Held)
	require.EqualValues(t, 3, srv.Count().Received)
	r.sendAll(b, 10, nil)
	r.until("others go on", func() bool { return srv.Count().Received == 13 })
	hold.open()
	srv.wantMessages(111)
	r.until("given back", func() bool { return th.Stats().Held == 0 })
	require.EqualValues(t, 3, th.Stats().Peak)

	th = dispatch.NewThrottle(1000)
	h = r.throttled(nil, th)
	srv, hold, a, b = h.srv, h.hold, h.a, h.b
	hundred := func(s string) *msg.Message { return &msg.Message{Front: []byte(s), Data: make([]byte, 100-len(s))} }
	require.NoError(t, a.Send(hundred("hold")))
	hold.wantArrived(1)
	for range 20 {
		require.NoError(t, a.Send(hundred("x")))
	}
	require.NoError(t, a.Send(&msg.Message{Data: make([]byte, 5000)})) // over the limit: alone
	require.NoError(t, a.Send(&msg.Message{}))                         // nothing to throttle
	r.until("reading stopped", func() bool { return th.Stats().Waiting == 1 })
	require.EqualValues(t, 1000, th.Stats().Held)
	r.sendAll(b, 10, nil)
	r.until("others go on", func() bool { return srv.Count().Received == 20 })
	hold.open()
	srv.wantMessages(33)
	r.until("given back", func() bool { return th.Stats().Held == 0 })
	require.GreaterOrEqual(t, th.Stats().Peak, int64(5000))
	require.LessOrEqual(t, th.Stats().Peak, int64(6000))
}

// testDispatchThrottle is shared by all connections.
func testDispatchThrottle(r *rig) {
	t := r.t
	h := r.throttled(nil, nil, func(o *Options) { o.DispatchThrottleBytes = 1000 })
	srv, hold, a, b := h.srv, h.hold, h.a, h.b
	require.NoError(t, a.Send(text("hold")))
	hold.wantArrived(1)
	for range 30 {
		require.NoError(t, a.Send(&msg.Message{Data: make([]byte, 100)}))
		require.NoError(t, b.Send(&msg.Message{Data: make([]byte, 100)}))
	}
	r.until("reading stopped", func() bool { return srv.Count().ThrottleWaits >= 2 })
	require.LessOrEqual(t, srv.Count().DispatchBytes, int64(1000))
	hold.open()
	srv.wantMessages(61)
	r.until("given back", func() bool { return srv.Count().DispatchBytes == 0 })
}

// testConnThrottles: of what one connection may have in dispatch, no more is received;
// others of the same policy go on. A connection that ends meanwhile leaves nothing behind.
func testConnThrottles(r *rig) {
	t := r.t
	for _, p := range []msg.Policy{{ConnThrottleMessages: 3}, {ConnThrottleBytes: 300}, {}} {
		of := p
		p = msg.StatefulServer()
		p.ConnThrottleMessages, p.ConnThrottleBytes = of.ConnThrottleMessages, of.ConnThrottleBytes
		h := r.throttledBy(p, func(o *Options) { o.DispatchThrottleBytes = 1200 }) // a quarter of it by default
		srv, hold, a := h.srv, h.hold, h.a
		other := r.connect(r.cl(3, msg.LosslessClient()), srv)
		hundred := func(s string) *msg.Message { return &msg.Message{Front: []byte(s), Data: make([]byte, 100-len(s))} }
		require.NoError(t, a.Send(hundred("hold")))
		hold.wantArrived(1)
		for range 20 {
			require.NoError(t, a.Send(hundred("x")))
		}
		require.NoError(t, a.Send(&msg.Message{Data: make([]byte, 5000)})) // over the bound
		r.until("reading stopped", func() bool { return srv.Count().ConnThrottleWaits == 1 })
		for range 3 {
			require.NoError(t, other.Send(hundred("y")))
		}
		r.until("others go on", func() bool { return srv.Count().Received == 6 })
		require.EqualValues(t, 1, srv.Count().ThrottleWaits)
		require.Equal(t, 1, h.x.CutAll()) // it waits all the same, or anew
		r.until("again", func() bool { return srv.Count().Accepted == 4 })
		hold.open()
		srv.wantMessages(25)
		r.until("given back", func() bool { return srv.Count().DispatchBytes == 0 })
		require.NoError(t, a.Send(hundred("once more")))
		srv.wantMessages(26)
	}
}

// testHold: a message that is kept counts until its Release.
func testHold(r *rig) {
	t := r.t
	messages, bytes := dispatch.NewThrottle(2), dispatch.NewThrottle(1000)
	srv := r.node(r.server, entity.OSD(0), msg.StatefulServer())
	srv.onMessage = func(m *msg.Message) { m.Hold() }
	srv.SetPolicyThrottlers(entity.TypeClient, messages, bytes)
	r.up(srv)
	c := r.connect(r.cl(1, msg.LosslessClient()), srv)
	const n = 30
	r.sendAll(c, n, nil)
	for released := 0; released < n; {
		r.until("some", func() bool { return int(srv.count.Load()) > released })
		if released+2 < n {
			r.until("full", func() bool { return messages.Stats().Waiting == 1 && messages.Stats().Held >= 2 })
		}
		for _, s := range srv.of("message")[released:] {
			s.m.Release()
			released++
		}
	}
	r.until("given back", func() bool { return messages.Stats().Held == 0 && bytes.Stats().Held == 0 })
	require.Equal(t, numbers(n), srv.texts())
}

// testThrottledEnd: whoever waits for a throttle when its connection ends leaves
// nothing behind and holds nobody up.
func testThrottledEnd(r *rig) {
	t := r.t
	for _, how := range []string{"mark down", "peer gone", "cut", "shutdown"} {
		th := dispatch.NewThrottle(1)
		h := r.throttled(th, nil)
		srv, hold, a := h.srv, h.hold, h.a
		require.NoError(t, a.Send(text("hold")))
		hold.wantArrived(1)
		s := r.accepted(srv, h.cl)
		r.sendAll(a, 5, nil)
		r.until("waiting", func() bool { return th.Stats().Waiting == 1 })
		switch how {
		case "mark down":
			s.MarkDown()
			a.MarkDown()
		case "peer gone":
			a.MarkDown()
			s.MarkDown()
		case "cut": // the client comes back while the server's side waits
			require.Equal(t, 1, h.x.CutAll())
			r.until("again", func() bool { return srv.Count().Accepted == 3 })
		case "shutdown":
			done := make(chan struct{})
			go func() {
				defer close(done)
				srv.r.t.Log("shutdown ", srv.Shutdown(r.timeout()))
			}()
			r.until("abandoned", func() bool { return th.Stats().Waiting == 0 })
			hold.open()
			<-done
			require.Zero(t, th.Stats().Held)
			continue
		}
		hold.open()
		if how == "cut" {
			require.Equal(t, append([]string{"hold"}, numbers(5)...), srv.wantMessages(6))
		}
		r.until(how+": given back", func() bool { return th.Stats().Held == 0 && th.Stats().Waiting == 0 })
	}
}

// testSendQueue: at the bound Send refuses and SendContext waits, until there is room,
// the connection is closed or the sender gives up. What is larger than the bound is let in
// alone.
func testSendQueue(r *rig) {
	t := r.t
	srv := r.node(r.server, entity.OSD(0), msg.StatefulServer())
	require.NoError(t, srv.Bind(local)) // it answers nobody yet
	cl := r.cl(1, msg.LosslessClient(), func(o *Options) { o.SendQueueMessages = 10 })
	c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	r.sendAll(c, 10, nil)
	require.ErrorIs(t, c.Send(text("full")), msg.ErrQueueFull)
	ended, cancel := context.WithCancel(t.Context())
	waited := make(chan error, 2)
	go func() { waited <- c.SendContext(ended, text("full")) }()
	cancel()
	require.ErrorIs(t, <-waited, context.Canceled)
	require.ErrorIs(t, c.SendContext(ended, text("full")), context.Canceled)
	go func() { waited <- c.SendContext(t.Context(), text("10")) }()
	require.NoError(t, srv.Start())
	require.NoError(t, <-waited)
	require.Equal(t, numbers(11), srv.wantMessages(11))

	cl = r.cl(2, msg.LosslessClient(), func(o *Options) { o.SendQueueMessages, o.SendQueueBytes = 10, 1000 })
	sized := func(n int) *msg.Message { return &msg.Message{Type: 1, Data: make([]byte, n)} }
	for _, fits := range []int{5000, 600} {
		c, err = cl.ConnectTo(entity.TypeOSD, silent(t))
		require.NoError(t, err)
		require.NoError(t, c.Send(sized(fits)))
		require.ErrorIs(t, c.Send(sized(401)), msg.ErrQueueFull)
	}
	require.NoError(t, c.Send(sized(400)))
	for range 2 {
		go func() { waited <- c.SendContext(context.Background(), sized(1)) }()
	}
	c.MarkDown()
	for range 2 {
		err = <-waited
		require.ErrorIs(t, err, msg.ErrClosed)
		require.ErrorIs(t, err, msg.ErrMarkedDown)
	}
}

func testTooLarge(r *rig) {
	t := r.t
	const front, middle, data = 1<<20 + 100, 1 << 20, 5 << 20
	limits := func(o *Options) { o.Limits = frame.Limits{Front: front, Middle: middle, Data: data} }
	srv := r.node(r.server, entity.OSD(0), msg.StatefulServer(), limits)
	srv.echo = true
	r.up(srv)
	cl := r.cl(1, msg.LosslessClient(), limits)
	c := r.connect(cl, srv)
	for _, big := range []*msg.Message{
		{Front: make([]byte, front+1)}, {Middle: make([]byte, middle+1)}, {Data: make([]byte, data+1)},
	} {
		require.ErrorIs(t, c.Send(big), msg.ErrTooLarge)
		require.ErrorIs(t, c.SendContext(t.Context(), big), msg.ErrTooLarge)
	}
	for i, size := range [][3]int{{}, {front, middle, data}, {front}, {0, 1}, {0, 0, 1}, {0, 0, data}, {1, middle}} {
		m := &msg.Message{Type: 1, Front: pattern(i, size[0]), Middle: pattern(i+1, size[1]),
			Data: bytes.Repeat(pattern(i+2, min(size[2], 1<<20)), (size[2]+1<<20-1)>>20)}
		require.NoError(t, c.Send(m))
		cl.wantMessages(i + 1)
		back := cl.of("message")[i].m
		require.True(t, bytes.Equal(m.Front, back.Front), "front of %d", i)
		require.True(t, bytes.Equal(m.Middle, back.Middle), "middle of %d", i)
		require.True(t, bytes.Equal(m.Data, back.Data), "data of %d", i)
	}
	require.True(t, c.IsConnected())
	require.EqualValues(t, 1, cl.Count().Connected)
}
