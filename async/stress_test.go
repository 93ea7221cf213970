package async

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest/faultkit"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest/promise"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// TestSynthetic: Ceph's SyntheticStress and SyntheticInject in small. Servers and
// clients connect, send, mark down; connections are cut at random bytes. What is
// checked: contents, order, at most once, nothing invented; every accepted message
// has exactly one end; on lossless sessions that nobody marked down every
// message arrives; the throttles are empty in the end.
// SYNTHETIC_SEED repeats a run's choices.
func TestSynthetic(t *testing.T) {
	for _, test := range []synthetic{
		{name: "stress stateful", server: msg.StatefulServer(), client: msg.LosslessClient(), servers: 8, clients: 16,
			ops: 2500, drop: 5, largest: 128 << 10},
		{name: "stress peer reuse", server: msg.LosslessPeerReuse(), client: msg.LosslessPeerReuse(), servers: 8,
			clients: 8, ops: 2500, drop: 10, largest: 64 << 10},
		{name: "inject stateful", server: msg.StatefulServer(), client: msg.LosslessClient(), servers: 4, clients: 8,
			ops: 2500, cut: 0.7, largest: 64 << 10},
		{name: "inject peer", server: msg.LosslessPeer(), client: msg.LosslessPeer(), servers: 4, clients: 4, ops: 2500,
			cut: 0.7, largest: 64 << 10},
		{name: "inject peer reuse", server: msg.LosslessPeerReuse(), client: msg.LosslessPeerReuse(), servers: 4,
			clients: 4, ops: 2500, cut: 0.7, largest: 64 << 10},
		{name: "inject stateless", server: msg.StatelessServer(), client: msg.LossyClient(), servers: 4, clients: 8,
			ops: 2500, cut: 0.3, largest: 64 << 10},
		{name: "inject and drop", server: msg.LosslessPeerReuse(), client: msg.LosslessPeerReuse(), servers: 4,
			clients: 4, ops: 2500, cut: 0.5, drop: 10, largest: 64 << 10},
		{name: "throttled", server: msg.StatefulServer(), client: msg.LosslessClient(), servers: 2, clients: 8,
			ops: 1600, cut: 0.5, largest: 64 << 10, throttle: 128 << 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			seed := rand.Uint64()
			if s := os.Getenv("SYNTHETIC_SEED"); s != "" {
				var err error
				seed, err = strconv.ParseUint(s, 10, 64)
				require.NoError(t, err)
			}
			t.Logf("seed %d", seed)
			test.run(t, seed)
		})
	}
}

type synthetic struct {
	name             string
	server, client   msg.Policy
	servers, clients int
	ops              int
	cut              float64 // of connections that break
	drop             int     // percent of operations that mark down
	largest          int     // payload
	throttle         int64   // dispatch throttle; 0: the default
}

// The front of a message: who sent it (node, connection), its number on that
// connection, and a checksum of its data.
const syntheticFront = 8 + 8 + 8 + 4

// stressNode is one messenger of the test; it is its dispatcher and notifier.
type stressNode struct {
	*Messenger
	o  *oracle
	id uint64
}

// oracle knows what was accepted, what arrived and how each sending ended.
type oracle struct {
	t        *testing.T
	l        *lab
	mu       sync.Mutex
	flows    map[[2]uint64]*promise.Delivery // by the sender's node and connection
	reported int                             // HandleUndeliverable
	resets   int
}

// flow is the flow of a message, and its number there.
func (o *oracle) flow(m *msg.Message) (*promise.Delivery, uint64) {
	le := binary.LittleEndian
	return o.flows[[2]uint64{le.Uint64(m.Front), le.Uint64(m.Front[8:])}], le.Uint64(m.Front[16:])
}

// sum is of all flows.
func (o *oracle) sum() (s promise.Delivery) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, d := range o.flows {
		s.Sent, s.Arrived, s.Repeated = s.Sent+d.Sent, s.Arrived+d.Arrived, s.Repeated+d.Repeated
		s.Ended, s.Failed = s.Ended+d.Ended, s.Failed+d.Failed
	}
	return s
}

func (o *oracle) none(broken []promise.Breach) {
	if len(broken) > 0 {
		o.t.Error(broken)
	}
}

