//go:build linux && (amd64 || arm64 || loong64)

package admin

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// symptom is a section of docs/TROUBLESHOOTING.md.
type symptom struct {
	title    string
	lines    []string // of the log, with <placeholders>
	counters []string // of perf dump, which have moved
	fields   []string // of messenger dump and dispatch dump, which are not zero
	test     string
}

var (
	symptomPattern = regexp.MustCompile(`(?m)^### (.*)$`)
	codeWord       = regexp.MustCompile("`([^`]+)`")
	placeholder    = regexp.MustCompile(`<[a-z ]+>`)
)

// troubles reads the page.
func troubles(t testing.TB) (all []symptom) {
	t.Helper()
	text, err := os.ReadFile("../../docs/TROUBLESHOOTING.md")
	require.NoError(t, err)
	heads := symptomPattern.FindAllSubmatchIndex(text, -1)
	for i, h := range heads {
		end := len(text)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		s := symptom{title: string(text[h[2]:h[3]])}
		for line := range strings.Lines(string(text[h[1]:end])) {
			line = strings.TrimRight(line, "\n")
			code, isCode := strings.CutPrefix(line, "    ")
			what, rest, _ := strings.Cut(line, ":")
			switch {
			case isCode && strings.HasPrefix(code, " "):
				require.NotEmpty(t, s.lines, line)
				s.lines[len(s.lines)-1] += " " + strings.TrimSpace(code)
			case isCode:
				s.lines = append(s.lines, code)
			case what == "- Counters":
				s.counters = quotedIn(rest)
			case what == "- Dump":
				s.fields = quotedIn(rest)
			case what == "- Test":
				require.Len(t, quotedIn(rest), 1, line)
				s.test = strings.TrimPrefix(quotedIn(rest)[0], "TestTroubleshooting/")
			}
		}
		all = append(all, s)
	}
	return all
}

// quotedIn are those that stand between backticks.
func quotedIn(s string) (all []string) {
	for _, m := range codeWord.FindAllStringSubmatch(s, -1) {
		all = append(all, m[1])
	}
	return all
}

// pattern matches the line, whatever stands for its placeholders.
func pattern(line string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString("^")
	at := 0
	for _, m := range placeholder.FindAllStringIndex(line, -1) {
		b.WriteString(regexp.QuoteMeta(line[at:m[0]]) + ".+")
		at = m[1]
	}
	b.WriteString(regexp.QuoteMeta(line[at:]) + "$")
	return regexp.MustCompile(b.String())
}

// TestTroubleshootingPage: each symptom of the page has a test, and says what to do.
func TestTroubleshootingPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/TROUBLESHOOTING.md")
	require.NoError(t, err)
	all, seen := troubles(t), map[string]bool{}
	for _, s := range all {
		require.Contains(t, scenes, s.test, "the test of %q", s.title)
		require.False(t, seen[s.test], "two symptoms have the test %s", s.test)
		seen[s.test] = true
		require.NotEmpty(t, append(append(s.lines, s.counters...), s.fields...), "%q shows nowhere", s.title)
		for _, line := range s.lines {
			require.Regexp(t, `^(INFO|WARN|ERROR) `, line)
		}
	}
	require.Len(t, all, len(scenes))
	require.Equal(t, len(all), strings.Count(string(text), "\n- Do: "), "each says what to do")
}
