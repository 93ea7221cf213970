package raftmsgr

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/adapters/peer/peertest"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { peertest.Main(m) }

// lines is a state machine that keeps what it was given.
type lines struct {
	mu  sync.Mutex
	all [][]byte
}

func (l *lines) Apply(x *raft.Log) any {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, x.Data)
	return nil
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(bytes.Join(l.all, []byte("\n")))
}

func (l *lines) Snapshot() (raft.FSMSnapshot, error) { return kept(l.text()), nil }

func (l *lines) Restore(r io.ReadCloser) error {
	b, err := io.ReadAll(r)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = bytes.Split(b, []byte("\n"))
	return err
}

type kept string

func (k kept) Persist(s raft.SnapshotSink) error {
	_, err := io.WriteString(s, string(k))
	return err
}
func (kept) Release() {}

// node is a raft node over some transport. What it keeps outlives it.
type node struct {
	*raft.Raft
	m     *async.Messenger
	trans raft.Transport
	id    int64
	addr  raft.ServerAddress
	state *lines
	store *raft.InmemStore
	snaps *raft.InmemSnapshotStore
}

// cluster is three nodes.
type cluster struct {
	t    *testing.T
	make func(*async.Messenger) (raft.Transport, error)
	all  []*node
}

func overMessages(m *async.Messenger) (raft.Transport, error) {
	t, err := New(m, Options{})
	return &cuttable{Transport: t, apart: map[raft.ServerAddress]bool{}}, err
}

// cuttable is a transport that can be cut off from peers.
type cuttable struct {
	*Transport
	mu    sync.Mutex
	apart map[raft.ServerAddress]bool
}

var errApart = errors.New("cut off")

func (c *cuttable) cut(to raft.ServerAddress, apart bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.apart[to] = apart
}

// sends does it unless the peer is cut off.
func (c *cuttable) sends(to raft.ServerAddress, f func() error) error {
	c.mu.Lock()
	apart := c.apart[to]
	c.mu.Unlock()
	if apart {
		return errApart
	}
	return f()
}

func (c *cuttable) AppendEntries(id raft.ServerID, to raft.ServerAddress, args *raft.AppendEntriesRequest,
	resp *raft.AppendEntriesResponse) error {
	return c.sends(to, func() error { return c.Transport.AppendEntries(id, to, args, resp) })
}

func (c *cuttable) RequestVote(id raft.ServerID, to raft.ServerAddress, args *raft.RequestVoteRequest,
	resp *raft.RequestVoteResponse) error {
	return c.sends(to, func() error { return c.Transport.RequestVote(id, to, args, resp) })
}

func (c *cuttable) RequestPreVote(id raft.ServerID, to raft.ServerAddress, args *raft.RequestPreVoteRequest,
	resp *raft.RequestPreVoteResponse) error {
	return c.sends(to, func() error { return c.Transport.RequestPreVote(id, to, args, resp) })
}

func (c *cuttable) AppendEntriesPipeline(id raft.ServerID, to raft.ServerAddress) (
	p raft.AppendPipeline, err error) {
	err = c.sends(to, func() error { p, err = c.Transport.AppendEntriesPipeline(id, to); return err })
	return &cuttablePipeline{p, c, to}, err
}

type cuttablePipeline struct {
	raft.AppendPipeline
	c  *cuttable
	to raft.ServerAddress
}

