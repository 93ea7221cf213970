package simnet

import (
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"time"
)

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
	// lastRecords is how many records Last shows.
	lastRecords = 64
)

// tracer hashes what happens, keeps the last of it, and writes it if asked to.
type tracer struct {
	hash uint64
	last [lastRecords]record
	next int
	w    io.Writer
	err  error
}

// record is one line of the trace.
type record struct {
	at   time.Duration
	what string // "send", "recv", or the kind of a note
	text string // of a note
	conn uint64
	side int
	from string
	to   string
	kind Kind
	off  int64
	size int
	act  action8
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var actNames = [...]string{"", "deliver", "stall", "reset", "refuse", "cut", "flip"}

func (r *record) json() string {
	if r.from == "" {
		return fmt.Sprintf(`{"at":%d,"what":%q,"text":%q}`, r.at, r.what, r.text)
	}
	s := fmt.Sprintf(`{"at":%d,"what":%q,"conn":%d,"from":%q,"to":%q,"kind":%q,"off":%d,"size":%d`,
		r.at, r.what, r.conn, r.from, r.to, r.kind, r.off, r.size)
	if r.act != actPass {
		s += fmt.Sprintf(`,"verdict":%q`, actNames[r.act])
	}
	return s + "}"
}

// TraceTo writes the trace from now on, one JSON object a line: times in
// nanoseconds, packets when they are sent and when they arrive, faults, crashes,
// notes. TraceError returns the first error of w.
func (n *Network) TraceTo(w io.Writer) { n.trace.w = w }

// TraceError returns the first error of the writer given to TraceTo.
func (n *Network) TraceError() error { return n.trace.err }

// Hash is a hash of the whole trace so far, contents of packets included.
func (n *Network) Hash() uint64 { return n.trace.hash }

// Note puts a line of the user's into the trace and its hash.
func (n *Network) Note(text string) { n.note("note", text) }

// Last shows the last lines of the trace.
func (n *Network) Last() string {
	var b strings.Builder
	t := &n.trace
	for i := range lastRecords {
		if r := &t.last[(t.next+i)%lastRecords]; r.what != "" {
			b.WriteString(r.json() + "\n")
		}
	}
	return b.String()
}

func (t *tracer) mix(v uint64) { t.hash = (t.hash ^ v) * fnvPrime }

func (t *tracer) mixText(s string) {
	t.mix(uint64(crc32.Checksum([]byte(s), castagnoli))<<16 + uint64(len(s)))
}

func (t *tracer) add(r record) {
	t.last[t.next] = r
	t.next = (t.next + 1) % lastRecords
	if t.w != nil && t.err == nil {
		_, t.err = io.WriteString(t.w, r.json()+"\n")
	}
}

func (n *Network) note(what, text string) {
	t := &n.trace
	t.mix(uint64(n.Now()))
	t.mixText(what)
	t.mixText(text)
	t.add(record{at: n.Now(), what: what, text: text})
}

func (n *Network) record(pk *packet, what string, act action8) {
	t, s := &n.trace, pk.p.s
	t.mix(uint64(n.Now()))
	t.mix(s.id<<20 + uint64(pk.p.side)<<16 + uint64(pk.kind)<<8 + uint64(act)<<4 + uint64(what[0]))
	t.mix(uint64(pk.off)<<24 + uint64(len(pk.data)))
	if what == "send" {
		t.mix(uint64(crc32.Checksum(pk.data, castagnoli)))
	}
	t.add(record{
		at: n.Now(), what: what, conn: s.id, side: pk.p.side, from: s.hosts[pk.p.side], to: s.hosts[1-pk.p.side],
		kind: pk.kind, off: pk.off, size: len(pk.data), act: act,
	})
}
