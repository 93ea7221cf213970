package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	raftmsgr "github.com/asyncmsgr/asyncmsgr/async/adapters/raft"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/hashicorp/raft"
)

const port = ":7001"

// newTransport returns a transport by a mode, at an address of this host, as whoever takes
// it without a thought has it.
func newTransport(mode, at string, id int64) (raft.Transport, func(), error) {
	if mode == "network" {
		t, err := raft.NewTCPTransport(at, nil, 3, 10*time.Second, os.Stderr)
		if err != nil {
			return nil, nil, err
		}
		return t, func() { _ = t.Close() }, nil
	}
	m, err := async.New(async.Config{
		Name:   entity.OSD(id),
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return nil, nil, err
	}
	m.SetPolicy(entity.TypeOSD, msg.LosslessPeerReuse())
	if err := m.Bind(netip.MustParseAddrPort(at)); err != nil {
		return nil, nil, err
	}
	var o raftmsgr.Options
	if mode == "ours, one priority" {
		o.SnapshotPriority = msg.PriorityDefault
		o.Node, err = rpc.New(m, rpc.Options{Interceptors: []rpc.ClientInterceptor{onePriority}})
		if err != nil {
			return nil, nil, err
		}
	}
	t, err := raftmsgr.New(m, o)
	if err != nil {
		return nil, nil, err
	}
	return t, func() { _ = t.Close(); _ = m.Shutdown(context.Background()) }, m.Start()
}

func onePriority(ctx context.Context, call *rpc.CallInfo, next rpc.Invoker) ([]byte, error) {
	call.Priority = msg.PriorityDefault
	return next(ctx, call)
}

// follow answers a leader until the standard input ends. Heartbeats and AppendEntries are
// answered at once: what is measured is the transport.
func follow(mode string) error {
	t, stop, err := newTransport(mode, followerIP+port, 2)
	if err != nil {
		return err
	}
	defer stop()
	answer := func(r raft.RPC) { r.Respond(&raft.AppendEntriesResponse{Success: true}, nil) }
	t.SetHeartbeatHandler(answer)
	go func() {
		for r := range t.Consumer() {
			if _, ok := r.Command.(*raft.InstallSnapshotRequest); !ok {
				answer(r)
				continue
			}
			go func() {
				_, err := io.Copy(io.Discard, r.Reader)
				r.Respond(&raft.InstallSnapshotResponse{Success: err == nil}, err)
			}()
		}
	}()
	fmt.Print("+")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// lead installs a snapshot at the follower, and meanwhile sends heartbeats and AppendEntries
// of one entry of 1 KiB, the next one -every after the answer to the one before, as raft does.
func lead(mode string) error {
	t, stop, err := newTransport(mode, leaderIP+port, 1)
	if err != nil {
		return err
	}
	defer stop()
	to := raft.ServerAddress(followerIP + port)
	header := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte("1"), Addr: []byte(leaderIP + port)}
	beat := &raft.AppendEntriesRequest{RPCHeader: header, Term: 1, Leader: header.Addr}
	entries := &raft.AppendEntriesRequest{
		RPCHeader: header, Term: 1, Leader: header.Addr, PrevLogEntry: 1, PrevLogTerm: 1,
		Entries: []*raft.Log{{Index: 2, Term: 1, Data: make([]byte, 1024)}},
	}
	over, failed := make(chan struct{}), make(chan error, 3)
	series := func(args *raft.AppendEntriesRequest) (times []float64) {
		for {
			select {
			case <-over:
				return times
			case <-time.After(*every):
			}
			began := time.Now()
			var resp raft.AppendEntriesResponse
			if err := t.AppendEntries("2", to, args, &resp); err != nil {
				failed <- err
				return times
			}
			times = append(times, float64(time.Since(began).Microseconds())/1000)
		}
	}
	var r result
	for _, args := range []*raft.AppendEntriesRequest{beat, entries} { // the connections are made
		if err := t.AppendEntries("2", to, args, new(raft.AppendEntriesResponse)); err != nil {
			return err
		}
	}
	var beats, appends []float64
	var wg sync.WaitGroup
	wg.Go(func() { beats = series(beat) })
	wg.Go(func() { appends = series(entries) })
	size := int64(*snapshot) << 20
	began := time.Now()
	args := &raft.InstallSnapshotRequest{RPCHeader: header, Term: 1, LastLogIndex: 1, Size: size}
	data := io.LimitReader(zeros{}, size)
	if err := t.InstallSnapshot("2", to, args, new(raft.InstallSnapshotResponse), data); err != nil {
		return err
	}
	r.Snapshot = time.Since(began).Seconds()
	close(over)
	wg.Wait()
	select {
	case err := <-failed:
		return err
	default:
	}
	r.Heartbeats, r.HeartbeatP50, r.HeartbeatP99 = len(beats), percentile(beats, 50), percentile(beats, 99)
	r.Appends, r.AppendP50, r.AppendP99 = len(appends), percentile(appends, 50), percentile(appends, 99)
	return json.NewEncoder(os.Stdout).Encode(r)
}

// percentile sorts v.
func percentile(v []float64, p int) float64 {
	slices.Sort(v)
	return v[min(len(v)*p/100, len(v)-1)]
}

// zeros is as long as one reads.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
