package etcdraftmsgr

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/adapters/peer"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

const (
	typeMessage  = msg.TypeEtcdRaftFirst
	typeSnapshot = msg.TypeEtcdRaftFirst + 1 // of requests
	owner        = "async/adapters/etcdraft"

	// snapshotsMax bounds the snapshots that are received at a time; as many again wait.
	snapshotsMax = 2

	// proposalsMax bounds the proposals of peers that wait for a leader; more are dropped,
	// as raft allows, and logged.
	proposalsMax = 4096
	// lostMax bounds the reports of unreachable nodes that the node has not taken.
	lostMax = 1024
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
	// Node is who sends snapshots, as requests; nil: a new one for the messenger. A
	// messenger has one, which several users may share.
	Node *rpc.Node
	// Life is for how long a message may wait to be sent; 0 means 1 s. Then it is dropped,
	// and its receiver reported as unreachable; raft sends again what matters.
	Life time.Duration
	// SnapshotTimeout bounds the sending of a snapshot; 0 means 10 min.
	SnapshotTimeout time.Duration
	// SnapshotMax bounds a snapshot that is received, in bytes; 0 means 1 GiB. A larger
	// one is refused, and the sender told so.
	SnapshotMax int64
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

	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	work      sync.WaitGroup
	proposals chan *raftpb.Message
	lost      chan uint64 // who is to be reported as unreachable

	mu    sync.Mutex
	addrs map[uint64]string
}

// New returns a transport for r on m, whose policy for its peers should be
// msg.LosslessPeerReuse, before m is started. m stays the caller's; Close the Transport before
// it is shut down, and stop the node after that. The types of messages are reserved (msg.TypeEtcdRaftFirst).
func New(m *async.Messenger, r Raft, o Options) (*Transport, error) {
	o.Life = cmp.Or(o.Life, time.Second)
	o.SnapshotTimeout = cmp.Or(o.SnapshotTimeout, 10*time.Minute)
	o.SnapshotMax = cmp.Or(o.SnapshotMax, 1<<30)
	o.Logger = cmp.Or(o.Logger, slog.Default())
	t := &Transport{
		m: m, r: r, o: o, addrs: map[uint64]string{},
		proposals: make(chan *raftpb.Message, proposalsMax), lost: make(chan uint64, lostMax),
	}
	err := m.ReserveTypes(owner, msg.TypeEtcdRaftFirst, msg.TypeEtcdRaftLast)
	if err != nil {
		return nil, err
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	if t.peers, err = peer.New(m, o.PeerType, nil); err == nil && o.Node == nil {
		t.o.Node, err = rpc.New(m, rpc.Options{})
	}
	if err == nil {
		err = t.o.Node.HandleRaw(typeSnapshot, t.takeSnapshot, rpc.Concurrent(snapshotsMax))
	}
	if err != nil {
		m.ReleaseTypes(owner, msg.TypeEtcdRaftFirst, msg.TypeEtcdRaftLast)
		return nil, err
	}
	m.AddDispatcherTail(dispatcher{t})
	t.work.Go(t.report)
	t.work.Go(t.propose)
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
	t.work.Wait()
	t.m.ReleaseTypes(owner, msg.TypeEtcdRaftFirst, msg.TypeEtcdRaftLast)
	return nil
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
			t.unreachable(to)
			t.o.Logger.Debug("etcdraftmsgr: not sent", "to", to, "type", m.GetType(), "reason", err)
		}
	}
}

// errNoPeer: AddPeer was not called for it.
var errNoPeer = errors.New("etcdraftmsgr: no address is known for that node")

// connect is peer.Peers.Connect by a node's id.
func (t *Transport) connect(id uint64) (msg.Connection, context.Context, context.CancelFunc, error) {
	t.mu.Lock()
	addr, ok := t.addrs[id]
	t.mu.Unlock()
	if !ok {
		return nil, nil, nil, errNoPeer
	}
	return t.peers.Connect(t.ctx, addr)
}

func (t *Transport) send(m *raftpb.Message) error {
	data, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	c, reach, done, err := t.connect(m.GetTo())
	if err != nil {
		return err
	}
	defer done()
	if m.GetType() == raftpb.MsgSnap {
		r, err := t.o.Node.CallBody(reach, c, typeSnapshot, nil, bytes.NewReader(data),
			rpc.Priority(msg.PriorityLow), rpc.Timeout(t.o.SnapshotTimeout), rpc.Background())
		if err == nil {
			err = r.Body.Close() // it has none
		}
		return peer.Why(reach, err)
	}
	return c.Send(&msg.Message{
		Type: typeMessage, Priority: priority(m.GetType()), Data: data, TID: m.GetTo(), Notify: msg.NotifyFunc(t.sent),
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

// unreachable has a node reported; it does not block.
func (t *Transport) unreachable(id uint64) {
	select {
	case t.lost <- id:
	default: // the next message that is not delivered will tell
	}
}

// sent hears how the sending of a message ended, on a worker.
func (t *Transport) sent(_ msg.Connection, m *msg.Message, err error) {
	if err != nil {
		t.unreachable(m.TID)
	}
}
