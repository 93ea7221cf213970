package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command/commandtest"
	"github.com/stretchr/testify/require"
)

// sim runs msgr sim and returns its exit code and output.
func sim(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return subcommand("sim", args)
}

// subcommand runs one of msgr's and returns its exit code and output.
func subcommand(name string, args []string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(append([]string{name}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

// simObject runs msgr sim -json, which succeeds, and returns the object.
func simObject(t *testing.T, args ...string) map[string]any {
	t.Helper()
	code, stdout, stderr := sim(t, append(args, "-json")...)
	require.Equal(t, command.ExitOK, code, stderr)
	var o map[string]any
	require.NoError(t, json.Unmarshal([]byte(stdout), &o))
	return o
}

func TestSimJSON(t *testing.T) {
	a := simObject(t, "-nodes", "12", "-seed", "7")
	for _, k := range []string{
		"nodes", "seed", "deliveries", "faults", "violations", "virtual_s", "real_s", "events_per_s", "trace_hash",
	} {
		require.Contains(t, a, k)
	}
	require.EqualValues(t, 12, a["nodes"])
	require.EqualValues(t, 7, a["seed"])
	require.EqualValues(t, 0, a["violations"])
	require.Positive(t, a["deliveries"])
	require.Positive(t, a["faults"])

	require.Equal(t, a["trace_hash"], simObject(t, "-nodes", "12", "-seed", "7")["trace_hash"])
	require.NotEqual(t, a["trace_hash"], simObject(t, "-nodes", "12", "-seed", "8")["trace_hash"])

	none := simObject(t, "-nodes", "5", "-faults", "none", "-scenario", "fan-in")
	require.EqualValues(t, 0, none["faults"])
	require.EqualValues(t, none["sent"], none["deliveries"])
}

func TestSimSeeds(t *testing.T) {
	o := simObject(t, "-scenario", "swarm", "-seeds", "3-8", "-twice")
	require.Equal(t, []any{3., 8.}, o["seeds"])
	runs := o["runs"].([]any)
	require.Len(t, runs, 6)
	hashes := map[any]bool{}
	for i, r := range runs {
		r := r.(map[string]any)
		require.EqualValues(t, 3+i, r["seed"])
		hashes[r["trace_hash"]] = true
	}
	require.Len(t, hashes, 6)

	_, stdout, _ := sim(t, "-nodes", "4", "-seeds", "1-3")
	require.Contains(t, stdout, "seed 2: ok")
	require.Contains(t, stdout, "3 seeds from 1 to 3")
}

func TestSimUntilAndTrace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "trace")
	code, stdout, stderr := sim(t, "-nodes", "5", "-until", "2s", "-trace", file)
	require.Equal(t, command.ExitOK, code, stderr)
	require.Contains(t, stdout, "2s virtual")
	require.Contains(t, stdout, "ended early")
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	require.Greater(t, len(lines), 100)
	for _, l := range lines {
		var o struct{ At int64 }
		require.NoError(t, json.Unmarshal([]byte(l), &o), l)
		require.LessOrEqual(t, o.At, int64(2e9))
	}
}

func TestSimUsage(t *testing.T) {
	for _, c := range []struct{ args, stderr string }{
		{"-nodes 1", "at least 2 nodes"},
		{"-nodes 1000000", "at most"},
		{"-nodes -3", "-3"},
		{"-seeds 9-2", "the smaller one first"},
		{"-seeds x", "two numbers"},
		{"-faults many", "a rate, such as 5/s"},
		{"-scenario earthquake", `no scenario or file "earthquake"; there are gossip`},
		{"-until -1s", "-1s"},
		{"-seeds 1-2 -trace x", "single seed"},
		{"-scenario swarm -nodes 3", "the seed chooses the nodes"},
		{"-seed 3 -seeds 1-2", "exclude each other"},
		{"-trace /nowhere/at/all", "/nowhere/at/all"},
		{"-chart x -nodes 4 -chart-hosts osd.0,osd.9",
			`a chart of "osd.9": there is no such host; there are osd.0, osd.1, osd.2, osd.3`},
		{"-chart x -nodes 4 -chart-hosts osd.0", "two or more of osd.0, osd.1"},
		{"-chart x -nodes 4 -chart-hosts osd.0,osd.0", "named twice"},
		{"-chart x -chart-from=-3s", "--chart-from=-3s: virtual time begins at 0s"},
		{"-chart x -chart-from=5s -until=5s", "--chart-from=5s: the run ends at 5s"},
		{"-chart x -chart-from=5s -chart-to=5s", "--chart-to=5s: it is to be more than --chart-from, which is 5s"},
		{"-chart x -chart-to=0s", "--chart-to=0s"},
		{"-chart x -chart-max=0", "--chart-max=0"},
		{"-chart-from=0s", "--chart-from is about a chart, which --chart=FILE asks for"},
		{"-chart-to=9s", "--chart-to is about a chart"},
		{"-chart-max=200", "--chart-max is about a chart"},
		{"-chart-hosts=osd.0,osd.1", "--chart-hosts is about a chart"},
		{"-scenario swarm -chart x", "no chart of a swarm"},
	} {
		code, stdout, stderr := sim(t, strings.Fields(c.args)...)
		require.Equal(t, command.ExitUsage, code, "%s: %s", c.args, stderr)
		require.Empty(t, stdout, c.args)
		require.Contains(t, stderr, c.stderr, c.args)
		require.NoFileExists(t, "x", "nothing is written before all is checked")
	}
}

// TestSimInterrupted: seeds that are done, or what there is of a single one.
func TestSimInterrupted(t *testing.T) {
	code, stdout, stderr := commandtest.Interrupt(t, syscall.SIGINT, "seed 3: ok",
		"sim", "-nodes", "4", "-seeds", "1-1000000")
	require.Equal(t, command.ExitSIGINT, code, stderr)
	require.Equal(t, "msgr sim: interrupted by SIGINT\n", stderr)
	m := regexp.MustCompile(`(?m)^interrupted +(\d+) of 1000000 seeds were done$`).FindStringSubmatch(stdout)
	require.NotNil(t, m, stdout)
	require.Equal(t, m[1], strconv.Itoa(strings.Count(stdout, ": ok, ")), "each has its line")
	require.Contains(t, stdout, "violations   0\n")
	require.NotContains(t, stdout, "trace hash")

	// The trace goes on all the time.
	code, stdout, stderr = commandtest.Interrupt(t, syscall.SIGTERM, `{"at":`,
		"sim", "-nodes", "2000", "-json", "-trace", "/dev/stderr")
	require.Equal(t, command.ExitSIGTERM, code)
	require.True(t, strings.HasSuffix(stderr, "}\nmsgr sim: interrupted by SIGTERM\n"), "the trace is whole lines")
	var o map[string]any
	require.NoError(t, json.Unmarshal([]byte(stdout), &o))
	require.Equal(t, true, o["interrupted"])
	require.EqualValues(t, 0, o["violations"])
	require.Positive(t, o["virtual_s"])
	require.NotContains(t, o, "trace_hash")
}

// TestSimTraceIntoAPipe: a pipe whose reader goes away ends the run with an error.
func TestSimTraceIntoAPipe(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer w.Close()
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.ReadFull(r, make([]byte, 1000))
		_ = r.Close()
	}()
	code, _, stderr := sim(t, "-nodes", "20", "-trace", fmt.Sprintf("/proc/self/fd/%d", w.Fd()))
	<-read
	require.Equal(t, command.ExitFault, code)
	require.Contains(t, stderr, "broken pipe")
}