func (p *cuttablePipeline) AppendEntries(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (
	f raft.AppendFuture, err error) {
	err = p.c.sends(p.to, func() error { f, err = p.AppendPipeline.AppendEntries(args, resp); return err })
	return f, err
}

func newCluster(t *testing.T, make func(*async.Messenger) (raft.Transport, error)) *cluster {
	c := &cluster{t: t, make: make}
	var conf raft.Configuration
	for id := int64(1); id <= 3; id++ {
		n := c.open(id, "127.0.0.1:0")
		c.all = append(c.all, n)
		conf.Servers = append(conf.Servers, raft.Server{ID: raft.ServerID(fmt.Sprint(id)), Address: n.addr})
	}
	for _, n := range c.all {
		n.store, n.snaps = raft.NewInmemStore(), raft.NewInmemSnapshotStore()
		require.NoError(t, raft.BootstrapCluster(config(n.id), n.store, n.store, n.snaps, n.trans, conf))
		c.start(n)
	}
	t.Cleanup(func() {
		for _, n := range c.all {
			c.stop(n)
		}
	})
	return c
}

func (c *cluster) open(id int64, at string) *node {
	n := &node{id: id, state: &lines{}, m: peertest.Messenger(c.t, id, at)}
	var err error
	n.trans, err = c.make(n.m)
	require.NoError(c.t, err)
	require.NoError(c.t, n.m.Start())
	n.addr = n.trans.LocalAddr()
	return n
}

func config(id int64) *raft.Config {
	conf := raft.DefaultConfig()
	conf.LocalID = raft.ServerID(fmt.Sprint(id))
	conf.HeartbeatTimeout, conf.ElectionTimeout = time.Second, time.Second // also on a busy machine
	conf.LeaderLeaseTimeout, conf.CommitTimeout = time.Second, 10*time.Millisecond
	conf.TrailingLogs = 2
	conf.Logger = hclog.NewNullLogger()
	return conf
}

func (c *cluster) start(n *node) {
	var err error
	n.Raft, err = raft.NewRaft(config(n.id), n.state, n.store, n.store, n.snaps, n.trans)
	require.NoError(c.t, err)
}

// stop ends a node's process, so to speak. NetworkTransport does not end its goroutines.
func (c *cluster) stop(n *node) {
	require.NoError(c.t, n.Shutdown().Error())
	if n, ok := n.trans.(*raft.NetworkTransport); ok {
		n.CloseStreams()
	}
	require.NoError(c.t, n.m.Shutdown(context.Background()))
}

// leader waits until one of these nodes is that.
func (c *cluster) leader(of ...*node) (l *node) {
	c.t.Helper()
	peertest.Until(c.t, "a leader", func() bool {
		for _, n := range of {
			if n.State() == raft.Leader {
				l = n
				return n.VerifyLeader().Error() == nil
			}
		}
		return false
	})
	return l
}

// apply has lines replicated by whoever of these nodes is the leader.
func (c *cluster) apply(of []*node, texts ...string) {
	c.t.Helper()
	for _, x := range texts {
		peertest.Until(c.t, "applied", func() bool {
			return c.leader(of...).Apply([]byte(x), time.Second).Error() == nil
		})
	}
}

func (c *cluster) agree(of []*node, with string) {
	c.t.Helper()
	peertest.Until(c.t, "the nodes agree", func() bool {
		first := of[0].state.text()
		for _, n := range of[1:] {
			if n.state.text() != first {
				return false
			}
		}
		return len(first) >= len(with) && first[len(first)-len(with):] == with
	})
}

// others are the nodes but one.
func (c *cluster) others(n *node) (o []*node) {
	for _, x := range c.all {
		if x != n {
			o = append(o, x)
		}
	}
	return o
}

// cut separates a node from the others, or takes that back.
func (c *cluster) cut(n *node, apart bool) {
	for _, o := range c.others(n) {
		n.trans.(*cuttable).cut(o.addr, apart)
		o.trans.(*cuttable).cut(n.addr, apart)
	}
}

func TestElectAndCommit(t *testing.T) {
	c := newCluster(t, overMessages)
	c.apply(c.all, "a", "b", "c")
	c.agree(c.all, "a\nb\nc")
	require.NoError(t, c.leader(c.all...).LeadershipTransfer().Error()) // TimeoutNow
	c.apply(c.all, "d")
	c.agree(c.all, "d")
}

func TestPartition(t *testing.T) {
	c := newCluster(t, overMessages)
	c.apply(c.all, "a")
	old := c.leader(c.all...)
	c.cut(old, true)
	rest := c.others(old)
	c.apply(rest, "b")
	c.agree(rest, "b")
	peertest.Until(t, "the leader that is cut off gives up", func() bool { return old.State() != raft.Leader })
	c.cut(old, false)
	c.apply(c.all, "c")
	c.agree(c.all, "b\nc")
}

// TestSnapshotAfterAbsence: a node whose process ends and comes back at the same place,
// with nothing, gets a snapshot.
func TestSnapshotAfterAbsence(t *testing.T) {
	c := newCluster(t, overMessages)
	c.apply(c.all, "a")
	gone := c.others(c.leader(c.all...))[0]
	c.stop(gone)
	rest := c.others(gone)
	large := string(bytes.Repeat([]byte("x"), 1<<20))
	for i := range 3 {
		c.apply(rest, fmt.Sprint("line ", i), large)
	}
	l := c.leader(rest...)
	require.NoError(t, l.Snapshot().Error())
	back := c.open(gone.id, string(gone.addr))
	back.store, back.snaps = raft.NewInmemStore(), raft.NewInmemSnapshotStore()
	for i, n := range c.all {
		if n == gone {
			c.all[i] = back
		}
	}
	c.start(back)
	c.apply(c.all, "z")
	c.agree(c.all, "z")
	list, err := back.snaps.List()
	require.NoError(t, err)
	require.NotEmpty(t, list, "it came as a snapshot")
}

// TestStreamLayer: raft's NetworkTransport over streams of a messenger.
func TestStreamLayer(t *testing.T) {
	c := newCluster(t, func(m *async.Messenger) (raft.Transport, error) {
		l, err := NewStreamLayer(m, nil)
		return raft.NewNetworkTransport(l, 2, 2*time.Second, io.Discard), err
	})
	c.apply(c.all, "a", "b")
	c.agree(c.all, "a\nb")
}

// pair is two transports without raft; f answers what comes to the second.
func pair(t *testing.T, f func(raft.RPC)) (a, b *Transport, m *async.Messenger) {
	var ts []*Transport
	for id := range int64(2) {
		m = peertest.Messenger(t, id+1, "127.0.0.1:0")
		x, err := New(m, Options{Timeout: 5 * time.Second})
		require.NoError(t, err)
		require.NoError(t, m.Start())
		t.Cleanup(func() { require.NoError(t, x.Close()) })
		ts = append(ts, x)
	}
	go func() {
		for {
			select {
			case r := <-ts[1].Consumer():
				f(r)
			case <-ts[1].ctx.Done():
				return
			}
		}
	}()
	return ts[0], ts[1], m
}

// TestPipelineInOrder: requests arrive in order, and the answers come in order.
func TestPipelineInOrder(t *testing.T) {
	seen := uint64(0)
	a, b, _ := pair(t, func(r raft.RPC) {
		req := r.Command.(*raft.AppendEntriesRequest)
		if req.PrevLogEntry != seen+1 {
			r.Respond(nil, fmt.Errorf("%d after %d", req.PrevLogEntry, seen))
			return
		}
		seen = req.PrevLogEntry
		r.Respond(&raft.AppendEntriesResponse{LastLog: seen}, nil)
	})
	p, err := a.AppendEntriesPipeline("b", b.LocalAddr())
	require.NoError(t, err)
	const n = 200
	go func() {
		for i := uint64(1); i <= n; i++ {
			args := &raft.AppendEntriesRequest{Term: 1, PrevLogEntry: i}
			_, _ = p.AppendEntries(args, new(raft.AppendEntriesResponse))
		}
	}()
	for i := uint64(1); i <= n; i++ {
		f := <-p.Consumer()
		require.NoError(t, f.Error())
		require.Equal(t, i, f.Response().LastLog)
		require.Equal(t, i, f.Request().PrevLogEntry)
	}
	require.NoError(t, p.Close())
	_, err = p.AppendEntries(&raft.AppendEntriesRequest{}, new(raft.AppendEntriesResponse))
	require.ErrorIs(t, err, raft.ErrPipelineShutdown)
}

// TestBadInput: what cannot be read is answered, and what ends too early, or is said to be
// longer than it is, ends.
func TestBadInput(t *testing.T) {
	got := make(chan error, 1)
	a, b, _ := pair(t, func(r raft.RPC) {
		k, err := io.Copy(io.Discard, r.Reader)
		if n := r.Command.(*raft.InstallSnapshotRequest).Size; err == nil && n != k {
			err = io.ErrUnexpectedEOF
		}
		got <- err
		r.Respond(&raft.InstallSnapshotResponse{Success: err == nil}, err)
	})
	c, reach, done, err := a.peers.Connect(context.Background(), string(b.LocalAddr()))
	require.NoError(t, err)
	defer done()
	for _, m := range []uint16{appendEntries.Type, heartbeat.Type, vote.Type, installSnapshot.Type} {
		for _, body := range [][]byte{nil, {0xc1}, bytes.Repeat([]byte{0xdf}, 100)} {
			_, err = a.o.Node.Call(reach, c, m, body)
			require.ErrorIs(t, err, &rpc.Error{Code: rpc.CodeInvalid})
		}
	}
	install := func(said int64, data io.Reader) (raft.InstallSnapshotResponse, error) {
		var resp raft.InstallSnapshotResponse
		err := a.InstallSnapshot("b", b.LocalAddr(), &raft.InstallSnapshotRequest{Size: said}, &resp, data)
		return resp, err
	}
	_, err = install(1<<20, iotest.ErrReader(errors.New("disk gone")))
	require.ErrorContains(t, err, "disk gone")
	require.Error(t, <-got)
	_, err = install(1<<20, strings.NewReader("less than it says"))
	require.Error(t, err)
	require.Error(t, <-got)
	resp, err := install(5, strings.NewReader("12345"))
	require.NoError(t, err)
	require.NoError(t, <-got)
	require.True(t, resp.Success)
}

// TestErrors: raft's errors arrive as they are, a peer that is not there is an error at
// once, and after Close nothing is sent.
func TestErrors(t *testing.T) {
	a, b, _ := pair(t, func(r raft.RPC) { r.Respond(nil, fmt.Errorf("unexpected command")) })
	err := a.RequestPreVote("b", b.LocalAddr(), &raft.RequestPreVoteRequest{}, new(raft.RequestPreVoteResponse))
	require.ErrorContains(t, err, "unexpected command") // raft looks for that
	var failed *msg.ConnectError
	err = a.RequestVote("c", "127.0.0.1:1", &raft.RequestVoteRequest{}, new(raft.RequestVoteResponse))
	require.ErrorAs(t, err, &failed)
	require.Equal(t, msg.ReasonRefused, failed.Reason)
	require.NoError(t, a.Close())
	err = a.TimeoutNow("b", b.LocalAddr(), &raft.TimeoutNowRequest{}, new(raft.TimeoutNowResponse))
	require.ErrorIs(t, err, context.Canceled)
}

// TestHeartbeatsPassEntries: while raft is held up by entries, heartbeats are answered.
func TestHeartbeatsPassEntries(t *testing.T) {
	held := make(chan struct{})
	a, b, _ := pair(t, func(r raft.RPC) {
		<-held
		r.Respond(&raft.AppendEntriesResponse{}, nil)
	})
	b.SetHeartbeatHandler(func(r raft.RPC) { r.Respond(&raft.AppendEntriesResponse{Success: true}, nil) })
	ended := make(chan error)
	go func() {
		ended <- a.AppendEntries("b", b.LocalAddr(), &raft.AppendEntriesRequest{Term: 1, PrevLogEntry: 1},
			new(raft.AppendEntriesResponse))
	}()
	var resp raft.AppendEntriesResponse
	beat := &raft.AppendEntriesRequest{Term: 1, Leader: []byte("a")}
	for range 10 {
		require.NoError(t, a.AppendEntries("b", b.LocalAddr(), beat, &resp))
		require.True(t, resp.Success)
	}
	close(held)
	require.NoError(t, <-ended)
}
