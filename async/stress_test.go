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
		{name: "stress stateful", server: msg.StatefulServer(), client: msg.LosslessClient(), servers: 8, clients: 16, ops: 2500, drop: 5, largest: 128 << 10},
		{name: "stress peer reuse", server: msg.LosslessPeerReuse(), client: msg.LosslessPeerReuse(), servers: 8, clients: 8, ops: 2500, drop: 10, largest: 64 << 10},
		{name: "inject stateful", server: msg.StatefulServer(), client: msg.LosslessClient(), servers: 4, clients: 8, ops: 2500, cut: 0.7, largest: 64 << 10},
		{name: "inject peer", server: msg.LosslessPeer(), client: msg.LosslessPeer(), servers: 4, clients: 4, ops: 2500, cut: 0.7, largest: 64 << 10},
		{name: "inject peer reuse", server: msg.LosslessPeerReuse(), client: msg.LosslessPeerReuse(), servers: 4, clients: 4, ops: 2500, cut: 0.7, largest: 64 << 10},
		{name: "inject stateless", server: msg.StatelessServer(), client: msg.LossyClient(), servers: 4, clients: 8, ops: 2500, cut: 0.3, largest: 64 << 10},
		{name: "inject and drop", server: msg.LosslessPeerReuse(), client: msg.LosslessPeerReuse(), servers: 4, clients: 4, ops: 2500, cut: 0.5, drop: 10, largest: 64 << 10},
		{name: "throttled", server: msg.StatefulServer(), client: msg.LosslessClient(), servers: 2, clients: 8, ops: 1600, cut: 0.5, largest: 64 << 10, throttle: 128 << 10},
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

// parcel is a message as its sender knows it.
type parcel struct{ node, conn, num uint64 }

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
	next     map[[2]uint64]uint64 // by sender's connection: the next number
	accepted map[parcel]bool
	ended    map[parcel]error
	arrived  map[parcel]uint64    // the receiver's connection, the last one
	last     map[[4]uint64]uint64 // by receiver's and sender's connection: the last number
	again    int                  // what arrived on another connection as well
	drops    bool
	reported int // HandleUndeliverable
	resets   int
}

func (o *oracle) fail(format string, args ...any) { o.t.Errorf(format, args...) }

func (n *stressNode) Dispatch(m *msg.Message) bool {
	o := n.o
	defer m.Release()
	if len(m.Front) != syntheticFront {
		o.fail("front of %d bytes", len(m.Front))
		return true
	}
	le := binary.LittleEndian
	p := parcel{le.Uint64(m.Front), le.Uint64(m.Front[8:]), le.Uint64(m.Front[16:])}
	if crc32.ChecksumIEEE(m.Data) != le.Uint32(m.Front[24:]) {
		o.fail("%v arrived damaged", p)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	on := m.Connection().ID()
	if was, ok := o.arrived[p]; ok {
		// A receiver that marked its connection down has forgotten what it got.
		if was == on || !o.drops {
			o.fail("%v arrived twice, on %d and %d", p, was, on)
		}
		o.again++
	}
	o.arrived[p] = on
	k := [4]uint64{n.id, on, p.node, p.conn}
	if last, ok := o.last[k]; ok && p.num <= last {
		o.fail("%v arrived after %d", p, last)
	}
	o.last[k] = p.num
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
	le := binary.LittleEndian
	p := parcel{le.Uint64(m.Front), le.Uint64(m.Front[8:]), le.Uint64(m.Front[16:])}
	o.mu.Lock()
	defer o.mu.Unlock()
	if e, ok := o.ended[p]; ok {
		o.fail("%v ended twice: %v, %v", p, e, err)
	}
	o.ended[p] = err
	o.l.notify()
}

// send sends the next message of a connection. One goroutine sends.
func (n *stressNode) send(c msg.Connection, data []byte) {
	o := n.o
	key := [2]uint64{n.id, c.ID()}
	o.mu.Lock()
	num := o.next[key]
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
		return
	}
	o.mu.Lock()
	o.next[key] = num + 1
	o.accepted[parcel{n.id, c.ID(), num}] = true
	o.mu.Unlock()
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
	o := &oracle{t: t, l: l, next: map[[2]uint64]uint64{}, accepted: map[parcel]bool{}, ended: map[parcel]error{},
		arrived: map[parcel]uint64{}, last: map[[4]uint64]uint64{}, drops: s.drop > 0}
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
			l.until("fewer in flight", func() bool {
				o.mu.Lock()
				defer o.mu.Unlock()
				return len(o.accepted)-len(o.ended) < 64
			})
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
	l.until("all ended", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return len(o.ended) == len(o.accepted)
	})
	if !lossy && s.drop == 0 {
		l.until("all arrived", func() bool {
			o.mu.Lock()
			defer o.mu.Unlock()
			return len(o.arrived) == len(o.accepted)
		})
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
	o.mu.Lock()
	defer o.mu.Unlock()
	good, bad := 0, 0
	for p, err := range o.ended {
		if err == nil {
			good++
		} else {
			bad++
		}
		require.True(t, o.accepted[p])
	}
	for p := range o.arrived {
		require.True(t, o.accepted[p], "%v was never sent", p)
	}
	require.EqualValues(t, good, delivered)
	require.EqualValues(t, bad, undeliverable)
	require.Equal(t, bad, o.reported)
	if !lossy && s.drop == 0 {
		require.Zero(t, bad)
		require.Zero(t, o.resets)
		require.Len(t, o.arrived, len(o.accepted))
	}
	t.Logf("%d accepted, %d arrived, %d undeliverable, %d resets, %d arrived again, %d cuts", len(o.accepted), len(o.arrived), bad, o.resets, o.again, cuts.Cuts())
}
