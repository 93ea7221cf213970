package etcdraftmsgr

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/adapters/peer"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/stream"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

const (
	typeMessage = msg.TypeEtcdRaftFirst
	owner       = "async/adapters/etcdraft"
	service     = "etcdraft"

	// proposalsMax bounds the proposals of peers that wait for a leader; more are dropped,
	// as raft allows, and logged.
	proposalsMax = 4096
)

// Raft is what a Transport needs of a raft.Node.
type Raft interface {
	Step(ctx context.Context, m *raftpb.Message) error
	ReportUnreachable(id uint64)
	ReportSnapshot(id uint64, status raft.SnapshotStatus)
}

// Options of a Transport. The zero value works.
type Options struct {
	// PeerType is the type of the peers; 0: the messenger's own.
	PeerType entity.Type
	// Mux is where the streams of snapshots come from; nil: a new one for the messenger. A
	// messenger has one Mux, which several users may share.
	Mux *stream.Mux
	// Life is for how long a message may wait to be sent; 0 means 1 s. Then it is dropped,
	// and its receiver reported as unreachable; raft sends again what matters.
	Life time.Duration
	// SnapshotTimeout bounds the sending of a snapshot; 0 means 10 min.
	SnapshotTimeout time.Duration
	// SnapshotMax bounds a snapshot that is received, in bytes; 0 means 1 GiB. A larger
	// one is refused, and the sender told so.
	SnapshotMax uint64
	// Logger; nil means slog.Default().
	Logger *slog.Logger
}

// Transport sends a node's messages and steps the node with those of its peers. Any
// goroutine may call its methods.
type Transport struct {
	m     *async.Messenger
	r     Raft
	o     Options
	peers *peer.Peers
	ln    net.Listener

	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	work      sync.WaitGroup
	proposals chan *raftpb.Message

	mu          sync.Mutex
	addrs       map[uint64]string
	unreachable map[uint64]bool // to be reported
	wake        chan struct{}
}

// New returns a transport for r on m, whose policy for its peers should be
// msg.LosslessPeerReuse. m stays the caller's; Close the Transport before it is shut down,
// and stop the node after that. The types of messages are reserved (msg.TypeEtcdRaftFirst).
func New(m *async.Messenger, r Raft, o Options) (*Transport, error) {
	if o.Life == 0 {
		o.Life = time.Second
	}
	if o.SnapshotTimeout == 0 {
		o.SnapshotTimeout = 10 * time.Minute
	}
	if o.SnapshotMax == 0 {
		o.SnapshotMax = 1 << 30
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	t := &Transport{
		m: m, r: r, o: o, addrs: map[uint64]string{}, unreachable: map[uint64]bool{},
		wake: make(chan struct{}, 1), proposals: make(chan *raftpb.Message, proposalsMax),
	}
	err := m.ReserveTypes(owner, msg.TypeEtcdRaftFirst, msg.TypeEtcdRaftLast)
	if err != nil {
		return nil, err
	}
	if t.peers, err = peer.New(m, o.PeerType, o.Mux); err == nil {
		t.ln, err = t.peers.Listen(service)
	}
	if err != nil {
		m.ReleaseTypes(owner, msg.TypeEtcdRaftFirst, msg.TypeEtcdRaftLast)
		return nil, err
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	m.AddDispatcherTail(dispatcher{t})
	t.work.Go(t.report)
	t.work.Go(t.propose)
	t.work.Go(t.accept)
	return t, nil
}

// AddPeer says where the node with that id is, "host:port"; a later call moves it.
func (t *Transport) AddPeer(id uint64, addr string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.addrs[id] = addr
}

// RemovePeer forgets a node: what is for it is not sent any more.
func (t *Transport) RemovePeer(id uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.addrs, id)
}

// Close ends the sending of snapshots, and the calls into the node, and returns when none
// is left.
func (t *Transport) Close() error {
	t.cancel()
	err := t.ln.Close()
	t.work.Wait()
	t.m.ReleaseTypes(owner, msg.TypeEtcdRaftFirst, msg.TypeEtcdRaftLast)
	return err
}

// Send sends messages to their receivers, as Ready gives them; it does not block, unless
// a receiver's host is a name. Those that are not sent are reported to the node.
func (t *Transport) Send(messages []*raftpb.Message) {
	for _, m := range messages {
		to := m.GetTo()
		if to == raft.None || t.ctx.Err() != nil {
			continue
		}
		if m.GetType() == raftpb.MsgSnap {
			t.work.Go(func() { t.sendSnapshot(m) })
		} else if err := t.send(m); err != nil {
			t.report1(to)
			t.o.Logger.Debug("etcdraftmsgr: not sent", "to", to, "type", m.GetType(), "reason", err)
		}
	}
}

// errNoPeer: AddPeer was not called for it.
var errNoPeer = errors.New("etcdraftmsgr: no address is known for that node")

func (t *Transport) addr(id uint64) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a, ok := t.addrs[id]; ok {
		return a, nil
	}
	return "", errNoPeer
}

func (t *Transport) send(m *raftpb.Message) error {
	addr, err := t.addr(m.GetTo())
	if err != nil {
		return err
	}
	c, _, done, err := t.peers.Connect(t.ctx, addr)
	if err != nil {
		return err
	}
	defer done()
	data, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	return c.Send(&msg.Message{
		Type: typeMessage, Priority: priority(m.GetType()), Data: data, TID: m.GetTo(), Notify: notifier{t},
		Deadline: time.Now().Add(t.o.Life),
	})
}

// priority of a message: what keeps a leader in office, or finds one, first.
func priority(t raftpb.MessageType) uint8 {
	switch t {
	case raftpb.MsgHeartbeat, raftpb.MsgHeartbeatResp, raftpb.MsgVote, raftpb.MsgVoteResp,
		raftpb.MsgPreVote, raftpb.MsgPreVoteResp, raftpb.MsgTimeoutNow:
		return msg.PriorityHigh
	}
	return msg.PriorityDefault
}

// report1 notes a node as unreachable; it does not block.
func (t *Transport) report1(id uint64) {
	t.mu.Lock()
	t.unreachable[id] = true
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// notifier hears of what was not delivered, on a worker.
type notifier struct{ t *Transport }

// MessageSent implements msg.Notifier.
func (n notifier) MessageSent(_ msg.Connection, m *msg.Message, err error) {
	if err != nil {
		n.t.report1(m.TID)
	}
}
