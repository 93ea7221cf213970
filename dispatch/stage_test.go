package dispatch

import (
	"errors"
	"runtime"
	"time"
)

// stage runs the jobs of a queue on goroutines of which one at a time goes on: the
// test says which one, and has it back when that one is in a callback, or over. So a
// test has several callbacks that run, and every schedule is one that it has chosen.
type stage struct {
	q   *Queue
	now time.Duration

	refuse   bool     // what Submit does
	jobs     []func() // accepted by the executor, not begun
	standIns []func() // the same, of stand-in goroutines
	onSubmit func()   // called by Submit, once

	in     map[uint64]*onStage // the callbacks that run, by class
	paused chan bool           // by the goroutine that goes on: true in a callback, false at its end
	alive  int                 // goroutines
	begun  []string            // callbacks, in their order
	bad    error               // what must not be

	refusePlace bool          // what RunAside does
	atPlace     func() ending // what the next callback there does; nil: it returns
	onBegin     func(*Item)   // told of each callback that begins
	newest      uint64        // whose callback has begun last

	found []InFlight      // what OnStuck was told
	asked []time.Duration // what CheckAfter was
}

// onStage is a callback that runs.
type onStage struct {
	it  Item
	how chan ending
}

// ending is what a callback does in the end.
type ending int

const (
	returns ending = iota
	panicks
	goexit
	stays // in place only: for longer than the worker waits
)

var errRefused = errors.New("refused")

// newStage has a queue of cfg, the executor, the hooks and the handler of which are the stage's.
func newStage(cfg Config) *stage {
	s := &stage{now: time.Hour, in: map[uint64]*onStage{}, paused: make(chan bool)}
	cfg.Executor, cfg.Handler = s, s
	cfg.Clock = func() time.Duration { return s.now }
	cfg.Go = func(f func()) { s.standIns = append(s.standIns, f) }
	cfg.CheckAfter = func(d time.Duration) { s.asked = append(s.asked, d) }
	if cfg.OnStuck == nil {
		cfg.OnStuck = func(f InFlight) { s.found = append(s.found, f) }
	}
	s.q = New(cfg)
	return s
}

// Submit implements Executor.
func (s *stage) Submit(job func()) error {
	if f := s.onSubmit; f != nil {
		s.onSubmit = nil
		f()
	}
	if s.refuse {
		return errRefused
	}
	s.jobs = append(s.jobs, job)
	return nil
}

// Handle implements Handler.
func (s *stage) Handle(it *Item) Outcome {
	if s.in[it.Class] != nil {
		s.bad = errors.New("two callbacks of one connection")
	}
	c := &onStage{*it, make(chan ending)}
	s.in[it.Class] = c
	s.begun, s.newest = append(s.begun, nameItem(it)), it.Class
	if s.onBegin != nil {
		s.onBegin(it)
	}
	s.paused <- true
	how := <-c.how
	delete(s.in, it.Class)
	switch how {
	case panicks:
		panic("planted")
	case goexit:
		runtime.Goexit()
	}
	return Handled
}

// nameItem is "c1" for a message of connection 1, "c1!" for an event.
func nameItem(it *Item) string {
	name := "c" + string('0'+rune(it.Class))
	if it.Kind != KindMessage {
		name += "!"
	}
	return name
}

// run begins the oldest job, or the oldest one of a stand-in goroutine.
func (s *stage) run(jobs *[]func()) {
	job := (*jobs)[0]
	*jobs = (*jobs)[1:]
	s.begin(job)
	<-s.paused
}

func (s *stage) begin(job func()) {
	s.alive++
	go func() {
		defer func() {
			s.alive--
			s.paused <- false
		}()
		job()
	}()
}

// RunAside implements Place.
func (s *stage) RunAside(job func()) (ran, stay bool) {
	if s.refusePlace {
		return false, false
	}
	s.begin(job)
	for <-s.paused {
		how := returns
		if s.atPlace != nil {
			how = s.atPlace()
		}
		if how == stays {
			return true, true
		}
		s.in[s.newest].how <- how
	}
	return true, false
}

// settle begins all jobs there are.
func (s *stage) settle() {
	for len(s.jobs) > 0 || len(s.standIns) > 0 {
		if len(s.jobs) > 0 {
			s.run(&s.jobs)
		} else {
			s.run(&s.standIns)
		}
	}
}

// end ends the callback of a class and says whether its goroutine has another one.
func (s *stage) end(class uint64, how ending) (another bool) {
	s.in[class].how <- how
	return <-s.paused
}

// endAll ends all callbacks, those that begin meanwhile too.
func (s *stage) endAll() {
	for s.settle(); len(s.in) > 0; s.settle() {
		class := ^uint64(0)
		for c := range s.in {
			class = min(class, c)
		}
		s.end(class, returns)
	}
}

// check lets time pass and calls Check.
func (s *stage) check(d time.Duration) {
	s.now += d
	s.q.Check()
}

// seen is what an InFlight says.
type seen struct {
	class uint64
	kind  Kind
	since time.Duration
}

func seenOf(fs []InFlight) (all []seen) {
	for _, f := range fs {
		all = append(all, seen{f.Conn.ID(), f.Kind, f.For})
	}
	return all
}
