package simnet

import (
	"bufio"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"time"
)

// Event is a line of the trace: a packet that was sent, or was given a verdict, or
// arrived; or something that happened to the network, such as a crash.
type Event struct {
	// At is virtual time; nanoseconds in JSON.
	At time.Duration `json:"at"`
	// What is "send" or "recv" for a packet; otherwise what happened: "fault" (a rule
	// was added), "lift", "crash", "restart", "pause", "resume", "clock", "kill",
	// "forget", "break", "hit", "lend" (of a host's worker), "note".
	What string `json:"what"`
	// Text says more about what happened; empty for packets.
	Text string `json:"text,omitempty"`
	// Of packets: connection, names of hosts, kind, offset and bytes; what a rule
	// said and its name; with a Framer, the names of the frames that begin in it.
	Conn    uint64   `json:"conn,omitempty"`
	From    string   `json:"from,omitempty"`
	To      string   `json:"to,omitempty"`
	Kind    string   `json:"kind,omitempty"`
	Offset  int64    `json:"off,omitempty"`
	Size    int      `json:"size,omitempty"`
	Verdict string   `json:"verdict,omitempty"`
	Rule    string   `json:"rule,omitempty"`
	Frames  []string `json:"frames,omitempty"`
}

// ReadTrace calls f for each line that TraceTo wrote, until it returns false. An
// error names the line.
func ReadTrace(r io.Reader, f func(Event) bool) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for no := 1; lines.Scan(); no++ {
		var e Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("simnet: trace, line %d: %w", no, err)
		}
		if !f(e) {
			return nil
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("simnet: trace: %w", err)
	}
	return nil
}

const (
	hashSeed  = 14695981039346656037
	hashPrime = 0x9E3779B97F4A7C15
	// lastRecords is how many records Last shows.
	lastRecords = 64
)

// tracer hashes what happens, keeps the last of it, and shows it to who wants it.
type tracer struct {
	hash   uint64
	last   [lastRecords]record
	next   int
	w      io.Writer
	err    error
	charts []*Chart
	watch  func(*Event)
}

// The two things that happen to packets.
const (
	tookOff uint8 = iota + 1
	landed
)

// record is an Event in little room.
type record struct {
	at    time.Duration
	s     *stream // nil: a note
	text  string  // of a note; the name of a rule
	bytes []byte  // of a note, instead of text; of the record's place, which keeps the memory
	note  string  // what a note says has happened
	off   int64
	size  int32
	what  uint8
	side  uint8
	kind  Kind
	act   actKind
	begun []string // frames, if somebody looks
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var verdictNames = [...]string{"", "deliver", "stall", "reset", "refuse", "cut", "flip", "hold"}

func (r *record) event() Event {
	if r.s == nil {
		return Event{At: r.at, What: r.note, Text: r.text + string(r.bytes)}
	}
	what := "send"
	if r.what == landed {
		what = "recv"
	}
	p := &r.s.pipes[r.side]
	return Event{
		At: r.at, What: what, Conn: r.s.id, From: p.from(), To: p.to(), Kind: r.kind.String(),
		Offset: r.off, Size: int(r.size), Verdict: verdictNames[r.act], Rule: r.text, Frames: r.begun,
	}
}

func (r *record) json() []byte {
	line, err := json.Marshal(r.event())
	if err != nil {
		panic(err) // there is nothing in it that could fail
	}
	return append(line, '\n')
}

// TraceTo writes the trace from now on, one Event a line, as JSON: packets when
// they are sent and when they arrive, faults, crashes, notes; nil ends it.
// TraceError returns the first error of w.
func (n *Network) TraceTo(w io.Writer) { n.trace.w = w }

// TraceError returns the first error of the writer given to TraceTo.
func (n *Network) TraceError() error { return n.trace.err }

// Watch has f called with each event of the trace from now on, as it happens; nil ends it.
// The event is valid during the call. f must not use the network, which is in the midst
// of something.
func (n *Network) Watch(f func(e *Event)) { n.trace.watch = f }

// Hash is a hash of the whole trace so far, contents of packets included.
func (n *Network) Hash() uint64 { return n.trace.hash }

// Note puts a line of the user's into the trace and its hash.
func (n *Network) Note(text string) { n.note("note", text) }

// NoteBytes is Note for many lines: text is copied, into memory that is used again.
func (n *Network) NoteBytes(text []byte) {
	r := n.noted("note", hashText(text))
	r.bytes = append(r.bytes, text...)
	n.trace.add(r)
}

// Last shows the last lines of the trace.
func (n *Network) Last() string {
	var b strings.Builder
	t := &n.trace
	for i := range lastRecords {
		if r := &t.last[(t.next+i)%lastRecords]; r.s != nil || r.note != "" {
			b.Write(r.json())
		}
	}
	return b.String()
}

func (t *tracer) mix(v uint64) {
	h := (t.hash ^ v) * hashPrime
	t.hash = h ^ h>>29
}

func hashText[T string | []byte](s T) uint64 {
	h := uint64(len(s))
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * hashPrime
	}
	return h
}

// watched says that somebody looks at events.
func (t *tracer) watched() bool { return t.w != nil || t.watch != nil || len(t.charts) > 0 }

// add keeps the record that was made in place.
func (t *tracer) add(r *record) {
	t.next = (t.next + 1) % lastRecords
	if t.w != nil && t.err == nil {
		_, t.err = t.w.Write(r.json())
	}
	for _, c := range t.charts {
		c.see(r)
	}
	if t.watch != nil {
		e := r.event()
		t.watch(&e)
	}
}

func (n *Network) note(what, text string) {
	r := n.noted(what, hashText(text))
	r.text = text
	n.trace.add(r)
}

// noted begins the record of a note, whose text has that hash.
func (n *Network) noted(what string, text uint64) *record {
	t := &n.trace
	t.mix(uint64(n.Now()))
	t.mix(hashText(what))
	t.mix(text)
	r := t.slot()
	r.at, r.note = n.Now(), what
	return r
}

// slot is an empty record for add.
func (t *tracer) slot() *record {
	r := &t.last[t.next]
	*r = record{bytes: r.bytes[:0]}
	return r
}

// record notes what happens to a packet, and what the rule of that name said.
func (n *Network) record(pk *packet, what uint8, v Verdict, rule string) {
	t, s, p := &n.trace, pk.p.s, pk.p
	t.mix(uint64(n.Now()))
	t.mix(s.id<<20 + uint64(p.side)<<16 + uint64(pk.kind)<<8 + uint64(v.act)<<4 + uint64(what))
	t.mix(uint64(pk.off)<<24 + uint64(pk.size))
	if what == tookOff && pk.size > 0 {
		t.mix(uint64(crc32.Checksum(pk.data(), castagnoli)))
	}
	r := t.slot()
	r.at, r.s, r.text, r.off, r.size = n.Now(), s, rule, pk.off, pk.size
	r.what, r.side, r.kind, r.act = what, p.side, pk.kind, v.act
	if p.frames != nil && pk.size > 0 && t.watched() {
		r.begun = p.begun(pk.off, pk.size)
	}
	t.add(r)
}
