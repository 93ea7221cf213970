package async

import (
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/stretchr/testify/require"
)

// movedFields knows of each field whether it was ever other than its zero value.
type movedFields map[string]bool

// look looks at v. Elements of arrays and slices are all the same field.
func (f movedFields) look(path string, v reflect.Value) {
	switch t := v.Type(); {
	case t == reflect.TypeFor[Stats](), t == reflect.TypeFor[connection.Counts[uint64]](),
		t == reflect.TypeFor[msg.Policy](), t == reflect.TypeFor[entity.AddrVec]():
		// These have a test of their own.
	case t.Kind() == reflect.Struct && t.PkgPath() != "time" && t.PkgPath() != "net/netip":
		for i := range t.NumField() {
			if t.Field(i).IsExported() {
				f.look(path+"."+t.Field(i).Name, v.Field(i))
			}
		}
	case t.Kind() == reflect.Array, t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		if v.Len() == 0 {
			f.look(path+"[]", reflect.Zero(t.Elem()))
		}
		for i := range v.Len() {
			f.look(path+"[]", v.Index(i))
		}
	default:
		f[path] = f[path] || !v.IsZero()
	}
}

func (f movedFields) see(nodes ...*node) {
	for _, n := range nodes {
		f.look("Snapshot", reflect.ValueOf(n.Snapshot()))
		for _, s := range n.ConnectionStats() {
			f.look("Conn", reflect.ValueOf(s))
		}
	}
}

// until looks until the fields have moved.
func (f movedFields) until(l *lab, nodes []*node, fields ...string) {
	l.t.Helper()
	l.until(strings.Join(fields, ", "), func() bool {
		f.see(nodes...)
		return !slices.ContainsFunc(fields, func(x string) bool { return !f[x] })
	})
}

// numberedServer gives its clients a number, as a monitor does.
type numberedServer struct{ auth.Server }

func (s numberedServer) NewExchange(self, peer entity.Type) auth.ServerExchange {
	return numberedExchange{s.Server.NewExchange(self, peer)}
}

type numberedExchange struct{ auth.ServerExchange }

func (x numberedExchange) Request(q auth.Request) (auth.Reply, error) {
	r, err := x.ServerExchange.Request(q)
	if r.Done {
		r.Result.GlobalID = 77
	}
	return r, err
}

// TestEveryFieldOfSnapshotsMoves: a number that nothing ever counts is worse than none.
func TestEveryFieldOfSnapshotsMoves(t *testing.T) {
	f := movedFields{}
	for _, scene := range []func(*lab, movedFields){
		snapshotOfTraffic, snapshotOfThrottles, snapshotOfTrouble, snapshotOfAStuckWorker, snapshotOfAFullPool,
		snapshotOfCompression,
	} {
		t.Run("", func(t *testing.T) { scene(newLab(t), f) })
	}
	var still []string
	for path, ok := range f {
		if !ok {
			still = append(still, path)
		}
	}
	slices.Sort(still)
	require.Greater(t, len(f), 80)
	// Only authentication that proves something sets these; auth/tlsauth's tests do.
	require.Empty(t, slices.DeleteFunc(still, func(s string) bool {
		return strings.HasPrefix(s, "Conn.Authenticated.")
	}), "these were never other than 0")
}

func snapshotOfCompression(l *lab, f movedFields) {
	srv := l.server(entity.OSD(0), msg.LosslessPeer(), zlib)
	cl := l.server(entity.OSD(1), msg.LosslessPeer(), zlib)
	plain := l.client(entity.Client(1), msg.LosslessPeer())
	require.NoError(l.t, l.connect(cl, srv).Send(&msg.Message{Type: 1000, Data: make([]byte, 5000)}))
	l.connect(plain, srv)
	f.until(l, []*node{srv, cl}, "Conn.CompressedFrom", "Conn.CompressedTo", "Conn.DecompressedFrom",
		"Conn.DecompressedTo", "Conn.Compression", "Conn.Uncompressed")
}

