package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/stretchr/testify/require"
)

// small is a run that is short and rough.
func small() Config {
	return Config{Duration: 2 * time.Second, OSDs: 3, Clients: 3, Conns: 6, ObjectSize: 4096, CutRate: 150}
}

// longEnough runs the demo, again for twice as long if the machine was too busy for something to
// happen that has to happen. Each run has to be in order.
func longEnough(t *testing.T, cfg Config, happened func(*Report) bool) *Report {
	for ; ; cfg.Duration *= 2 {
		r, err := Run(context.Background(), cfg)
		require.NoError(t, err)
		t.Logf("seed %d, %v: %s", r.Seed, cfg.Duration, r.Line())
		require.True(t, r.OK, "%+v", r)
		require.True(t, r.Drained)
		if happened(r) || cfg.Duration > 30*time.Second {
			return r
		}
	}
}

func TestDemo(t *testing.T) {
	msg.PoisonBuffers = true
	defer func() { msg.PoisonBuffers = false }()
	kinds := []string{"rst", "fin", "vanish", "read", "write"}
	r := longEnough(t, small(), func(r *Report) bool {
		return r.Reconnects > 0 && r.Lent > 0 && r.Objects > 0 &&
			!slices.ContainsFunc(kinds, func(k string) bool { return r.CutKinds[k] == 0 }) &&
			!slices.ContainsFunc(r.Classes, func(c Row) bool { return c.Ops == 0 })
	})
	require.Positive(t, r.Cuts)
	require.Positive(t, r.Reconnects)
	require.Positive(t, r.Lent, "senders borrow workers, as they do without a CutStack")
	require.Len(t, r.Classes, int(numClasses))
	for _, c := range r.Classes {
		require.Positive(t, c.Ops, c.Class)
		require.Positive(t, c.P50ms, c.Class)
		require.LessOrEqual(t, c.P50ms, c.P99ms, c.Class)
	}
	require.Positive(t, r.Objects)
	require.Equal(t, 3*r.Objects, r.Copies+r.NotRecovered)
	for _, kind := range kinds {
		require.Positive(t, r.CutKinds[kind], kind)
	}

	var out bytes.Buffer
	require.NoError(t, r.Write(&out))
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	require.Regexp(t,
		`^demo: ok ops=\d+ cuts=\d+ reconnects=\d+ replayed=\d+ lost=0 duplicated=0 goroutines=\d+/\d+ threads=\d+$`,
		lines[len(lines)-1])
	b, err := json.Marshal(r)
	require.NoError(t, err)
	require.Contains(t, string(b), `"ok":true`)
}

// With a secret, the same promises hold under the same cuts, and no connection is less
// than encrypted.
func TestDemoSecure(t *testing.T) {
	cfg := small()
	cfg.Secure, cfg.CutRate = true, 60
	var began Report
	cfg.Began = func(r *Report) { began = *r }
	r := longEnough(t, cfg, func(r *Report) bool { return r.Reconnects > 0 && r.HandshakeCuts > 0 })
	require.Zero(t, r.Lost)
	require.Positive(t, r.Cuts)
	require.Positive(t, r.HandshakeCuts)
	require.Positive(t, r.Reconnects)
	require.Equal(t, []string{"tls", "secure"}, []string{r.Method, r.Mode})
	require.Equal(t, "secure", began.Mode)
	require.GreaterOrEqual(t, r.Handshakes, r.Reconnects, "each reconnection is a whole handshake")
	require.GreaterOrEqual(t, r.Handshakes, uint64(r.Sessions))

	var out bytes.Buffer
	require.NoError(t, r.Write(&out))
	require.Regexp(t, `(?m)^secure +everything was encrypted .* method tls, mode secure, \d+ handshakes `, out.String())
	require.Regexp(t, `\ndemo: ok ops=\d+ .* lost=0 .* mode=secure handshakes=\d+\n$`, out.String())
}

