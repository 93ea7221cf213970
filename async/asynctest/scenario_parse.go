package asynctest

import (
	"strconv"
	"strings"
	"time"
)

// scenarioParser turns words into steps.
type scenarioParser struct {
	s     *Scenario
	nodes map[string]int
	begun bool // a step that is not about nodes has come
	verb  word
	words []word // of the line, behind the verb
	end   word   // behind the last one
}

func (p *scenarioParser) next(what string) (word, error) {
	if len(p.words) == 0 {
		return p.end, p.end.errorf("%s: %s is missing", p.verb.text, what)
	}
	w := p.words[0]
	p.words = p.words[1:]
	return w, nil
}

func (p *scenarioParser) node() (int, error) {
	w, err := p.next("a node")
	if err != nil {
		return 0, err
	}
	i, ok := p.nodes[w.text]
	if !ok {
		return 0, w.errorf("there is no node %q", w.text)
	}
	return i, nil
}

func (p *scenarioParser) two() (a, b int, err error) {
	if a, err = p.node(); err == nil {
		b, err = p.node()
	}
	return a, b, err
}

func (p *scenarioParser) number(what string) (int, error) {
	w, err := p.next(what)
	if err != nil {
		return 0, err
	}
	return w.number(0, 1<<30)
}

func (w word) number(lo, hi int) (int, error) {
	n, err := strconv.Atoi(w.text)
	if err != nil || n < lo || n > hi {
		return 0, w.errorf("%q is no number from %d to %d", w.text, lo, hi)
	}
	return n, nil
}

func (w word) duration() (time.Duration, error) {
	d, err := time.ParseDuration(w.text)
	if err != nil || d < 0 || d > 1000*time.Hour {
		return 0, w.errorf("%q is no duration such as 5s, at most 1000h", w.text)
	}
	return d, nil
}

// difference is a duration that may be negative.
func (w word) difference(lo, hi time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(w.text)
	if err != nil || d < lo || d > hi {
		return 0, w.errorf("%q is no duration from %v to %v", w.text, lo, hi)
	}
	return d, nil
}

// options reads key=value words until the end of the line.
func (p *scenarioParser) options(known map[string]func(v word) error) error {
	for len(p.words) > 0 {
		w := p.words[0]
		key, value, ok := strings.Cut(w.text, "=")
		set := known[key]
		if !ok || set == nil {
			return w.errorf("unknown option %q", w.text)
		}
		v := word{value, w.pos}
		v.pos.Column += len(key) + 1
		if err := set(v); err != nil {
			return err
		}
		p.words = p.words[1:]
	}
	return nil
}

// intOption, durationOption and differenceOption set a variable.
func intOption(to *int, lo, hi int) func(word) error {
	return func(v word) (err error) {
		*to, err = v.number(lo, hi)
		return err
	}
}

func durationOption(to *time.Duration) func(word) error {
	return func(v word) (err error) {
		*to, err = v.duration()
		return err
	}
}

func differenceOption(to *time.Duration, lo, hi time.Duration) func(word) error {
	return func(v word) (err error) {
		*to, err = v.difference(lo, hi)
		return err
	}
}

// line parses one line into a step; nil: nothing to do at run time.
func (p *scenarioParser) line() (func(*scenarioRun) error, error) {
	if p.verb.text == "seed" {
		w, err := p.next("a number")
		if err != nil {
			return nil, err
		}
		if p.s.Seed, err = strconv.ParseUint(w.text, 10, 64); err != nil || len(p.s.steps) > 0 || len(p.nodes) > 0 {
			return nil, w.errorf("seed: a number, before everything else")
		}
		return nil, nil
	}
	if parse := scenarioVerbs[p.verb.text]; parse != nil {
		return parse(p)
	}
	return nil, p.verb.errorf("unknown step %q", p.verb.text)
}

// group reads nodes up to a bar or the end of the line.
func (p *scenarioParser) group() (nodes []int, err error) {
	for len(p.words) > 0 && p.words[0].text != "|" {
		i, err := p.node()
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, i)
	}
	if len(nodes) == 0 {
		return nil, p.end.errorf("%s: a group has no nodes", p.verb.text)
	}
	return nodes, nil
}
