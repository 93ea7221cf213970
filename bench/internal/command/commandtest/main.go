// Package commandtest is for tests of commands: it runs them in processes of their own,
// which are the binary of the test again.
package commandtest

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"go.uber.org/goleak"
)

// Run is a command: it returns the exit code.
type Run func(args []string, stdout, stderr io.Writer) int

// Main is the TestMain of a command: it lets the test's binary be the command line, which
// run is, and fails the tests if they leave a goroutine behind.
func Main(m *testing.M, run Run) {
	if os.Getenv(command.MainEnv) != "" {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	// The stack and the pool that all messengers of a process share stay, and so do
	// netpoll's pollers.
	for _, open := range []func() error{
		func() error { _, err := async.DefaultStack(); return err },
		func() error { _, err := async.DefaultExecutor(); return err },
	} {
		if err := open(); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(),
		goleak.IgnoreAnyFunction("github.com/cloudwego/netpoll.(*defaultPoll).Wait"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*goWorker).run.func1"),
		goleak.IgnoreAnyFunction("os/signal.loop"))
}

// Wants fails the test for each text that is missing.
func Wants(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
}