func snapshotOfTraffic(l *lab, f movedFields) {
	srv := l.server(entity.Mon(0), msg.StatefulServer(), inPlace, func(c *Config) {
		c.AuthServer = numberedServer{new(auth.NoneServer)}
	})
	srv.forget = true
	cl := l.client(entity.Client(1), msg.LosslessClient())
	c := l.connect(cl, srv)
	c.SendKeepalive()
	for range 20 {
		l.roundTrip(srv, c)
	}
	require.NoError(l.t, cl.Loopback().Send(text("to itself")))
	f.until(l, []*node{srv, cl}, "Conn.AckTime", "Conn.LastKeepalive", "Conn.LastKeepaliveAck", "Conn.Quiet",
		"Snapshot.GlobalID", "Conn.GlobalID")
	s := srv.Snapshot()
	require.Equal(l.t, "started", s.Life)
	require.EqualValues(l.t, 20, s.Received)
	require.EqualValues(l.t, 20, s.Bands[dispatch.BandNormal].Enqueued)
	require.EqualValues(l.t, 100, s.Bands[dispatch.BandNormal].EnqueuedBytes)
	require.EqualValues(l.t, s.QueueWait.Count(), s.Queue.Enqueued)
	l.until("one in sixteen", func() bool { ack := cl.Snapshot().SendToAck; return ack.Count() == 2 })
	seen := 0
	for conn, x := range cl.ConnectionStats() {
		require.Equal(l.t, conn.ID(), x.ID)
		if conn == c {
			seen++
			require.EqualValues(l.t, 20, x.Sent)
			require.EqualValues(l.t, 100, x.SentBytes)
			require.Equal(l.t, "READY", x.SessionState)
			require.Equal(l.t, srv.Name(), x.Peer)
		}
	}
	require.Equal(l.t, 1, seen)
}

func snapshotOfThrottles(l *lab, f movedFields) {
	hold := l.gate()
	defer hold.open()
	srv := l.node(entity.OSD(0), msg.StatefulServer(), func(c *Config) { c.DispatchThrottleBytes = 300 })
	srv.onMessage = func(*msg.Message) { hold.pass() }
	messages, bytes := dispatch.NewThrottle(1), dispatch.NewThrottle(200)
	srv.SetPolicyThrottlers(entity.TypeClient, messages, bytes)
	require.NoError(l.t, srv.Bind(local))
	require.NoError(l.t, srv.Start())
	var all []*node
	for i := range int64(3) {
		cl := l.client(entity.Client(i), msg.LosslessClient())
		c := l.connect(cl, srv)
		for range 3 {
			require.NoError(l.t, c.Send(&msg.Message{Front: make([]byte, 150)}))
		}
		all = append(all, cl)
	}
	hold.wantArrived(1)
	f.until(l, append(all, srv), "Conn.Waiting", "Conn.Held", "Conn.HeldBytes", "Conn.Stalled",
		"Conn.Dispatching", "Snapshot.LongCallbacks[].For", "Snapshot.Policies[].Bytes.Held",
		"Snapshot.Policies[].Messages.Waiting")
	l.until("for messages", func() bool {
		for _, x := range srv.ConnectionStats() {
			if x.WaitsFor == "policy messages" {
				return x.Waiting > 0
			}
		}
		return false
	})
	messages.SetLimit(100)
	f.until(l, []*node{srv}, "Snapshot.Policies[].Bytes.Waiting")
	bytes.SetLimit(1000)
	f.until(l, []*node{srv}, "Snapshot.Throttle.Waiting")
	hold.open()
	l.until("all is dispatched", func() bool { return srv.Stats().Received == 9 && srv.Stats().Queue.Len == 0 })
	for _, x := range srv.ConnectionStats() {
		require.Zero(l.t, x.Waiting)
		require.Empty(l.t, x.WaitsFor)
	}
}

func snapshotOfTrouble(l *lab, f movedFields) {
	hold := l.gate()
	defer hold.open()
	srv := l.node(entity.OSD(0), msg.StatefulServer())
	srv.onMessage = func(*msg.Message) { hold.pass() }
	one := dispatch.NewThrottle(1)
	srv.SetPolicyThrottlers(entity.TypeClient, one, nil)
	require.NoError(l.t, srv.Bind(local))
	require.NoError(l.t, srv.Start())
	cl := l.client(entity.Client(1), msg.LosslessClient())
	c := l.connect(cl, srv)
	require.NoError(l.t, c.Send(text("is dispatched")))
	hold.wantArrived(1)
	require.NoError(l.t, c.Send(text("is not read, sent again, read, and lost")))
	l.until("reading stopped", func() bool { return one.Stats().Waiting == 1 })
	c.(*connection.Conn).Fault(fmt.Errorf("planned"))
	f.until(l, []*node{cl}, "Conn.Replayed", "Conn.Resumed", "Conn.Faults", "Conn.FaultAgo", "Conn.LastError")
	one.SetLimit(0)
	f.until(l, []*node{srv}, "Snapshot.Bands[].Len", "Snapshot.Bands[].OldestAge")
	l.peerOf(srv, cl.Name()).MarkDown()
	hold.open()
	l.until("discarded", func() bool { return srv.Snapshot().DiscardedBy[msg.LossMarkedDown] == 1 })

	// A connection that does not come up, and one whose peer says nothing.
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(l.t, err)
	defer silent.Close()
	at := func(a net.Addr) entity.AddrVec {
		return entity.AddrVec{{Type: entity.AddrMsgr2, AddrPort: netip.MustParseAddrPort(a.String())}}
	}
	waits, err := cl.ConnectTo(entity.TypeOSD, at(silent.Addr()))
	require.NoError(l.t, err)
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(l.t, err)
	require.NoError(l.t, gone.Close())
	_, err = cl.ConnectTo(entity.TypeOSD, at(gone.Addr()))
	require.NoError(l.t, err)
	f.until(l, []*node{cl}, "Conn.Attempts", "Conn.Step", "Conn.LastError")
	l.until("the first bytes are waited for", func() bool {
		for conn, x := range cl.ConnectionStats() {
			if conn == waits && x.Step == "waiting for the peer's first bytes" {
				return x.SessionState == "BANNER_CONNECTING" && x.State == msg.StateConnecting
			}
		}
		return false
	})
	require.NoError(l.t, waits.Send(text("too early")))
	waits.MarkDown()
	l.until("undeliverable", func() bool { return cl.Snapshot().UndeliverableBy[msg.LossMarkedDown] == 1 })
	f.see(cl, srv)
}

