package async

import (
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/stretchr/testify/require"
)

// throttled is a server whose dispatcher is held up by messages that begin with
// "hold", and two clients.
func throttled(t *testing.T, messages, bytes msg.Throttler) (l *lab, srv *node, hold *gate, a, b msg.Connection) {
	l = newLab(t)
	srv = l.node(entity.OSD(0), msg.StatefulServer())
	hold = l.gate()
	srv.onMessage = func(m *msg.Message) {
		if len(m.Front) >= 4 && string(m.Front[:4]) == "hold" {
			hold.pass()
		}
	}
	srv.SetPolicyThrottlers(entity.TypeClient, messages, bytes)
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	ca := l.client(entity.Client(1), msg.LosslessClient())
	cb := l.client(entity.MDS(2), msg.LosslessClient()) // another policy: no throttles
	a, b = l.connect(ca, srv), l.connect(cb, srv)
	return l, srv, hold, a, b
}

func TestPolicyThrottleMessages(t *testing.T) {
	th := dispatch.NewThrottle(3)
	l, srv, hold, a, b := throttled(t, th, nil)
	require.NoError(t, a.Send(text("hold")))
	hold.wantArrived(1)
	sendAll(t, a, 100, nil)
	l.until("reading stopped", func() bool { return srv.Stats().ThrottleWaits == 1 && th.Stats().Waiting == 1 })
	require.EqualValues(t, 3, th.Stats().Held)
	require.EqualValues(t, 3, srv.Stats().Received)
	sendAll(t, b, 10, nil) // others go on
	require.Equal(t, numbers(10), srv.wantMessages(10))
	require.EqualValues(t, 13, srv.Stats().Received)
	hold.open()
	srv.wantMessages(111)
	l.until("given back", func() bool { return th.Stats().Held == 0 })
	require.EqualValues(t, 3, th.Stats().Peak)
}

func TestPolicyThrottleBytes(t *testing.T) {
	th := dispatch.NewThrottle(1000)
	l, srv, hold, a, b := throttled(t, nil, th)
	hundred := func(s string) *msg.Message { return &msg.Message{Front: []byte(s), Data: make([]byte, 100-len(s))} }
	require.NoError(t, a.Send(hundred("hold")))
	hold.wantArrived(1)
	for range 20 {
		require.NoError(t, a.Send(hundred("x")))
	}
	require.NoError(t, a.Send(&msg.Message{Data: make([]byte, 5000)})) // over the limit: alone
	require.NoError(t, a.Send(&msg.Message{}))                         // nothing to throttle
	l.until("reading stopped", func() bool { return th.Stats().Waiting == 1 })
	require.EqualValues(t, 1000, th.Stats().Held)
	sendAll(t, b, 10, nil)
	srv.wantMessages(10)
	hold.open()
	srv.wantMessages(33)
	l.until("given back", func() bool { return th.Stats().Held == 0 })
	require.GreaterOrEqual(t, th.Stats().Peak, int64(5000))
	require.LessOrEqual(t, th.Stats().Peak, int64(6000))
}

// TestThrottleAndClosing: whoever waits for a throttle when its connection ends
// leaves nothing behind and holds nobody up.
func TestThrottleAndClosing(t *testing.T) {
	for _, how := range []string{"mark down", "peer gone", "fault", "shutdown", "replaced"} {
		t.Run(how, func(t *testing.T) {
			th := dispatch.NewThrottle(1)
			l, srv, hold, a, _ := throttled(t, th, nil)
			require.NoError(t, a.Send(text("hold")))
			hold.wantArrived(1)
			sendAll(t, a, 5, nil)
			l.until("waiting", func() bool { return th.Stats().Waiting == 1 })
			s := l.peerOf(srv, entity.Client(1))
			switch how {
			case "mark down":
				s.MarkDown()
			case "peer gone":
				a.MarkDown()
				l.until("noticed", func() bool { return !s.IsConnected() || th.Stats().Waiting == 0 || a.IsClosed() })
				s.MarkDown()
			case "fault":
				fault(s)
			case "replaced":
				fault(a)
			case "shutdown":
				go func() { hold.wantArrived(1); hold.open() }()
				require.NoError(t, srv.Shutdown(timeout(t)))
				require.Zero(t, th.Stats().Held)
				require.Zero(t, th.Stats().Waiting)
				return
			}
			if how == "fault" || how == "replaced" {
				l.until("again", func() bool { return srv.Stats().Accepted >= 3 }) // two clients, and again
			}
			hold.open()
			if how == "fault" || how == "replaced" {
				require.Equal(t, append([]string{"hold"}, numbers(5)...), srv.wantMessages(6))
			}
			l.until("given back", func() bool { return th.Stats().Held == 0 && th.Stats().Waiting == 0 })
		})
	}
}

// TestUnboundedDispatch: without any throttle, through reconnections.
func TestUnboundedDispatch(t *testing.T) {
	l := newLab(t)
	srv := l.server(entity.OSD(0), msg.StatefulServer(), func(c *Config) { c.DispatchThrottleBytes = -1 })
	cl := l.client(entity.Client(1), msg.LosslessClient())
	c := l.connect(cl, srv)
	for i := range 200 {
		if i%20 == 0 {
			fault(c)
		}
		require.NoError(t, c.Send(text("%d", i)))
	}
	require.Equal(t, numbers(200), srv.wantMessages(200))
	require.Zero(t, srv.Stats().DispatchBytes)
}
