package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// interruption is the error of a command that a signal ended early. What the command
// had until then it has printed.
type interruption struct{ signal syscall.Signal }

func (e *interruption) Error() string {
	if e.signal == syscall.SIGINT {
		return "interrupted by SIGINT"
	}
	return "interrupted by SIGTERM"
}

// exitCode is 128 and the number of the signal.
func (e *interruption) exitCode() int {
	if e.signal == syscall.SIGINT {
		return exitSIGINT
	}
	return exitSIGTERM
}

// interruptible returns a context that the first SIGINT or SIGTERM ends, with an
// *interruption as its cause. The second one ends the process at once: whatever hangs
// cannot keep it. stop gives the signals back.
func interruptible() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals, done := make(chan os.Signal, 2), make(chan struct{})
	if os.Getenv(childEnv) != "" {
		signal.Ignore(syscall.SIGINT)
		signal.Notify(signals, syscall.SIGTERM)
	} else {
		signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	}
	go func() {
		for n := 0; ; n++ {
			select {
			case s := <-signals:
				end := &interruption{s.(syscall.Signal)}
				if n > 0 {
					fmt.Fprintf(os.Stderr, "msgr: %v again: ended at once\n", end)
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

// interrupted is the *interruption that ended ctx, or nil.
func interrupted(ctx context.Context) error {
	if end := new(interruption); errors.As(context.Cause(ctx), &end) {
		return end
	}
	return nil
}
