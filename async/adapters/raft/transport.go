package raftmsgr

import (
	"cmp"
	"context"
	"io"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/adapters/peer"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/hashicorp/raft"
)

// Options of a Transport. The zero value works.
type Options struct {
	// PeerType is the type of the peers; 0: the messenger's own.
	PeerType entity.Type
	// Node is who calls; nil: a new one for the messenger. A messenger has one, which
	// several users may share.
	Node *rpc.Node
	// Timeout bounds a request; 0 means 10 s. A snapshot has that for each 256 KiB, as with
	// raft.NetworkTransport.
	Timeout time.Duration
	// MaxInFlight is how many requests of a pipeline may be without their answers; 0 means 2,
	// as raft has it (see raft.NetworkTransportConfig.MaxRPCsInFlight).
	MaxInFlight int
	// SnapshotPriority is that of snapshots; 0 means msg.PriorityLow.
	SnapshotPriority uint8
}

// Transport is a raft.Transport, with raft.WithPreVote and raft.WithClose. Any goroutine may
// call its methods.
type Transport struct {
	o      Options
	peers  *peer.Peers
	rpcs   chan raft.RPC
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu        sync.Mutex
	heartbeat func(raft.RPC)
}

var _ interface {
	raft.Transport
	raft.WithPreVote
	raft.WithClose
} = (*Transport)(nil)

// New returns a transport on m, which is bound and not started, and whose policy for its
// peers should be msg.LosslessPeerReuse. Peers know the node by the first of m's addresses,
// as "host:port"; started anew, it has the same and the same name. m stays the caller's,
// to shut down after the node. A messenger has one Transport.
func New(m *async.Messenger, o Options) (*Transport, error) {
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	if o.MaxInFlight < raft.DefaultMaxRPCsInFlight { // raft's own max hides Go's when its tests compile this
		o.MaxInFlight = raft.DefaultMaxRPCsInFlight
	}
	o.SnapshotPriority = cmp.Or(o.SnapshotPriority, msg.PriorityLow)
	peers, err := peer.New(m, o.PeerType, nil)
	if err == nil && o.Node == nil {
		o.Node, err = rpc.New(m, rpc.Options{})
	}
	if err != nil {
		return nil, err
	}
	t := &Transport{o: o, peers: peers, rpcs: make(chan raft.RPC)}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t, t.serve()
}

// LocalAddr implements raft.Transport.
func (t *Transport) LocalAddr() raft.ServerAddress {
	return raft.ServerAddress(t.peers.Addr().String())
}

// Consumer implements raft.Transport.
func (t *Transport) Consumer() <-chan raft.RPC { return t.rpcs }

// EncodePeer implements raft.Transport.
func (t *Transport) EncodePeer(_ raft.ServerID, a raft.ServerAddress) []byte { return []byte(a) }

// DecodePeer implements raft.Transport.
func (t *Transport) DecodePeer(b []byte) raft.ServerAddress { return raft.ServerAddress(b) }

// SetHeartbeatHandler implements raft.Transport.
func (t *Transport) SetHeartbeatHandler(f func(raft.RPC)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heartbeat = f
}

// AppendEntries implements raft.Transport. Heartbeats go at high priority; what is one is
// told as raft's own transport tells.
func (t *Transport) AppendEntries(_ raft.ServerID, to raft.ServerAddress, a *raft.AppendEntriesRequest,
	resp *raft.AppendEntriesResponse) error {
	if a.Term != 0 && len(a.Addr)+len(a.Leader) > 0 && a.PrevLogEntry == 0 && a.PrevLogTerm == 0 &&
		len(a.Entries) == 0 && a.LeaderCommitIndex == 0 {
		return call(t, to, heartbeat, msg.PriorityHigh, a, resp)
	}
	return call(t, to, appendEntries, msg.PriorityDefault, a, resp)
}

// RequestVote implements raft.Transport.
func (t *Transport) RequestVote(_ raft.ServerID, to raft.ServerAddress, args *raft.RequestVoteRequest,
	resp *raft.RequestVoteResponse) error {
	return call(t, to, vote, msg.PriorityHigh, args, resp)
}

// RequestPreVote implements raft.WithPreVote.
func (t *Transport) RequestPreVote(_ raft.ServerID, to raft.ServerAddress, args *raft.RequestPreVoteRequest,
	resp *raft.RequestPreVoteResponse) error {
	return call(t, to, preVote, msg.PriorityHigh, args, resp)
}

// TimeoutNow implements raft.Transport.
func (t *Transport) TimeoutNow(_ raft.ServerID, to raft.ServerAddress, args *raft.TimeoutNowRequest,
	resp *raft.TimeoutNowResponse) error {
	return call(t, to, timeoutNow, msg.PriorityHigh, args, resp)
}

// call makes a request. It fails at once when the peer's host refuses the connection.
func call[Req, Resp any](t *Transport, to raft.ServerAddress, m rpc.Method[Req, Resp], prio uint8,
	args *Req, resp *Resp) error {
	c, reach, done, err := t.peers.Connect(t.ctx, string(to))
	if err != nil {
		return err
	}
	defer done()
	r, err := m.Call(reach, t.o.Node, c, args, rpc.Priority(prio), rpc.Timeout(t.o.Timeout))
	if err == nil {
		*resp = *r
	}
	return peer.Why(reach, err)
}

// InstallSnapshot implements raft.Transport: the snapshot follows the request, in chunks.
func (t *Transport) InstallSnapshot(_ raft.ServerID, to raft.ServerAddress, args *raft.InstallSnapshotRequest,
	resp *raft.InstallSnapshotResponse, data io.Reader) error {
	req, err := msgpack.Append(nil, args)
	if err != nil {
		return err
	}
	c, reach, done, err := t.peers.Connect(t.ctx, string(to))
	if err != nil {
		return err
	}
	defer done()
	limit := t.o.Timeout * time.Duration(1+args.Size/raft.DefaultTimeoutScale)
	r, err := t.o.Node.CallBody(reach, c, installSnapshot.Type, req, data,
		rpc.Priority(t.o.SnapshotPriority), rpc.Timeout(limit), rpc.Background())
	if err != nil {
		return peer.Why(reach, err)
	}
	_ = r.Body.Close() // it has none
	return msgpack.Unmarshal(r.Reply, resp)
}

// Close implements raft.WithClose: it ends what is under way. The messenger goes on.
func (t *Transport) Close() error {
	t.cancel()
	t.work.Wait()
	return nil
}
