package etcdraftmsgr

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/adapters/peer/peertest"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/stretchr/testify/require"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

func TestMain(m *testing.M) { peertest.Main(m) }

// fake is a node that notes what it is told.
type fake struct {
	mu          sync.Mutex
	stepped     []*raftpb.Message
	unreachable map[uint64]int
	snapshots   []raft.SnapshotStatus
	refuse      error
	hold        chan struct{} // for proposals
}

func (f *fake) Step(ctx context.Context, m *raftpb.Message) error {
	if m.GetType() == raftpb.MsgProp && f.hold != nil {
		select {
		case <-f.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stepped = append(f.stepped, m)
	return f.refuse
}

func (f *fake) ReportUnreachable(id uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unreachable[id]++
}

func (f *fake) ReportSnapshot(_ uint64, s raft.SnapshotStatus) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.snapshots = append(f.snapshots, s)
}

func (f *fake) count(typ raftpb.MessageType) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.stepped {
		if m.GetType() == typ {
			n++
		}
	}
	return n
}

func (f *fake) reports() (unreachable map[uint64]int, snapshots []raft.SnapshotStatus) {
	f.mu.Lock()
	defer f.mu.Unlock()
	unreachable = map[uint64]int{}
	for id, n := range f.unreachable {
		unreachable[id] = n
	}
	return unreachable, append([]raft.SnapshotStatus(nil), f.snapshots...)
}

type end struct {
	*Transport
	f *fake
}

func open(t *testing.T, id int64, o Options) end {
	t.Helper()
	m, f := peertest.Messenger(t, id, "127.0.0.1:0"), &fake{unreachable: map[uint64]int{}}
	x, err := New(m, f, o)
	require.NoError(t, err)
	require.NoError(t, m.Start())
	t.Cleanup(func() { require.NoError(t, x.Close()) })
	return end{x, f}
}

func (e end) addr() string { return e.peers.Addr().String() }

func message(typ raftpb.MessageType, to uint64) *raftpb.Message {
	from := uint64(1)
	return &raftpb.Message{Type: &typ, To: &to, From: &from}
}

func snapshot(to uint64, size int) *raftpb.Message {
	m, index := message(raftpb.MsgSnap, to), uint64(7)
	m.Snapshot = &raftpb.Snapshot{
		Data:     bytes.Repeat([]byte("s"), size),
		Metadata: &raftpb.SnapshotMetadata{Index: &index, ConfState: &raftpb.ConfState{}},
	}
	return m
}

// TestMessages: each kind arrives; a snapshot is reported as sent when the node has it.
func TestMessages(t *testing.T) {
	a, b := open(t, 1, Options{}), open(t, 2, Options{})
	a.AddPeer(2, b.addr())
	types := []raftpb.MessageType{raftpb.MsgApp, raftpb.MsgHeartbeat, raftpb.MsgVote, raftpb.MsgProp, raftpb.MsgAppResp}
	for _, typ := range types {
		a.Send([]*raftpb.Message{message(typ, 2)})
	}
	a.Send([]*raftpb.Message{snapshot(2, 3<<20), message(raftpb.MsgApp, raft.None)})
	for _, typ := range append(types, raftpb.MsgSnap) {
		peertest.Until(t, typ.String(), func() bool { return b.f.count(typ) == 1 })
	}
	peertest.Until(t, "reported", func() bool { _, s := a.f.reports(); return len(s) == 1 })
	u, s := a.f.reports()
	require.Empty(t, u)
	require.Equal(t, []raft.SnapshotStatus{raft.SnapshotFinish}, s)
}

// TestReports: who is not there, or not known, or does not take a snapshot.
func TestReports(t *testing.T) {
	a := open(t, 1, Options{Life: 50 * time.Millisecond})
	small := open(t, 2, Options{SnapshotMax: 1000})
	unwilling := open(t, 3, Options{})
	unwilling.f.refuse = errors.New("no")
	a.AddPeer(2, small.addr())
	a.AddPeer(3, unwilling.addr())
	a.AddPeer(4, "127.0.0.1:1")
	a.Send([]*raftpb.Message{message(raftpb.MsgApp, 4), message(raftpb.MsgApp, 5)})
	peertest.Until(t, "reported", func() bool { u, _ := a.f.reports(); return u[4] > 0 && u[5] > 0 })
	for i, to := range []uint64{2, 3, 4, 5} {
		a.Send([]*raftpb.Message{snapshot(to, 2000)})
		peertest.Until(t, "reported", func() bool { u, s := a.f.reports(); return len(s) == i+1 && u[to] > 0 })
	}
	_, s := a.f.reports()
	require.NotContains(t, s, raft.SnapshotFinish)
	require.Zero(t, small.f.count(raftpb.MsgSnap))
	a.RemovePeer(2)
	_, _, _, err := a.connect(2)
	require.ErrorIs(t, err, errNoPeer)
}

// TestProposalsHoldNothingUp: while proposals wait for a leader, the rest is stepped.
func TestProposalsHoldNothingUp(t *testing.T) {
	a, b := open(t, 1, Options{}), open(t, 2, Options{})
	b.f.hold = make(chan struct{})
	a.AddPeer(2, b.addr())
	for range 10 {
		a.Send([]*raftpb.Message{message(raftpb.MsgProp, 2), message(raftpb.MsgApp, 2)})
	}
	peertest.Until(t, "entries", func() bool { return b.f.count(raftpb.MsgApp) == 10 })
	require.Zero(t, b.f.count(raftpb.MsgProp))
	close(b.f.hold)
	peertest.Until(t, "proposals", func() bool { return b.f.count(raftpb.MsgProp) == 10 })
}

// TestBadInput: what is no message of raft's is dropped, and what is no snapshot is answered.
func TestBadInput(t *testing.T) {
	a, b := open(t, 1, Options{}), open(t, 2, Options{})
	a.AddPeer(2, b.addr())
	for _, bad := range []*msg.Message{
		{Type: typeMessage, Data: []byte{0xff, 0xff}},
		{Type: typeMessage, Data: []byte{}, Front: []byte("x")},
		{Type: typeMessage}, // MsgHup, which only a node itself may step
	} {
		require.NoError(t, a.m.SendTo(bad, entity.TypeOSD, b.m.Addrs()))
	}
	c, reach, done, err := a.connect(2)
	require.NoError(t, err)
	defer done()
	app, err := proto.Marshal(message(raftpb.MsgApp, 2))
	require.NoError(t, err)
	for _, bad := range [][]byte{nil, {0xff, 0xff}, app} {
		_, err := a.o.Node.CallBody(reach, c, typeSnapshot, nil, bytes.NewReader(bad))
		require.ErrorIs(t, err, &rpc.Error{Code: rpc.CodeInvalid})
	}
	_, err = a.o.Node.Call(reach, c, typeSnapshot, nil)
	require.ErrorIs(t, err, &rpc.Error{Code: rpc.CodeInvalid})
	_, err = a.o.Node.CallBody(reach, c, typeSnapshot, nil, iotest.ErrReader(errors.New("disk gone")))
	require.ErrorContains(t, err, "disk gone")
	a.Send([]*raftpb.Message{message(raftpb.MsgApp, 2)})
	peertest.Until(t, "entries", func() bool { return b.f.count(raftpb.MsgApp) == 1 })
	require.Len(t, b.f.stepped, 1)
}
