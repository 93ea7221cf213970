package playground

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// chart is a sequence chart, for the page to draw and as Mermaid.
type chart struct {
	Hosts []string `json:"hosts"`
	Rows  []row    `json:"rows"`
	Chart string   `json:"chart"`
}

// row is an arrow of a chart, or, without from and to, something that happened.
type row struct {
	At   time.Duration `json:"at"`
	From string        `json:"from,omitempty"`
	To   string        `json:"to,omitempty"`
	Text string        `json:"text"`
	Lost bool          `json:"lost,omitempty"`
}

// rowsMax bounds a chart.
const rowsMax = 60

// draw makes a chart of events, whose hosts become nodes; of more than rowsMax the last.
func (w *watch) draw(events []simnet.Event) *chart {
	events = events[max(0, len(events)-rowsMax):]
	used := map[string]bool{}
	out := &chart{Hosts: []string{}, Rows: []row{}}
	for i := range events {
		e := &events[i]
		if e.Conn == 0 {
			out.Rows = append(out.Rows, row{At: e.At, Text: w.spoken(e)})
			continue
		}
		e.From, e.To = w.node(e.From), w.node(e.To)
		used[e.From], used[e.To] = true, true
		text := strings.Join(e.Frames, " + ")
		if text == "" {
			if text = packetTags[e.Kind]; text == "" {
				text = fmt.Sprintf("%d bytes", e.Size)
			}
		}
		if e.Verdict != "" {
			text += " (" + e.Verdict + ")"
		}
		out.Rows = append(out.Rows, row{e.At, e.From, e.To, text, e.What == "send" && e.Verdict != "deliver"})
	}
	for _, name := range w.play.Nodes() {
		if used[name] {
			out.Hosts = append(out.Hosts, name)
		}
	}
	c := simnet.NewChart(simnet.ChartConfig{Hosts: out.Hosts, Max: rowsMax})
	for _, e := range events {
		c.Add(e)
	}
	var b strings.Builder
	_, _ = c.WriteTo(&b)
	out.Chart = b.String()
	return out
}

// spoken says what happened, with the names of nodes.
func (w *watch) spoken(e *simnet.Event) string {
	words := strings.Fields(e.Text)
	for i, word := range words {
		if _, ok := w.hosts[word]; ok {
			words[i] = w.node(word)
		}
	}
	return e.What + " " + strings.Join(words, " ")
}

// recent are the last events.
func (w *watch) recent() (all []simnet.Event) {
	for i := max(0, w.events-chartEvents); i < w.events; i++ {
		all = append(all, w.last[i%chartEvents])
	}
	return all
}

// violation is what was not as it must be, and what came before.
func (r *run) violation(err error) reply {
	message := err.Error()
	out := reply{"at": r.play.Now()}
	var at *asynctest.ScenarioError
	if errors.As(err, &at) {
		out["line"], out["column"] = at.Pos.Line, at.Pos.Column
		message = at.Msg
	}
	first, rest, _ := strings.Cut(message, "\n")
	c := r.watch.draw(r.watch.recent())
	out["message"], out["rows"], out["hosts"], out["chart"] = first, c.Rows, c.Hosts, c.Chart
	if rest != "" {
		out["details"] = rest[:min(len(rest), detailsMax)]
	}
	return out
}

// detailsMax bounds what a violation says besides, in bytes.
const detailsMax = 16 << 10

// window is a chart of what happened between two times up to now: it happens again.
func (r *run) window(from, to time.Duration, stop func() bool) (*chart, error) {
	to = min(to, r.play.Now())
	if from > to {
		return nil, fmt.Errorf("a chart from %v to %v, of a run that is at %v", from, to, r.play.Now())
	}
	s, err := parse(r.play.Whole())
	if err != nil {
		return nil, err
	}
	s.Seed = r.seed
	again := newRun(s, r.records)
	defer again.play.Drop()
	var events []simnet.Event
	again.play.Cluster().Net.Watch(func(e *simnet.Event) {
		if e.At < from || len(events) == rowsMax || e.What == "note" || e.What == "lend" || e.Kind == "ack" ||
			e.What == "send" && e.Verdict == "" {
			return
		}
		events = append(events, *e)
	})
	stopped := false
	again.advance(to, func() bool {
		stopped = len(events) < rowsMax && stop != nil && stop()
		return stopped || len(events) == rowsMax
	})
	if stopped {
		return nil, errors.New("it takes too long to have it happen again")
	}
	return again.watch.draw(events), nil
}
