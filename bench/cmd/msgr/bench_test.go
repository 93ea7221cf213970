package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/bench/report"
)

func TestBench(t *testing.T) {
	var stdout, stderr bytes.Buffer
	file := filepath.Join(t.TempDir(), "rows.json")
	args := []string{"bench", "ping-pong", "--only", "async-fast", "--rounds", "1", "--seconds", "0.05", "--json", file}
	if code := run(args, &stdout, &stderr); code != exitOK || stderr.Len() > 0 {
		t.Fatalf("exit code %d\n%s%s", code, &stdout, &stderr)
	}
	wants(t, stdout.String(), "ping-pong: connections 1, window 1, 64 B", "async-fast", "threadpipe-goroutines", "1.00")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rows []report.Row
	if err := json.Unmarshal(text, &rows); err != nil || len(rows) != 2 || rows[0].Msgs == 0 || rows[0].Rounds != 1 {
		t.Errorf("%v: %s", err, text)
	}
}

func TestBenchUsage(t *testing.T) {
	for _, args := range [][]string{{"nothing"}, {"--rounds=0"}, {"--seconds=0"}, {"--only=nobody"}} {
		var stdout, stderr bytes.Buffer
		if code := run(append([]string{"bench"}, args...), &stdout, &stderr); code != exitUsage || stdout.Len() > 0 {
			t.Errorf("msgr bench %s: exit code %d, %s%s", args, code, &stdout, &stderr)
		}
	}
}
