package raftsim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest/bubble"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/raft"
)

// Message types: a request has its kind in the header.
const (
	typeRequest = 0xf100
	typeReply   = 0xf101
)

type kind uint8

const (
	kindAppend kind = iota
	kindVote
	kindPreVote
	kindSnapshot
	kindTimeoutNow
)

// header is the front of each message; the data is Raft's request or response.
type header struct {
	ID    uint64
	Kind  kind
	Error string // of a reply
}

// rpcTimeout is how long a request waits for its reply.
const rpcTimeout = 5 * time.Second

// errReply is an error of the other side.
var errReply = errors.New("raftsim: the peer answered with an error")

// transport implements raft.Transport over messages.
type transport struct {
	host     *bubble.Host
	m        *async.Messenger
	self     raft.ServerAddress
	ctx      context.Context
	consumer chan raft.RPC
	history  *history
	loses    func() bool // whether to lose a reply, and then nobody has a timeout; nil: never

	mu        sync.Mutex
	last      uint64
	pending   map[uint64]pending
	heartbeat func(raft.RPC)
}

// pending is a request without a reply so far.
type pending struct {
	reply chan *msg.Message
	since time.Time
}

// overdue is how many requests wait for longer than any may.
func (t *transport) overdue() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.pending {
		if time.Since(p.since) > 2*rpcTimeout {
			n++
		}
	}
	return n
}

var _ interface {
	raft.Transport
	raft.WithPreVote
	msg.Dispatcher
} = (*transport)(nil)

const port = 6800

// nonce is that of each node, the same in all its lives, so that its address is, too.
const nonce = 1

func newTransport(ctx context.Context, h *bubble.Host, num int64, hist *history) (*transport, error) {
	m, err := async.New(async.Config{Name: entity.OSD(num), Stack: h, Executor: h, Rand: h.Rand, Nonce: nonce,
		Logger: slog.New(slog.DiscardHandler), BindRetries: -1})
	if err != nil {
		return nil, err
	}
	at := netip.AddrPortFrom(h.Addr(), port)
	t := &transport{host: h, m: m, self: raft.ServerAddress(at.String()), ctx: ctx, history: hist,
		consumer: make(chan raft.RPC), pending: map[uint64]pending{}}
	m.SetDefaultPolicy(msg.LosslessPeer())
	m.AddDispatcherTail(t)
	if err := m.Bind(at); err != nil {
		return nil, err
	}
	return t, m.Start()
}

var handle codec.MsgpackHandle // as Raft's own transport has it; it remembers types

func encode(v any) []byte {
	var b []byte
	if err := codec.NewEncoderBytes(&b, &handle).Encode(v); err != nil {
		panic(err) // Raft's types
	}
	return b
}

func decode(b []byte, v any) error { return codec.NewDecoderBytes(b, &handle).Decode(v) }

