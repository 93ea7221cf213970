package playground

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
)

// What a run in the playground may be: it is there to be looked at, in a browser's memory.
const (
	NodesMax = 200
	// TextMax is how long a text may be, in bytes, and LinesMax in lines.
	TextMax  = 64 << 10
	LinesMax = 2000
	// RecordsMax is how many records of what happened a run may have before it ends. A message
	// takes about five, and all of them a few hundred megabytes.
	RecordsMax = 1_000_000
	// FramesMax and EventsMax bound what is in one state.
	FramesMax = 2000
	EventsMax = 200
	// TimeMax is the last virtual time.
	TimeMax = 1000 * time.Hour
)

// Engine runs one scenario at a time. It belongs to one goroutine.
type Engine struct {
	// Version is what ready says, for links to the sources.
	Version string
	run     *run
	// records, if not 0, is another RecordsMax.
	records int
}

// request is one of the page's.
type request struct {
	ID     json.Number `json:"id"`
	Do     string      `json:"do"`
	Text   string      `json:"text"`
	Seed   seed        `json:"seed"`
	Name   string      `json:"name"`
	Nodes  int         `json:"nodes"`
	Faults float64     `json:"faults"`
	Policy string      `json:"policy"`
	From   float64     `json:"from"`
	To     float64     `json:"to"`
	Budget float64     `json:"budget"` // ms of real time; 0: no bound
	Line   string      `json:"line"`
}

// seed is a number or its decimal digits; "" or null: none is given.
type seed string

func (s *seed) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	if text == "null" {
		text = ""
	}
	*s = seed(text)
	return nil
}

func (s seed) value(otherwise uint64) (uint64, error) {
	if s == "" {
		return otherwise, nil
	}
	v, err := strconv.ParseUint(string(s), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no seed: a number from 0 to 18446744073709551615", string(s))
	}
	return v, nil
}

// reply is an object for the page.
type reply map[string]any

// Handle answers a request, an object in JSON, with an array of objects. It does not panic:
// whatever goes wrong is an object of the type error.
func (e *Engine) Handle(in []byte) []byte {
	var q request
	replies := e.answer(in, &q)
	for _, r := range replies {
		if r["id"] = q.ID; q.ID == "" {
			delete(r, "id")
		}
	}
	out := []byte{'['}
	for i, r := range replies {
		if i > 0 {
			out = append(out, ',')
		}
		out = r.appendJSON(out)
	}
	return append(out, ']')
}

// large is the key of a reply of what is in JSON already: fields, with commas before them. It is
// what there are hundreds of, many times a second.
const large = ""

func (r reply) appendJSON(out []byte) []byte {
	fields, _ := r[large].([]byte)
	delete(r, large)
	b, err := json.Marshal(r)
	if err != nil {
		b, _ = json.Marshal(reply{"id": r["id"], "type": "error", "message": err.Error()})
	}
	out = append(out, b[:len(b)-1]...) // there is a type at least
	out = append(out, fields...)
	return append(out, '}')
}

func (e *Engine) answer(in []byte, q *request) (replies []reply) {
	defer func() {
		if r := recover(); r != nil {
			replies = []reply{{"type": "error", "message": fmt.Sprintf("the simulator failed: %v", r),
				"stack": string(debug.Stack())}}
		}
	}()
	if err := json.Unmarshal(in, q); err != nil {
		return []reply{failure(fmt.Errorf("a request that makes no sense: %w", err))}
	}
	do := requests[q.Do]
	if do == nil {
		return []reply{failure(fmt.Errorf("there is no request %q", q.Do))}
	}
	replies, err := do(e, q)
	if err != nil {
		replies = append(replies, failure(err))
	}
	return replies
}

// failure is the error for the page, with its place in the text if it has one.
func failure(err error) reply {
	r := reply{"type": "error", "message": err.Error()}
	var at *asynctest.ScenarioError
	if errors.As(err, &at) {
		r["message"], r["line"], r["column"] = at.Msg, at.Pos.Line, at.Pos.Column
		if hint := hintOf(at.Msg); hint != "" {
			r["hint"] = hint
		}
	}
	return r
}

// hintOf says what could be meant by an unknown step.
func hintOf(msg string) string {
	verb, ok := strings.CutPrefix(msg, "unknown step ")
	if !ok {
		return ""
	}
	verb = strings.Trim(verb, `"`)
	var all []string
	for _, s := range Steps {
		if verb != "" && (strings.HasPrefix(s.Verb, verb[:1]) || strings.Contains(s.Verb, verb)) {
			all = append(all, s.Verb)
		}
	}
	if len(all) == 0 {
		for _, s := range Steps {
			all = append(all, s.Verb)
		}
	}
	return "there are " + strings.Join(all, ", ")
}

func (e *Engine) ready() reply {
	return reply{"type": "ready", "version": e.Version, "presets": Presets(), "policies": Policies, "steps": Steps,
		"bounds": reply{"nodes": NodesMax, "text": TextMax, "lines": LinesMax, "frames": FramesMax}}
}

// start replaces what runs, unless the text makes no sense.
func (e *Engine) start(text string, s seed) ([]reply, error) {
	sc, err := parse(text)
	if err != nil {
		return nil, err
	}
	if sc.Seed, err = s.value(sc.Seed); err != nil {
		return nil, err
	}
	if e.run != nil {
		e.run.play.Drop()
	}
	e.run = newRun(sc, cmp.Or(e.records, RecordsMax))
	return []reply{e.run.text(), e.run.state()}, nil
}

// parse reads a text that the playground can bear.
func parse(text string) (*asynctest.Scenario, error) {
	if len(text) > TextMax || strings.Count(text, "\n") > LinesMax {
		return nil, fmt.Errorf("the text is too long: at most %d lines and %d bytes", LinesMax, TextMax)
	}
	s, err := asynctest.ParseScenario("scenario", []byte(text))
	if err != nil {
		return nil, err
	}
	switch n := len(s.Nodes()); {
	case n == 0:
		return nil, errors.New("a scenario needs nodes: lines such as node a, or nodes 8")
	case n > NodesMax:
		return nil, fmt.Errorf("there are %d nodes; the playground has %d at most, and msgr sim more", n, NodesMax)
	}
	return s, nil
}