func snapshotOfAStuckWorker(l *lab, f movedFields) {
	hold := l.gate()
	defer hold.open()
	srv := l.node(entity.OSD(0), msg.StatefulServer())
	srv.canFast = func(m *msg.Message) bool { return m.Type == 9 }
	srv.onFast = func(*msg.Message) { hold.pass() }
	require.NoError(l.t, srv.Bind(local))
	require.NoError(l.t, srv.Start())
	cl := l.client(entity.Client(1), msg.LosslessClient())
	require.NoError(l.t, l.connect(cl, srv).Send(&msg.Message{Type: 9}))
	hold.wantArrived(1)
	for i := range l.stack.NumWorkers() {
		require.NoError(l.t, l.stack.Worker(i).Post(taskFunc(func() {})))
	}
	f.until(l, []*node{srv}, "Snapshot.Workers[].Activity.InRound", "Snapshot.Workers[].Activity.Posted")
	hold.open()
	f.until(l, []*node{srv}, "Snapshot.Workers[].Activity.Events")
}

func snapshotOfAFullPool(l *lab, f movedFields) {
	p, err := dispatch.NewAntsPool(dispatch.AntsConfig{Size: 1})
	require.NoError(l.t, err)
	l.t.Cleanup(func() { require.NoError(l.t, p.Release(timeout(l.t))) })
	hold := l.gate()
	defer hold.open()
	require.NoError(l.t, p.Submit(hold.pass))
	hold.wantArrived(1)
	n := l.client(entity.Client(1), msg.LosslessClient(), func(c *Config) { c.Executor = p })
	require.NoError(l.t, n.Loopback().Send(text("waits")))
	f.until(l, []*node{n}, "Snapshot.Pool.Waiting")
	require.Equal(l.t, PoolStats{Running: 1, Waiting: 1, Size: 1}, n.Snapshot().Pool)
	hold.open()
	n.wantMessages(1)
}

// TestSnapshotAnywhere: snapshots are taken by callbacks on a worker and on the pool, and by
// many goroutines while connections come, break and go.
func TestSnapshotAnywhere(t *testing.T) {
	l := newLab(t)
	srv := l.node(entity.OSD(0), msg.StatefulServer())
	look := func() {
		srv.Snapshot()
		for range srv.ConnectionStats() {
		}
	}
	srv.forget = true
	srv.onMessage = func(*msg.Message) { look() }
	srv.preprocess = func(*msg.Message) { look() }
	srv.onEvent = func(string, msg.Connection) { look() }
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	stop := make(chan struct{})
	var looks sync.WaitGroup
	for range 2 {
		looks.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					look()
				}
			}
		})
	}
	cl := l.client(entity.Client(1), msg.LosslessClient())
	c := l.connect(cl, srv)
	for i := range 100 {
		l.roundTrip(srv, c)
		if i%10 == 0 {
			c.(*connection.Conn).Fault(fmt.Errorf("planned"))
		}
	}
	close(stop)
	looks.Wait()
}

// unwatched is a stack that does not tell what its workers do.
type unwatched struct{ eventloop.Stack }

// TestSnapshotOfOtherStacks: what a stack does not tell is zero.
func TestSnapshotOfOtherStacks(t *testing.T) {
	l := newLabOf(t, 1)
	n := l.client(entity.Client(1), msg.LosslessClient(), func(c *Config) { c.Stack = unwatched{c.Stack} })
	s := n.Snapshot()
	require.Len(t, s.Workers, 1)
	require.Zero(t, s.Workers[0].Activity)
}
