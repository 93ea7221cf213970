package async_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLocks: docs/LOCKS.md names each mutex that the messenger has, and no other.
func TestLocks(t *testing.T) {
	var inCode []string
	for _, dir := range []string{
		"async", "async/adapters/peer", "async/admin", "async/compress", "async/live", "async/mon", "async/msg",
		"async/osd", "async/resolve", "async/rpc", "async/stream", "async/tickets", "connection",
		"connection/auth/cephx", "connection/session", "connection/frame", "dispatch", "eventloop",
		"eventloop/netpollstack",
	} {
		files, err := filepath.Glob(filepath.Join("..", dir, "*.go"))
		require.NoError(t, err)
		require.NotEmpty(t, files, dir)
		for _, name := range files {
			if !strings.HasSuffix(name, "_test.go") {
				inCode = append(inCode, mutexesOf(t, name)...)
			}
		}
	}
	page, err := os.ReadFile("../docs/LOCKS.md")
	require.NoError(t, err)
	var inPage []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Za-z.]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		inPage = append(inPage, row[1])
	}
	require.ElementsMatch(t, inCode, inPage)
}

// mutexesOf returns the mutexes that a file declares: Type.field, or the variable.
func mutexesOf(t *testing.T, file string) (names []string) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	require.NoError(t, err)
	isMutex := func(x ast.Expr) bool {
		s, ok := x.(*ast.SelectorExpr)
		if !ok || s.X.(*ast.Ident).Name != "sync" {
			return false
		}
		return s.Sel.Name == "Mutex" || s.Sel.Name == "RWMutex"
	}
	var within string
	ast.Inspect(f, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.TypeSpec:
			within = x.Name.Name + "."
		case *ast.ValueSpec:
			if isMutex(x.Type) {
				names = append(names, x.Names[0].Name)
			}
			within = x.Names[0].Name + "." // of a struct without a name
		case *ast.StructType:
			for _, field := range x.Fields.List {
				if isMutex(field.Type) {
					require.NotEmpty(t, field.Names, "%s embeds a mutex", file)
					names = append(names, within+field.Names[0].Name)
				}
			}
		}
		return true
	})
	return names
}