// A messenger of another secret, or of none, is not let into a secure demo.
func TestDemoSecureKeepsStrangersOut(t *testing.T) {
	d := startFor(t, Config{OSDs: 1, Clients: 1, Conns: 1, CutRate: -1, Secure: true})
	for _, c := range []struct {
		mode     uint32
		failures uint64
	}{{auth.ModeSecure, 0}, {auth.ModeCRC, 1}} {
		err := d.authorize(auth.Peer{Authenticated: entity.Authenticated{
			Name: entity.AuthName{Type: entity.TypeClient, ID: "9"}, Proved: true, Method: auth.MethodTLS, Mode: c.mode,
		}})
		n, _ := d.oracle.Failures()
		require.Equal(t, c.failures, n)
		require.Equal(t, c.failures > 0, err != nil)
	}

	stranger, err := async.New(async.Config{Name: entity.Client(9), Stack: d.stack.Stack(), Executor: d.pool,
		Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	refused := make(refusals, 1)
	stranger.AddDispatcherTail(refused)
	stranger.SetDefaultPolicy(msg.LossyClient())
	require.NoError(t, stranger.Start())
	defer func() { require.NoError(t, stranger.Shutdown(context.Background())) }()
	_, err = stranger.ConnectTo(entity.TypeOSD, d.osds[0].pub.Addrs())
	require.NoError(t, err)
	require.Equal(t, msg.ReasonAuth, (<-refused).Reason)
}

// refusals takes the first error of a connection.
type refusals chan *msg.ConnectError

func (refusals) Dispatch(*msg.Message) bool { return true }

func (r refusals) HandleConnectFailed(_ msg.Connection, err *msg.ConnectError) {
	select {
	case r <- err:
	default:
	}
}

// The demo ends early, with everything in order, when its context does.
func TestDemoInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cfg := small()
	cfg.Duration = time.Hour
	cfg.Progress = cancelOnWrite{cancel} // traffic is under way by then
	r, err := Run(ctx, cfg)
	require.NoError(t, err)
	require.True(t, r.OK, "%+v", r)
	require.True(t, r.Interrupted)
	require.True(t, r.Drained)
	require.Positive(t, r.Ops)
	require.Positive(t, r.Copies, "what there is was checked")
	require.Regexp(t, `^demo: interrupted, ok so far ops=\d+ `, r.Line())
	r.OK = false
	require.Regexp(t, `^demo: interrupted, FAILED ops=\d+ `, r.Line())
}

// What cannot be delivered in time makes the demo fail, and does not keep it.
func TestDrain(t *testing.T) {
	d := startFor(t, Config{OSDs: 2, Clients: 1, Conns: 1, CutRate: -1})
	require.True(t, d.drain(time.Minute))

	d = startFor(t, Config{OSDs: 2, Clients: 1, Conns: 1, CutRate: -1})
	away := d.osds[1].clu.Addrs()
	require.NoError(t, d.osds[1].clu.Shutdown(t.Context()))
	require.NoError(t,
		d.osds[0].clu.SendTo(newMessage(typePing, prioHeartbeat, 1, payload{}, nil, nil), entity.TypeOSD, away))
	require.False(t, d.drain(50*time.Millisecond))
	_, first := d.oracle.Failures()
	require.Len(t, first, 1)
	require.Contains(t, first[0], "osd.0: flush: msgr: 1 of ")
}

// Began is told of a run's head before its traffic.
func TestDemoBegan(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cfg, calls := small(), 0
	cfg.Seed = 7
	cfg.Began = func(r *Report) {
		calls++
		require.EqualValues(t, 7, r.Seed)
		require.Equal(t, 3, r.OSDs)
		require.Equal(t, 6, r.Clients)
		require.Equal(t, 3, r.Busy)
		require.Equal(t, 6*3+3+3, r.Sessions, "clients, pairs of OSDs, the manager")
		require.Zero(t, r.Ops)
		cancel()
	}
	r, err := Run(ctx, cfg)
	require.NoError(t, err)
	require.Equal(t, 1, calls)
	require.True(t, r.Interrupted)
}

type cancelOnWrite struct{ cancel func() }

func (c cancelOnWrite) Write(p []byte) (int, error) {
	c.cancel()
	return len(p), nil
}

func TestDemoWithoutCutsAndReplicas(t *testing.T) {
	r, err := Run(context.Background(),
		Config{Duration: 200 * time.Millisecond, OSDs: 1, Clients: 2, Conns: 2, CutRate: -1, Sizes: []int{1, 100000}})
	require.NoError(t, err)
	require.True(t, r.OK, "%+v", r)
	require.Zero(t, r.Cuts)
	require.Zero(t, r.Reconnects)
	require.Zero(t, r.LossyResets)
}

func TestConfigRefused(t *testing.T) {
	for _, c := range []Config{
		{OSDs: 65}, {OSDs: 2, Replicas: 3}, {Clients: 5, Conns: 4}, {Sizes: []int{0}}, {ObjectSize: objectSizeMax},
		{Duration: -1}, {Conns: 10000, ObjectSize: 1 << 20}, {Duration: durationMax + 1},
		{CutRate: math.NaN()}, {CutRate: math.Inf(1)}, {CutRate: cutRateMax + 1},
	} {
		_, err := Run(context.Background(), c)
		require.ErrorIs(t, err, ErrConfig, "%+v", c)
	}
}

// What makes the demo fail: each fault is planted in a messenger's dispatcher,
// as if the messenger beneath had lost, doubled or spoilt a message.
func TestPlantedFaults(t *testing.T) {
	for _, c := range []struct {
		name    string
		tamper  func(o *osd, m *msg.Message) (taken bool)
		says    string
		lost    bool
		doubled bool
	}{
		{"lost replication", func(*osd, *msg.Message) bool { return true }, "lost", true, false},
		{"duplicate replication", func(o *osd, m *msg.Message) bool {
			clusterSide{o}.from(m)
			return false
		}, "duplicate", false, true},
		{"bit flipped", func(_ *osd, m *msg.Message) bool {
			m.Data[len(m.Data)-1] ^= 1
			return false
		}, "checksum", true, false},
		{"generation skipped", func(o *osd, m *msg.Message) bool {
			p, _ := decode(m)
			o.mu.Lock()
			o.objects[p.Object] = object{gen: p.Gen, body: []byte("0123456789abcdef")}
			o.mu.Unlock()
			return false
		}, "on gen", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := startFor(t, Config{Duration: time.Hour, OSDs: 2, Clients: 1, Conns: 1, CutRate: -1})
			planted := make(chan struct{})
			var once sync.Once
			for _, o := range d.osds {
				o.clu.AddDispatcherHead(tamperer(func(m *msg.Message) (taken bool) {
					if m.Type == typeReplicate {
						once.Do(func() {
							taken = c.tamper(o, m)
							close(planted)
						})
					}
					return taken
				}))
			}
			for _, c := range d.clients {
				c.begin()
			}
			<-planted
			d.stopping.Store(true)
			d.quiet(200 * time.Millisecond)
			d.oracle.Close()
			r := &Report{}
			d.verify(r)
			d.conclude(r)
			require.False(t, r.OK)
			require.Contains(t, r.Line(), "demo: FAILED ")
			require.Contains(t, strings.Join(r.FirstFailures, "\n"), c.says)
			require.Equal(t, c.lost, r.Lost > 0, "%v", r.FirstFailures)
			require.Equal(t, c.doubled, r.Duplicated > 0, "%v", r.FirstFailures)
		})
	}
}

