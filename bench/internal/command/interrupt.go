package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// Interruption is the error of a command that a signal ended early. What the command
// had until then it has printed.
type Interruption struct{ Signal syscall.Signal }

func (e *Interruption) Error() string {
	if e.Signal == syscall.SIGINT {
		return "interrupted by SIGINT"
	}
	return "interrupted by SIGTERM"
}

// exitCode is 128 and the number of the signal.
func (e *Interruption) exitCode() int {
	if e.Signal == syscall.SIGINT {
		return ExitSIGINT
	}
	return ExitSIGTERM
}

// Interruptible returns a context that the first SIGINT or SIGTERM ends, with an
// *Interruption as its cause. The second one ends the process at once: whatever hangs
// cannot keep it. stop gives the signals back. A child, see ChildEnv, leaves SIGINT to its
// parent.
func Interruptible() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals, done := make(chan os.Signal, 2), make(chan struct{})
	if os.Getenv(ChildEnv) != "" {
		signal.Ignore(syscall.SIGINT)
		signal.Notify(signals, syscall.SIGTERM)
	} else {
		signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	}
	go func() {
		for n := 0; ; n++ {
			select {
			case s := <-signals:
				end := &Interruption{s.(syscall.Signal)}
				if n > 0 {
					fmt.Fprintf(os.Stderr, "%s: %v again: ended at once\n", filepath.Base(os.Args[0]), end)
					os.Exit(end.exitCode())
				}
				cancel(end)
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}

// Interrupted is the *Interruption that ended ctx, or nil.
func Interrupted(ctx context.Context) error {
	if end := new(Interruption); errors.As(context.Cause(ctx), &end) {
		return end
	}
	return nil
}
