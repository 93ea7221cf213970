package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/bench/compare/report"
	"github.com/asyncmsgr/asyncmsgr/bench/compare/rivals"
	"github.com/asyncmsgr/asyncmsgr/bench/compare/workload"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command/commandtest"
	"github.com/stretchr/testify/require"
)

// TestBench: rows, a report and a line of progress for each scenario.
func TestBench(t *testing.T) {
	var stdout, stderr bytes.Buffer
	dir := t.TempDir()
	file, out := filepath.Join(dir, "rows.json"), filepath.Join(dir, "report")
	args := []string{"ping-pong", "ceph-perf", "--only", "async-fast,raw-net", "--rounds", "1", "--seconds", "0.05",
		"--json", file, "--out", out}
	require.Equal(t, command.ExitOK, run(args, &stdout, &stderr), "%s%s", &stdout, &stderr)
	require.Contains(t, stderr.String(), "2 scenarios, 3 contestants, 1 rounds: about ")
	require.Contains(t, stderr.String(), " ping-pong (1 of 2)\n")
	require.Contains(t, stderr.String(), " ceph-perf (2 of 2)\n")
	commandtest.Wants(t, stdout.String(), "kernel: ", "command: msgrbench ", "ping-pong: 1 connection, window 1, 64 B",
		"async-fast", "threadpipe-goroutines", "1.00",
		"raw-net skipped: ", "Targets", "report: "+filepath.Join(out, "report.html"))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var rows []report.Row
	require.NoError(t, json.Unmarshal(text, &rows))
	require.Len(t, rows, 6)
	for _, r := range rows {
		if r.Skipped == "" {
			require.Equal(t, 1, r.Rounds, r)
			require.Positive(t, r.Msgs, r)
		}
	}
	for _, f := range report.Files {
		info, err := os.Stat(filepath.Join(out, f.Name))
		require.NoError(t, err)
		require.NotZero(t, info.Size())
	}
	again, err := os.ReadFile(filepath.Join(out, "report.json"))
	require.NoError(t, err)
	require.Equal(t, text, again)
}

func TestBenchUsage(t *testing.T) {
	notADir := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(notADir, nil, 0o600))
	for _, args := range [][]string{
		{"nothing"}, {"ping-pong", "nothing"}, {"--rounds=0"}, {"--seconds=0"}, {"--only=nobody"},
		{"--quick", "--full"}, {"--quick", "workers"}, {"--part=all"}, {"--part=open", "ping-pong"},
		{"--full", "--part=open"},
		{"--out", notADir}, {"--json", filepath.Join(notADir, "rows.json")},
		{"ceph-perf", "--jobs=0"}, {"ceph-perf", "--window=0"}, {"ceph-perf", "--messages=0"},
		{"ceph-perf", "--length=-1"}, {"ceph-perf", "--think=-1s"}, {"ceph-perf", "--think=much"},
		{"ceph-perf", "--serve=here"}, {"ceph-perf", "--connect=:1"},
		{"ceph-perf", "--serve=127.0.0.1:1", "--connect=127.0.0.1:1"}, {"ceph-perf", "--threadpipe", "--workers=2"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(args, &stdout, &stderr)
		require.Equal(t, command.ExitUsage, code, "msgrbench %s: %s%s", args, &stdout, &stderr)
		require.Empty(t, stdout.String(), args)
		require.Equal(t, 1, strings.Count(stderr.String(), "\n"), args)
	}
}

// TestBenchSelection: nothing named is the quick selection with ceph-perf, names come
// from all scenarios, and --seconds overrides.
func TestBenchSelection(t *testing.T) {
	names := func(c compareCmd) (out []string, p plan) {
		c.Rounds = 1
		p, err := c.plan()
		require.NoError(t, err)
		for _, s := range p.cfg.Scenarios {
			out = append(out, s.Name)
		}
		return out, p
	}
	quick, p := names(compareCmd{})
	require.True(t, p.ceph)
	require.Len(t, quick, len(workload.Quick()))
	full, p := names(compareCmd{Full: true})
	require.True(t, p.ceph)
	require.Len(t, full, len(workload.Full()))
	some, p := names(compareCmd{Scenarios: []string{"workers", "ping-pong"}})
	require.False(t, p.ceph)
	require.Contains(t, some, "workers/2")
	none, p := names(compareCmd{Scenarios: []string{cephScenario}})
	require.True(t, p.ceph)
	require.Empty(t, none)
	seconds := 0.25
	_, p = names(compareCmd{Seconds: &seconds})
	require.Equal(t, seconds, p.cfg.Seconds)
	for _, s := range p.cfg.Scenarios {
		require.Zero(t, s.Seconds)
	}
}

