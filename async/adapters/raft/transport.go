package raftmsgr

import (
	"context"
	"errors"
	"fmt"
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
	"github.com/hashicorp/raft"
)

// The types of requests.
const (
	typeAppend = msg.TypeRaftFirst + iota
	typeHeartbeat
	typeVote
	typePreVote
	typeTimeoutNow
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
	local raft.ServerAddress
	ln    net.Listener
	rpcs  chan raft.RPC

	ctx    context.Context // ends with Close
	cancel context.CancelCauseFunc
	work   sync.WaitGroup

	mu        sync.Mutex
	heartbeat func(raft.RPC)
	pipelines map[*pipeline]struct{}
	apart     map[raft.ServerAddress]bool // Connect, Disconnect: whether it is cut off
	alone     bool                        // DisconnectAll: all are that are not in apart
}

var _ raft.LoopbackTransport = (*Transport)(nil)

// New returns a transport on m, which is bound and not started, and whose policy for its
// peers should be msg.LosslessPeerReuse. Peers know the node by the first of m's addresses,
// as "host:port"; started anew, it has the same and the same name. m stays the caller's,
// to shut down after the node. A messenger has one Transport.
func New(m *async.Messenger, o Options) (*Transport, error) {
	if o.PeerType == 0 {
		o.PeerType = m.Name().Type
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	o.MaxInFlight = max(o.MaxInFlight, raft.DefaultMaxRPCsInFlight)
	at := peer.Net(m.Addrs())
	if at == nil {
		return nil, errors.New("raftmsgr: the messenger is not bound: peers could not reach it")
	}
	t := &Transport{
		o: o, local: raft.ServerAddress(at.String()), rpcs: make(chan raft.RPC),
		pipelines: map[*pipeline]struct{}{}, apart: map[raft.ServerAddress]bool{},
	}
	t.ctx, t.cancel = context.WithCancelCause(context.Background())
	var err error
	if t.peers, err = peer.New(m, o.PeerType); err == nil && o.Node == nil {
		t.o.Node, err = rpc.New(m, rpc.Options{})
	}
	if err == nil && o.Mux == nil {
		t.o.Mux, err = stream.New(m, stream.Options{})
	}
	if err == nil {
		err = t.serve()
	}
	if err == nil {
		t.ln, err = t.o.Mux.Listen("raft")
	}
	if err != nil {
		return nil, err
	}
	t.work.Go(t.accept)
	return t, nil
}

// LocalAddr implements raft.Transport.
func (t *Transport) LocalAddr() raft.ServerAddress { return t.local }

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
		return t.call(to, typeHeartbeat, msg.PriorityHigh, args, resp)
	}
	return t.call(to, typeAppend, msg.PriorityDefault, args, resp)
}

// isHeartbeat is how raft's own transports tell.
func isHeartbeat(a *raft.AppendEntriesRequest) bool {
	return a.Term != 0 && len(a.Addr)+len(a.Leader) > 0 && a.PrevLogEntry == 0 && a.PrevLogTerm == 0 &&
		len(a.Entries) == 0 && a.LeaderCommitIndex == 0
}

// RequestVote implements raft.Transport.
func (t *Transport) RequestVote(_ raft.ServerID, to raft.ServerAddress, args *raft.RequestVoteRequest,
	resp *raft.RequestVoteResponse) error {
	return t.call(to, typeVote, msg.PriorityHigh, args, resp)
}

// RequestPreVote implements raft.WithPreVote.
func (t *Transport) RequestPreVote(_ raft.ServerID, to raft.ServerAddress, args *raft.RequestPreVoteRequest,
	resp *raft.RequestPreVoteResponse) error {
	return t.call(to, typePreVote, msg.PriorityHigh, args, resp)
}

// TimeoutNow implements raft.Transport.
func (t *Transport) TimeoutNow(_ raft.ServerID, to raft.ServerAddress, args *raft.TimeoutNowRequest,
	resp *raft.TimeoutNowResponse) error {
	return t.call(to, typeTimeoutNow, msg.PriorityHigh, args, resp)
}

