package async_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// pages are the texts of all modules, by their path from the root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	root := os.DirFS("..")
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && d.Name() != "testdata" && passedOver(d.Name()):
			return fs.SkipDir
		case !d.IsDir() && strings.HasSuffix(path, ".md"):
			text, err := fs.ReadFile(root, path)
			found[path] = string(text)
			return err
		}
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, len(found), 15)
	return found
}

var (
	linkPattern    = regexp.MustCompile(`\]\(\s*([^)\s]+)\s*\)`)
	headingPattern = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	codePattern    = regexp.MustCompile("(?s)```.*?```")
	notInAnchor    = regexp.MustCompile(`[^\pL\pN_ -]`)
)

// anchors are where a link into a page may lead.
func anchors(text string) (names []string) {
	for _, h := range headingPattern.FindAllStringSubmatch(codePattern.ReplaceAllString(text, ""), -1) {
		name := notInAnchor.ReplaceAllString(strings.ToLower(strings.TrimSpace(h[1])), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

// TestLinks: each link from a page to a file, or to a heading, leads there.
func TestLinks(t *testing.T) {
	all, checked := pages(t), 0
	for from, text := range all {
		for _, m := range linkPattern.FindAllStringSubmatch(codePattern.ReplaceAllString(text, ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			checked++
			to, anchor, _ := strings.Cut(m[1], "#")
			target := from
			if to != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(from), to))
			}
			if _, err := os.Stat(filepath.Join("..", target)); err != nil {
				t.Errorf("%s: there is no %s", from, target)
			} else if anchor != "" && !slices.Contains(anchors(all[target]), anchor) {
				t.Errorf("%s: %s has no heading #%s", from, target, anchor)
			}
		}
	}
	require.Greater(t, checked, 30)
}

// TestSecurityNamesTests: each test that SECURITY.md names is there.
func TestSecurityNamesTests(t *testing.T) {
	there := map[string]bool{}
	root := os.DirFS("..")
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	require.NoError(t, fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != "." && passedOver(d.Name()) {
			return fs.SkipDir
		}
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := fs.ReadFile(root, path)
		for _, m := range declared.FindAllSubmatch(text, -1) {
			there[string(m[1])] = true
		}
		return err
	}))
	security, err := os.ReadFile("../SECURITY.md")
	require.NoError(t, err)
	named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllSubmatch(security, -1)
	require.Greater(t, len(named), 30)
	for _, m := range named {
		if !there[string(m[1])] {
			t.Errorf("SECURITY.md: there is no test %s", m[1])
		}
	}
}

// TestPackagesAreNamed: docs/ARCHITECTURE.md says of each package where it stands.
func TestPackagesAreNamed(t *testing.T) {
	packages := map[string]bool{}
	for _, f := range moduleFiles(t) {
		packages[f.pkg] = true
	}
	architecture, err := os.ReadFile("../docs/ARCHITECTURE.md")
	require.NoError(t, err)
	_, ladder, _ := strings.Cut(string(architecture), "\n    ")
	ladder, _, _ = strings.Cut(ladder, "\n\n`")
	for pkg := range packages {
		last := pkg[strings.LastIndexByte(pkg, '/')+1:]
		if !regexp.MustCompile(`\b` + regexp.QuoteMeta(last) + `\b`).MatchString(ladder) {
			t.Errorf("the ladder of docs/ARCHITECTURE.md does not show %s", pkg)
		}
	}
}
