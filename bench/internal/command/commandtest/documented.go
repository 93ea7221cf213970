package commandtest

import (
	"io/fs"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/stretchr/testify/require"
)

// Line is a command that a page has.
type Line struct {
	File   string
	Text   string
	Inline bool   // within a sentence, where what is not the point is left out
	Dir    string // where cd before it in the line has led to
}

var inlineCode = regexp.MustCompile("`([^`]+)`")

// Documented are the commands of all pages below top, that is lines of code and what stands in
// backticks, which begin with one of the words. What follows the command in the line, a comment or another
// command, is cut off.
func Documented(t *testing.T, top string, words ...string) (found []Line) {
	t.Helper()
	root := os.DirFS(top)
	add := func(file, text string, inline bool) {
		dir := ""
		for part := range strings.SplitSeq(text, "&&") {
			part = Command(part)
			if to, ok := strings.CutPrefix(part, "cd "); ok {
				dir = to
			}
			for _, w := range words {
				if part == w || strings.HasPrefix(part, w+" ") {
					found = append(found, Line{file, part, inline, dir})
				}
			}
		}
	}
	require.NoError(t, fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || path == "bin"):
			return fs.SkipDir // nothing of ours; what is built and unpacked there may change meanwhile
		case d.IsDir() || !strings.HasSuffix(path, ".md") || path == "CHANGELOG.md":
			return nil // what was once is not what is
		}
		page, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		fenced := false
		for line := range strings.Lines(strings.ReplaceAll(string(page), "\\\n", "")) {
			if strings.HasPrefix(line, "```") {
				fenced = !fenced
			}
			if fenced || strings.HasPrefix(line, "    ") {
				add(path, line, false)
				continue
			}
			for _, m := range inlineCode.FindAllStringSubmatch(line, -1) {
				add(path, m[1], true)
			}
		}
		return nil
	}))
	return found
}

// commandEnd is where a command ends: what a shell does with its output, or what is said about it.
var commandEnd = regexp.MustCompile(`\s+#.*|\s+[>|;].*|\s{3,}`)

// Command is a line without what does not belong to the command.
func Command(line string) string {
	line = strings.TrimSpace(line)
	if i := commandEnd.FindStringIndex(line); i != nil {
		line = line[:i[0]]
	}
	return line
}

// Arguments splits a command as a shell does, as far as pages need it: quotes, and no more.
func Arguments(line string) (args []string) {
	var arg strings.Builder
	quoted, begun := rune(0), false
	for _, r := range line + " " {
		switch {
		case quoted == 0 && (r == '\'' || r == '"'):
			quoted, begun = r, true
		case quoted != 0 && r == quoted:
			quoted = 0
		case r == ' ' && quoted == 0:
			if begun {
				args = append(args, arg.String())
			}
			arg.Reset()
			begun = false
		default:
			arg.WriteRune(r)
			begun = true
		}
	}
	return args
}

// Examples checks that the help of each subcommand has examples of it, which are understood.
func Examples(t *testing.T, parser func(t *testing.T) *kong.Kong) {
	t.Helper()
	model := parser(t).Model
	for _, n := range model.Leaves(false) {
		path := strings.TrimPrefix(n.Path(), model.Name+" ")
		_, examples, ok := strings.Cut(n.Detail, "Examples:\n")
		require.True(t, ok, "%s --help has no examples", n.Path())
		found := 0
		for line := range strings.Lines(examples) {
			line, ok := strings.CutPrefix(line, "  "+model.Name+" ")
			if !ok {
				continue
			}
			line, _, _ = strings.Cut(line, "  ") // what is said about it
			args := Arguments(Command(line))
			_, err := parser(t).Parse(command.LongFlags(args))
			if n.Target.Type() != reflect.TypeFor[command.Help]() { // that of another command line
				require.NoError(t, err, "%s %s", model.Name, line)
			}
			if strings.HasPrefix(strings.Join(args, " ")+" ", path+" ") {
				found++
			}
		}
		if n.Target.Type() != reflect.TypeFor[command.Help]() {
			require.NotZero(t, found, "%s --help has no example of it", n.Path())
		}
	}
}

// Understood says why a command line would not understand the arguments of a Line, nil if it
// would. Of one within a sentence only the subcommand and the names of flags have to be right.
func Understood(parser *kong.Kong, l Line, args []string) error {
	if i := slices.Index(args, "--help"); i >= 0 {
		args, l.Inline = slices.Delete(args, i, i+1), true // no more has to be there than what it helps with
		if len(args) == 0 {
			return nil
		}
	}
	_, err := parser.Parse(command.LongFlags(args))
	if err == nil || !l.Inline {
		return err
	}
	node := parser.Model.Node
	flags := map[string]bool{}
	see := func(n *kong.Node) {
		for _, f := range n.Flags {
			flags[f.Name] = true
		}
	}
	see(node)
	if node.DefaultCmd != nil {
		see(node.DefaultCmd)
	}
	for _, a := range command.LongFlags(args) {
		a = strings.Trim(a, "[]")
		if name, ok := strings.CutPrefix(a, "--"); ok {
			if name, _, _ = strings.Cut(name, "="); !flags[name] {
				return err
			}
			continue
		}
		for _, c := range node.Children {
			if c.Name == a {
				node = c
				see(c)
				break
			}
		}
	}
	if node.Parent == nil && node.DefaultCmd == nil {
		return err
	}
	return nil
}
