package asynctest_test

import (
	"fmt"
	"testing"
)

// exampleTB stands for the *testing.T that an example has not.
type exampleTB struct {
	testing.TB
	cleanups []func()
	failed   bool
	log      []string
}

func (tb *exampleTB) Helper()          {}
func (tb *exampleTB) Failed() bool     { return tb.failed }
func (tb *exampleTB) Cleanup(f func()) { tb.cleanups = append(tb.cleanups, f) }
func (tb *exampleTB) Log(args ...any)  { tb.log = append(tb.log, fmt.Sprint(args...)) }
func (tb *exampleTB) Logf(format string, args ...any) {
	tb.log = append(tb.log, fmt.Sprintf(format, args...))
}
func (tb *exampleTB) Errorf(format string, args ...any) { tb.Logf(format, args...); tb.failed = true }
func (tb *exampleTB) Fatalf(format string, args ...any) {
	tb.Errorf(format, args...)
	panic(tb)
}

// end runs the cleanups.
func (tb *exampleTB) end() {
	for i := len(tb.cleanups) - 1; i >= 0; i-- {
		tb.cleanups[i]()
	}
}
