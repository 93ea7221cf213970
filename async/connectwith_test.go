package async

import (
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/stretchr/testify/require"
)

// wantOtherPolicy checks that c is in the way of that policy.
func wantOtherPolicy(t *testing.T, err error, c msg.Connection, asked msg.Policy) {
	t.Helper()
	require.ErrorIs(t, err, msg.ErrOtherPolicy)
	var other *msg.PolicyError
	require.ErrorAs(t, err, &other)
	require.Same(t, c, other.Conn)
	require.True(t, asked.Equal(other.Asked))
	require.False(t, other.Has.Equal(other.Asked))
	require.ErrorContains(t, err, c.String())
}

// TestConnectToWith: one connection of a type has another policy than the others.
func TestConnectToWith(t *testing.T) {
	l := newLab(t)
	less, full := l.server(entity.OSD(0), msg.StatelessServer()), l.server(entity.OSD(1), msg.StatefulServer())
	cl := l.client(entity.Client(1), msg.LosslessClient())
	c, err := cl.ConnectToWith(msg.LossyClient(), entity.TypeOSD, less.Addrs())
	require.NoError(t, err)
	l.until("connected", c.IsConnected)
	require.Equal(t, msg.LossyClient(), c.Policy())
	require.Equal(t, msg.LosslessClient(), l.connect(cl, full).Policy())
	require.Equal(t, msg.LosslessClient(), cl.PolicyFor(entity.TypeOSD))

	again, err := cl.ConnectToWith(msg.LossyClient(), entity.TypeOSD, less.Addrs())
	require.NoError(t, err)
	require.Same(t, c, again)
	again, err = cl.ConnectTo(entity.TypeOSD, less.Addrs())
	require.NoError(t, err)
	require.Same(t, c, again)
	_, err = cl.ConnectToWith(msg.LosslessClient(), entity.TypeOSD, less.Addrs())
	wantOtherPolicy(t, err, c, msg.LosslessClient())
	require.ErrorContains(t, err, "has (lossy, registers), and not (lossless, registers, reset check)")

	// When it is over the type's policy holds again; that the server wants a lossy session is
	// no other policy.
	require.NoError(t, c.Send(text("x")))
	less.wantMessages(1)
	less.events("message")[0].conn.MarkDown()
	cl.want("reset", 1)
	c = l.connect(cl, less)
	require.True(t, c.Policy().Lossy)
	again, err = cl.ConnectToWith(msg.LosslessClient(), entity.TypeOSD, less.Addrs())
	require.NoError(t, err)
	require.Same(t, c, again)
	_, err = cl.ConnectToWith(c.Policy(), entity.TypeOSD, less.Addrs())
	wantOtherPolicy(t, err, c, c.Policy())

	// A peer that has called has the type's.
	s := l.peerOf(full, cl.Name())
	again, err = full.ConnectToWith(msg.StatefulServer(), entity.TypeClient, cl.Addrs())
	require.NoError(t, err)
	require.Same(t, s, again)
	_, err = full.ConnectToWith(msg.LosslessPeer(), entity.TypeClient, cl.Addrs())
	wantOtherPolicy(t, err, s, msg.LosslessPeer())

	other := l.server(entity.OSD(2), msg.StatefulServer())
	_, err = cl.ConnectToWith(msg.StatefulServer(), entity.TypeOSD, other.Addrs())
	require.ErrorIs(t, err, msg.ErrNoSession)
	self, err := cl.ConnectToWith(msg.StatefulServer(), entity.TypeClient, cl.Addrs())
	require.NoError(t, err)
	require.Same(t, cl.Loopback(), self)
}

// TestConnectAnonWith: anonymous connections have policies of their own too.
func TestConnectAnonWith(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatelessServer())
	var book logbook
	cl := l.client(entity.Client(1), msg.LosslessClient(), l.withLog(&book))
	for i := range 3 {
		p := msg.LossyClient()
		p.FeaturesSupported = msg.FeaturesAll &^ (1 << i)
		c, err := cl.ConnectAnonWith(p, entity.TypeOSD, srv.Addrs())
		require.NoError(t, err)
		l.until("connected", c.IsConnected)
		require.Equal(t, p, c.Policy())
		require.Equal(t, p.FeaturesSupported, c.Features())
	}
	require.Empty(t, book.lines("an anonymous connection under a lossless policy"))
	c, err := cl.ConnectAnonWith(msg.LosslessClient(), entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	l.until("connected", c.IsConnected)
	require.Len(t, book.lines("an anonymous connection under a lossless policy"), 1)
}

// listedThrottle is a throttler that cannot be compared.
type listedThrottle []*dispatch.Throttle

func (x listedThrottle) Acquire(n int64, w msg.ThrottleWaiter) bool { return x[0].Acquire(n, w) }
func (x listedThrottle) Cancel(w msg.ThrottleWaiter) bool           { return x[0].Cancel(w) }
func (x listedThrottle) Take(n int64)                               { x[0].Take(n) }
func (x listedThrottle) Release(n int64)                            { x[0].Release(n) }

// TestConnectToWithThrottlers: policies with other throttlers are other ones.
func TestConnectToWithThrottlers(t *testing.T) {
	l := newLab(t)
	srv := l.node(entity.OSD(0), msg.StatefulServer())
	srv.onMessage = func(m *msg.Message) { _ = m.Connection().Send(text("%s", m.Front)) }
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	th := dispatch.NewThrottle(10)
	for i, x := range []struct {
		first, second msg.Throttler
		same          bool
	}{
		{th, th, true},
		{th, dispatch.NewThrottle(10), false},
		{th, nil, false},
		{failingThrottle{th, func() {}}, failingThrottle{th, func() {}}, false}, // it holds a function
		{notComparable(th), notComparable(th), false},
	} {
		cl := l.client(entity.Client(int64(i)), msg.LosslessClient())
		p := msg.LosslessClient()
		p.ThrottleMessages = x.first
		c, err := cl.ConnectToWith(p, entity.TypeOSD, srv.Addrs())
		require.NoError(t, err)
		for range 20 { // it gives back what it takes
			require.NoError(t, c.Send(text("x")))
		}
		cl.wantMessages(20)
		p.ThrottleMessages = x.second
		again, err := cl.ConnectToWith(p, entity.TypeOSD, srv.Addrs())
		if x.same {
			require.NoError(t, err)
			require.Same(t, c, again)
		} else {
			require.ErrorIs(t, err, msg.ErrOtherPolicy)
		}
		l.until("all is given back", func() bool { return th.Stats().Held == 0 })
	}
}

func notComparable(t *dispatch.Throttle) msg.Throttler { return listedThrottle{t} }
