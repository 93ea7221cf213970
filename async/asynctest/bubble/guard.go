package bubble

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// guard stands outside of the bubble, in real time: it keeps what has failed, and says
// what hangs.
type guard struct {
	t    *testing.T // that of the outside
	seed uint64

	bubble atomic.Uint64 // its number, in stacks
	at     atomic.Int64  // the virtual time, a time.Duration

	failing chan struct{} // closed: the world has failed
	ending  chan struct{} // closed: Test ends
	ended   chan struct{} // closed: the guard's goroutine has ended

	mu   sync.Mutex
	text string // why the world failed
}

// patience is how much real time goroutines have to end, or to block, after the world has
// failed; and how long before the deadline of go test it is said what hangs.
var patience = 10 * time.Second

func newGuard(t *testing.T, seed uint64) *guard {
	g := &guard{t: t, seed: seed, failing: make(chan struct{}), ending: make(chan struct{}),
		ended: make(chan struct{})}
	var near <-chan time.Time
	stop := func() bool { return true }
	if deadline, ok := t.Deadline(); ok {
		left := time.Until(deadline)
		timer := time.NewTimer(left - min(patience, left/10))
		near, stop = timer.C, timer.Stop
	}
	go func() {
		defer close(g.ended)
		defer stop()
		g.stand(near)
	}()
	return g
}

func (g *guard) stand(near <-chan time.Time) {
	select {
	case <-g.ending:
		return
	case <-near:
		fmt.Fprintf(os.Stderr, "bubble: %s hangs, or is slow: the deadline of go test is near. %s\n%s\n",
			g.t.Name(), g.where(), alike(g.others()))
		return
	case <-g.failing:
	}
	select {
	case <-g.ending:
	case <-time.After(patience):
		panic(fmt.Sprintf("%s\nand goroutines of %s go on for %v of real time after that, so that it cannot end:\n%s",
			g.reason(), g.t.Name(), patience, alike(g.others())))
	}
}

func (g *guard) where() string {
	return fmt.Sprintf("Seed %d, at %v of virtual time.", g.seed, time.Duration(g.at.Load()))
}

// end is deferred by Test.
func (g *guard) end() {
	v := recover()
	left := ""
	if deadlock(v) {
		left = alike(g.others())
	}
	close(g.ending)
	<-g.ended
	switch text := g.reason(); {
	case v != nil && !deadlock(v):
		panic(v)
	case text != "":
		g.t.Fatal(text)
	case v != nil && g.t.Failed():
		g.t.Fatalf("bubble: goroutines are left. %s\n%s", g.where(), left)
	case v != nil:
		g.t.Fatalf("bubble: %v. %s\n%s", v, g.where(), left)
	}
}

// deadlock says whether a panic is that of synctest.Test, which has no type to compare.
func deadlock(v any) bool {
	err, ok := v.(error)
	return ok && strings.HasPrefix(err.Error(), "deadlock: ")
}

func (g *guard) reason() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text
}

// fail keeps the first reason why the world failed, and says whether it is the first.
func (g *guard) fail(text string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.text != "" {
		return false
	}
	g.text = text
	close(g.failing)
	return true
}

// catch is deferred on goroutines that are the world's.
func (w *World) catch(where string) {
	if v := recover(); v != nil {
		w.failed("panic in "+where, v)
	}
}

// failed is fail for the value of a panic.
func (w *World) failed(where string, v any) { w.fail("%s: %v\n%s", where, v, debug.Stack()) }

// fail ends the world; the first reason counts.
func (w *World) fail(format string, args ...any) {
	text := fmt.Sprintf("bubble: %s (seed %d, at %v)\n%s",
		fmt.Sprintf(format, args...), w.seed, w.Now(), w.state())
	if w.guard.fail(text) {
		w.t.Fail()
		w.cancel()
		w.finish()
	}
}

// state is what is left of the bubble and of the network.
func (w *World) state() string {
	var b strings.Builder
	b.WriteString("goroutines of the bubble:\n" + alike(w.guard.others()) + "\n")
	w.try(func() { b.WriteString("sockets:\n" + w.Net.Netstat()) })
	return b.String()
}
