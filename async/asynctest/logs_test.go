package asynctest

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
)

// boom has node 1 panic at the first message, as if it were a bug of a dispatcher's, or
// as the test means it to.
func boom(planned bool) Options {
	done := false
	return Options{Seed: 5, N: 2, Dispatch: func(n *Node, m *msg.Message) {
		m.Release()
		if !done && n.Index == 1 {
			if done = true; planned {
				n.Cluster.PlanPanic()
			}
			panic("boom")
		}
	}}
}

func failure(t *testing.T, f func(TB)) string {
	err := Try(f)
	var failed *Failure
	require.True(t, errors.As(err, &failed), "it did not fail: %v", err)
	return failed.Error()
}

// A panic that nobody planned fails the test at its end, with the place where it
// happened and what the messengers logged; one that was planned does not.
func TestUnplannedPanicFailsTheTest(t *testing.T) {
	for _, end := range []string{"alive", "dead", "restarted"} {
		run := func(planned bool) func(TB) {
			return func(tb TB) {
				c := NewCluster(tb, boom(planned))
				if c.Send(0, 1, 10, 0) != nil {
					tb.Fatalf("not sent")
				}
				c.Run(time.Second)
				if end != "alive" {
					c.Kill(1)
				}
				if end == "restarted" {
					c.Restart(1)
				}
			}
		}
		text := failure(t, run(false))
		require.Contains(t, text, "1 panics in callbacks, 0 planned (seed 5)")
		require.Contains(t, text, "boom")
		require.Contains(t, text, "logs_test.go:", "the stack")
		require.Contains(t, text, "warnings and errors:\n")
		require.NoError(t, Try(run(true)), end)
	}
}

// With a history the checkers see it before the end.
func TestUnplannedPanicIsAFaultAtRest(t *testing.T) {
	text := failure(t, func(tb TB) {
		c := NewCluster(tb, boom(false))
		_ = c.Send(0, 1, 10, 0)
		c.Run(time.Second)
		c.CheckNothingHeld()
	})
	require.Contains(t, text, "1 panics in callbacks, 0 planned\n")
}

// A rule that panics stops time; that does not pass for a quiet network.
func TestRunFailsWhenARulePanics(t *testing.T) {
	text := failure(t, func(tb TB) {
		c := NewCluster(tb, Options{Seed: 1, N: 2})
		c.Add("broken", func(*simnet.Packet) simnet.Verdict { panic("a bug in a rule") })
		_ = c.Send(0, 1, 10, 0)
		c.Run(time.Second)
		tb.Errorf("it went on")
	})
	require.Contains(t, text, `rule "broken" panicked`)
	require.Contains(t, text, "a bug in a rule")
	require.NotContains(t, text, "it went on")
}

// The same when it happens at the very end, while the cluster shuts down.
func TestEndFailsWhenARulePanics(t *testing.T) {
	text := failure(t, func(tb TB) {
		c := NewCluster(tb, Options{Seed: 1, N: 2})
		_ = c.Send(0, 1, 10, 0)
		c.Run(time.Second)
		c.Net.After(0, func() { // behind the end's LiftAll
			c.Net.Add("late", func(*simnet.Packet) simnet.Verdict { panic("a bug in a rule") })
		})
	})
	require.Contains(t, text, `rule "late" panicked`)
}

func TestRunFailsAtABreakpoint(t *testing.T) {
	text := failure(t, func(tb TB) {
		c := NewCluster(tb, Options{Seed: 1, N: 2, Network: simnet.Config{Framer: NewFramer}})
		c.Net.Break("here", c.Nodes[1].Host.Name(), simnet.Reads, nil)
		_ = c.Send(0, 1, 10, 0)
		c.Run(time.Second)
	})
	require.Contains(t, text, "breakpoint here")
	require.NotContains(t, text, "does not end", "a breakpoint holds up the shutdown")
}

// What is kept of logs is bounded, and what is shown of it.
func TestLogsAreBounded(t *testing.T) {
	c := NewCluster(t, Options{Seed: 1, N: 3})
	for i := range 1000 {
		log := newNodeLog(c.Nodes[i%3], nil).With("messenger", "x").WithGroup("g")
		log.Warn("late", "n", i, "long", strings.Repeat("x", 10_000))
		log.Info("never mind")
		log.Debug("nor this")
	}
	require.Len(t, c.logs.nodes, 3)
	lines := c.logs.last(slog.LevelWarn)
	require.Len(t, lines, 3*linesKept/2, "Info lines take their place in the ring")
	require.Contains(t, lines[len(lines)-1], "osd.0 WARN: late n=999 long=xxx")
	require.Contains(t, lines[len(lines)-2], "osd.2 WARN: late n=998")
	for _, line := range lines {
		require.Less(t, len(line), attrTooLong+200)
	}
	lines = c.logs.last(slog.LevelInfo)
	require.Len(t, lines, linesShown+1)
	require.Equal(t, "... and 92 lines before", lines[0])
}

// The test's own logger gets what it asks for, and the panic is known all the same.
func TestConfiguredLoggerGetsEverything(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}))
	text := failure(t, func(tb TB) {
		opt := boom(false)
		opt.Config = func(_ int, cfg *async.Config) { cfg.Logger = log.With("mine", 1) }
		c := NewCluster(tb, opt)
		_ = c.Send(0, 1, 10, 0)
		c.Run(time.Second)
	})
	require.Contains(t, text, "logs_test.go:", "the stack")
	require.Contains(t, b.String(), `level=DEBUG msg="connection fault" mine=1 messenger=osd.1`)
	require.Contains(t, b.String(), "boom")
}

// Simulations are silent, whatever the default logger is.
func TestSimulationsAreSilent(t *testing.T) {
	var b bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug})))
	defer slog.SetDefault(before)
	c := NewCluster(t, boom(true))
	require.NoError(t, c.Send(0, 1, 10, 0))
	c.Run(time.Second)
	c.Cut(0)
	c.Run(time.Second)
	require.Empty(t, b.String())
	require.NotEmpty(t, c.logs.last(slog.LevelError))
}
