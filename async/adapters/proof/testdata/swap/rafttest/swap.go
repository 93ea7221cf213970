package rafttest

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async"
	etcdraftmsgr "github.com/asyncmsgr/asyncmsgr/async/adapters/etcdraft"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// swapNetwork stands where nodeNetwork stood. The network of the test still decides what
// is dropped and delayed, and who is disconnected; what it delivers, it hands to the
// adapter of the sender in place of the queue of the receiver, to which the adapter of the
// receiver brings it.
type swapNetwork struct {
	nodeNetwork
	t *etcdraftmsgr.Transport
}

var swap struct {
	sync.Mutex
	of map[*raftNetwork]map[uint64]*swapNode
}

// swapNode is a node as its adapter sees it: what comes goes into the queue of the test.
type swapNode struct {
	id   uint64
	rn   *raftNetwork
	m    *async.Messenger
	t    *etcdraftmsgr.Transport
	into chan *raftpb.Message
}

func (n *swapNode) Step(_ context.Context, m *raftpb.Message) error {
	select {
	case n.into <- m:
		return nil
	default:
		return errors.New("the queue is full")
	}
}
func (n *swapNode) ReportUnreachable(uint64)                   {}
func (n *swapNode) ReportSnapshot(uint64, raft.SnapshotStatus) {}

// newSwapNetwork makes the messenger of a node; all of a network know each other.
func newSwapNetwork(id uint64, rn *raftNetwork) iface {
	swap.Lock()
	defer swap.Unlock()
	if swap.of == nil {
		swap.of = map[*raftNetwork]map[uint64]*swapNode{}
	}
	if swap.of[rn] == nil {
		swap.of[rn] = map[uint64]*swapNode{}
	}
	m, err := async.New(async.Config{Name: entity.OSD(int64(id)), Logger: slog.New(slog.DiscardHandler)})
	must(err)
	m.SetPolicy(entity.TypeOSD, msg.LosslessPeerReuse())
	must(m.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
	// The queue that nodes read is the network's; what is sent goes into another one of the
	// adapter's, which the network hands on.
	n := &swapNode{id: id, rn: rn, m: m, into: rn.recvQueues[id]}
	n.t, err = etcdraftmsgr.New(m, n, etcdraftmsgr.Options{})
	must(err)
	must(m.Start())
	for other, o := range swap.of[rn] {
		n.t.AddPeer(other, o.m.Addrs().First().Place().String())
		o.t.AddPeer(id, m.Addrs().First().Place().String())
	}
	swap.of[rn][id] = n
	return &swapNetwork{nodeNetwork{id: id, raftNetwork: rn}, n.t}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// swapSend is the last step of the network's send.
func swapSend(rn *raftNetwork, m *raftpb.Message) bool {
	swap.Lock()
	from := swap.of[rn][m.GetFrom()]
	swap.Unlock()
	if from == nil {
		return false
	}
	from.t.Send([]*raftpb.Message{m})
	return true
}
