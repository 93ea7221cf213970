package raftsim

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// machine implements raft.FSM: it remembers a hash of all commands.
type machine struct {
	who     string
	history *history
	mu      sync.Mutex
	at      state
}

func (f *machine) state() state {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at
}

// Apply implements raft.FSM.
func (f *machine) Apply(l *raft.Log) any {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := f.at.after(l.Index, l.Data)
	f.history.applies(f.who, f.at, next, l.Data)
	f.at = next
	return nil
}

// Snapshot implements raft.FSM.
func (f *machine) Snapshot() (raft.FSMSnapshot, error) { return f.state(), nil }

// Restore implements raft.FSM.
func (f *machine) Restore(r io.ReadCloser) error {
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	var s state
	if err := decode(b, &s); err != nil {
		return err
	}
	f.history.restores(f.who, s)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = s
	return nil
}

// Persist implements raft.FSMSnapshot.
func (s state) Persist(sink raft.SnapshotSink) error {
	if _, err := sink.Write(encode(s)); err != nil {
		_ = sink.Cancel()
		return err
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (s state) Release() {}

var errPowerless = errors.New("raftsim: the machine has no power")

// disk is what outlives a node's crashes: Raft's logs, its votes, and its last snapshot.
type disk struct {
	*raft.InmemStore               // logs and votes
	pause            time.Duration // a write takes up to that long
	rand             func() uint64
	lies             bool // a write that is acknowledged is not there yet, for a second

	mu      sync.Mutex
	life    int // writes of earlier ones do not get through
	written []write
	latest  *snapshot
}

// write is what StoreLogs wrote, and when.
type write struct {
	at    time.Time
	first uint64
}

// lifeOfDisk is a disk as one life of its node sees it.
type lifeOfDisk struct {
	*disk
	life int
}

const cachedFor = time.Second

// StoreLog implements raft.LogStore.
func (d lifeOfDisk) StoreLog(l *raft.Log) error { return d.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements raft.LogStore.
func (d lifeOfDisk) StoreLogs(logs []*raft.Log) error {
	if d.pause > 0 {
		time.Sleep(time.Duration(d.rand() % uint64(d.pause)))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.life != d.disk.life {
		return errPowerless
	}
	if d.lies && len(logs) > 0 {
		d.written = append(d.written, write{time.Now(), logs[0].Index})
		d.written = d.written[max(0, len(d.written)-1000):]
	}
	return d.InmemStore.StoreLogs(logs)
}

// crash is a loss of power. What was not written by then never is, nor, if the disk lies,
// what it was given in the last second.
func (d *disk) crash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.life++
	last, err := d.LastIndex()
	if err != nil {
		panic(err)
	}
	from := last + 1
	for _, w := range d.written {
		if time.Since(w.at) < cachedFor {
			from = min(from, w.first)
		}
	}
	d.written = nil
	if from <= last {
		if err := d.DeleteRange(from, last); err != nil {
			panic(err)
		}
	}
}

// snapshot implements raft.SnapshotSink; it is there once it is closed.
type snapshot struct {
	bytes.Buffer
	disk lifeOfDisk
	meta raft.SnapshotMeta
}

// Create implements raft.SnapshotStore.
func (d lifeOfDisk) Create(version raft.SnapshotVersion, index, term uint64, cfg raft.Configuration,
	cfgIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	return &snapshot{disk: d, meta: raft.SnapshotMeta{Version: version, ID: fmt.Sprintf("%d-%d", term, index),
		Index: index, Term: term, Configuration: cfg, ConfigurationIndex: cfgIndex}}, nil
}

// List implements raft.SnapshotStore.
func (d lifeOfDisk) List() ([]*raft.SnapshotMeta, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.latest == nil {
		return nil, nil
	}
	meta := d.latest.meta
	return []*raft.SnapshotMeta{&meta}, nil
}

// Open implements raft.SnapshotStore.
func (d lifeOfDisk) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.latest == nil || d.latest.meta.ID != id {
		return nil, nil, fmt.Errorf("raftsim: no snapshot %s", id)
	}
	meta := d.latest.meta
	return &meta, io.NopCloser(bytes.NewReader(d.latest.Bytes())), nil
}

// ID implements raft.SnapshotSink.
func (s *snapshot) ID() string { return s.meta.ID }

// Cancel implements raft.SnapshotSink.
func (s *snapshot) Cancel() error { return nil }

// Close implements raft.SnapshotSink.
func (s *snapshot) Close() error {
	d := s.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.life != d.disk.life {
		return errPowerless
	}
	if d.latest == nil || d.latest.meta.Index <= s.meta.Index {
		s.meta.Size = int64(s.Len())
		d.latest = s
	}
	return nil
}