// TestSimChartIsEmpty: nobody wonders about a chart without an arrow.
func TestSimChartIsEmpty(t *testing.T) {
	file := filepath.Join(t.TempDir(), "chart")
	code, _, stderr := sim(t, "-nodes", "4", "-chart", file, "-chart-from", "1h")
	require.Equal(t, command.ExitOK, code)
	require.Contains(t, stderr, "msgr sim: the chart is empty: it begins at 1h0m0s, and the run ended at ")
}

func TestSimChart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "chart")
	code, _, stderr := sim(t, "-nodes", "4", "-seed", "2", "-chart", file, "-chart-max", "30",
		"-chart-hosts", "osd.0,osd.1")
	require.Equal(t, command.ExitOK, code, stderr)
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(b), "sequenceDiagram\n"))
	require.Contains(t, string(b), "participant h0 as osd.0")
	require.Contains(t, string(b), "->>")
}

func TestSimFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	good := write("good.txt",
		"seed 9\nnode a\nnode b\nsend a b 3 size=1000\ncut a b at 1500\nrun 5s\nexpect delivered a b 3\ncheck\n")
	o := simObject(t, "-scenario", good)
	require.EqualValues(t, 9, o["seed"])
	require.EqualValues(t, 2, o["nodes"])
	require.EqualValues(t, 3, o["deliveries"])
	require.EqualValues(t, 1, o["faults"])
	require.NotEqual(t, o["trace_hash"], simObject(t, "-scenario", good, "-seed", "8")["trace_hash"])
	_, stdout, _ := sim(t, "-scenario", good)
	require.Contains(t, stdout, "cut a b at 1500", "what happened is shown")

	code, stdout, stderr := sim(t, "-scenario", write("bad.txt", "node a\n  send a c\n"))
	require.Equal(t, command.ExitUsage, code)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "bad.txt:2:10: ")

	code, _, stderr = sim(t, "-scenario",
		write("wrong.txt", "node a\nnode b\nsend a b\nrun 1s\nexpect delivered a b 2\n"))
	require.Equal(t, command.ExitFault, code)
	require.Contains(t, stderr, "wrong.txt:5:1: ")

	code, stdout, stderr = sim(t, "-json", "-scenario",
		write("stuck.txt", "node a\nnode b\npartition a | b\nsend a b\nuntil delivered a b 1\n"))
	require.Equal(t, command.ExitFault, code)
	require.NotContains(t, stdout, "LISTEN")
	require.Contains(t, stderr, "stuck.txt:5:1: ")
	require.Contains(t, stderr, "LISTEN", "the sockets are shown")

	code, _, stderr = sim(t, "-scenario", good, "-nodes", "5")
	require.Equal(t, command.ExitUsage, code)
	require.Contains(t, stderr, "the file of a scenario says")
}
