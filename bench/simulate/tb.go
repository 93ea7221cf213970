package simulate

import (
	"fmt"
	"strings"
)

// tb is the asynctest.TB of a world: what fails there is a violation here.
type tb struct {
	w        *world
	cleanups []func()
	failed   bool
	log      []string
}

// fatal is what Fatalf panics with, up to catch.
type fatal struct{}

func (t *tb) Helper()                   {}
func (t *tb) Failed() bool              { return t.failed }
func (t *tb) Cleanup(f func())          { t.cleanups = append(t.cleanups, f) }
func (t *tb) Log(args ...any)           { t.log = append(t.log, fmt.Sprint(args...)) }
func (t *tb) Logf(f string, a ...any)   { t.log = append(t.log, fmt.Sprintf(f, a...)) }
func (t *tb) Errorf(f string, a ...any) { t.failed = true; t.Logf(f, a...) }
func (t *tb) Fatalf(f string, a ...any) { t.Errorf(f, a...); panic(fatal{}) }

// catch runs f; what failed in it is a violation of that letter.
func (t *tb) catch(letter string, f func()) {
	t.failed, t.log = false, nil
	func() {
		defer func() {
			if p := recover(); p != nil && p != (fatal{}) {
				panic(p)
			}
		}()
		f()
	}()
	if t.failed {
		t.w.violated(letter, "%s", strings.Join(t.log, "; "))
	}
}

// end runs the cleanups.
func (t *tb) end() {
	for i := len(t.cleanups) - 1; i >= 0; i-- {
		t.cleanups[i]()
	}
}
