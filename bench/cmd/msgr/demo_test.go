package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestDemo(t *testing.T) {
	var stdout, stderr bytes.Buffer
	args := []string{"demo", "--seconds", "0.3", "--clients", "2", "--conns", "3", "--object-size", "1000", "--cut-rate", "50", "--seed", "1"}
	if code := run(args, &stdout, &stderr); code != exitOK || stderr.Len() > 0 {
		t.Fatalf("exit code %d\n%s%s", code, &stdout, &stderr)
	}
	lines := strings.Split(strings.TrimSuffix(stdout.String(), "\n"), "\n")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "demo: ok ops=") {
		t.Errorf("last line %q", last)
	}
	if strings.ContainsAny(stdout.String(), "\r\x1b") {
		t.Error("progress, and stdout is no terminal")
	}

	stdout.Reset()
	if code := run(append(args, "--json", "--sizes", "1,2,3"), &stdout, &stderr); code != exitOK {
		t.Fatalf("exit code %d\n%s%s", code, &stdout, &stderr)
	}
	var r struct {
		OK   bool
		Seed uint64
		Ops  uint64
	}
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil || !r.OK || r.Seed != 1 || r.Ops == 0 {
		t.Errorf("%v: %s", err, &stdout)
	}
}

func TestDemoUsage(t *testing.T) {
	for _, args := range []string{"--seconds=0", "--osds=-1", "--osds=65", "--cut-rate=-1", "--sizes=0", "--clients=20000"} {
		var stdout, stderr bytes.Buffer
		if code := run([]string{"demo", args}, &stdout, &stderr); code != exitUsage || stdout.Len() > 0 {
			t.Errorf("msgr demo %s: exit code %d, %s%s", args, code, &stdout, &stderr)
		}
	}
}
