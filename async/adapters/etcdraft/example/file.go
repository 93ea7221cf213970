package main

import (
	"encoding/binary"
	"errors"
	"io"
	"os"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// logFile is what a node has to remember, as records: u8 kind, u32 length, a protobuf. It
// only grows: this is an example.
type logFile struct{ f *os.File }

const (
	kindState = iota
	kindEntry
	kindSnapshot
)

// openLog opens or makes a file, and puts what is in it into storage.
func openLog(path string, storage *raft.MemoryStorage) (l *logFile, found bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, false, err
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return nil, false, err
	}
	good := 0 // a record that was being written when the process ended does not count
	for len(data)-good >= 5 {
		n := int(binary.LittleEndian.Uint32(data[good+1:]))
		if len(data)-good-5 < n {
			break
		}
		if err := load(storage, data[good], data[good+5:good+5+n]); err != nil {
			return nil, false, err
		}
		good += 5 + n
	}
	if err := f.Truncate(int64(good)); err != nil {
		return nil, false, err
	}
	_, err = f.Seek(int64(good), io.SeekStart)
	return &logFile{f}, good > 0, err
}

func load(storage *raft.MemoryStorage, kind byte, b []byte) error {
	switch kind {
	case kindState:
		var s raftpb.HardState
		if err := proto.Unmarshal(b, &s); err != nil {
			return err
		}
		return storage.SetHardState(&s)
	case kindEntry:
		var e raftpb.Entry
		if err := proto.Unmarshal(b, &e); err != nil {
			return err
		}
		return storage.Append([]*raftpb.Entry{&e})
	}
	var s raftpb.Snapshot
	if err := proto.Unmarshal(b, &s); err != nil {
		return err
	}
	at, last := s.GetMetadata().GetIndex(), uint64(0)
	if i, err := storage.LastIndex(); err == nil {
		last = i
	}
	if at > last { // one that a peer has sent
		if err := storage.ApplySnapshot(&s); !errors.Is(err, raft.ErrSnapOutOfDate) {
			return err
		}
		return nil
	}
	_, err := storage.CreateSnapshot(at, s.GetMetadata().GetConfState(), s.GetData())
	if err == nil {
		err = storage.Compact(at - keepBehind)
	}
	if errors.Is(err, raft.ErrSnapOutOfDate) || errors.Is(err, raft.ErrCompacted) {
		return nil
	}
	return err
}

// append keeps what Ready says must be kept before anything is sent.
func (l *logFile) append(rd raft.Ready) error {
	if !raft.IsEmptySnap(rd.Snapshot) {
		if err := l.record(kindSnapshot, rd.Snapshot); err != nil {
			return err
		}
	}
	for _, e := range rd.Entries {
		if err := l.record(kindEntry, e); err != nil {
			return err
		}
	}
	if !raft.IsEmptyHardState(rd.HardState) {
		if err := l.record(kindState, rd.HardState); err != nil {
			return err
		}
	}
	if rd.MustSync {
		return l.f.Sync()
	}
	return nil
}

func (l *logFile) snapshot(s *raftpb.Snapshot) error { return l.record(kindSnapshot, s) }

func (l *logFile) record(kind byte, m proto.Message) error {
	b, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	_, err = l.f.Write(append(binary.LittleEndian.AppendUint32([]byte{kind}, uint32(len(b))), b...))
	return err
}

// Close closes the file.
func (l *logFile) Close() error { return l.f.Close() }
