package raftmsgr

import (
	"context"
	"errors"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/raft"
)

// The requests, by their types, and the service of the streams of snapshots.
var (
	appendEntries = rpc.Method[raft.AppendEntriesRequest, raft.AppendEntriesResponse]{
		Type: msg.TypeRaftFirst, Codec: msgpack}
	heartbeat = rpc.Method[raft.AppendEntriesRequest, raft.AppendEntriesResponse]{
		Type: msg.TypeRaftFirst + 1, Codec: msgpack}
	vote = rpc.Method[raft.RequestVoteRequest, raft.RequestVoteResponse]{
		Type: msg.TypeRaftFirst + 2, Codec: msgpack}
	preVote = rpc.Method[raft.RequestPreVoteRequest, raft.RequestPreVoteResponse]{
		Type: msg.TypeRaftFirst + 3, Codec: msgpack}
	timeoutNow = rpc.Method[raft.TimeoutNowRequest, raft.TimeoutNowResponse]{
		Type: msg.TypeRaftFirst + 4, Codec: msgpack}
)

const service = "raft"

// besides is how many requests of a kind that are not AppendEntries are handled at a time.
const besides = 16

// serve registers what peers call. Entries are appended in order; the rest does not wait
// for them.
func (t *Transport) serve() error {
	return errors.Join(
		serve(t, appendEntries, false), serve(t, heartbeat, true, rpc.Concurrent(besides)),
		serve(t, vote, false, rpc.Concurrent(besides)), serve(t, preVote, false, rpc.Concurrent(besides)),
		serve(t, timeoutNow, false, rpc.Concurrent(besides)),
	)
}

func serve[Req, Resp any](t *Transport, m rpc.Method[Req, Resp], fast bool, opts ...rpc.HandlerOption) error {
	return m.Handle(t.o.Node, func(ctx context.Context, req *Req) (*Resp, error) {
		answer, err := t.handle(ctx, raft.RPC{Command: req}, fast)
		resp, _ := answer.(*Resp)
		return resp, err
	}, opts...)
}

// handle gives a request to raft and returns the answer.
func (t *Transport) handle(ctx context.Context, r raft.RPC, fast bool) (any, error) {
	answers := make(chan raft.RPCResponse, 1)
	r.RespChan = answers
	t.mu.Lock()
	f := t.heartbeat
	t.mu.Unlock()
	if fast && f != nil {
		f(r)
	} else {
		select {
		case t.rpcs <- r:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-t.ctx.Done():
			return nil, raft.ErrTransportShutdown
		}
	}
	select {
	case a := <-answers:
		return a.Response, a.Error
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-t.ctx.Done():
		return nil, raft.ErrTransportShutdown
	}
}

// msgpack is the rpc.Codec by which raft's own transports encode.
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
