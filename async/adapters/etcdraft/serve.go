package etcdraftmsgr

import (
	"context"
	"io"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// sendSnapshot sends a message with a snapshot, as the body of a request, and tells the node
// how that ended.
func (t *Transport) sendSnapshot(m *raftpb.Message) {
	status := raft.SnapshotFinish
	if err := t.send(m); err != nil {
		status = raft.SnapshotFailure
		t.unreachable(m.GetTo())
		t.o.Logger.Warn("etcdraftmsgr: snapshot not sent", "to", m.GetTo(), "reason", err)
	}
	t.r.ReportSnapshot(m.GetTo(), status)
}

// takeSnapshot steps the node with a snapshot, and answers when it is.
func (t *Transport) takeSnapshot(ctx context.Context, r *rpc.Request) ([]byte, error) {
	if r.Stream == nil || t.ctx.Err() != nil {
		return nil, rpc.Errorf(rpc.CodeInvalid, "etcdraftmsgr: no snapshot, or closed")
	}
	reach, done := t.peers.Watch(ctx, r.Conn)
	defer done()
	defer context.AfterFunc(reach, func() { _ = r.Stream.Close() })()
	defer context.AfterFunc(t.ctx, func() { _ = r.Stream.Close() })()
	data, err := io.ReadAll(io.LimitReader(r.Stream, t.o.SnapshotMax+1)) // memory as it comes
	if err != nil {
		return nil, err
	}
	m := &raftpb.Message{}
	if int64(len(data)) > t.o.SnapshotMax {
		return nil, rpc.Errorf(rpc.CodeInvalid, "etcdraftmsgr: more than %d bytes", t.o.SnapshotMax)
	} else if err := proto.Unmarshal(data, m); err != nil || m.GetType() != raftpb.MsgSnap {
		return nil, rpc.Errorf(rpc.CodeInvalid, "etcdraftmsgr: a %v is no snapshot: %v", m.GetType(), err)
	}
	return nil, t.r.Step(reach, m)
}

// report tells the node who was found unreachable.
func (t *Transport) report() {
	for {
		select {
		case <-t.ctx.Done():
			return
		case id := <-t.lost:
			t.r.ReportUnreachable(id)
		}
	}
}

// propose steps the node with the proposals of peers, which wait while there is no leader.
func (t *Transport) propose() {
	for {
		select {
		case <-t.ctx.Done():
			return
		case m := <-t.proposals:
			_ = t.r.Step(t.ctx, m) // a proposal that is dropped is its proposer's to repeat
		}
	}
}

// dispatcher is the Transport as the messenger sees it.
type dispatcher struct{ t *Transport }

// Dispatch implements msg.Dispatcher.
func (d dispatcher) Dispatch(x *msg.Message) bool {
	if x.Type != typeMessage {
		return false
	}
	t, m := d.t, &raftpb.Message{}
	err := proto.Unmarshal(x.Data, m)
	switch {
	case t.ctx.Err() != nil:
	case err != nil || len(x.Front)+len(x.Middle) > 0 || raft.IsLocalMsg(m.GetType()):
		t.o.Logger.Warn("etcdraftmsgr: a message that is none was dropped", "from", x.Connection(),
			"type", m.GetType(), "front", len(x.Front), "middle", len(x.Middle), "data", len(x.Data), "reason", err)
	case m.GetType() == raftpb.MsgProp:
		select {
		case t.proposals <- m:
		default:
			t.o.Logger.Warn("etcdraftmsgr: proposal dropped, too many wait for a leader", "from", m.GetFrom())
		}
	default:
		if err := t.r.Step(t.ctx, m); err != nil {
			t.o.Logger.Debug("etcdraftmsgr: the node did not take a message", "type", m.GetType(), "reason", err)
		}
	}
	return true
}
