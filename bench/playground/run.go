package playground

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
)

// run is what runs, and what was done to it.
type run struct {
	seed    uint64
	play    *asynctest.Play
	names   []string
	quoted  []string // the names, in JSON
	nodes   []nodeState
	looks   int // at the nodes
	encoded int // bytes of the last state
	acts    []act
	watch   *watch
	// fresh: the next state is not the continuation of the one before.
	fresh   bool
	records int    // the most there may be
	limit   string // why it does not go on, without being wrong
	logged  int    // lines of the log that were in a state
}

// act is a step that was put in.
type act struct {
	At   time.Duration `json:"at"`
	Line string        `json:"line"`
	// before is the whole text before it.
	before string
}

func newRun(s *asynctest.Scenario, records int) *run {
	r := &run{seed: s.Seed, records: records}
	r.begin(s)
	return r
}

// begin begins anew, at time 0.
func (r *run) begin(s *asynctest.Scenario) {
	if r.play != nil {
		r.play.Drop()
	}
	r.play = s.Play(func(o *asynctest.Options) { o.Network.Framer = newFramer })
	r.names = s.Nodes()
	r.quoted, r.nodes = quote(r.names), nil
	r.watch = newWatch(r.play)
	r.fresh, r.limit, r.logged = true, "", 0
}

// again begins anew with another text, as far as a time.
func (r *run) again(text string, to time.Duration, stop func() bool) error {
	s, err := parse(text)
	if err != nil {
		return err
	}
	s.Seed = r.seed
	r.begin(s)
	r.advance(to, stop)
	return nil
}

// stopper is stop, or the bound of a run.
func (r *run) stopper(stop func() bool) func() bool {
	return func() bool {
		h := r.play.Cluster().History
		if n := len(h.Records) + len(h.Wire); n > r.records {
			r.limit = fmt.Sprintf("the run has %d records of what happened, which is as much as the playground keeps; "+
				"msgr sim has no such bound", n)
		}
		return r.limit != "" || stop != nil && stop()
	}
}

func (r *run) advance(to time.Duration, stop func() bool) {
	if to = min(to, TimeMax); r.limit == "" && to > r.play.Now() {
		r.play.Advance(to, r.stopper(stop))
	}
}

func (r *run) finish(stop func() bool) {
	if r.limit == "" {
		r.play.Finish(r.stopper(stop))
	}
}

func (r *run) step() {
	if r.limit == "" {
		r.play.Step()
	}
}

// seek goes to a time; back means from the beginning. What was put in later stays in the text
// until something else is put in.
func (r *run) seek(to time.Duration, stop func() bool) error {
	if to >= r.play.Now() {
		r.fresh = true
		r.advance(to, stop)
		return nil
	}
	return r.again(r.play.Whole(), to, stop)
}

// truncate takes out of the text what was put in later than now.
func (r *run) truncate() error {
	now := r.play.Now()
	i := slices.IndexFunc(r.acts, func(a act) bool { return a.At > now })
	if i < 0 {
		return nil
	}
	before := r.acts[i].before
	r.acts = r.acts[:i]
	return r.again(before, now, nil)
}

// act puts a step in.
func (r *run) act(line string) error {
	if r.play.Err() != nil || r.limit != "" {
		return errors.New("the run is over; go back in time to do something else")
	}
	if err := r.truncate(); err != nil {
		return err
	}
	before, now := r.play.Whole(), r.play.Now()
	if strings.Count(before, "\n")+3 > LinesMax || len(before)+len(line)+100 > TextMax {
		return fmt.Errorf("the text is full: at most %d lines and %d bytes", LinesMax, TextMax)
	}
	err := r.play.Do(line)
	if err != nil && r.play.Err() == nil {
		return err // it makes no sense
	}
	verb, _, _ := strings.Cut(strings.TrimSpace(line), " ")
	if err != nil && verb != "expect" && verb != "check" {
		if at := new(asynctest.ScenarioError); errors.As(err, &at) {
			err = errors.New(at.Msg) // its place is in a text that nobody sees
		}
		return errors.Join(err, r.again(before, now, nil))
	}
	r.acts = append(r.acts, act{now, strings.TrimSpace(line), before})
	return nil
}

// text tells the run as a text: up to now, and with what is still to come.
func (r *run) text() reply {
	text := r.play.Text()
	acts := r.acts
	if acts == nil {
		acts = []act{}
	}
	out := reply{"type": "text", "text": text, "whole": r.play.Whole(), "seed": r.seedText(),
		"at": r.play.Now(), "acts": acts}
	if end, known := r.play.Length(); known {
		out["end"] = end
	}
	return out
}

func (r *run) seedText() string { return strconv.FormatUint(r.seed, 10) }

func (r *run) hash() reply {
	r.play.Text() // what is due now has happened then
	out := reply{"type": "hash", "at": r.play.Now(), "seed": r.seedText()}
	if c := r.play.Cluster(); c != nil {
		_, arrived := c.Tracked()
		out["hash"], out["deliveries"] = fmt.Sprintf("%016x", c.Net.Hash()), arrived
	}
	return out
}
