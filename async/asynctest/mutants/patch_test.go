package mutants_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// root is the directory of the module, seen from here.
const root = "../../.."

// mutant is one mistake: a file of testdata.
type mutant struct {
	name string
	what string // in one sentence
	by   string // the package whose tests find it; empty: the search
	// hunks are what is replaced, by file of the module.
	hunks map[string][]hunk
}

// hunk is one place: lines as they are, and as the mutant has them.
type hunk struct{ old, new string }

// readMutants reads testdata/*.patch, in the order of the names.
func readMutants(t *testing.T) []*mutant {
	files, err := filepath.Glob("testdata/*.patch")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	all := make([]*mutant, len(files))
	for i, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		all[i], err = parseMutant(strings.TrimSuffix(filepath.Base(file), ".patch"), string(text))
		require.NoError(t, err, file)
	}
	return all
}

// parseMutant reads a mutant: a sentence, then perhaps "by: " and a package, then a
// unified diff whose hunks begin with @@ and whatever follows, which nobody reads.
func parseMutant(name, text string) (*mutant, error) {
	m := &mutant{name: name, hunks: map[string][]hunk{}}
	var file string
	for i, line := range strings.SplitAfter(text, "\n") {
		hs := m.hunks[file]
		by, isBy := strings.CutPrefix(line, "by: ")
		switch {
		case i == 0:
			m.what = strings.TrimSpace(line)
		case isBy && file == "":
			m.by = strings.TrimSpace(by)
		case strings.HasPrefix(line, "--- a/"):
			file = strings.TrimSpace(line[len("--- a/"):])
		case strings.HasPrefix(line, "+++ b/"):
			if got := strings.TrimSpace(line[len("+++ b/"):]); got != file {
				return nil, fmt.Errorf("line %d: %s becomes %s", i+1, file, got)
			}
		case strings.HasPrefix(line, "@@"):
			m.hunks[file] = append(hs, hunk{})
		case line == "":
		case len(hs) == 0:
			return nil, fmt.Errorf("line %d is in no hunk: %q", i+1, line)
		default:
			h := &hs[len(hs)-1]
			if line[0] != '+' {
				h.old += line[1:]
			}
			if line[0] != '-' {
				h.new += line[1:]
			}
			if !strings.ContainsAny(line[:1], " +-") {
				return nil, fmt.Errorf("line %d begins with %q", i+1, line[:1])
			}
		}
	}
	if m.what == "" || len(m.hunks) == 0 || m.hunks[""] != nil {
		return nil, fmt.Errorf("no sentence, or nothing changed")
	}
	return m, nil
}

// apply gives the mutant's files, by their names in the module. What a hunk replaces is
// found by its text, wherever it is, and has to be there exactly once.
func (m *mutant) apply(read func(name string) ([]byte, error)) (map[string][]byte, error) {
	files := map[string][]byte{}
	for name, hunks := range m.hunks {
		b, err := read(name)
		if err != nil {
			return nil, err
		}
		for i, h := range hunks {
			if n := bytes.Count(b, []byte(h.old)); n != 1 || h.old == h.new {
				return nil, fmt.Errorf("hunk %d of %s is there %d times, and changes anything: %v:\n%s",
					i+1, name, n, h.old != h.new, h.old)
			}
			b = bytes.Replace(b, []byte(h.old), []byte(h.new), 1)
		}
		files[name] = b
	}
	return files, nil
}

// source reads a file of the module.
func source(name string) ([]byte, error) { return os.ReadFile(filepath.Join(root, name)) }

func TestParseMutant(t *testing.T) {
	const head = "It forgets.\n--- a/x.go\n+++ b/x.go\n@@ -1,2 +1,1 @@\n"
	for text, says := range map[string]string{
		"":                                "nothing changed",
		"It forgets.\n":                   "nothing changed",
		"It forgets.\n-a\n":               "in no hunk",
		"It forgets.\n@@\n-a\n":           "nothing changed",
		"It forgets.\n--- a/x\n+++ b/y\n": "becomes y",
		head + "a\n":                      `begins with "a"`,
		head + "\n":                       `begins with "\n"`,
	} {
		_, err := parseMutant("m", text)
		require.ErrorContains(t, err, says, text)
	}
	m, err := parseMutant("m", "It forgets.\nby: ./x\n"+head[len("It forgets.\n"):]+" a\n-b\n+c\n@@\n-d\n")
	require.NoError(t, err)
	require.Equal(t, &mutant{name: "m", what: "It forgets.", by: "./x",
		hunks: map[string][]hunk{"x.go": {{"a\nb\n", "a\nc\n"}, {"d\n", ""}}}}, m)

	with := func(text string) func(string) ([]byte, error) {
		return func(string) ([]byte, error) { return []byte(text), nil }
	}
	files, err := m.apply(with("1\na\nb\n2\nd\n"))
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{"x.go": []byte("1\na\nc\n2\n")}, files)
	_, err = m.apply(with("1\na\nb\n2\n"))
	require.ErrorContains(t, err, "is there 0 times")
	_, err = m.apply(with("a\nb\na\nb\nd\n"))
	require.ErrorContains(t, err, "is there 2 times")
}
