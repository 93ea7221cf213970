package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/stretchr/testify/require"
)

// TestWatch: both ends of a session are nodes, its traffic is a link, and what is cut by the page is
// on the timeline with its reconnection, once.
func TestWatch(t *testing.T) {
	srv, cl, _ := talk(t, true)
	condition := func(node string) string { return map[string]string{"osd.0": "stalled"}[node] }
	h, url := serve(t, Config{Title: "test", Cut: true, Condition: condition}, srv, cl)
	v := watch(t, url)
	require.Equal(t, "test", v.hello.Title)
	x := v.until("traffic", func(x *state, _ []event) bool {
		return x.Rates.Sent > 0 && len(x.Links) == 1 && x.Links[0].AB > 0 && x.Links[0].BA > 0 &&
			x.Latency.QueueWait.N > 0
	})
	require.Len(t, x.Nodes, 2)
	require.Equal(t, "osd.0", x.Nodes[0].Name)
	require.Equal(t, "stalled", x.Nodes[0].Condition)
	require.Equal(t, "client.7", x.Nodes[1].Name)
	require.True(t, x.Nodes[0].Here && x.Nodes[1].Here)
	require.Equal(t, 1, x.Links[0].Conns, "one session, though both ends are here")
	require.Len(t, x.Sessions, 2)
	require.Equal(t, "osd.0 client.7", x.Sessions[0].Node+" "+x.Sessions[0].Peer)
	require.Equal(t, "lossless server", x.Sessions[0].Policy)
	require.Positive(t, x.Process.Goroutines)
	require.Positive(t, x.Process.Heap)
	require.GreaterOrEqual(t, x.Process.CPU, 0.0)
	require.Equal(t, []group{{Peer: "osd", State: "connected", Conns: 1}}, bare(x.Groups, "osd"))

	status, text, _ := ask(t, "POST", url+"/act", `{"action":"cut","node":"osd.0","peer":"client.7"}`,
		func(r *http.Request) { r.Header.Set(tokenHeader, h.token) })
	require.Equal(t, http.StatusOK, status, text)
	require.JSONEq(t, `{"did":"cut 1 connection"}`, text)
	seen := map[string]uint64{}
	last := uint64(0)
	v.until("the reconnection", func(x *state, all []event) bool {
		for _, e := range all {
			if e.Seq <= last {
				continue
			}
			last = e.Seq
			seen[e.Kind] += max(e.N, 1)
			require.Equal(t, "osd.0 client.7", strings.TrimSpace(e.Node+" "+e.Peer), "%+v", e)
		}
		return seen["reconnect"] > 0
	})
	require.EqualValues(t, 1, seen["act"])
	require.Positive(t, seen["cut"])
	// Who comes later is told of it.
	require.NotEmpty(t, watch(t, url).hello.Events)
}

// TestHandshakeIsNoSession: a socket that has said nothing is a handshake, not a session that opens and is gone again.
func TestHandshakeIsNoSession(t *testing.T) {
	srv, cl, c := talk(t, false)
	all := []*async.Messenger{srv}
	l := newLooker(&Config{Messengers: func() []*async.Messenger { return all }})
	l.begin()
	require.Empty(t, l.look().Events)
	wait := func(conns, up int) {
		t.Helper()
		require.Eventually(t, func() bool {
			n, ready := 0, 0
			for _, s := range srv.ConnectionStats() {
				if s.Loopback {
					continue
				}
				n++
				if s.Up {
					ready++
				}
			}
			return n == conns && ready == up
		}, patience, time.Millisecond)
	}
	wait(1, 1)
	l.look() // the client's, if it was not there before

	socket, err := net.Dial("tcp", srv.Addrs()[0].AddrPort.String())
	require.NoError(t, err)
	wait(2, 1)
	require.Empty(t, l.look().Events, "a handshake")
	require.NoError(t, socket.Close())
	wait(1, 1)
	require.Empty(t, l.look().Events, "and its end")

	c.MarkDown()
	wait(1, 0)
	require.Equal(t, []string{"cut"}, kinds(l.look()), "the server waits for it")
	for c := range srv.ConnectionStats() {
		c.MarkDown()
	}
	wait(0, 0)
	require.Equal(t, []string{"close"}, kinds(l.look()))
	c, err = cl.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	require.NoError(t, c.Send(word()))
	wait(1, 1)
	require.Equal(t, []string{"open"}, kinds(l.look()))

	// All that a messenger had is gone with it: the session, and no handshake.
	socket, err = net.Dial("tcp", srv.Addrs()[0].AddrPort.String())
	require.NoError(t, err)
	defer func() { _ = socket.Close() }()
	wait(2, 1)
	require.Empty(t, l.look().Events)
	all = nil
	require.Equal(t, []string{"close"}, kinds(l.look()))
}

// kinds are those of what has happened, each once for every time.
func kinds(x *state) (out []string) {
	for _, e := range x.Events {
		out = append(out, slices.Repeat([]string{e.Kind}, int(e.N))...)
	}
	return out
}

// bare are the groups of a type of peers, without what changes all the time.
func bare(all []group, peer string) (out []group) {
	for _, g := range all {
		if g.Peer == peer {
			out = append(out, group{Peer: g.Peer, State: g.State, Conns: g.Conns})
		}
	}
	return out
}