// call sends a request and waits for its reply.
func (t *transport) call(k kind, to raft.ServerAddress, args, resp any, snapshot []byte) error {
	at, err := netip.ParseAddrPort(string(to))
	if err != nil {
		return err
	}
	c, err := t.m.ConnectTo(entity.TypeOSD, entity.AddrVec{{Type: entity.AddrMsgr2, Nonce: nonce, AddrPort: at}})
	if err != nil {
		return err
	}
	ch := make(chan *msg.Message, 1)
	t.mu.Lock()
	t.last++
	id := t.last
	t.pending[id] = pending{ch, time.Now()}
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		delete(t.pending, id)
		t.mu.Unlock()
	}()
	m := &msg.Message{Type: typeRequest, Front: encode(header{ID: id, Kind: k}), Middle: snapshot, Data: encode(args)}
	if err := c.Send(m); err != nil {
		return err
	}
	ctx := t.ctx
	if t.loses == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, rpcTimeout)
		defer cancel()
	}
	select {
	case reply := <-ch:
		defer reply.Release()
		var h header
		if err := decode(reply.Front, &h); err != nil {
			return err
		}
		if h.Error != "" {
			return fmt.Errorf("%w: %s", errReply, h.Error)
		}
		return decode(reply.Data, resp)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Dispatch implements msg.Dispatcher.
func (t *transport) Dispatch(m *msg.Message) bool {
	var h header
	if err := decode(m.Front, &h); err != nil {
		panic(err) // nobody else sends here
	}
	switch m.Type {
	case typeReply:
		t.mu.Lock()
		p, waits := t.pending[h.ID]
		t.mu.Unlock()
		if waits {
			p.reply <- m
		} else {
			m.Release() // too late
		}
	case typeRequest:
		// On a goroutine of its own: Raft may take its time, and heartbeats overtake.
		t.host.Go(func(context.Context) {
			defer m.Release()
			t.serve(h, m)
		})
	default:
		return false
	}
	return true
}

// serve has Raft answer a request.
func (t *transport) serve(h header, m *msg.Message) {
	answer := make(chan raft.RPCResponse, 1)
	rpc := raft.RPC{RespChan: answer}
	switch h.Kind {
	case kindAppend:
		rpc.Command = new(raft.AppendEntriesRequest)
	case kindVote:
		rpc.Command = new(raft.RequestVoteRequest)
	case kindPreVote:
		rpc.Command = new(raft.RequestPreVoteRequest)
	case kindSnapshot:
		rpc.Command, rpc.Reader = new(raft.InstallSnapshotRequest), bytes.NewReader(m.Middle)
	case kindTimeoutNow:
		rpc.Command = new(raft.TimeoutNowRequest)
	}
	if err := decode(m.Data, rpc.Command); err != nil {
		panic(err) // nobody else sends here
	}
	if !t.hand(rpc) {
		return
	}
	var r raft.RPCResponse
	select {
	case r = <-answer:
	case <-t.ctx.Done():
		return
	}
	if t.loses != nil && t.loses() {
		return
	}
	reply := header{ID: h.ID, Kind: h.Kind}
	if r.Error != nil {
		reply.Error = r.Error.Error()
	}
	_ = m.Connection().Send(&msg.Message{Type: typeReply, Front: encode(reply), Data: encode(r.Response)})
}

// hand gives Raft a request; false: it has ended.
func (t *transport) hand(rpc raft.RPC) bool {
	t.mu.Lock()
	heartbeat := t.heartbeat
	t.mu.Unlock()
	if a, ok := rpc.Command.(*raft.AppendEntriesRequest); ok && heartbeat != nil && len(a.Entries) == 0 &&
		a.Term != 0 && a.PrevLogEntry == 0 && a.PrevLogTerm == 0 && a.LeaderCommitIndex == 0 {
		heartbeat(rpc)
		return true
	}
	select {
	case t.consumer <- rpc:
		return true
	case <-t.ctx.Done():
		return false
	}
}

// Consumer implements raft.Transport.
func (t *transport) Consumer() <-chan raft.RPC { return t.consumer }

// LocalAddr implements raft.Transport.
func (t *transport) LocalAddr() raft.ServerAddress { return t.self }

// EncodePeer implements raft.Transport.
func (t *transport) EncodePeer(_ raft.ServerID, a raft.ServerAddress) []byte { return []byte(a) }

// DecodePeer implements raft.Transport.
func (t *transport) DecodePeer(b []byte) raft.ServerAddress { return raft.ServerAddress(b) }

// SetHeartbeatHandler implements raft.Transport.
func (t *transport) SetHeartbeatHandler(cb func(raft.RPC)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heartbeat = cb
}

// AppendEntriesPipeline implements raft.Transport.
func (t *transport) AppendEntriesPipeline(raft.ServerID, raft.ServerAddress) (raft.AppendPipeline, error) {
	return nil, raft.ErrPipelineReplicationNotSupported
}

// AppendEntries implements raft.Transport.
func (t *transport) AppendEntries(_ raft.ServerID, to raft.ServerAddress, args *raft.AppendEntriesRequest,
	resp *raft.AppendEntriesResponse) error {
	t.history.leads(args.Term, string(t.self))
	return t.call(kindAppend, to, args, resp, nil)
}

// RequestVote implements raft.Transport.
func (t *transport) RequestVote(_ raft.ServerID, to raft.ServerAddress, args *raft.RequestVoteRequest,
	resp *raft.RequestVoteResponse) error {
	return t.call(kindVote, to, args, resp, nil)
}

// RequestPreVote implements raft.WithPreVote.
func (t *transport) RequestPreVote(_ raft.ServerID, to raft.ServerAddress, args *raft.RequestPreVoteRequest,
	resp *raft.RequestPreVoteResponse) error {
	return t.call(kindPreVote, to, args, resp, nil)
}

// TimeoutNow implements raft.Transport.
func (t *transport) TimeoutNow(_ raft.ServerID, to raft.ServerAddress, args *raft.TimeoutNowRequest,
	resp *raft.TimeoutNowResponse) error {
	return t.call(kindTimeoutNow, to, args, resp, nil)
}

// InstallSnapshot implements raft.Transport. Snapshots are small here: one message.
func (t *transport) InstallSnapshot(_ raft.ServerID, to raft.ServerAddress, args *raft.InstallSnapshotRequest,
	resp *raft.InstallSnapshotResponse, data io.Reader) error {
	all, err := io.ReadAll(data)
	if err != nil {
		return err
	}
	t.history.installs()
	return t.call(kindSnapshot, to, args, resp, all)
}
