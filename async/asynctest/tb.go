package asynctest

import (
	"fmt"
	"runtime/debug"
	"strings"
)

// TB is what a cluster needs of its test; *testing.T and *testing.B have it, and
// Try gives one to programs. Fatalf does not return.
type TB interface {
	Helper()
	Failed() bool
	Cleanup(func())
	Log(args ...any)
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Failure is what went wrong in a run outside of a test: the lines that a test
// would have logged, those of the failure among them.
type Failure struct {
	Lines []string
}

func (f *Failure) Error() string { return strings.Join(f.Lines, "\n") }

// Try runs f as if it were a test, for programs: clusters made with that TB end
// when f returns, and a panic is a failure. The error is a *Failure, or nil.
func Try(f func(tb TB)) error {
	tb := &tryTB{}
	tb.protect(func() { f(tb) })
	return tb.end()
}

// end runs the cleanups.
func (tb *tryTB) end() error {
	for len(tb.cleanups) > 0 {
		last := tb.cleanups[len(tb.cleanups)-1]
		tb.cleanups = tb.cleanups[:len(tb.cleanups)-1]
		tb.protect(last)
	}
	if !tb.failed {
		return nil
	}
	return &Failure{Lines: tb.lines}
}

// tryTB implements TB for Try.
type tryTB struct {
	cleanups []func()
	lines    []string
	failed   bool
	stopped  bool // by Fatalf or a panic
}

// stop is the panic that ends a function at Fatalf.
type stop struct{ tb *tryTB }

func (tb *tryTB) protect(f func()) {
	defer func() {
		switch r := recover(); r {
		case nil:
			return
		case any(stop{tb}):
		default:
			tb.Errorf("panic: %v\n%s", r, debug.Stack())
		}
		tb.stopped = true
	}()
	f()
}

func (tb *tryTB) Helper()          {}
func (tb *tryTB) Failed() bool     { return tb.failed }
func (tb *tryTB) Cleanup(f func()) { tb.cleanups = append(tb.cleanups, f) }
func (tb *tryTB) Log(args ...any)  { tb.lines = append(tb.lines, fmt.Sprint(args...)) }
func (tb *tryTB) Logf(format string, args ...any) {
	tb.lines = append(tb.lines, fmt.Sprintf(format, args...))
}

func (tb *tryTB) Errorf(format string, args ...any) {
	tb.Logf(format, args...)
	tb.failed = true
}

func (tb *tryTB) Fatalf(format string, args ...any) {
	tb.Errorf(format, args...)
	panic(stop{tb})
}
