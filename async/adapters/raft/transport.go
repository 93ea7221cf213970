package raftmsgr

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/adapters/peer"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/asyncmsgr/asyncmsgr/async/stream"
	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/raft"
)

// Options of a Transport. The zero value works.
type Options struct {
	// PeerType is the type of the peers; 0: the messenger's own.
	PeerType entity.Type
	// Node is who calls, and Mux where the streams of snapshots come from; nil: new ones for
	// the messenger. A messenger has one of each, which several users may share.
	Node *rpc.Node
	Mux  *stream.Mux
	// Timeout bounds a request, and for how long a snapshot may stand still; 0 means 10 s.
	Timeout time.Duration
	// MaxInFlight is how many requests of a pipeline may be without their answers; 0 means 2,
	// as raft has it (see raft.NetworkTransportConfig.MaxRPCsInFlight).
	MaxInFlight int
	// OnePriority sends all at the same priority, to see what priorities are worth.
	OnePriority bool
}

// Transport is a raft.Transport, with raft.WithPreVote, raft.WithPeers and raft.WithClose.
// Any goroutine may call its methods.
type Transport struct {
	o     Options
	peers *peer.Peers
	ln    net.Listener
	rpcs  chan raft.RPC

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu        sync.Mutex
	heartbeat func(raft.RPC)
	pipelines map[*pipeline]struct{}
	apart     map[raft.ServerAddress]bool // whether a peer is cut off, see Disconnect
	alone     bool                        // whether those are that are not in apart
}

var _ raft.LoopbackTransport = (*Transport)(nil)

// New returns a transport on m, which is bound and not started, and whose policy for its
// peers should be msg.LosslessPeerReuse. Peers know the node by the first of m's addresses,
// as "host:port"; started anew, it has the same and the same name. m stays the caller's,
// to shut down after the node. A messenger has one Transport.
func New(m *async.Messenger, o Options) (*Transport, error) {
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.MaxInFlight < raft.DefaultMaxRPCsInFlight {
		o.MaxInFlight = raft.DefaultMaxRPCsInFlight
	}
	t := &Transport{
		o: o, rpcs: make(chan raft.RPC), pipelines: map[*pipeline]struct{}{}, apart: map[raft.ServerAddress]bool{},
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	var err error
	if t.peers, err = peer.New(m, o.PeerType, o.Mux); err == nil && o.Node == nil {
		t.o.Node, err = rpc.New(m, rpc.Options{})
	}
	if err == nil {
		err = t.serve()
	}
	if err == nil {
		t.ln, err = t.peers.Listen(service)
	}
	if err != nil {
		return nil, err
	}
	t.work.Go(t.accept)
	return t, nil
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

// AppendEntries implements raft.Transport. Heartbeats go at high priority.
func (t *Transport) AppendEntries(_ raft.ServerID, to raft.ServerAddress, args *raft.AppendEntriesRequest,
	resp *raft.AppendEntriesResponse) error {
	if isHeartbeat(args) {
		return call(t, to, heartbeat, msg.PriorityHigh, args, resp)
	}
	return call(t, to, appendEntries, msg.PriorityDefault, args, resp)
}

// isHeartbeat is how raft's own transport tells.
func isHeartbeat(a *raft.AppendEntriesRequest) bool {
	return a.Term != 0 && len(a.Addr)+len(a.Leader) > 0 && a.PrevLogEntry == 0 && a.PrevLogTerm == 0 &&
		len(a.Entries) == 0 && a.LeaderCommitIndex == 0
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
	if err := t.allowed(to); err != nil {
		return err
	}
	c, reach, done, err := t.peers.Connect(t.ctx, string(to))
	if err != nil {
		return err
	}
	defer done()
	r, err := m.Call(reach, t.o.Node, c, args, t.priority(prio), rpc.Timeout(t.o.Timeout))
	if err != nil {
		return peer.Why(reach, err)
	}
	*resp = *r
	return nil
}

func (t *Transport) priority(p uint8) rpc.CallOption {
	if t.o.OnePriority {
		p = 0
	}
	return rpc.Priority(p)
}

// InstallSnapshot implements raft.Transport: a stream with the request, the snapshot, and
// the answer, an error's text before it; at low priority.
func (t *Transport) InstallSnapshot(_ raft.ServerID, to raft.ServerAddress, args *raft.InstallSnapshotRequest,
	resp *raft.InstallSnapshotResponse, data io.Reader) error {
	if err := t.allowed(to); err != nil {
		return err
	}
	prio := uint8(msg.PriorityLow)
	if t.o.OnePriority {
		prio = 0
	}
	ctx, cancel := context.WithTimeout(t.ctx, t.o.Timeout)
	defer cancel()
	s, err := t.peers.Dial(ctx, string(to), service, prio)
	if err != nil {
		return err
	}
	defer s.Close()
	defer context.AfterFunc(t.ctx, func() { _ = s.Close() })()
	w := peer.Moving(s, t.o.Timeout)
	d, text := codec.NewDecoder(w, msgpack.handle), ""
	if err = codec.NewEncoder(w, msgpack.handle).Encode(args); err == nil {
		_, err = io.Copy(w, data)
	}
	if err == nil {
		err = errors.Join(d.Decode(&text), d.Decode(resp))
	}
	if text != "" {
		return errors.New(text)
	}
	return err
}

// accept takes the snapshots that peers install.
func (t *Transport) accept() {
	for {
		c, err := t.ln.Accept()
		if err != nil {
			return // closed
		}
		t.work.Go(func() {
			defer c.Close()
			defer context.AfterFunc(t.ctx, func() { _ = c.Close() })()
			t.takeSnapshot(peer.Moving(c, t.o.Timeout))
		})
	}
}

// takeSnapshot gives a snapshot to raft, and its answer to the sender.
func (t *Transport) takeSnapshot(c net.Conn) {
	req, text := new(raft.InstallSnapshotRequest), ""
	r := bufio.NewReaderSize(c, 64<<10)
	err := codec.NewDecoder(r, msgpack.handle).Decode(req)
	var resp any
	if err == nil {
		resp, err = t.handle(t.ctx, raft.RPC{Command: req, Reader: io.LimitReader(r, req.Size)}, false)
	}
	if err != nil {
		text = err.Error()
	}
	e := codec.NewEncoder(c, msgpack.handle)
	_ = errors.Join(e.Encode(text), e.Encode(resp)) // if the sender is gone nobody waits
}

// Close implements raft.WithClose: it ends what is under way. The messenger goes on.
func (t *Transport) Close() error {
	t.cancel()
	err := t.ln.Close()
	t.work.Wait()
	return err
}
