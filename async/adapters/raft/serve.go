package raftmsgr

import (
	"context"
	"errors"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/raft"
)

// The requests.
var (
	appendEntries   = method[raft.AppendEntriesRequest, raft.AppendEntriesResponse](0)
	heartbeat       = method[raft.AppendEntriesRequest, raft.AppendEntriesResponse](1)
	vote            = method[raft.RequestVoteRequest, raft.RequestVoteResponse](2)
	preVote         = method[raft.RequestPreVoteRequest, raft.RequestPreVoteResponse](3)
	timeoutNow      = method[raft.TimeoutNowRequest, raft.TimeoutNowResponse](4)
	installSnapshot = method[raft.InstallSnapshotRequest, raft.InstallSnapshotResponse](5)
)

func method[Req, Resp any](n uint16) rpc.Method[Req, Resp] {
	return rpc.Method[Req, Resp]{Type: msg.TypeRaftFirst + n, Codec: msgpack}
}

// serve registers what peers call. Entries are appended in order; nothing else waits for
// them, and 16 of a kind are handled at a time.
func (t *Transport) serve() error {
	besides := rpc.Concurrent(16)
	return errors.Join(serve(t, appendEntries), serve(t, heartbeat, besides), serve(t, vote, besides),
		serve(t, preVote, besides), serve(t, timeoutNow, besides), serve(t, installSnapshot, besides))
}

func serve[Req, Resp any](t *Transport, m rpc.Method[Req, Resp], opts ...rpc.HandlerOption) error {
	return m.Handle(t.o.Node, func(ctx context.Context, req *Req) (*Resp, error) {
		r := rpc.RequestFrom(ctx)
		reach, done := t.peers.Watch(ctx, r.Conn) // raft does nothing else while it reads a snapshot
		defer done()
		if r.Stream != nil {
			defer context.AfterFunc(reach, func() { _ = r.Stream.Close() })()
		}
		answer, err := t.handle(reach, raft.RPC{Command: req, Reader: r.Stream}, m.Type == heartbeat.Type)
		resp, _ := answer.(*Resp)
		return resp, err
	}, opts...)
}

// handle gives a request to raft and returns the answer.
func (t *Transport) handle(ctx context.Context, r raft.RPC, isHeartbeat bool) (any, error) {
	answers, rpcs := make(chan raft.RPCResponse, 1), t.rpcs
	r.RespChan = answers
	t.mu.Lock()
	fast := t.heartbeat
	t.mu.Unlock()
	if isHeartbeat && fast != nil {
		rpcs = nil
		fast(r)
	}
	for {
		select {
		case rpcs <- r:
			rpcs = nil
		case a := <-answers:
			return a.Response, a.Error
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-t.ctx.Done():
			return nil, raft.ErrTransportShutdown
		}
	}
}

// msgpack is the rpc.Codec by which raft's own transport encodes.
var msgpack = msgpackCodec{&codec.MsgpackHandle{}}

type msgpackCodec struct{ handle *codec.MsgpackHandle }

// Append implements rpc.Codec.
func (c msgpackCodec) Append(b []byte, v any) ([]byte, error) {
	var out []byte
	err := codec.NewEncoderBytes(&out, c.handle).Encode(v)
	return append(b, out...), err
}

// Unmarshal implements rpc.Codec.
func (c msgpackCodec) Unmarshal(data []byte, v any) error {
	return codec.NewDecoderBytes(data, c.handle).Decode(v)
}