// call makes a request. It fails at once when the peer's host refuses the connection.
func (t *Transport) call(to raft.ServerAddress, typ uint16, prio uint8, args, resp any) error {
	body, err := encode(args)
	if err != nil {
		return err
	}
	c, reach, done, err := t.connect(to)
	if err != nil {
		return err
	}
	defer done()
	reply, err := t.o.Node.Call(reach, c, typ, body, rpc.Priority(t.priority(prio)), rpc.Timeout(t.o.Timeout), rpc.Give())
	if err != nil {
		return peer.Why(reach, err)
	}
	return decodeReply(reply, resp)
}

func (t *Transport) priority(p uint8) uint8 {
	if t.o.OnePriority {
		return 0
	}
	return p
}

// connect is peer.Peers.Connect for who is not cut off.
func (t *Transport) connect(to raft.ServerAddress) (msg.Connection, context.Context, context.CancelFunc, error) {
	t.mu.Lock()
	cut, known := t.apart[to]
	cut = cut || !known && t.alone
	t.mu.Unlock()
	if cut || t.ctx.Err() != nil {
		return nil, nil, nil, fmt.Errorf("failed to connect to peer %v: %w", to, t.why())
	}
	return t.peers.Connect(t.ctx, string(to))
}

var errApart = errors.New("raftmsgr: the peer is cut off (Disconnect)")

func (t *Transport) why() error {
	if err := context.Cause(t.ctx); err != nil {
		return err
	}
	return errApart
}

// InstallSnapshot implements raft.Transport: a stream with the request, the snapshot, and
// the answer, at low priority.
func (t *Transport) InstallSnapshot(_ raft.ServerID, to raft.ServerAddress, args *raft.InstallSnapshotRequest,
	resp *raft.InstallSnapshotResponse, data io.Reader) error {
	c, reach, done, err := t.connect(to)
	if err != nil {
		return err
	}
	defer done()
	dial, cancel := context.WithTimeout(reach, t.o.Timeout)
	defer cancel()
	s, err := t.o.Mux.Dial(dial, c, "raft", stream.WithPriority(t.priority(msg.PriorityLow)))
	if err != nil {
		return peer.Why(reach, err)
	}
	defer s.Close()
	defer context.AfterFunc(reach, func() { _ = s.Close() })()
	w := steady{s, t.o.Timeout}
	body, err := encode(args)
	if err == nil {
		err = writeFrame(w, body)
	}
	if err == nil {
		_, err = io.Copy(w, data)
	}
	if err == nil {
		body, err = readFrame(w)
	}
	if err != nil {
		return peer.Why(reach, err)
	}
	return decodeReply(body, resp)
}

// Connect implements raft.WithPeers: it takes Disconnect back. The Transport of the peer
// is not needed.
func (t *Transport) Connect(to raft.ServerAddress, _ raft.Transport) { t.cut(to, false) }

// Disconnect implements raft.WithPeers: nothing is sent to the peer any more. The peer may
// still send.
func (t *Transport) Disconnect(to raft.ServerAddress) { t.cut(to, true) }

func (t *Transport) cut(to raft.ServerAddress, apart bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.apart[to] = apart
	for p := range t.pipelines {
		if apart && p.to == to {
			p.cancel()
		}
	}
}

// DisconnectAll implements raft.WithPeers: nothing is sent to anyone, but for those of
// later Connects.
func (t *Transport) DisconnectAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.alone, t.apart = true, map[raft.ServerAddress]bool{}
	for p := range t.pipelines {
		p.cancel()
	}
}

// Close implements raft.WithClose: it ends what is under way. The messenger goes on.
func (t *Transport) Close() error {
	t.cancel(raft.ErrTransportShutdown)
	err := t.ln.Close()
	t.work.Wait()
	return err
}
