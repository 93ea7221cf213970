package bubble_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest/bubble"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
)

// failures are tests that have to fail, each in a process of its own, and what their
// output has to contain.
var failures = map[string]struct {
	run   func(t *testing.T, w *bubble.World)
	want  []string
	never []string
	flags []string
	dies  bool // the program ends, and the next test does not run
}{
	"a wait for what does not come, while messengers go on": {
		run: func(t *testing.T, w *bubble.World) {
			a, b := two(t, w)
			require.NoError(t, connect(t, a, b).Send(text("hello")))
			waitForNothing(t.Context())
		},
		want: []string{"nothing has ended the test within 24h0m0s of virtual time", "seed 77, at 24h0m0s",
			"bubble_test.waitForNothing", "b          LISTEN", "a          ESTABLISHED"},
		never: []string{"testing/synctest.Test.func1"},
	},
	"an own limit": {
		run: func(t *testing.T, w *bubble.World) {
			w.SetLimit(time.Minute)
			time.Sleep(time.Hour)
		},
		want: []string{"within 1m0s of virtual time", "seed 77, at 1m0s", "time.Sleep"},
	},
	"who has the network waits": {
		run: func(t *testing.T, w *bubble.World) {
			w.Do(func() { waitForNothing(context.Background()) })
		},
		want: []string{"deadlock: all goroutines in bubble are blocked", "Seed 77", "bubble_test.waitForNothing"},
	},
	"goroutines are left": {
		run: func(t *testing.T, w *bubble.World) {
			for range 3 {
				go waitForNothing(context.Background())
			}
			time.Sleep(time.Second)
		},
		want: []string{"goroutines are left 1m0s after the end of the test (seed 77", "3 goroutines, one of them",
			"bubble_test.waitForNothing"},
	},
	"a messenger that is not shut down, and who waits for it": {
		run: func(t *testing.T, w *bubble.World) {
			a := start(t, w.Host("a", simnet.HostConfig{}), 0)
			go a.Wait()
			time.Sleep(time.Second)
		},
		want: []string{"goroutines are left", "seed 77", "async.(*Messenger).Wait"},
	},
	"a panic in a goroutine of a host": {
		run: func(t *testing.T, w *bubble.World) {
			w.Host("a", simnet.HostConfig{}).Go(func(context.Context) {
				time.Sleep(time.Second)
				panic("overheated")
			})
			waitForNothing(t.Context())
		},
		want: []string{"panic in a goroutine of host a: overheated", "seed 77, at 1s", "failure_test.go",
			"bubble_test.waitForNothing"},
	},
	"a panic in a job": {
		run: func(t *testing.T, w *bubble.World) {
			_ = w.Host("a", simnet.HostConfig{}).Submit(func() { panic("overheated") })
			w.Until("nothing", time.Hour, func() bool { return false })
		},
		want: []string{"panic in a job of host a: overheated", "seed 77"},
	},
	"a panic in a goroutine that is not ours": {
		run: func(t *testing.T, w *bubble.World) {
			go func() { panic("overheated") }()
			waitForNothing(t.Context())
		},
		want: []string{"panic: overheated", "bubble: seed 77"}, flags: []string{"-test.v"}, dies: true,
	},
	"a panic in the test": {
		run:  func(t *testing.T, w *bubble.World) { panic("overheated") },
		want: []string{"panic in the test: overheated", "seed 77, at 0s", "failure_test.go"},
	},
	"a rule that panics": {
		run: func(t *testing.T, w *bubble.World) {
			a, b := two(t, w)
			w.Add("hot", func(*simnet.Packet) simnet.Verdict { panic("overheated") })
			require.NoError(t, connect(t, a, b).Send(text("hello")))
			waitForNothing(t.Context())
		},
		want: []string{`rule "hot" panicked`, "overheated", "seed 77"},
	},
	"a panic in a callback of the network": {
		run: func(t *testing.T, w *bubble.World) {
			w.Do(func() { w.Net.After(time.Second, func() { panic("overheated") }) })
			waitForNothing(t.Context())
		},
		want: []string{"panic on the goroutine of the network: overheated", "seed 77, at 1s"},
	},
	"FailNow in a callback of the network": {
		run: func(t *testing.T, w *bubble.World) {
			w.Do(func() { w.Net.After(time.Second, t.FailNow) })
			w.Wait()
			waitForNothing(t.Context())
		},
		want: []string{"has ended it (runtime.Goexit, as t.FailNow does)", "seed 77, at 1s"},
	},
	"FailNow in Do": {
		run: func(t *testing.T, w *bubble.World) {
			w.Do(func() { require.Fail(t, "unlike") })
		},
		want: []string{"unlike", "failed with seed 77"}, never: []string{"goroutines"},
	},
	"time does not go on": {
		run: func(t *testing.T, w *bubble.World) {
			var again func()
			again = func() { w.Net.After(0, again) }
			w.Do(again)
			waitForNothing(t.Context())
		},
		want: []string{"time does not go on", "seed 77"},
	},
	"goroutines that cannot be ended": {
		run: func(t *testing.T, w *bubble.World) {
			bubble.SetPatience(100 * time.Millisecond)
			w.SetLimit(time.Minute)
			for range time.Tick(time.Second) {
				busy()
			}
		},
		want: []string{"within 1m0s of virtual time", "seed 77", "cannot end"}, dies: true,
	},
	"a mutex": {
		run: func(t *testing.T, w *bubble.World) {
			var mu sync.Mutex
			mu.Lock()
			w.Go(func(context.Context) { lock(&mu) })
			time.Sleep(time.Second)
			mu.Unlock()
		},
		want: []string{"hangs, or is slow", "Seed 77, at 0s", "bubble_test.lock"}, flags: []string{"-test.timeout=2s"},
		dies: true,
	},
	"the test itself": {
		run: func(t *testing.T, w *bubble.World) {
			a, b := two(t, w)
			b.dispatch = func(*msg.Message) { time.Sleep(time.Second) }
			require.NoError(t, connect(t, a, b).Send(text("hello")))
			time.Sleep(time.Second)
			require.Fail(t, "unlike")
		},
		want: []string{"unlike", "failed with seed 77, after 1"}, never: []string{"goroutines"},
	},
}

