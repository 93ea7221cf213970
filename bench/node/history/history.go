// Package history judges what clients of the store saw: that each object was like one that
// a single machine keeps, which does one thing at a time (it is linearizable).
//
// It goes by the versions that operations tell: a write has its own, a read that of the
// write that it saw. The order of versions is an order in which all of them may have
// happened, if it agrees with that of time: what began after another one was over is not
// older than that, and newer if it is a write.
package history

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
)

// Version is that of a write: a counter and who wrote.
type Version struct{ Counter, Writer uint64 }

// Compare is negative if v is older than o.
func (v Version) Compare(o Version) int {
	return cmp.Or(cmp.Compare(v.Counter, o.Counter), cmp.Compare(v.Writer, o.Writer))
}

// Op is an operation. Begin and End are places in one order of all events.
type Op struct {
	Key        string
	Write      bool
	Version    Version
	Value      string // written or read; empty: nothing was there
	Begin, End uint64 // End 0: it is not known that it has happened
	By         string
}

func (o Op) String() string {
	what := "read"
	if o.Write {
		what = "wrote"
	}
	return fmt.Sprintf("%s %s %q as %d.%x from %d to %d", o.By, what, o.Value, o.Version.Counter,
		o.Version.Writer&0xffff, o.Begin, o.End)
}

// History is what clients do. Any goroutine may call the methods. It is not to have more
// operations than there is memory for.
type History struct {
	mu   sync.Mutex
	tick uint64
	ops  []Op
}

// Begin returns the place of something that begins now.
func (h *History) Begin() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tick++
	return h.tick
}

// Done enters an operation that is over, or that nothing was heard of.
func (h *History) Done(o Op, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if known {
		h.tick++
		o.End = h.tick
	}
	h.ops = append(h.ops, o)
}

// Count is how many writes and reads are known to have happened.
func (h *History) Count() (writes, reads int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range h.ops {
		switch {
		case o.End == 0:
		case o.Write:
			writes++
		default:
			reads++
		}
	}
	return writes, reads
}

// Keys are those of all operations.
func (h *History) Keys() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var keys []string
	for _, o := range h.ops {
		keys = append(keys, o.Key)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Breach is how a history cannot have been. Lost: what was acknowledged, or read, was not there any
// more; the others are
// reads of what nobody wrote, or out of order.
type Breach struct {
	Lost bool
	What string
}

// Check returns how the history cannot have been; nil: it can.
func (h *History) Check() (broken []Breach) {
	h.mu.Lock()
	defer h.mu.Unlock()
	byKey := map[string][]Op{}
	for _, o := range h.ops {
		byKey[o.Key] = append(byKey[o.Key], o)
	}
	for k, ops := range byKey {
		for _, b := range check(ops) {
			b.What = k + ": " + b.What
			broken = append(broken, b)
		}
	}
	slices.SortFunc(broken, func(a, b Breach) int { return cmp.Compare(a.What, b.What) })
	return broken
}

func check(ops []Op) (broken []Breach) {
	written := map[Version]Op{}
	for _, o := range ops {
		if !o.Write {
			continue
		}
		if was, ok := written[o.Version]; ok {
			broken = append(broken, Breach{What: fmt.Sprintf("two writes of one version: %v; %v", was, o)})
		}
		written[o.Version] = o
	}
	var known []Op
	for _, o := range ops {
		if o.End != 0 {
			known = append(known, o)
		}
	}
	byEnd := slices.Clone(known)
	slices.SortFunc(known, func(a, b Op) int { return cmp.Compare(a.Begin, b.Begin) })
	slices.SortFunc(byEnd, func(a, b Op) int { return cmp.Compare(a.End, b.End) })
	var newest Op // of those that were over
	for _, o := range known {
		for len(byEnd) > 0 && byEnd[0].End < o.Begin {
			if byEnd[0].Version.Compare(newest.Version) > 0 || byEnd[0].Version == newest.Version && byEnd[0].Write {
				newest = byEnd[0]
			}
			byEnd = byEnd[1:]
		}
		if !o.Write && o.Version != (Version{}) {
			if w, ok := written[o.Version]; !ok || w.Value != o.Value {
				broken = append(broken, Breach{What: fmt.Sprintf("%v, which nobody wrote", o)})
			} else if w.Begin > o.End {
				broken = append(broken, Breach{What: fmt.Sprintf("%v, before it was written: %v", o, w)})
			}
		}
		switch c := o.Version.Compare(newest.Version); {
		case c < 0, c == 0 && o.Write && newest.Version != (Version{}):
			broken = append(broken, Breach{Lost: !o.Write, What: fmt.Sprintf("%v, after %v", o, newest)})
		}
	}
	return broken
}
