package async_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
)

const modelFile = "../docs/model/session.pml"

var (
	goPattern     = regexp.MustCompile(`go: (\S+\.go) ([\w.]+)`)
	goAnyPattern  = regexp.MustCompile(`[^.]go: `)
	inlinePattern = regexp.MustCompile(`(?m)^(?:inline|proctype) (\w+)`)
)

// functionsOf are the functions of a file, methods as Type.name.
func functionsOf(t *testing.T, path string) (names []string) {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", path), nil, parser.SkipObjectResolution)
	require.NoError(t, err, "%s, which docs/model/session.pml names", path)
	for _, d := range tree.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		name := f.Name.Name
		if f.Recv != nil {
			of := f.Recv.List[0].Type
			if p, ok := of.(*ast.StarExpr); ok {
				of = p.X
			}
			name = of.(*ast.Ident).Name + "." + name
		}
		names = append(names, name)
	}
	return names
}

// TestModelNamesFunctions: each function that the model of the session says it stands for
// is there.
func TestModelNamesFunctions(t *testing.T) {
	model, err := os.ReadFile(modelFile)
	require.NoError(t, err)
	files := map[string][]string{}
	named := goPattern.FindAllStringSubmatch(string(model), -1)
	require.Greater(t, len(named), 40)
	require.Equal(t, len(goAnyPattern.FindAll(model, -1)), len(named), "each has a file and a function")
	for _, m := range named {
		if files[m[1]] == nil {
			files[m[1]] = functionsOf(t, m[1])
		}
		if !slices.Contains(files[m[1]], m[2]) {
			t.Errorf("docs/model/session.pml: there is no %s in %s", m[2], m[1])
		}
	}
}

// TestModelSaysWhatItIs: each part of the model names a function of the library, in
// the comment before it or within, or says in the comment what else it is.
func TestModelSaysWhatItIs(t *testing.T) {
	text, err := os.ReadFile(modelFile)
	require.NoError(t, err)
	model := string(text)
	parts := inlinePattern.FindAllStringSubmatchIndex(model, -1)
	require.Greater(t, len(parts), 30)
	for i, p := range parts {
		end := len(model)
		if i+1 < len(parts) {
			end = parts[i+1][0]
		}
		name, body := model[p[2]:p[3]], model[p[0]:end]
		commented := strings.HasSuffix(strings.TrimSpace(model[:p[0]]), "*/")
		body, _, _ = strings.Cut(body, "\n}\n")
		if !commented && !strings.Contains(body, "go: ") && !slices.Contains(modelTools, name) {
			t.Errorf("docs/model/session.pml: %s names no function, and has no comment", name)
		}
	}
}

// modelTools are parts of the model that only serve others.
var modelTools = []string{"no_frame", "drain", "lose_down", "close_acc", "lower", "squeeze", "next_global_seq",
	"fresh_client_cookie", "fresh_server_cookie", "dies", "Node", "World"}

// notInTheModel are the tags that docs/model/README.md says are left out, and why.
var notInTheModel = []frame.Tag{
	frame.TagHello, frame.TagAuthRequest, frame.TagAuthBadMethod, frame.TagAuthReplyMore, frame.TagAuthRequestMore,
	frame.TagAuthDone, frame.TagAuthSignature, frame.TagCompressionRequest, frame.TagCompressionDone,
	frame.TagIdentMissingFeatures, frame.TagKeepalive, frame.TagKeepaliveAck,
}

// TestModelHasEveryTag: each frame that the session takes in some state is in the model,
// or the page beside it says that it is not.
func TestModelHasEveryTag(t *testing.T) {
	model, err := os.ReadFile(modelFile)
	require.NoError(t, err)
	page, err := os.ReadFile("../docs/model/README.md")
	require.NoError(t, err)
	_, left, _ := strings.Cut(string(page), "## Left out")
	left, _, _ = strings.Cut(left, "\n## ")
	tags := 0
	for tag := range frame.Tag(255) {
		if !slices.ContainsFunc(session.States(), func(st session.State) bool { return session.Allowed(st, tag) }) {
			continue
		}
		tags++
		name := regexp.MustCompile(`\b` + tag.String() + `\b`)
		if slices.Contains(notInTheModel, tag) {
			require.Regexp(t, name, left, "docs/model/README.md, Left out")
		} else {
			require.Regexp(t, name, string(model), "docs/model/session.pml")
		}
	}
	require.Equal(t, 22, tags)
}
