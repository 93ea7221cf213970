package async

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
)

// TestTraceContext: peers that both offer it carry it, in messages, broadcasts and replays; others get
// the same messages without it; the loopback connection hands it over.
func TestTraceContext(t *testing.T) {
	offer := func(p msg.Policy, yes bool) msg.Policy {
		if yes {
			p.FeaturesSupported = msg.FeaturesAll | msg.FeatureTraceContext
		}
		return p
	}
	for _, x := range [][2]bool{{true, true}, {true, false}, {false, true}, {false, false}} {
		t.Run(fmt.Sprint(x), func(t *testing.T) {
			l := newLab(t)
			srv := l.node(entity.OSD(0), offer(msg.StatefulServer(), x[0]))
			var got []string
			srv.onMessage = func(m *msg.Message) {
				require.Equal(t, "middle", string(m.Middle))
				got = append(got, m.TraceContext)
			}
			require.NoError(t, srv.Bind(local))
			require.NoError(t, srv.Start())
			cl := l.client(entity.Client(1), offer(msg.LosslessClient(), x[1]))
			c := l.connect(cl, srv)
			traced := func(context string) *msg.Message {
				return &msg.Message{Front: []byte("front"), Middle: []byte("middle"), TraceContext: context}
			}
			require.NoError(t, c.Send(traced("one")))
			require.NoError(t, c.Send(traced("")))
			require.Empty(t, cl.Broadcast([]msg.Connection{c}, traced("all")))
			require.ErrorIs(t, c.Send(traced(strings.Repeat("x", msg.TraceContextMax+1))), msg.ErrTooLarge)
			require.NoError(t, c.Send(traced(strings.Repeat("x", msg.TraceContextMax))))
			c.(*connection.Conn).Fault(fmt.Errorf("planned"))
			require.NoError(t, c.Send(traced("after")))
			srv.wantMessages(5)
			both := x[0] && x[1]
			require.Equal(t, both, c.Features()&msg.FeatureTraceContext != 0)
			want := []string{"one", "", "all", strings.Repeat("x", msg.TraceContextMax), "after"}
			if !both {
				want = make([]string, 5)
			}
			require.Equal(t, want, got)
		})
	}
	l := newLab(t)
	n := l.client(entity.Client(1), msg.LosslessClient())
	got := make(chan string, 2)
	n.onMessage = func(m *msg.Message) { got <- m.TraceContext }
	require.NoError(t, n.Loopback().Send(&msg.Message{TraceContext: "to itself"}))
	m := msg.New(1, 10)
	m.TraceContext = "pooled"
	require.NoError(t, n.Loopback().Send(m))
	require.Equal(t, "to itself", <-got)
	require.Equal(t, "pooled", <-got)
}

// TestTraceContextHasRoom: a message whose middle and context are more than a segment may have is
// refused, as it would be by the peer.
func TestTraceContextHasRoom(t *testing.T) {
	l := newLab(t)
	srv := l.node(entity.OSD(0), msg.StatefulServer())
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	cl := l.client(entity.Client(1), msg.LosslessClient(), func(c *Config) { c.Limits.Middle = 100 })
	c := l.connect(cl, srv)
	require.ErrorIs(t, c.Send(&msg.Message{Middle: make([]byte, 98), TraceContext: "xx"}), msg.ErrTooLarge)
	require.NoError(t, c.Send(&msg.Message{Middle: make([]byte, 97), TraceContext: "xx"}))
	srv.wantMessages(1)
}

// TestTraceContextGivesBack: what a message holds of throttles while it is dispatched includes its
// context, and all of it is given back, by fast dispatch too.
func TestTraceContextGivesBack(t *testing.T) {
	for _, fast := range []bool{false, true} {
		t.Run(fmt.Sprintf("fast %v", fast), func(t *testing.T) {
			l := newLab(t)
			held := dispatch.NewThrottle(10_000)
			pol := msg.StatefulServer()
			pol.FeaturesSupported = msg.FeaturesAll | msg.FeatureTraceContext
			pol.ThrottleBytes = held
			srv := l.node(entity.OSD(0), pol, func(c *Config) { c.DispatchThrottleBytes = 10_000 })
			srv.canFast = func(*msg.Message) bool { return fast }
			require.NoError(t, srv.Bind(local))
			require.NoError(t, srv.Start())
			offer := msg.LosslessClient()
			offer.FeaturesSupported = pol.FeaturesSupported
			c := l.connect(l.client(entity.Client(1), offer), srv)
			for range 300 {
				m := &msg.Message{Middle: []byte("middle"), TraceContext: strings.Repeat("x", 200)}
				require.NoError(t, c.Send(m))
			}
			srv.wantMessages(300)
			l.until("all is given back", func() bool {
				return held.Stats().Held == 0 && srv.Stats().DispatchBytes == 0
			})
		})
	}
}
