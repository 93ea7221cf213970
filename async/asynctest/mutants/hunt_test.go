package mutants_test

import (
	"context"
	"encoding/json"
	"fmt"
	gobuild "go/build"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// tiers are the packages whose tests look for a mistake in a package that its own tests do
// not find, in this order. The last one runs the scenarios and a small swarm.
var tiers = map[string][]string{
	"connection/frame":       {"connection/session", "async"},
	"connection/session":     {"connection", "async"},
	"connection":             {"async"},
	"dispatch":               {"async"},
	"async":                  {"async/asynctest/sessiontest"},
	"eventloop/netpollstack": {"connection", "async"},
}

const swarmTier = "async/asynctest/mutants"

// suite is the tests of a package, and how long they take when nothing is wrong.
type suite struct {
	pkg       string
	cpu, wall time.Duration
}

// hunter runs the tests.
type hunter struct {
	t      *testing.T
	mu     sync.Mutex
	suites map[string]suite
}

// hunt makes a mistake and looks for it.
func (h *hunter) hunt(p *point) (o outcome, err error) {
	o = outcome{ID: p.id, Where: fmt.Sprintf("%s:%d", p.file, p.line), What: fmt.Sprintf("%s: %s", p.old, p.new)}
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return o, err
	}
	defer os.RemoveAll(dir)
	text, err := source(p.file)
	if err != nil {
		return o, err
	}
	list, err := overlay(dir, map[string][]byte{p.file: p.apply(text)})
	if err != nil {
		return o, err
	}
	suites := append([]string{p.pkg}, append(tiers[p.pkg], swarmTier)...)
	if *seededOwn {
		suites = suites[:1]
	}
	for _, pkg := range suites {
		s, err := h.suite(pkg)
		if err != nil {
			return o, err
		}
		program := filepath.Join(dir, "t")
		if out, err := compile(h.t.Context(), pkg, program, list); err != nil {
			if pkg == p.pkg {
				o.How = broken
				return o, nil
			}
			return o, fmt.Errorf("%s: %s does not compile: %s", p.id, pkg, out)
		}
		if o.How = s.finds(h.t.Context(), program); o.How != "" {
			o.Killed = pkg
			return o, nil
		}
	}
	return o, nil
}

// finds runs the tests of a suite in a program with a mistake, and says how they have found
// it. What fails has to fail again, for a test may fail on a machine that is busy.
func (s suite) finds(ctx context.Context, program string) (how string) {
	// Ten times what it takes otherwise, on a machine that has other things to do.
	cpu, wall := 10*s.cpu+20*time.Second, 20*s.wall+2*time.Minute
	for range 3 {
		ok, _, how := runTests(ctx, s.pkg, program, "", cpu, wall)
		if ok || how == tooLong {
			return how
		}
		_, test, is := strings.Cut(how, "--- FAIL: ")
		if !is {
			return how // a panic, say
		}
		test, _, _ = strings.Cut(test, " ")
		if ok, _, _ := runTests(ctx, s.pkg, program, test, cpu, wall); !ok {
			return how
		}
	}
	return ""
}

// suite measures the tests of a package, once; they have to pass.
func (h *hunter) suite(pkg string) (s suite, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s, ok := h.suites[pkg]; ok {
		return s, nil
	}
	dir, err := os.MkdirTemp("", "suite")
	if err != nil {
		return s, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "t")
	if out, err := compile(h.t.Context(), pkg, program, ""); err != nil {
		return s, fmt.Errorf("%s: %s", pkg, out)
	}
	ok, how := false, ""
	for i := 0; i < 3 && !ok; i++ {
		began := time.Now()
		var cpu time.Duration
		ok, cpu, how = runTests(h.t.Context(), pkg, program, "", time.Hour, 30*time.Minute)
		s = suite{pkg, cpu, time.Since(began)}
	}
	if !ok {
		return s, fmt.Errorf("%s fails without a mistake: %s", pkg, how)
	}
	fmt.Printf("%s: %.1f s of CPU, %.1f s\n", pkg, s.cpu.Seconds(), s.wall.Seconds())
	h.suites[pkg] = s
	return s, nil
}

// overlay writes files and the list that puts them in the place of those of the module.
func overlay(dir string, files map[string][]byte) (list string, err error) {
	var o struct{ Replace map[string]string }
	o.Replace = map[string]string{}
	for name, b := range files {
		file, err := filepath.Abs(filepath.Join(root, name))
		if err != nil {
			return "", err
		}
		to := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(to, b, 0o644); err != nil {
			return "", err
		}
		o.Replace[file] = to
	}
	b, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	list = filepath.Join(dir, "overlay.json")
	return list, os.WriteFile(list, b, 0o644)
}

// compile builds the tests of a package.
func compile(ctx context.Context, pkg, program, overlay string) (string, error) {
	args := []string{"test", "-c", "-vet=off", "-ldflags=-s -w", "-o", program}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./"+pkg)...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// runTests runs them, or only one, within a bound of CPU and of wall time, and of memory.
func runTests(ctx context.Context, pkg, program, only string, cpu, wall time.Duration) (
	ok bool, used time.Duration, how string) {
	args := []string{"-test.short", "-test.failfast", "-test.timeout=" + (wall - 10*time.Second).String()}
	if usesRapid(pkg) {
		args = append(args, "-rapid.nofailfile") // it would be tried again without the mistake
	}
	switch {
	case only != "":
		args = append(args, "-test.run=^"+only+"$")
	case pkg == swarmTier:
		args = append(args, "-test.run=^TestSearch$", "-swarm-seeds=200")
	}
	ctx, cancel := context.WithTimeout(ctx, wall)
	defer cancel()
	limit := fmt.Sprintf("ulimit -t %d; ulimit -v %d; exec \"$@\"", int(cpu.Seconds())+1, 12<<20)
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", limit, "sh", program}, args...)...)
	cmd.Dir = filepath.Join(root, pkg)
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	if s := cmd.ProcessState; s != nil {
		used = s.UserTime() + s.SystemTime()
	}
	switch {
	case err == nil:
		return true, used, ""
	case ctx.Err() != nil, used >= cpu, strings.Contains(string(out), "panic: test timed out"):
		return false, used, tooLong
	}
	return false, used, failed + ": " + firstFailure(string(out))
}

// firstFailure is the line of out that says what failed.
func firstFailure(out string) string {
	for line := range strings.Lines(out) {
		for _, mark := range []string{"--- FAIL: ", "panic: ", "fatal error: ", foundBy} {
			if i := strings.Index(line, mark); i >= 0 {
				return strings.TrimSpace(line[i:])
			}
		}
	}
	return strings.TrimSpace(out[max(0, len(out)-200):])
}

// usesRapid says whether the tests of a package do, which keeps what fails in testdata.
func usesRapid(pkg string) bool {
	p, err := gobuild.ImportDir(filepath.Join(root, pkg), 0)
	return err == nil && slices.Contains(append(p.TestImports, p.XTestImports...), "pgregory.net/rapid")
}
