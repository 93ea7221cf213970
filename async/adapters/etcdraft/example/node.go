package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

const (
	tick = 50 * time.Millisecond
	// A snapshot is taken after so many lines, and so many entries are kept behind it.
	snapshotEvery, keepBehind = 50, 10
)

// node is a raft node, what it has applied, and where it keeps its log. Only its loop
// touches it.
type node struct {
	raft    raft.Node
	storage *raft.MemoryStorage
	file    *logFile
	out     io.Writer

	lines    []string // the replicated log
	applied  uint64
	snapshot uint64
	members  *raftpb.ConfState
	leader   uint64
}

// openNode starts a node, or restarts it from what its file has.
func openNode(id uint64, peers map[uint64]string, path string, out io.Writer) (*node, error) {
	n := &node{storage: raft.NewMemoryStorage(), out: out, members: &raftpb.ConfState{}}
	file, found, err := openLog(path, n.storage)
	if err != nil {
		return nil, err
	}
	n.file = file
	if !found {
		var all []raft.Peer
		for p := range peers {
			all = append(all, raft.Peer{ID: p})
		}
		slices.SortFunc(all, func(a, b raft.Peer) int { return int(a.ID) - int(b.ID) })
		n.raft = raft.StartNode(config(id, n.storage, 0), all)
		return n, nil
	}
	s, err := n.storage.Snapshot()
	if err != nil {
		return nil, err
	}
	if !raft.IsEmptySnap(s) {
		n.restore(s)
	}
	n.raft = raft.RestartNode(config(id, n.storage, n.applied))
	return n, nil
}

// loop is the node's: ticks, commands, and what raft has ready, until the commands end.
func (n *node) loop(send func([]*raftpb.Message), commands <-chan string) error {
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			n.raft.Tick()
		case c, ok := <-commands:
			if !ok {
				return n.file.Close()
			}
			n.command(c)
		case rd := <-n.raft.Ready():
			if err := n.ready(rd, send); err != nil {
				return err
			}
			n.raft.Advance()
		}
	}
}

// ready keeps, sends and applies, in that order.
func (n *node) ready(rd raft.Ready, send func([]*raftpb.Message)) error {
	if err := n.file.append(rd); err != nil {
		return err
	}
	if !raft.IsEmptySnap(rd.Snapshot) {
		if err := n.storage.ApplySnapshot(rd.Snapshot); err != nil {
			return err
		}
		n.restore(rd.Snapshot)
		fmt.Fprintln(n.out, "snapshot", n.applied)
	}
	if !raft.IsEmptyHardState(rd.HardState) {
		if err := n.storage.SetHardState(rd.HardState); err != nil {
			return err
		}
	}
	if err := n.storage.Append(rd.Entries); err != nil {
		return err
	}
	send(rd.Messages)
	if rd.SoftState != nil && rd.SoftState.Lead != n.leader {
		n.leader = rd.SoftState.Lead
		fmt.Fprintln(n.out, "leader", n.leader)
	}
	for _, e := range rd.CommittedEntries {
		if err := n.apply(e); err != nil {
			return err
		}
	}
	return n.compact()
}

func (n *node) apply(e *raftpb.Entry) error {
	n.applied = e.GetIndex()
	if e.GetType() == raftpb.EntryConfChange {
		var c raftpb.ConfChange
		if err := proto.Unmarshal(e.GetData(), &c); err != nil {
			return err
		}
		n.members = n.raft.ApplyConfChange(&c)
	} else if len(e.GetData()) > 0 { // a leader begins with an empty one
		n.lines = append(n.lines, string(e.GetData()))
		fmt.Fprintln(n.out, "applied", len(n.lines), string(e.GetData()))
	}
	return nil
}

// compact takes a snapshot now and then, and forgets the entries before it.
func (n *node) compact() error {
	if n.applied < n.snapshot+snapshotEvery {
		return nil
	}
	s, err := n.storage.CreateSnapshot(n.applied, n.members, []byte(strings.Join(n.lines, "\n")))
	if err != nil {
		return err
	}
	n.snapshot = n.applied
	if err := n.file.snapshot(s); err != nil {
		return err
	}
	err = n.storage.Compact(n.applied - keepBehind)
	if errors.Is(err, raft.ErrCompacted) {
		return nil
	}
	return err
}

// restore takes a snapshot in place of what was applied.
func (n *node) restore(s *raftpb.Snapshot) {
	n.applied, n.snapshot = s.GetMetadata().GetIndex(), s.GetMetadata().GetIndex()
	n.members = s.GetMetadata().GetConfState()
	n.lines = strings.Split(string(s.GetData()), "\n")
}

func (n *node) hash() string {
	h := sha256.Sum256([]byte(strings.Join(n.lines, "\n")))
	return hex.EncodeToString(h[:8])
}
