package asynctest

import (
	"slices"
	"strings"
)

// Do puts a step in, now, and has it done. If the line makes no sense (*ScenarioError, whose
// line is 1) nothing has changed. If the step fails the run is over (Err), and the step is in
// the text, unless that was so before.
func (p *Play) Do(line string) error {
	line = strings.TrimSpace(line)
	if err := p.canDo(line); err != nil {
		return err
	}
	if !p.flush() {
		return p.Err()
	}
	lines := p.before()
	at := len(lines) // of the step, from 0 up
	lines = append(lines, line)
	rest := p.s.lines[p.done():]
	if w := p.r.wait; w != nil && w.rest != nil {
		lines, rest = append(lines, w.rest(p.Now())), rest[1:]
	}
	lines = append(lines, rest...)
	s, err := ParseScenario(p.s.Name, []byte(strings.Join(lines, "\n")))
	if err != nil {
		return err // canDo has seen the line, and the rest was there before
	}
	s.Seed = p.s.Seed
	*p.s = *s
	p.next = slices.IndexFunc(s.steps, func(st step) bool { return st.pos.Line == at+1 })
	p.r.wait = nil
	p.tb.protect(p.step)
	p.quiet = true
	return p.Err()
}

// canDo says what is wrong with a line that is to be put in.
func (p *Play) canDo(line string) error {
	if strings.ContainsAny(line, "\n\r") {
		return &ScenarioError{Pos{p.s.Name, 1, 1}, "a step is one line"}
	}
	words, err := splitLine(p.s.Name, 1, line)
	if err != nil {
		return err
	}
	if len(words) == 0 {
		return &ScenarioError{Pos{p.s.Name, 1, 1}, "a step is missing"}
	}
	switch words[0].text {
	case "seed", "node", "nodes", "links", "run", "at", "until":
		return words[0].errorf("%s cannot be put in: it is no step of a moment", words[0].text)
	}
	sp := &scenarioParser{s: &Scenario{Name: p.s.Name}, nodes: map[string]int{}}
	for i := range p.s.nodes {
		sp.nodes[p.s.nodes[i].name] = i
	}
	_, _, err = sp.step(1, line)
	return err
}

// flush has all happen that is due now, and says whether the run goes on.
func (p *Play) flush() bool {
	if p.r.c != nil && !p.quiet {
		p.Advance(p.Now(), nil)
	}
	return p.r.c != nil && p.Err() == nil
}

// done is how many lines of the text are, the one that fails included.
func (p *Play) done() int {
	switch {
	case p.r.c == nil:
		return len(p.s.lines)
	case p.Err() != nil && p.next > 0:
		return p.s.steps[p.next-1].pos.Line
	case p.r.wait != nil:
		return p.s.steps[p.next-1].pos.Line - 1
	case p.next < len(p.s.steps):
		return p.s.steps[p.next].pos.Line - 1
	}
	return len(p.s.lines)
}

// before are the lines of the text up to now.
func (p *Play) before() []string {
	n := p.done()
	if p.r.c == nil || p.Err() != nil {
		return slices.Clone(p.s.lines[:n])
	}
	for n > 0 && strings.TrimSpace(p.s.lines[n-1]) == "" {
		n--
	}
	lines := slices.Clone(p.s.lines[:n])
	if now := p.Now(); !p.quiet && now > 0 {
		lines = append(lines, "at "+asText(now))
	}
	return lines
}

// Text is the scenario up to now, whose Run ends with the hash that the network has when Text
// returns. What is due now happens before.
func (p *Play) Text() string {
	p.flush()
	return strings.Join(p.before(), "\n") + "\n"
}

// Whole is the scenario with the steps that are still to come. When all are done it may end
// before now.
func (p *Play) Whole() string {
	return strings.TrimRight(strings.Join(p.s.lines, "\n"), " \t\r\n") + "\n"
}
