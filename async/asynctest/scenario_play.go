package asynctest

import (
	"errors"
	"fmt"
	"time"

	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// Play is a scenario that is run piece by piece, with steps put in where it is (Do). However
// it is cut into pieces, and whatever was put in: the hash of its network is the one that
// Scenario.Run of its Text gives with the same seed.
//
// When the steps of the text are done the network can go on; Text then ends with the time
// that was reached. A Play belongs to one goroutine.
type Play struct {
	s    *Scenario
	r    *scenarioRun
	tb   *tryTB
	next int   // of s.steps; the one before waits if r.wait is set
	err  error // of a step
	// quiet: since a step was put in nothing has happened, and no time has passed.
	quiet bool
}

// Play begins a run. options, if not nil, may change those of the cluster, its network's
// framer for example; what happens must not depend on it.
func (s *Scenario) Play(options func(*Options)) *Play {
	copied := *s
	p := &Play{s: &copied, r: newScenarioRun(&copied), tb: &tryTB{}}
	p.tb.protect(func() { p.r.start(p.tb, options) })
	return p
}

// Run runs the scenario. prepare, if not nil, is called with the cluster before
// the first step, for traces. If it uses Network.EndOn, a run that was ended has an Err
// that is simnet.ErrEnded.
func (s *Scenario) Run(prepare func(*Cluster)) ScenarioResult {
	p := s.Play(nil)
	if c := p.r.c; c != nil {
		if prepare != nil {
			p.tb.protect(func() { prepare(c) })
		}
		p.advance(forever, &pace{text: true, whole: true})
	}
	return p.End()
}

// Cluster is what runs; nil if it could not begin. What uses it must not change what
// happens, or the text no longer tells it.
func (p *Play) Cluster() *Cluster { return p.r.c }

// Nodes are the names of the nodes, by their index in the cluster.
func (p *Play) Nodes() []string { return p.s.Nodes() }

// Length is that of the whole text, see Scenario.Length.
func (p *Play) Length() (d time.Duration, known bool) { return p.s.Length() }

// Now is the virtual time.
func (p *Play) Now() time.Duration {
	if p.r.c == nil {
		return 0
	}
	return p.r.c.Net.Now()
}

// Done says whether all steps of the text are done.
func (p *Play) Done() bool { return p.next == len(p.s.steps) && p.r.wait == nil }

// Err is why the run is over: the step that failed (*ScenarioError), a *Failure, or
// simnet.ErrEnded; nil if it can go on.
func (p *Play) Err() error {
	switch {
	case p.err != nil:
		return p.err
	case p.tb.failed:
		return &Failure{Lines: p.tb.lines}
	}
	return nil
}

// Log is what has happened, see ScenarioResult.Log.
func (p *Play) Log() []string { return p.r.log }

// Faults is how many faults lines have made.
func (p *Play) Faults() int { return p.r.faults.made }

// Unsent is how many messages traffic lines could not send, because queues were full or
// there was no connection.
func (p *Play) Unsent() int { return p.r.unsent }

// End shuts the cluster down, checks that nothing is left, and says what became of the run.
// The Play must not be used any more.
func (p *Play) End() (res ScenarioResult) {
	if c := p.r.c; c != nil {
		res.Virtual, res.Hash = c.Net.Now(), c.Net.Hash()
		res.Sent, res.Delivered = c.Tracked()
		res.Faults, res.Unsent = p.r.faults.made, p.r.unsent
	}
	err := p.tb.end()
	if res.Log, res.Err = p.r.log, p.err; p.err == nil {
		res.Err = err
	}
	return res
}

// Drop gives the run up, where it is, without the end of the messengers. The Play must not be
// used any more.
func (p *Play) Drop() {
	if p.r.c != nil {
		for _, n := range p.r.c.Nodes {
			n.pool.die()
		}
	}
}

// Advance has everything happen that is due up to that virtual time, and returns true when
// it is reached; false if the run is over before, or if stop, which may be nil and is
// called now and then, has said true: Advance goes on then when it is called again.
func (p *Play) Advance(to time.Duration, stop func() bool) bool {
	return p.advance(max(to, p.Now()), &pace{stop: stop})
}

// Finish runs to the end of the text, which it says whether it has reached; stop is that of
// Advance.
func (p *Play) Finish(stop func() bool) bool {
	return p.advance(forever, &pace{stop: stop, text: true})
}

// Step lets one event of the network happen, and the steps of the text before it. It returns
// false if the run is over, or there is no event.
func (p *Play) Step() bool {
	pc := &pace{one: true}
	p.advance(forever, pc)
	return pc.events > 0 && p.Err() == nil
}

// pace says when advance returns.
type pace struct {
	stop   func() bool // asked now and then
	one    bool        // after one event
	text   bool        // when the text is done
	whole  bool        // not before, whatever a check finds
	events int
}

// stopEvery is how many events pass between two calls of pace.stop: a tenth of a
// millisecond.
const stopEvery = 64

// enough says whether advance returns after an event.
func (pc *pace) enough() bool {
	pc.events++
	return pc.one || pc.stop != nil && pc.events%stopEvery == 0 && pc.stop()
}

// advance says whether it has reached the time, or the end of the text.
func (p *Play) advance(to time.Duration, pc *pace) (there bool) {
	p.tb.protect(func() {
		for p.r.c != nil && p.err == nil && !p.tb.stopped && (!p.tb.failed || pc.whole) {
			switch {
			case p.r.wait != nil:
				var over bool
				if over, there = p.pass(p.r.wait, to, pc); !over {
					return
				}
				p.r.wait = nil
			case p.next < len(p.s.steps):
				p.step()
			case pc.text:
				there = true
				return
			default:
				_, there = p.pass(&wait{end: forever}, to, pc)
				return
			}
		}
	})
	return there && p.Err() == nil
}

// step begins the next step, and ends it unless it waits.
func (p *Play) step() {
	st := &p.s.steps[p.next]
	p.next++
	p.quiet = false
	p.r.logf("%s", st.text)
	p.failed(st.do(p.r))
}

// failed notes the error of the step that was begun last. If the network was ended that is
// the error, whatever a step made of it.
func (p *Play) failed(err error) {
	if ended := p.r.c.Net.Err(); errors.Is(ended, simnet.ErrEnded) {
		p.err = ended
	} else if err != nil {
		st := &p.s.steps[p.next-1]
		p.err = &ScenarioError{st.pos, fmt.Sprintf("%s: %v (seed %d)", st.text, err, p.s.Seed)}
	}
}

// pass lets events happen until a wait is over, or that time is there.
func (p *Play) pass(w *wait, to time.Duration, pc *pace) (over, there bool) {
	net := p.r.c.Net
	if pc.whole {
		return p.broken(w, w.run(net, w.end)), false
	}
	for {
		if w.cond != nil && w.cond() {
			return true, false
		}
		at, some := net.Next()
		switch {
		case !some && w.end == forever && to == forever:
			return false, false
		case (!some || at > w.end) && (w.end <= to || w.cond != nil):
			p.quiet = p.quiet && w.end <= net.Now()
			return p.broken(w, w.run(net, w.end)), false
		case !some || at > to:
			p.quiet = p.quiet && to <= net.Now()
			return false, p.broken(w, net.Run(to-net.Now()))
		}
		net.Step()
		p.quiet = false
		if !p.broken(w, net.Err()) || pc.enough() {
			return false, false
		}
	}
}

// broken notes why the network cannot go on, and says whether it can.
func (p *Play) broken(w *wait, err error) bool {
	if err == nil {
		return true
	}
	p.failed(nil)
	switch {
	case p.err != nil:
	case w.failed != nil:
		p.failed(w.failed(err))
	default:
		p.tb.Fatalf("asynctest: %v", err)
	}
	return false
}