//go:noinline
func waitForNothing(context.Context) { <-make(chan int) }

//go:noinline
func lock(mu *sync.Mutex) {
	mu.Lock()
	defer mu.Unlock()
	busy()
}

func busy() {}

const failureEnv = "ASYNCMSGR_BUBBLE_FAILURE"

// TestFailures runs each of them, and looks what is said.
func TestFailures(t *testing.T) {
	if os.Getenv(failureEnv) != "" {
		t.Skip("inside of TestFailures")
	}
	if runtime.GOOS == "js" {
		t.Skip("no processes here")
	}
	for name, f := range failures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flags := append([]string{"-test.run=^Test(Failing|AfterFailing)$"}, f.flags...)
			cmd := exec.Command(os.Args[0], flags...)
			cmd.Env = append(os.Environ(), failureEnv+"="+name)
			out, err := cmd.CombinedOutput()
			require.Error(t, err, "%s", out)
			for _, want := range f.want {
				require.Contains(t, string(out), want)
			}
			for _, never := range f.never {
				require.NotContains(t, string(out), never)
			}
			if f.dies {
				require.NotContains(t, string(out), "the next test")
			} else {
				require.Contains(t, string(out), "--- FAIL: TestFailing")
				require.Contains(t, string(out), "the next test")
			}
		})
	}
}

// TestFailing is one of failures, in a process of TestFailures.
func TestFailing(t *testing.T) {
	f, ok := failures[os.Getenv(failureEnv)]
	if !ok {
		t.Skip("for TestFailures")
	}
	bubble.Test(t, 77, simnet.Config{}, f.run)
}

// TestAfterFailing comes after TestFailing.
func TestAfterFailing(t *testing.T) {
	if os.Getenv(failureEnv) == "" {
		t.Skip("for TestFailures")
	}
	bubble.Test(t, 1, simnet.Config{}, func(*testing.T, *bubble.World) { time.Sleep(time.Second) })
	fmt.Println("the next test has run")
}
