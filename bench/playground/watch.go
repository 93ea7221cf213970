package playground

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// watch follows a run: the packets for the eye, the last events for a chart, and from the
// history what each flow of messages holds. It changes nothing.
type watch struct {
	play  *asynctest.Play
	hosts map[string]int     // index of a host's node
	addrs map[netip.Addr]int // the same

	flying map[packetKey]*mark
	ended  []*mark // since the last state, the last FramesMax
	more   int     // that ended before those
	last   [chartEvents]simnet.Event
	events int // so far

	records, wires int // of the history that were seen
	flows          map[asynctest.Flow]*flow
	told           []note // since the last state, the last EventsMax
}

// chartEvents is how many events are kept for the chart around a violation.
const chartEvents = 256

// packetKey is what tells a packet from others that are under way.
type packetKey struct {
	conn       uint64
	from, kind string
	off        int64
}

// mark is a packet on its way, or one that was since the last state.
type mark struct {
	id   string
	a, b int
	tag  string
	n    int // frames that begin in it
	prio int
	num  uint64
	size int
	// When it was sent, will arrive, and has ended; 0: it has not.
	sent, due, end time.Duration
	held, lost     bool

	seen bool // under way at this state
}

// note is an event for people.
type note struct {
	At   time.Duration `json:"at"`
	Text string        `json:"text"`
	Kind string        `json:"kind"`
}

// flow is what is known of the messages of a flow.
type flow struct {
	sent, ended int
	wired       uint64 // the last number that was written
}

func newWatch(p *asynctest.Play) *watch {
	w := &watch{play: p, hosts: map[string]int{}, addrs: map[netip.Addr]int{}, flying: map[packetKey]*mark{},
		flows: map[asynctest.Flow]*flow{}}
	if c := p.Cluster(); c != nil {
		for i, n := range c.Nodes {
			w.hosts[n.Host.Name()], w.addrs[n.Host.Addr()] = i, i
		}
		c.Net.Watch(w.see)
	}
	return w
}

func (w *watch) node(host string) string { return w.play.Nodes()[w.hosts[host]] }

// packetTags are what packets without a frame are called; others are not shown.
var packetTags = map[string]string{"syn": "DIAL", "synack": "ACCEPT", "fin": "FIN", "rst": "RST", "data": ""}

// see is called for each event of the network.
func (w *watch) see(e *simnet.Event) {
	if e.Conn == 0 {
		if e.What != "note" && e.What != "lend" {
			w.keep(e)
		}
		return
	}
	if e.What == "recv" && e.Kind != "ack" || e.Verdict != "" {
		w.keep(e)
	}
	tag, shown := packetTags[e.Kind]
	if !shown {
		return
	}
	k := packetKey{e.Conn, e.From, e.Kind, e.Offset}
	if e.What == "recv" {
		if m := w.flying[k]; m != nil {
			delete(w.flying, k)
			w.end(m, e.At, false)
		}
		return
	}
	m := w.flying[k]
	if m == nil { // and not one that was held
		m = &mark{a: w.hosts[e.From], b: w.hosts[e.To], tag: tag, size: e.Size, n: len(e.Frames)}
		m.id = packetID(e, m.a)
		for i, name := range e.Frames {
			// The first message, or what was written last of something else.
			if l := labelOf(name); i == 0 || m.tag != "MESSAGE" && l.tag != "ACK" {
				m.tag, m.num, m.prio = l.tag, l.num, l.prio
			}
		}
		w.flying[k] = m
	}
	m.sent = e.At
}

// packetID is the same for no two packets of a run.
func packetID(e *simnet.Event, from int) string {
	b := strconv.AppendUint(make([]byte, 0, 32), e.Conn, 10)
	b = strconv.AppendInt(append(b, '.'), int64(from), 10)
	b = append(append(b, '.'), e.Kind...)
	return string(strconv.AppendInt(b, e.Offset, 10))
}

func (w *watch) keep(e *simnet.Event) {
	w.last[w.events%chartEvents] = *e
	w.events++
}