func (n *stressNode) Dispatch(m *msg.Message) bool {
	o := n.o
	defer m.Release()
	if len(m.Front) != syntheticFront {
		o.t.Errorf("front of %d bytes", len(m.Front))
		return true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	d, num := o.flow(m)
	if d == nil || crc32.ChecksumIEEE(m.Data) != binary.LittleEndian.Uint32(m.Front[24:]) {
		o.t.Errorf("number %d arrived damaged", num)
		return true
	}
	o.none(d.Arrive(num, promise.Receiver{Conn: m.Connection().ID()}))
	o.l.notify()
	return true
}

func (n *stressNode) HandleReset(msg.Connection, error) bool {
	n.o.mu.Lock()
	n.o.resets++
	n.o.mu.Unlock()
	return true
}

func (n *stressNode) HandleUndeliverable(c msg.Connection, m *msg.Message, err error) {
	n.o.mu.Lock()
	n.o.reported++
	n.o.mu.Unlock()
}

func (n *stressNode) MessageSent(_ msg.Connection, m *msg.Message, err error) {
	o := n.o
	o.mu.Lock()
	defer o.mu.Unlock()
	d, num := o.flow(m)
	o.none(d.End(num, err))
	o.l.notify()
}

// send sends the next message of a connection. One goroutine sends.
func (n *stressNode) send(c msg.Connection, data []byte) {
	o := n.o
	key := [2]uint64{n.id, c.ID()}
	o.mu.Lock()
	d := o.flows[key]
	if d == nil {
		d = &promise.Delivery{}
		o.flows[key] = d
	}
	num := d.Send()
	o.mu.Unlock()
	le := binary.LittleEndian
	m := msg.New(1000, syntheticFront)
	le.PutUint64(m.Front, n.id)
	le.PutUint64(m.Front[8:], c.ID())
	le.PutUint64(m.Front[16:], num)
	le.PutUint32(m.Front[24:], crc32.ChecksumIEEE(data))
	m.Data, m.Notify = data, n
	if c.Send(m) != nil {
		m.Release()
		o.mu.Lock()
		d.Unsend()
		o.mu.Unlock()
	}
}

func (s synthetic) run(t *testing.T, seed uint64) {
	l := newLab(t)
	var mu sync.Mutex // of chance, where workers ask for it
	chance := rand.New(rand.NewPCG(seed, 2))
	cuts := faultkit.NewCutStack(l.stack, faultkit.CutConfig{Plan: func(bool) (c faultkit.Cut, cut bool) {
		mu.Lock()
		defer mu.Unlock()
		c = faultkit.Cut{Dir: faultkit.CutDir(chance.IntN(2)), After: chance.Int64N(int64(s.largest))}
		return c, chance.Float64() < s.cut
	}})
	rnd := rand.New(rand.NewPCG(seed, 1))
	o := &oracle{t: t, l: l, flows: map[[2]uint64]*promise.Delivery{}}
	var nodes []*stressNode
	for i := range s.servers + s.clients {
		isServer := i < s.servers
		p, name := s.client, entity.Client(int64(i))
		if isServer {
			p, name = s.server, entity.OSD(int64(i))
		}
		n := &stressNode{o: o, id: uint64(i)}
		ln := l.node(name, p, func(c *Config) {
			c.Stack = cuts.Stack()
			c.DispatchWidth = []int{1, 4, 16}[i%3]
			c.DispatchThrottleBytes = s.throttle
		})
		n.Messenger = ln.Messenger
		n.AddDispatcherHead(n)
		if isServer || !s.server.Server {
			require.NoError(t, n.Bind(local))
		}
		require.NoError(t, n.Start())
		nodes = append(nodes, n)
	}
	payloads := make([][]byte, 50)
	for i := range payloads {
		size := 32 << rnd.IntN(16)
		payloads[i] = pattern(i, rnd.IntN(min(size, s.largest)+1))
	}
	for range s.ops {
		from := nodes[s.servers+rnd.IntN(s.clients)]
		to := nodes[rnd.IntN(s.servers)]
		if !s.server.Server && rnd.IntN(2) == 0 {
			from, to = to, from
		}
		c, err := from.ConnectTo(to.Name().Type, to.Addrs())
		if err != nil {
			t.Fatal(err)
		}
		if s.server.Server && rnd.IntN(10) == 0 { // the other direction
			if back := to.Lookup(from.Addrs()); back != nil {
				to.send(back, payloads[rnd.IntN(len(payloads))])
			}
		}
		if rnd.IntN(100) < s.drop {
			c.MarkDown()
			continue
		}
		from.send(c, payloads[rnd.IntN(len(payloads))])
		if rnd.IntN(50) == 0 { // let it settle now and then
			l.until("fewer in flight", func() bool { sum := o.sum(); return sum.Sent-sum.Ended < 64 })
		}
	}
	if s.cut > 0 {
		require.NotZero(t, cuts.Cuts())
	}
	cuts.Calm(true)
	// A server that waits for a client that marked it down hears of it when that
	// comes again.
	if s.drop > 0 {
		for _, from := range nodes[s.servers:] {
			for _, to := range nodes[:s.servers] {
				c, err := from.ConnectTo(to.Name().Type, to.Addrs())
				require.NoError(t, err)
				from.send(c, nil)
			}
		}
	}
	lossy := s.server.Lossy
	l.until("all ended", func() bool { sum := o.sum(); return sum.Ended == sum.Sent })
	if !lossy && s.drop == 0 {
		l.until("all arrived", func() bool { sum := o.sum(); return sum.Missing() == 0 })
	}
	var delivered, undeliverable uint64
	for _, n := range nodes {
		require.NoError(t, n.Shutdown(timeout(t)))
		st := n.Stats()
		delivered += st.Delivered
		undeliverable += st.Undeliverable
		require.Zero(t, st.DispatchBytes)
		require.Zero(t, st.Panics)
	}
	sum := o.sum()
	o.mu.Lock()
	defer o.mu.Unlock()
	require.Equal(t, sum.Ended-sum.Failed, delivered)
	require.Equal(t, sum.Failed, undeliverable)
	require.EqualValues(t, sum.Failed, o.reported)
	for _, d := range o.flows {
		switch {
		case lossy:
			o.none(d.Prefix())
		case s.drop == 0:
			o.none(d.ExactlyOnce())
		default: // a receiver that marked its connection down has forgotten what it got
			o.none(d.Unended())
		}
	}
	if !lossy && s.drop == 0 {
		require.Zero(t, o.resets)
	}
	t.Logf("%d accepted, %d arrived, %d undeliverable, %d resets, %d arrived again, %d cuts",
		sum.Sent, sum.Arrived-sum.Repeated, sum.Failed, o.resets, sum.Repeated, cuts.Cuts())
}
