package dispatch

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The runtime gives the stack of another goroutine only together with those of all, as
// text, and the program stands still while the text is written: 0.2 ms with 10 goroutines,
// 100 ms with 2000 (10 frames each).

// The bounds. Over one of them there is no stack, but a line that says why.
const (
	// stacksFirst is how many bytes of text are asked for first, stacksMax how many at
	// most: a goroutine whose stack comes after these is not found.
	stacksFirst = 256 << 10
	stacksMax   = 4 << 20
	// goroutinesMax is the number of goroutines up to which stacks are taken: the time that
	// writing takes is in proportion to it.
	goroutinesMax = 4096
	// stacksPause is the length of the pause after the stacks were written, as a multiple of
	// the time that writing took: so writing takes at most 1 % of all time.
	stacksPause = 100
)

// stackMark is what the goroutine in a callback of a drainer is found by: the argument of
// drainer.dispatch on its stack, as the runtime writes it. No other function has such an
// argument, so its value is enough. It is an array, because that is passed in memory: the
// runtime knows an argument that is passed in a register only as long as the function
// keeps it. How the runtime writes arguments is no promise of Go's: nothing is decided by
// the mark, and the report says when no goroutine was found.
type stackMark [2]uintptr

var lastStackMark atomic.Uintptr

func newStackMark() stackMark {
	n := lastStackMark.Add(1)
	return stackMark{n, ^n}
}

// goroutineOf returns the part of stacks that is the goroutine in a callback of the
// drainer with that mark.
func (mark stackMark) goroutineOf(stacks string) (goroutine string, ok bool) {
	argument := fmt.Sprintf("{%#x, %#x}", mark[0], mark[1])
	for g := range strings.SplitSeq(stacks, "\n\n") {
		if strings.Contains(g, argument) {
			return g, true
		}
	}
	return "", false
}

// stacksNext is when the stacks may be written again.
var (
	stacksMu   sync.Mutex
	stacksNext time.Time
)

// allStacks are the stacks of all goroutines, or none and why not; cut says that there
// are more.
func allStacks() (text string, cut bool, whyNot string) {
	stacksMu.Lock()
	defer stacksMu.Unlock()
	begin := time.Now()
	if wait := stacksNext.Sub(begin); wait > 0 {
		return "", false, fmt.Sprintf("(not taken: stacks were a moment ago, the next time is in %v)", wait)
	}
	if n := runtime.NumGoroutine(); n > goroutinesMax {
		return "", false, fmt.Sprintf("(not taken: that would stop %d goroutines for long)", n)
	}
	buf := make([]byte, stacksFirst)
	n := runtime.Stack(buf, true)
	if n == len(buf) {
		buf = make([]byte, stacksMax)
		n = runtime.Stack(buf, true)
	}
	end := time.Now()
	stacksNext = end.Add(stacksPause * end.Sub(begin))
	return string(buf[:n]), n == len(buf), ""
}

// stacks are those of several callbacks, taken when the first one is asked for.
type stacks struct {
	q         *Queue
	callbacks []InFlight
	once      sync.Once
	text      map[*drainer]string
}

// takenTogether has the stacks of what was found be taken at once.
func takenTogether(q *Queue, found []InFlight) []InFlight {
	if len(found) == 0 {
		return nil
	}
	s := &stacks{q: q, callbacks: found}
	for i := range found {
		found[i].stacks = s
	}
	return found
}

func (s *stacks) of(f InFlight) string {
	s.once.Do(s.take)
	return s.text[f.d]
}

func (s *stacks) take() {
	all, cut, whyNot := allStacks()
	s.text = make(map[*drainer]string)
	s.q.mu.Lock()
	for _, f := range s.callbacks {
		// Later than the stacks: what runs still ran then.
		if f.d.class == nil || f.d.progressLocked() != f.progress {
			s.text[f.d] = "(the callback has returned)"
		}
	}
	s.q.mu.Unlock()
	for _, f := range s.callbacks {
		if s.text[f.d] != "" {
			continue
		}
		g, ok := f.d.mark.goroutineOf(all)
		switch {
		case whyNot != "":
			g = whyNot
		case !ok:
			g = fmt.Sprintf("(goroutine not found in %d bytes of stacks, which are cut there: %t)", len(all), cut)
		}
		s.text[f.d] = strings.Clone(g) // all is large
	}
	s.callbacks = nil
}
