package etcdraftmsgr

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// A snapshot is a stream of the service "etcdraft": u64 length, little-endian, and as many
// bytes of a raftpb.Message; the answer is one byte, 1 if the node was stepped with it.

// sendSnapshot sends a message with a snapshot, and tells the node how that ended.
func (t *Transport) sendSnapshot(m *raftpb.Message) {
	status := raft.SnapshotFinish
	if err := t.sendStream(m); err != nil {
		status = raft.SnapshotFailure
		t.report1(m.GetTo())
		t.o.Logger.Warn("etcdraftmsgr: snapshot not sent", "to", m.GetTo(), "reason", err)
	}
	t.r.ReportSnapshot(m.GetTo(), status)
}

func (t *Transport) sendStream(m *raftpb.Message) error {
	data, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	addr, err := t.addr(m.GetTo())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(t.ctx, t.o.SnapshotTimeout)
	defer cancel()
	s, err := t.peers.Dial(ctx, addr, service, msg.PriorityLow)
	if err != nil {
		return err
	}
	defer s.Close()
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	if _, err = s.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(data)))); err == nil {
		_, err = s.Write(data)
	}
	answer := []byte{0}
	if err == nil {
		_, err = io.ReadFull(s, answer)
	}
	if err == nil && answer[0] != 1 {
		err = errors.New("the peer did not take it")
	}
	return err
}

// accept takes the snapshots that peers send.
func (t *Transport) accept() {
	for {
		c, err := t.ln.Accept()
		if err != nil {
			return // closed
		}
		t.work.Go(func() {
			defer c.Close()
			defer context.AfterFunc(t.ctx, func() { _ = c.Close() })()
			if err := t.takeSnapshot(c); err != nil {
				t.o.Logger.Warn("etcdraftmsgr: snapshot not taken", "from", c.RemoteAddr(), "reason", err)
			}
		})
	}
}

func (t *Transport) takeSnapshot(c net.Conn) error {
	var length [8]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return err
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > t.o.SnapshotMax {
		_, _ = c.Write([]byte{0})
		return fmt.Errorf("it has %d bytes, more than %d", n, t.o.SnapshotMax)
	}
	data, err := io.ReadAll(io.LimitReader(c, int64(n))) // memory as it comes, not as it says
	if err == nil && uint64(len(data)) < n {
		err = io.ErrUnexpectedEOF
	}
	m := &raftpb.Message{}
	if err == nil {
		err = proto.Unmarshal(data, m)
	}
	if err == nil {
		err = t.r.Step(t.ctx, m)
	}
	answer := []byte{1}
	if err != nil {
		answer[0] = 0
	}
	if _, writeErr := c.Write(answer); err == nil {
		err = writeErr
	}
	return err
}

// report tells the node who was found unreachable.
func (t *Transport) report() {
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-t.wake:
		}
		t.mu.Lock()
		ids := t.unreachable
		t.unreachable = map[uint64]bool{}
		t.mu.Unlock()
		for id := range ids {
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