type tamperer func(m *msg.Message) bool

func (f tamperer) Dispatch(m *msg.Message) bool { return f(m) }

// startFor opens a demo without running it.
func startFor(t *testing.T, cfg Config) *demo {
	cfg.Seed = 1
	d, err := newDemo(cfg)
	require.NoError(t, err)
	require.NoError(t, d.open())
	t.Cleanup(func() { require.NoError(t, d.close()) })
	return d
}

func TestOracle(t *testing.T) {
	conn, other := fakeConn{id: 1}, fakeConn{id: 2}
	newStream := func(lossy bool, sent uint64) (*Oracle, *Stream) {
		o := NewOracle()
		s := o.Stream("a", "b", "x", 1, lossy)
		require.Same(t, s, o.Stream("a", "b", "x", 1, lossy))
		require.NotSame(t, s, o.Stream("b", "a", "x", 1, lossy))
		s.lanes[laneOf(prioNormal)].Sent = sent
		return o, s
	}
	verdict := func(o *Oracle) (lost, duplicated, failures uint64) {
		n, _ := o.Failures()
		return o.lost.Load(), o.duplicated.Load(), n
	}
	t.Run("in order, priorities apart", func(t *testing.T) {
		o, s := newStream(false, 2)
		for _, prio := range []uint8{prioNormal, prioHeartbeat, prioRecovery} {
			s.lanes[laneOf(prio)].Sent = 2
			s.Received(conn, prio, 1)
			s.Received(conn, prio, 2)
		}
		o.Close()
		lost, duplicated, failures := verdict(o)
		require.Zero(t, lost+duplicated+failures)
	})
	t.Run("gap", func(t *testing.T) {
		o, s := newStream(false, 4)
		s.Received(conn, prioNormal, 1)
		s.Received(conn, prioNormal, 4)
		lost, duplicated, failures := verdict(o)
		require.Equal(t, []uint64{2, 0, 1}, []uint64{lost, duplicated, failures})
	})
	t.Run("duplicate and disorder", func(t *testing.T) {
		o, s := newStream(false, 2)
		for _, n := range []uint64{1, 1, 2, 1} {
			s.Received(conn, prioNormal, n)
		}
		lost, duplicated, failures := verdict(o)
		require.Equal(t, []uint64{0, 2, 2}, []uint64{lost, duplicated, failures})
	})
	t.Run("missing tail", func(t *testing.T) {
		o, s := newStream(false, 3)
		s.Received(conn, prioNormal, 1)
		o.Close()
		lost, _, _ := verdict(o)
		require.EqualValues(t, 2, lost)
	})
	t.Run("a lossy stream may miss its tail only", func(t *testing.T) {
		o, s := newStream(true, 3)
		s.Received(conn, prioNormal, 1)
		o.Close()
		lost, _, failures := verdict(o)
		require.Zero(t, lost+failures)
		_, lossy := o.Missing()
		require.EqualValues(t, 2, lossy)
		s.Received(conn, prioNormal, 3)
		lost, _, _ = verdict(o)
		require.EqualValues(t, 1, lost)
	})
	t.Run("another connection", func(t *testing.T) {
		o, s := newStream(false, 2)
		s.Received(conn, prioNormal, 1)
		s.Received(other, prioNormal, 2)
		_, _, failures := verdict(o)
		require.EqualValues(t, 1, failures)
	})
}

type fakeConn struct {
	msg.Connection
	id uint64
}

func (fakeConn) String() string { return "conn" }

func TestPayload(t *testing.T) {
	m := newMessage(typeWrite, prioNormal, 7, payload{Object: 3, Gen: 5}, []byte("head"), []byte("data"))
	setSeq(m, 9)
	setEpoch(m, 11)
	require.Len(t, m.Front, payloadLen)
	p, err := decode(m)
	require.NoError(t, err)
	require.Equal(t, payload{Seq: 9, Epoch: 11, Object: 3, Gen: 5, Sum: p.Sum}, p)
	m.Data = []byte("dat4")
	_, err = decode(m)
	require.ErrorIs(t, err, errSum)
	for n := range m.Front {
		_, err := decode(&msg.Message{Front: m.Front[:n]})
		require.Error(t, err, n)
	}
}

func TestContents(t *testing.T) {
	c := newContents(1, []int{10, 1000})
	h, d := c.body(1, 2)
	require.True(t, c.is(1, 2, h, d))
	require.False(t, c.is(1, 3, h, d))
	require.False(t, c.is(2, 2, h, d))
	other := bytes.Clone(d)
	other[0]++
	require.False(t, c.is(1, 2, h, other))
}
