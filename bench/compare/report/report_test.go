package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var rows = []Row{
	{Scenario: "ping-pong", Contestant: "a", Connections: 1, Size: 64, Window: 1, Msgs: 12345.6, Ratio: 1.5,
		Rounds: 3, Spread: 0.1},
	{Scenario: "ping-pong", Contestant: "b", Connections: 1, Size: 64, Window: 1, Rounds: 2, Failed: "oops"},
	{Scenario: "idle", Contestant: "a", Connections: 1000, Failed: "no such thing"},
	{Scenario: "idle", Contestant: "b", Connections: 1000, Skipped: "not here"},
}

func TestTextTables(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, TextTables(&b, rows))
	for _, want := range []string{
		"ping-pong: 1 connection, window 1, 64 B", "12 346", "1.50", "10%", "b a round FAILED: oops",
		"idle: 1 000 connections", "a FAILED: no such thing", "b skipped: not here",
	} {
		require.Contains(t, b.String(), want)
	}
}

func TestText(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, Text(&b, fixture()))
	for _, want := range []string{
		"kernel: 6.1", "2 rounds of 0.5 s, 60 s in all", reference, "reached", "note: a <note>",
		"\nLatency: Alone on its connection",
	} {
		require.Contains(t, b.String(), want)
	}
}

// TestJSON: a flat list under the agreed names, and an empty list is a list.
func TestJSON(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, JSON(&b, rows))
	var back []Row
	require.NoError(t, json.Unmarshal(b.Bytes(), &back))
	require.Equal(t, rows, back)
	var names []map[string]any
	require.NoError(t, json.Unmarshal(b.Bytes(), &names))
	for _, want := range []string{
		"scenario", "contestant", "connections", "size", "window", "msgs_per_s", "mb_per_s", "p50_us", "p99_us",
		"p999_us", "cpu_us_per_msg", "syscalls_per_msg", "rss_kib_per_conn", "goroutines", "threads", "ratio",
		"rounds", "spread",
	} {
		require.Contains(t, names[0], want)
	}
	b.Reset()
	require.NoError(t, JSON(&b, nil))
	require.Equal(t, "[]\n", b.String())
}

func TestRawAndCSV(t *testing.T) {
	r := fixture()
	var b bytes.Buffer
	require.NoError(t, Raw(&b, r))
	var back Report
	require.NoError(t, json.Unmarshal(b.Bytes(), &back))
	require.Equal(t, *r, back)
	var said struct {
		Pictures []Picture
		Targets  []Target
	}
	require.NoError(t, json.Unmarshal(b.Bytes(), &said))
	require.Len(t, said.Pictures, 3)
	require.Equal(t, Targets(r.Rows), said.Targets)

	b.Reset()
	require.NoError(t, CSV(&b, r))
	require.Contains(t, b.String(), "# kernel: 6.1\n")
	c := csv.NewReader(&b)
	c.Comment = '#'
	lines, err := c.ReadAll()
	require.NoError(t, err)
	require.Len(t, lines, 1+len(r.Samples))
	require.Equal(t, []string{"round", "scenario", "contestant", "connections"}, lines[0][:4])
	require.Equal(t, []string{"2", "ping-pong", "async-fast", "1"}, lines[2][:4])
}

// TestBenchstat: every sample is a benchmark line or, without a result, a comment.
func TestBenchstat(t *testing.T) {
	r := fixture()
	var b bytes.Buffer
	require.NoError(t, Benchstat(&b, r))
	result := regexp.MustCompile(`^Benchmark[A-Z][A-Za-z0-9_./=-]* 1( [-+.e0-9]+ [A-Za-z0-9/-]+)+$`)
	good, bad := 0, 0
	for line := range strings.Lines(b.String()) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "# Benchmark"):
			bad++
		case strings.HasPrefix(line, "Benchmark"):
			require.Regexp(t, result, line)
			good++
		}
	}
	want := 0
	for _, s := range r.Samples {
		if s.Rounds > 0 {
			want++
		}
	}
	require.Equal(t, want, good)
	require.Equal(t, len(r.Samples)-want, bad)
	require.Contains(t, b.String(),
		"BenchmarkPingPong/contestant=async-fast/connections=1/size=64/window=1 1 1000 ns/op 1e+06 msgs/s")
	require.Contains(t, b.String(), "Unit msgs/s better=higher\n")
}

