// Package mutants_test proves that the tests see a bug: testdata has mistakes that a
// messenger could make, one to a file, as patches. Each is built into a program of its
// own (go test -overlay), and has to be found there.
package mutants_test

import (
	"bytes"
	"context"
	"flag"
	"go/format"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var which = flag.String("mutants", "", "a regular expression: the mutants that TestMutants builds and hunts")

// patience is how long one mutant may take: one that hangs is a mutant that nobody
// reports.
const patience = 3 * time.Minute

// TestMutantsApply: the code has moved on, and the mutants with it.
func TestMutantsApply(t *testing.T) {
	for _, m := range readMutants(t) {
		t.Run(m.name, func(t *testing.T) {
			files, err := m.apply(source)
			require.NoError(t, err)
			for name, b := range files {
				tidy, err := format.Source(b)
				require.NoError(t, err, name)
				require.True(t, bytes.Equal(tidy, b), "%s is not as gofmt has it", name)
			}
		})
	}
}

// TestMutants builds each mutant and wants it found: by TestSearch of this package, or
// by the tests of the package that the mutant names. It says by what.
func TestMutants(t *testing.T) {
	if *which == "" {
		t.Skip("takes minutes: go test ./async/asynctest/mutants -mutants .")
	}
	wanted := regexp.MustCompile(*which)
	for _, m := range readMutants(t) {
		if !wanted.MatchString(m.name) {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			pkg, args := "./async/asynctest/mutants", []string{"-test.run=^TestSearch$", "-search"}
			if m.by != "" {
				pkg, args = m.by, []string{"-test.short", "-test.failfast"}
			}
			program := build(t, m, pkg)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			run := exec.CommandContext(ctx, program, args...)
			run.Dir = filepath.Join(root, pkg)
			out, err := run.CombinedOutput()
			require.NoError(t, ctx.Err(), "%s hangs", m.name)
			require.Error(t, err, "%s survives: %s\n%s", m.name, m.what, out)
			t.Log(m.what, howFound(t, string(out)))
		})
	}
}

// build compiles the tests of a package with the mutant in place of the files that it
// changes.
func build(t *testing.T, m *mutant, pkg string) (program string) {
	dir := t.TempDir()
	files, err := m.apply(source)
	require.NoError(t, err)
	list, err := overlay(dir, files)
	require.NoError(t, err)
	program = filepath.Join(dir, "mutant.test")
	out, err := compile(t.Context(), pkg, program, list)
	require.NoError(t, err, "%s does not compile:\n%s", m.name, out)
	return program
}

// howFound is the line that says who has found a mutant; without one it is not the
// mutant that has failed.
func howFound(t *testing.T, out string) string {
	for line := range strings.Lines(out) {
		if i := strings.Index(line, foundBy); i >= 0 {
			return strings.TrimSpace(line[i:])
		}
		for _, mark := range []string{"--- FAIL: ", "panic: ", "fatal error: "} {
			if strings.HasPrefix(line, mark) && !strings.Contains(line, "TestSearch") {
				return foundBy + strings.TrimSpace(line)
			}
		}
	}
	t.Fatalf("failed, and nobody says why:\n%s", out)
	return ""
}
