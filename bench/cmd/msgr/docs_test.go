package main

import (
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/bench/internal/command/commandtest"
	"github.com/stretchr/testify/require"
)

const repository = "../../.."

// ranBy are the tests that run what the pages name, by subcommand.
var ranBy = map[string]string{
	"demo": "TestDemo", "decode": "TestDecode", "hostile": "TestHostile", "sim": "TestSimJSON",
	"sim-merge": "TestSimMerge", "ping": "TestPingOfOurs", "dump": "TestDump", "top": "TestTop",
	"cert": "TestDocumentedCert", "node": "TestNode", "put": "TestNode", "get": "TestNode",
	"del": "TestNode", "ls": "TestNode", "status": "TestNode", "help": "TestRun",
	"completion": "TestCompletionBash", "ceph": "TestCeph",
}

// tests are the names of tests and benchmarks below a folder, by folder.
func tests(t *testing.T, below string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)\w*)\(`)
	below = filepath.Join(repository, below)
	require.NoError(t, filepath.WalkDir(below, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
			dir, _ := filepath.Rel(repository, filepath.Dir(path))
			found[dir] = append(found[dir], m[1])
		}
		return err
	}))
	return found
}

// TestDocumentedMsgr: msgr understands each of its command lines in a page, and a test runs each
// subcommand that pages name.
func TestDocumentedMsgr(t *testing.T) {
	there := []string{}
	for _, names := range tests(t, "bench") {
		there = append(there, names...)
	}
	lines := commandtest.Documented(t, repository, "msgr", "bin/msgr", "go run ./bench/cmd/msgr")
	require.Greater(t, len(lines), 50)
	for _, l := range lines {
		args := commandtest.Arguments(strings.TrimPrefix(strings.TrimPrefix(l.Text, "go run ./bench/cmd/"), "bin/"))[1:]
		if len(args) == 0 {
			continue // the name alone
		}
		if err := commandtest.Understood(parser(t), l, args); err != nil {
			t.Errorf("%s: `%s`: %v", l.File, l.Text, err)
			continue
		}
		test := ranBy[args[0]]
		require.True(t, slices.Contains(there, test), "%s: `%s`: no test %q runs it", l.File, l.Text, test)
	}
}

// TestDocumentedCert runs what the README says on certificates, in folders of its own.
func TestDocumentedCert(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "etc"), 0o700))
	ran := 0
	for _, l := range commandtest.Documented(t, repository, "msgr") {
		if l.Inline || l.File != "README.md" || !strings.HasPrefix(l.Text, "msgr cert ") {
			continue
		}
		ran++
		line := strings.NewReplacer("/etc/osd", dir+"/etc", "--dir ca", "--dir "+dir+"/ca").Replace(l.Text)
		require.Zero(t, run(commandtest.Arguments(line)[1:], io.Discard, os.Stderr), line)
	}
	require.Equal(t, 4, ran)
}

// TestDocumentedMake: each target of a page is one of the Makefile, with its variables: make says
// what it would do.
func TestDocumentedMake(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(repository, "Makefile"))
	require.NoError(t, err)
	require.NotRegexp(t, `(?m)^\t[@-]*\+|^\t.*\$\(MAKE\)`, string(makefile), "make -n would run it")
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("no make")
	}
	targets, commands := []string{}, map[string]bool{}
	for _, l := range commandtest.Documented(t, repository, "make") {
		args := commandtest.Arguments(l.Text)[1:]
		for _, a := range args {
			name, _, isVariable := strings.Cut(a, "=")
			if isVariable {
				uses := `(?m)\b` + name + `\b *[?:]?=|\$\(` + name + `\)`
				require.Regexp(t, uses, string(makefile), "%s: `%s`", l.File, l.Text)
				continue
			}
			require.Regexp(t, `(?m)^`+regexp.QuoteMeta(name)+`:`, string(makefile), "%s: `%s`", l.File, l.Text)
			if !slices.Contains(targets, name) {
				targets = append(targets, name)
			}
		}
		if len(args) > 1 {
			commands[strings.Join(args, "\x00")] = true
		}
	}
	require.Greater(t, len(targets), 20)
	commands[strings.Join(targets, "\x00")] = true // all at once
	for c := range commands {
		args := append([]string{"-n", "-C", repository}, strings.Split(c, "\x00")...)
		out, err := exec.Command("make", args...).CombinedOutput()
		require.NoError(t, err, "make %s\n%s", strings.ReplaceAll(c, "\x00", " "), out)
	}
	out, err := exec.Command("make", "-C", repository, "help").Output()
	require.NoError(t, err)
	for _, name := range targets {
		require.Regexp(t, `(?m)^ +make `+name+` `, string(out), "make help")
	}
}

// TestDocumentedGo: packages that a page tests or runs are there, and so are the tests and
// benchmarks that it names.
func TestDocumentedGo(t *testing.T) {
	all := tests(t, ".")
	n := 0
	for _, l := range commandtest.Documented(t, repository, "go test", "go run", "GOWORK=off go run") {
		args := commandtest.Arguments(l.Text)
		dir := ""
		for _, a := range args {
			if pkg, ok := strings.CutPrefix(a, "./"); ok && !strings.HasSuffix(pkg, "...") && dir == "" {
				dir = filepath.Join(l.Dir, pkg)
				at := filepath.Join(repository, dir)
				if _, err := os.Stat(filepath.Join(repository, filepath.Dir(l.File), pkg)); err == nil {
					continue // of the page's own module
				}
				if strings.HasPrefix(l.Text, "GOWORK=off") {
					continue // of a module of its own
				}
				require.DirExists(t, at, "%s: `%s`", l.File, l.Text)
				n++
			}
		}
		for i, a := range args {
			if a != "-run" && a != "-bench" || i+1 == len(args) || dir == "" {
				continue
			}
			name, _, _ := strings.Cut(args[i+1], "/")
			if slices.Contains([]string{"^$", "XXX", "xxx", "TestName", "."}, name) {
				continue // none, an example, all
			}
			re := regexp.MustCompile(name)
			prefix := "Test"
			if a == "-bench" {
				prefix = "Benchmark"
			}
			require.True(t, slices.ContainsFunc(all[dir], func(f string) bool {
				return strings.HasPrefix(f, prefix) && re.MatchString(strings.TrimPrefix(f, "Benchmark"))
			}), "%s: `%s`: %s has none", l.File, l.Text, dir)
		}
	}
	require.Greater(t, n, 20)
}
