package simnet

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// ChartConfig says what a Chart shows; the zero value is everything, up to 200
// events.
type ChartConfig struct {
	// Hosts are the names of those of interest, in the order of their columns: what
	// passes between two of them is shown. None: all, as they appear.
	Hosts []string
	// From and To are the window of virtual time; To 0: no end.
	From, To time.Duration
	// Max is the most events that are shown; those after it are counted. 0 means 200.
	Max int
	// Acks shows packets that only grant room, too, and Notes what Network.Note noted
	// and workers that were lent.
	Acks, Notes bool
}

// Chart collects a sequence chart of what happens, as Mermaid draws it.
type Chart struct {
	cfg    ChartConfig
	events []Event
	more   int // beyond cfg.Max
}

// NewChart makes a chart that Add fills, with the events of ReadTrace for example.
func NewChart(cfg ChartConfig) *Chart {
	if cfg.Max == 0 {
		cfg.Max = 200
	}
	return &Chart{cfg: cfg}
}

// Chart makes a chart of what happens from now on.
func (n *Network) Chart(cfg ChartConfig) *Chart {
	c := NewChart(cfg)
	n.trace.charts = append(n.trace.charts, c)
	return c
}

// see is Add for what may be of no interest, which most of it is.
func (c *Chart) see(r *record) {
	if r.at < c.cfg.From || c.cfg.To > 0 && r.at > c.cfg.To ||
		r.s != nil && r.kind == Ack && !c.cfg.Acks || aside(r.note) && !c.cfg.Notes {
		return
	}
	c.Add(r.event())
}

// Add shows an event, if it is of interest. Packets appear when they are sent with
// a verdict that is not to deliver them, and when they arrive.
func (c *Chart) Add(e Event) {
	if e.At < c.cfg.From || c.cfg.To > 0 && e.At > c.cfg.To || !c.wants(&e) {
		return
	}
	if len(c.events) == c.cfg.Max {
		c.more++
		return
	}
	c.events = append(c.events, e)
}

// aside says whether an event is one for ChartConfig.Notes.
func aside(what string) bool { return what == "note" || what == "lend" }

func (c *Chart) wants(e *Event) bool {
	if e.Conn == 0 {
		return !aside(e.What) || c.cfg.Notes
	}
	if len(c.cfg.Hosts) > 0 && !(slices.Contains(c.cfg.Hosts, e.From) && slices.Contains(c.cfg.Hosts, e.To)) {
		return false
	}
	return (e.Kind != Ack.String() || c.cfg.Acks) && (e.What == "recv" || e.Verdict != "")
}

// WriteTo writes the chart: a sequenceDiagram in Mermaid's language. Solid arrows
// are packets that arrived, arrows with a cross those that did not.
func (c *Chart) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	b.WriteString("sequenceDiagram\n")
	hosts := slices.Clone(c.cfg.Hosts)
	for _, e := range c.events {
		for _, h := range []string{e.From, e.To} {
			if h != "" && !slices.Contains(hosts, h) {
				hosts = append(hosts, h)
			}
		}
	}
	column := map[string]string{}
	for i, h := range hosts {
		column[h] = fmt.Sprintf("h%d", i)
		fmt.Fprintf(&b, "    participant h%d as %s\n", i, mermaid(h))
	}
	for i := range c.events {
		e := &c.events[i]
		switch {
		case e.Conn != 0:
			arrow := "->>"
			if lost(e.Verdict) && e.What == "send" {
				arrow = "-x"
			}
			fmt.Fprintf(&b, "    %s%s%s: %s\n", column[e.From], arrow, column[e.To], mermaid(label(e)))
		case len(hosts) > 0:
			over := "h0"
			if k := len(hosts) - 1; k > 0 {
				over += fmt.Sprintf(",h%d", k)
			}
			fmt.Fprintf(&b, "    Note over %s: %s\n", over, mermaid(fmt.Sprintf("%v %s %s", e.At, e.What, e.Text)))
		}
	}
	if c.more > 0 && len(hosts) > 0 {
		fmt.Fprintf(&b, "    Note over h0: and %d more\n", c.more)
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// lost says whether a packet with that verdict goes no further, for now.
func lost(verdict string) bool { return verdict != "" && verdict != "deliver" && verdict != "flip" }

func label(e *Event) string {
	s := fmt.Sprintf("%v #%d ", e.At, e.Conn)
	switch {
	case len(e.Frames) > 0:
		s += strings.Join(e.Frames, " + ")
	default:
		s += e.Kind
	}
	if e.Size > 0 {
		s += fmt.Sprintf(" %d..%d", e.Offset, e.Offset+int64(e.Size))
	}
	if e.Verdict != "" {
		s += " (" + e.Verdict + " by " + e.Rule + ")"
	}
	return s
}

// mermaid makes a text harmless in a diagram: ; and # mean something there, and a
// line is a statement.
func mermaid(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == ';' || r == '#' || r == '<' || r == '>' || r == '"':
			fmt.Fprintf(&b, "#%d;", r)
		case r < ' ':
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