// TestFold: any number of peers makes a ring of a bounded size, and nothing is left out of the sums.
func TestFold(t *testing.T) {
	cfg := &Config{Condition: func(n string) string { return n }}
	for _, peers := range []int{1, 13, 14, 15, 16, 17, 10_000} {
		t.Run(fmt.Sprint(peers), func(t *testing.T) {
			var r ring
			for range 2 { // its memory is used again
				r.reset()
				for i := range 3 {
					r.node(entity.OSD(int64(i)), true)
				}
				s := &connection.ConnStats{Up: true, State: msg.StateReady, Faults: 2, Held: 1}
				for i := range peers {
					r.connection(entity.OSD(int64(i%3)), entity.Client(int64(i)), s, delta{sent: 1, received: 2}, false)
				}
				nodes, links := r.fold(cfg)
				require.LessOrEqual(t, len(nodes), NodesMax)
				require.Equal(t, min(peers+3, NodesMax), len(nodes))
				clients, conns, names := 0, 0, map[string]bool{}
				for _, n := range nodes {
					require.False(t, names[n.Name], n.Name)
					names[n.Name] = true
					if n.Type == "client" {
						clients += max(n.Folded, 1)
						conns += n.Conns
						require.Equal(t, n.Folded > 0, n.Condition == "")
					}
				}
				require.Equal(t, peers, clients)
				require.Equal(t, peers, conns)
				ab, ba, up, faults := 0.0, 0.0, 0, uint64(0)
				for _, l := range links {
					require.True(t, names[l.A] && names[l.B])
					ab, ba, up, faults = ab+l.AB, ba+l.BA, up+l.Up, faults+l.Faults
				}
				require.Equal(t, []float64{float64(peers), float64(2 * peers)}, []float64{min(ab, ba), max(ab, ba)})
				require.Equal(t, peers, up)
				require.EqualValues(t, 2*peers, faults)
			}
		})
	}
}

// TestTopSessions: the list is bounded, and trouble comes before traffic.
func TestTopSessions(t *testing.T) {
	var top topSessions
	for i := range 5000 {
		s := &connection.ConnStats{ID: uint64(i), State: msg.StateReady}
		if i == 17 {
			s.State, s.Step = msg.StateConnecting, "waits"
		}
		top.offer(entity.OSD(0), entity.Client(int64(i)), s, delta{sent: float64(i)})
	}
	all := top.list()
	require.Len(t, all, SessionsMax)
	require.Equal(t, "client.17", all[0].Peer)
	require.Equal(t, "waits", all[0].Step)
	require.Equal(t, "client.4901", all[1].Peer)
	require.Equal(t, "client.4999", all[SessionsMax-1].Peer)
}

// TestEvents: both ends tell of one cut; many are a few lines and a sum; the timeline is bounded.
func TestEvents(t *testing.T) {
	l := newLooker(&Config{})
	for range 100 {
		var e eventSums
		for i := range 30 {
			a, b := entity.OSD(1), entity.Client(int64(i))
			e.connection(a, b, &connection.ConnStats{LastError: http.ErrAbortHandler}, delta{faults: 3, cuts: 1})
			e.connection(b, a, &connection.ConnStats{}, delta{faults: 1, cuts: 1, resumed: 1, replayed: 5})
		}
		e.opened(entity.OSD(1), 3, 0)
		got := l.tell(e.list(), 1)
		require.Len(t, got, 3*(eventsPerLook+1)+1)
		require.Equal(t, "osd.1 client.0", got[0].Node+" "+got[0].Peer)
		require.EqualValues(t, 1, got[0].N)
		require.Equal(t, http.ErrAbortHandler.Error(), got[0].Text)
		require.Equal(t, "attempt", got[eventsPerLook+1].Kind)
		require.EqualValues(t, 2, got[eventsPerLook+1].N)
		rest := got[len(got)-1]
		require.Equal(t, event{Seq: rest.Seq, At: 1, Kind: "reconnect", N: 22, Replayed: 110,
			Text: "and of 22 others"}, rest)
	}
	require.Len(t, l.timeline(), EventsMax)
}

// TestStateIsBounded: what a page gets does not grow with the connections.
func TestStateIsBounded(t *testing.T) {
	x := &glance{l: newLooker(&Config{}), s: new(state), book: newBook(nil), first: true}
	x.l.ring.reset()
	long := errors.New(strings.Repeat("x", 5000))
	for i := range 10_000 {
		s := &connection.ConnStats{ID: uint64(i), State: msg.StateReady, LastError: long}
		s.Peer, s.Faults = entity.Client(int64(i)), 1
		x.l.ring.connection(entity.OSD(0), s.Peer, s, delta{faults: 3, cuts: 1, resumed: 1}, false)
		x.group(s.Peer.Type, s, delta{})
		x.top.offer(entity.OSD(0), s.Peer, s, delta{})
		x.events.connection(entity.OSD(0), s.Peer, s, delta{faults: 3, cuts: 1, resumed: 1})
	}
	x.finish()
	x.s.Events = x.events.list()
	b, err := json.Marshal(x.s)
	require.NoError(t, err)
	require.Less(t, len(b), 100<<10)
}
