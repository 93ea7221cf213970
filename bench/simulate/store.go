package simulate

import (
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// The store: a quarter of the nodes are servers, each object has copies on three of
// them, and one that is written or read by way of any of the three. A write is
// acknowledged when two have it, a read asks two. Only one client writes an object,
// generation after generation, and any may read it. What servers have written
// survives their crashes.
const (
	storeActive   = 20 * time.Second
	storeCopies   = 3
	storeEnough   = 2
	storeOps      = 5_000 // of all clients, at most, about
	storePatience = 2 * time.Second
	storeThink    = 40 * time.Millisecond // between operations of a client, at least
	storeLargest  = 4 << 10

	typeWrite     = 0x631 // client to server
	typeRead      = 0x632
	typeDone      = 0x633 // and its answer, to either
	typeCopy      = 0x634 // server to server
	typeCopied    = 0x635
	typeFetch     = 0x636
	typeFetched   = 0x637
	storeFrontLen = 8 + 4 + 8 // operation, object, generation; the rest is content
)

type store struct {
	w       *world
	servers int
	disks   []map[uint32]object  // by server
	pending []map[uint64]*quorum // by server, in its memory
	clients []storeClient        // by node, the servers' are empty
	acked   []uint64             // by object: its last generation that was acknowledged
	tried   []uint64             // and that was written at all
	ops     uint64
	atWork  int // clients with an operation
	writes  int
	reads   int
	again   int // operations that were tried again
}

// object is one copy.
type object struct {
	generation uint64
	content    []byte
}

// quorum is an operation of a server that waits for others.
type quorum struct {
	client int
	conn   msg.Connection
	op     uint64
	object uint32
	need   int
	newest object
}

// storeClient does one operation at a time.
type storeClient struct {
	op         uint64 // 0: none
	write      bool
	object     uint32
	generation uint64
	floor      uint64 // what a read has to return at least
	try        int
}

func newStore(w *world) scenario { return &store{w: w, servers: max(storeCopies, w.cfg.Nodes/4)} }

func (s *store) options() asynctest.Options {
	return asynctest.Options{
		Network: simnet.Config{
			Link: simnet.LinkConfig{Latency: simnet.Exponential(200*time.Microsecond, time.Millisecond)},
		},
		Name: func(i int) entity.Name {
			if i < s.servers {
				return entity.OSD(int64(i))
			}
			return entity.Client(int64(i))
		},
		Client: func(i int) bool { return i >= s.servers },
		Setup: func(n *asynctest.Node) {
			if n.Index >= s.servers {
				n.SetDefaultPolicy(msg.LossyClient())
				return
			}
			n.SetDefaultPolicy(msg.LosslessPeer())
			n.SetPolicy(entity.TypeClient, msg.StatelessServer())
		},
	}
}

func (s *store) active() time.Duration { return storeActive }

func (s *store) faults() (int, []faultKind) { return 20 + s.w.cfg.Nodes/10, allFaults }

// victim is a node that may die: of three servers with the same object, two live.
func (s *store) victim() int {
	i := s.w.faults.node()
	if i < s.servers {
		for d := 1 - storeCopies; d < storeCopies; d++ {
			if s.w.c.Nodes[(i+d+s.servers)%s.servers].Down {
				return -1
			}
		}
	}
	return i
}

func (s *store) begin() {
	n := s.w.cfg.Nodes
	s.disks, s.pending = make([]map[uint32]object, s.servers), make([]map[uint64]*quorum, s.servers)
	s.clients = make([]storeClient, n)
	for i := range s.servers {
		s.disks[i], s.pending[i] = map[uint32]object{}, map[uint64]*quorum{}
	}
	s.acked, s.tried = make([]uint64, n-s.servers), make([]uint64, n-s.servers)
	s.w.faults.victim = s.victim
	s.w.reset = func(i int, _ msg.Connection) {
		if i >= s.servers {
			s.retry(i, s.clients[i].op)
		}
	}
	for i := s.servers; i < n; i++ {
		s.think(i)
	}
}

// think has a client do something in a while.
func (s *store) think(i int) {
	pause := max(storeThink, storeActive*time.Duration(len(s.acked))/storeOps)
	life := s.w.oracle.nodes[i].life
	s.w.net.After(pause/2+time.Duration(s.w.rnd.Int64N(int64(pause)+1)), func() {
		if s.w.busy && s.w.oracle.nodes[i].life == life && !s.w.c.Nodes[i].Down {
			s.operate(i)
		}
	})
}

// operate begins an operation: a write of the client's own object, or a read of any.
func (s *store) operate(i int) {
	s.ops++
	c := storeClient{op: s.ops, write: s.w.rnd.IntN(2) == 0, object: uint32(i - s.servers)}
	if c.write {
		s.tried[c.object]++
		c.generation = s.tried[c.object]
	} else {
		c.object = uint32(s.w.rnd.IntN(len(s.acked)))
		c.floor = s.acked[c.object]
	}
	s.clients[i] = c
	s.atWork++
	s.attempt(i)
}

// attempt asks the next of the object's servers.
func (s *store) attempt(i int) {
	c := &s.clients[i]
	server := s.server(c.object, c.try)
	typ, body := uint16(typeRead), []byte(nil)
	if c.write {
		typ, body = typeWrite, content(c.object, c.generation)
	}
	err := s.w.send(i, server, typ, 0, pack(c.op, c.object, c.generation, body))
	op, try := c.op, c.try
	d := storePatience
	if err != nil {
		d /= 10
	}
	s.w.net.After(d, func() {
		if c := &s.clients[i]; c.op != op || c.try != try || s.w.c.Nodes[i].Down {
			return
		}
		if conn := s.w.c.Nodes[i].Lookup(s.w.c.Nodes[server].Addrs()); conn != nil && try%2 == 1 {
			s.w.oracle.close(i, conn)
			conn.MarkDown()
		}
		s.retry(i, op)
	})
}

// retry tries an operation again, if it is still the present one.
func (s *store) retry(i int, op uint64) {
	if c := &s.clients[i]; op != 0 && c.op == op && !s.w.c.Nodes[i].Down {
		c.try++
		s.again++
		s.w.net.After(0, func() {
			if s.clients[i].op == op && !s.w.c.Nodes[i].Down {
				s.attempt(i)
			}
		})
	}
}

// server is one of those that have an object.
func (s *store) server(object uint32, k int) int {
	return (int(object)*7 + k%storeCopies) % s.servers
}

func pack(op uint64, object uint32, generation uint64, body []byte) []byte {
	b := make([]byte, 0, storeFrontLen+len(body))
	b = le.AppendUint64(b, op)
	b = le.AppendUint32(b, object)
	b = le.AppendUint64(b, generation)
	return append(b, body...)
}

// content is what a generation of an object is.
func content(object uint32, generation uint64) []byte {
	b := make([]byte, (uint64(object)*131+generation*977)%storeLargest)
	for i := range b {
		b[i] = byte(uint64(object)*7 + generation*13 + uint64(i))
	}
	return b
}

func (s *store) message(n *asynctest.Node, h header, m *msg.Message) {
	op, obj, generation := le.Uint64(m.Data), le.Uint32(m.Data[8:]), le.Uint64(m.Data[12:])
	i, body := n.Index, m.Data[storeFrontLen:]
	switch m.Type {
	case typeWrite, typeRead:
		s.serve(i, int(h.from), m, op, obj, generation, body)
	case typeCopy:
		s.keep(i, obj, generation, body)
		_ = s.w.send(i, int(h.from), typeCopied, 0, pack(op, obj, generation, nil))
	case typeFetch:
		mine := s.disks[i][obj]
		_ = s.w.send(i, int(h.from), typeFetched, 0, pack(op, obj, mine.generation, mine.content))
	case typeCopied, typeFetched:
		if q := s.pending[i][op]; q != nil {
			if m.Type == typeFetched && generation > q.newest.generation {
				q.newest = object{generation, append([]byte(nil), body...)}
			}
			q.need--
			s.answer(i, op, q)
		}
	case typeDone:
		s.finish(i, op, generation, body)
	}
	m.Release()
}

// serve begins an operation on a server.
func (s *store) serve(i, client int, m *msg.Message, op uint64, obj uint32, generation uint64, body []byte) {
	q := &quorum{client: client, conn: m.Connection(), op: op, object: obj, need: storeEnough - 1,
		newest: s.disks[i][obj]}
	s.ops++
	s.pending[i][s.ops] = q
	typ, data := uint16(typeFetch), pack(s.ops, obj, 0, nil)
	if m.Type == typeWrite {
		s.keep(i, obj, generation, body)
		q.newest = object{generation: generation}
		typ, data = typeCopy, pack(s.ops, obj, generation, body)
	}
	for k := range storeCopies {
		if other := s.server(obj, k); other != i {
			_ = s.w.send(i, other, typ, 0, data)
		}
	}
}

// keep writes a copy, if it is newer than what is there.
func (s *store) keep(i int, obj uint32, generation uint64, body []byte) {
	if generation > s.disks[i][obj].generation {
		s.disks[i][obj] = object{generation, append([]byte(nil), body...)}
	}
}

// answer answers the client when enough servers have answered.
func (s *store) answer(i int, op uint64, q *quorum) {
	if q.need > 0 {
		return
	}
	delete(s.pending[i], op)
	if !q.conn.IsClosed() {
		_ = s.w.oracle.send(q.conn, i, q.client, typeDone, 0,
			pack(q.op, q.object, q.newest.generation, q.newest.content))
	}
}

// finish ends a client's operation.
func (s *store) finish(i int, op, generation uint64, body []byte) {
	c := &s.clients[i]
	if c.op != op {
		return // the answer to an earlier attempt came before
	}
	switch obj := c.object; {
	case c.write:
		s.writes++
		s.acked[obj] = max(s.acked[obj], c.generation)
	case generation < c.floor || generation > s.tried[obj]:
		s.w.violated("app", "object %d: read generation %d, %d was acknowledged before, %d is the last written",
			obj, generation, c.floor, s.tried[obj])
	case generation > 0 && string(body) != string(content(obj, generation)):
		s.w.violated("app", "object %d: generation %d is not what was written", obj, generation)
	default:
		s.reads++
	}
	c.op = 0
	s.atWork--
	s.think(i)
}

// restarted: a server has its disk, a client nothing.
func (s *store) restarted(i int) {
	if i < s.servers {
		s.pending[i] = map[uint64]*quorum{}
		return
	}
	if s.clients[i].op != 0 {
		s.atWork--
	}
	s.clients[i] = storeClient{}
	s.think(i)
}

func (s *store) done() bool { return !s.w.busy && s.atWork == 0 }

// check: of each object, two copies are as new as what was acknowledged.
func (s *store) check() {
	for obj, generation := range s.acked {
		have := 0
		for k := range storeCopies {
			mine := s.disks[s.server(uint32(obj), k)][uint32(obj)]
			if mine.generation >= generation {
				have++
			}
			if mine.generation > 0 && string(mine.content) != string(content(uint32(obj), mine.generation)) {
				s.w.violated("app", "object %d: a copy is not what was written", obj)
			}
		}
		if have < storeEnough {
			s.w.violated("app", "object %d: generation %d was acknowledged, and %d servers have it",
				obj, generation, have)
		}
	}
	s.w.note("%d writes, %d reads; %d operations were tried again; %d servers", s.writes, s.reads, s.again, s.servers)
}