// TestBenchTakes: make bench takes four minutes at most, and each part of all scenarios,
// with all contestants, three quarters of an hour: an hour where others are busy too. Every
// contestant that the selection names is there.
func TestBenchTakes(t *testing.T) {
	planned := func(c compareCmd) plan {
		c.Rounds = roundsDefault
		p, err := c.plan()
		require.NoError(t, err)
		return p
	}
	quick := planned(compareCmd{Quick: true})
	require.Less(t, quick.estimate(), 210*time.Second)
	for _, s := range quick.cfg.Scenarios {
		require.Subset(t, contestantNames(quick.cfg.Contestants), s.Only, s.Name)
	}
	ceph := 0
	for _, name := range partNames() {
		p := planned(compareCmd{Part: name})
		require.Less(t, p.estimate(), 45*time.Minute, name)
		require.Len(t, p.cfg.Contestants, len(rivals.All()), name)
		require.Contains(t, compareCmd{}.Help(), "\n  "+name+" ")
		if p.ceph {
			ceph++
		}
	}
	require.Equal(t, 1, ceph)
	makefile, err := os.ReadFile("../../../../Makefile")
	require.NoError(t, err)
	for _, name := range partNames() {
		require.Regexp(t, `(?m)^bench-full: ##.*\b`+name+`\b`, string(makefile))
	}
}

// TestBenchOnly: who is named takes part in scenarios of the selection that leave it out.
func TestBenchOnly(t *testing.T) {
	c := compareCmd{Quick: true, Scenarios: []string{"fan-out"}, Only: []string{"nats"}, Rounds: 1}
	p, err := c.plan()
	require.NoError(t, err)
	require.Equal(t, []string{rivals.Reference, "nats"}, contestantNames(p.cfg.Contestants))
	require.Len(t, p.cfg.Scenarios, 1)
	require.Equal(t, []string{rivals.Reference, "nats"}, p.cfg.Scenarios[0].Only)
}

func TestMedianRow(t *testing.T) {
	rounds := []report.Row{
		{Rounds: 1, Msgs: 10, CPU: 3, Ratio: 1}, {Rounds: 1, Msgs: 30, CPU: 1, Ratio: 2}, {Failed: "oops"},
		{Rounds: 1, Msgs: 20, CPU: 2, Ratio: 4},
	}
	r := medianRow(rounds)
	require.Equal(t, report.Row{Rounds: 3, Msgs: 20, CPU: 2, Ratio: 2, Spread: 1, Failed: "oops"}, r)
	require.Equal(t, report.Row{Failed: "oops"}, medianRow(rounds[2:3]))
}

// TestBenchInterrupted: the first scenario is complete when the second one begins.
func TestBenchInterrupted(t *testing.T) {
	dir := t.TempDir()
	file, out := filepath.Join(dir, "rows.json"), filepath.Join(dir, "report")
	args := []string{"ping-pong", "workers/2", "messengers/2", "--only", "async-fast", "--rounds", "1",
		"--seconds", "0.05", "--json", file, "--out", out}
	code, stdout, stderr := commandtest.Interrupt(t, syscall.SIGINT, " workers/2 (2 of 3)", args...)
	require.Equal(t, command.ExitSIGINT, code, "%s%s", stdout, stderr)
	require.True(t, strings.HasSuffix(stderr, "\nmsgrbench: interrupted by SIGINT\n"), stderr)
	said := regexp.MustCompile(
		`(?m)^PARTIAL: (interrupted by SIGINT after \d+s; not measured: (workers/2, )?messengers/2)$`)
	partial := said.FindStringSubmatch(stdout)
	require.NotNil(t, partial, stdout)
	commandtest.Wants(t, stdout, "ping-pong: 1 connection, window 1, 64 B",
		"report: "+filepath.Join(out, "report.html"))
	require.NotContains(t, stdout, "FAILED")
	for _, f := range report.Files {
		text, err := os.ReadFile(filepath.Join(out, f.Name))
		require.NoError(t, err)
		if f.Name != "report.json" { // which has rows alone
			require.Contains(t, string(text), partial[1], f.Name)
		}
	}
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var rows []report.Row
	require.NoError(t, json.Unmarshal(text, &rows))
	for _, r := range rows {
		require.Equal(t, r.Rounds == 0, r.Partial, "%+v", r)
	}

	// Nothing is written over what there is if nothing was measured.
	require.NoError(t, os.WriteFile(file, []byte("before"), 0o600))
	code, stdout, stderr = commandtest.Interrupt(t, syscall.SIGTERM, " ping-pong (1 of 1)",
		"ping-pong", "--only", "async-fast", "--json", file)
	require.Equal(t, command.ExitSIGTERM, code, "%s%s", stdout, stderr)
	require.Contains(t, stderr, "msgrbench: interrupted by SIGTERM before the first round was done\n")
	require.Empty(t, stdout)
	text, err = os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "before", string(text))
}

// TestCephRowsInterrupted: rounds that are done are kept.
func TestCephRowsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	rows, samples, err := cephRows(ctx, workload.Config{
		Contestants: []workload.Contestant{{Name: "raw-net"}, {Name: "async-fast"}}, Reference: "async-fast", Rounds: 2,
		Progress: func(s workload.Scenario, round int, who string) {
			require.Equal(t, cephScenario, s.Name)
			if round == 1 && who == "async-fast" {
				cancel()
			}
		},
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, rows, 2)
	require.NotEmpty(t, rows[0].Skipped)
	require.Equal(t, 1, rows[1].Rounds)
	require.True(t, rows[1].Partial)
	require.Positive(t, rows[1].Msgs)
	n := 0
	for _, x := range samples {
		n += x.Rounds
	}
	require.Equal(t, 1, n)
}

func TestCephRowsEnd(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), -time.Second)
	defer cancel()
	_, _, err := cephRows(ctx, workload.Config{Contestants: []workload.Contestant{{Name: "async-fast"}}, Rounds: 1})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