func TestMarkdown(t *testing.T) {
	r := fixture()
	var b bytes.Buffer
	require.NoError(t, Markdown(&b, r))
	text := b.String()
	for _, s := range Scenarios(r.Rows) {
		require.Contains(t, text, "\n## "+s+"\n")
	}
	for _, want := range []string{
		"| kernel | 6.1 |", `a <model> \| 2`, `FAILED: it <broke> \| off`,
		"skipped: it has no priorities", "(a round FAILED: no answers)", "## Targets",
		"\n- **async-queue**: A <kind> of async-queue.\n", "\n- **grpc**: A <kind> of grpc. It has no checksum.\n",
	} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "not measured |")
	last := 0
	for _, part := range []string{
		"\n**Throughput and CPU against connections.** Beside", "\n**Memory against connections.** With",
		"\n**Latency.** Alone", "\n## Targets", "\n## Contestants", "\n## Ratios", "\n## ping-pong", "\n## Environment",
		"\n## Notes",
	} {
		at := strings.Index(text, part)
		require.Greater(t, at, last, part)
		last = at
	}
	// In every table all lines have as many cells.
	cells := 0
	for line := range strings.Lines(text) {
		n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
		if cells > 0 && n > 0 {
			require.Equal(t, cells, n, line)
		}
		cells = n
	}
}

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	require.NoError(t, Prepare(dir))
	require.NoError(t, Write(dir, fixture()))
	require.NoError(t, Write(dir, fixture())) // replaces it
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, len(Files))
	file := filepath.Join(dir, Files[0].Name)
	require.Error(t, Prepare(file))
	require.Error(t, Write(file, fixture()))
}

func TestEnvironment(t *testing.T) {
	e := CollectEnvironment()
	require.Positive(t, e.Cores)
	require.Positive(t, e.GOMAXPROCS)
	for _, f := range e.Fields() {
		require.NotEmpty(t, f.Value, f.Name)
	}
}

func TestNumbers(t *testing.T) {
	for x, want := range map[float64]string{
		0: "0.00", 3.14159: "3.14", 31.4159: "31.4", 314.159: "314", 1234567: "1 234 567", -1: "-",
	} {
		require.Equal(t, want, decimals(x))
	}
	require.Equal(t, "-123", count(-123))
	require.Equal(t, "-123 456", count(-123456))
	require.Equal(t, "600 000", number(600000))
	require.Equal(t, "0.125", number(0.125))
	for n, want := range map[int]string{64: "64 B", 4096: "4 KiB", 4 << 20: "4 MiB", 1500: "1500 B"} {
		require.Equal(t, want, SizeName(n))
	}
}

// TestUnmeasured: targets of scenarios that a run does not have are counted, not listed.
func TestUnmeasured(t *testing.T) {
	r := fixture()
	r.Rows = without(r.Rows, func(r *Row) bool { return !idle(r) })
	var md, text bytes.Buffer
	require.NoError(t, Markdown(&md, r))
	require.NoError(t, Text(&text, r))
	n := len(Targets(nil)) - 6
	require.Contains(t, md.String(), fmt.Sprintf("\n%d more are not measured.\n", n))
	require.Contains(t, text.String(), fmt.Sprintf("\n%d more are not measured\n", n))
	require.NotContains(t, md.String(), "| not measured |")
	require.Equal(t, 6, strings.Count(md.String(), " in idle/1000, the worst of 2 |"))
	require.Contains(t, pageOf(t, r), fmt.Sprintf("<summary>%d that this run has not measured</summary>", n))
}