func (w *watch) end(m *mark, at time.Duration, lost bool) {
	m.end, m.lost, m.held = at, lost, false
	if len(w.ended) == 2*FramesMax {
		w.more += FramesMax
		w.ended = append(w.ended[:0], w.ended[FramesMax:]...)
	}
	w.ended = append(w.ended, m)
}

// marks are what is under way, and what has ended since the last time.
func (w *watch) marks() (all []*mark, more int) {
	c := w.play.Cluster()
	all = []*mark{}
	c.Net.EachInFlight(func(f *simnet.Flight) {
		m := w.flying[packetKey{f.Conn, f.From, f.Kind.String(), f.Offset}]
		if m == nil || m.seen {
			return
		}
		m.seen, m.due, m.held = true, f.Arrives, f.HeldBy != ""
		if len(all) < FramesMax {
			all = append(all, m)
		} else {
			more++
		}
	})
	var lost []*mark
	for k, m := range w.flying {
		if !m.seen {
			delete(w.flying, k)
			lost = append(lost, m)
		}
		m.seen = false
	}
	slices.SortFunc(lost, func(a, b *mark) int { return cmp.Compare(a.sent, b.sent) })
	for _, m := range lost {
		w.end(m, c.Net.Now(), true)
	}
	more += w.more
	if room := FramesMax - len(all); len(w.ended) > room {
		more += len(w.ended) - room
		w.ended = w.ended[len(w.ended)-room:]
	}
	all = append(all, w.ended...)
	w.ended, w.more = nil, 0
	return all, more
}

// read takes what the history has that is new.
func (w *watch) read() {
	h := w.play.Cluster().History
	for ; w.records < len(h.Records); w.records++ {
		w.record(&h.Records[w.records])
	}
	for ; w.wires < len(h.Wire); w.wires++ {
		if r := &h.Wire[w.wires]; r.Tag == frame.TagMessage && r.Num > 0 {
			if f := w.flows[r.Flow]; f != nil {
				f.wired = max(f.wired, r.Num)
			}
		}
	}
}

func (w *watch) record(r *asynctest.Record) {
	switch r.Kind {
	case asynctest.RecSent:
		f := w.flows[r.Flow]
		if f == nil {
			f = &flow{}
			w.flows[r.Flow] = f
		}
		f.sent++
	case asynctest.RecEnded:
		if f := w.flows[r.Flow]; f != nil {
			f.ended++
		}
	case asynctest.RecDown:
		for k := range w.flows {
			if k.From == r.Node {
				delete(w.flows, k)
			}
		}
	}
	w.tell(r)
}

// tell makes a note of what its user is told.
func (w *watch) tell(r *asynctest.Record) {
	me, peer, because := w.play.Nodes()[r.Node], "somebody", ""
	if r.Peer >= 0 {
		peer = w.play.Nodes()[r.Peer]
	}
	if r.Err != nil {
		because = r.Err.Error()
		if rest, ok := strings.CutPrefix(because, "simnet: "); ok { // and the peer's address
			_, because, _ = strings.Cut(rest, ": ")
		}
		because = ": " + because
	}
	var text, kind string
	switch r.Kind {
	case asynctest.RecConnect:
		text, kind = me+" is connected to "+peer, "session"
	case asynctest.RecAccept:
		text, kind = me+" has accepted "+peer, "session"
	case asynctest.RecFault:
		text, kind = me+" has lost its transport to "+peer+because, "fault"
	case asynctest.RecReset:
		text, kind = me+" is told: the session with "+peer+" is over"+because, "reset"
	case asynctest.RecRemoteReset:
		text, kind = me+" is told: "+peer+" has forgotten the session", "reset"
	case asynctest.RecRefused:
		text, kind = me+" is refused by "+peer+because, "reset"
	case asynctest.RecUp:
		text, kind = me+" is up again, and knows nothing of before", "note"
	default:
		return
	}
	w.note(note{r.At, text, kind})
}

func (w *watch) note(n note) {
	if len(w.told) == 2*EventsMax {
		w.told = append(w.told[:0], w.told[EventsMax:]...)
	}
	w.told = append(w.told, n)
}
