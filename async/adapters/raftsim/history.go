package raftsim

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"sync"
)

// history is what all nodes have done, in all their lives, and what is wrong with it.
// Any goroutine may use it.
type history struct {
	mu        sync.Mutex
	leaders   map[uint64]string // by term
	applied   map[uint64]state  // by index: what a log up to there comes to
	commands  map[uint64]string // by index
	acked     map[uint64]string // by index: what Apply has acknowledged
	last      uint64            // the last index that was acknowledged
	snapshots int
	wrong     []string
}

// wrongMax is how many violations are kept: one explains the others.
const wrongMax = 10

func newHistory() *history {
	return &history{leaders: map[uint64]string{}, applied: map[uint64]state{}, commands: map[uint64]string{},
		acked: map[uint64]string{}}
}

func (h *history) violation(format string, args ...any) {
	if len(h.wrong) < wrongMax {
		h.wrong = append(h.wrong, fmt.Sprintf(format, args...))
	}
}

// leads notes that somebody acts as the leader of a term.
func (h *history) leads(term uint64, who string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if other, ok := h.leaders[term]; ok && other != who {
		h.violation("two leaders in term %d: %s and %s", term, other, who)
		return
	}
	h.leaders[term] = who
}

func (h *history) installs() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.snapshots++
}

// state is that of a state machine: its last index, how many commands it has applied, and a
// hash of them all, each with its index.
type state struct{ Last, Count, Hash uint64 }

func (s state) after(index uint64, command []byte) state {
	f := fnv.New64a()
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], s.Hash)
	binary.LittleEndian.PutUint64(b[8:], index)
	_, _ = f.Write(b[:])
	_, _ = f.Write(command)
	return state{Last: index, Count: s.Count + 1, Hash: f.Sum64()}
}

// applies notes that a state machine has applied a command, which brought it from one state
// to the next.
func (h *history) applies(who string, from, to state, command []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if to.Last <= from.Last {
		h.violation("%s applies index %d after %d", who, to.Last, from.Last)
	}
	if other, ok := h.applied[to.Last]; ok && other != to {
		h.violation("logs differ at index %d: %s applies %q there, another one had %q", to.Last, who, command,
			h.commands[to.Last])
		return
	}
	h.applied[to.Last], h.commands[to.Last] = to, string(command)
}

// restores notes that a state machine was restored from a snapshot.
func (h *history) restores(who string, s state) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if other, ok := h.applied[s.Last]; s.Count > 0 && (!ok || other != s) {
		h.violation("%s restores a snapshot up to index %d that nobody had", who, s.Last)
	}
}

// acks notes that Apply has acknowledged a command.
func (h *history) acks(index uint64, command string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acked[index] = command
	h.last = max(h.last, index)
	if h.commands[index] != command {
		h.violation("%q was acknowledged at index %d, where %q was applied", command, index, h.commands[index])
	}
}

// ends notes the state of a node at the end.
func (h *history) ends(who string, s state) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.Last < h.last {
		h.violation("%s ends with index %d, without %d, which was acknowledged", who, s.Last, h.last)
	}
	for index, command := range h.acked {
		if h.commands[index] != command {
			h.violation("%q was acknowledged at index %d, and lost", command, index)
		}
	}
}

func (h *history) complain(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.violation(format, args...)
}
