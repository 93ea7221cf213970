package async_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// The rules of this file keep the ladder: who may import whom, what the pure
// packages may not do, and what the module depends on. They read the source
// only, so they need no build and no network. A new package needs a row in
// mayImport; a new dependency needs a line in directRequires and a paragraph in
// docs/DEPENDENCIES.md.

const modulePath = "github.com/asyncmsgr/asyncmsgr"

// mayImport has, for each package of the root module, the packages of the
// module that its non-test files may import. Tests may import more.
var mayImport = map[string][]string{
	"async/callback":          {},
	"async/compress":          {},
	"async/denc":              {},
	"async/hist":              {},
	"async/entity":            {"async/denc"},
	"async/msg":               {"async/callback", "async/entity"},
	"connection/frame":        {"async/compress", "async/denc", "async/entity"},
	"connection/auth":         {"async/denc", "async/entity"},
	"connection/auth/cephx":   {"connection/auth", "async/denc", "async/entity"},
	"connection/auth/tlsauth": {"connection/auth", "async/entity"},
	"connection/session": {"connection/frame", "connection/auth", "async/compress", "async/msg",
		"async/entity"},
	"connection": {"connection/session", "connection/frame", "async/hist", "async/msg", "async/entity",
		"eventloop"},
	"eventloop":              {},
	"eventloop/forward":      {"eventloop"},
	"eventloop/simnet":       {"eventloop"},
	"eventloop/stacktest":    {"eventloop"},
	"eventloop/netpollstack": {"eventloop"},
	"dispatch":               {"async/callback", "async/hist", "async/msg", "async/entity"},
	"async/interop":          {"async/denc", "async/mon/wire", "async/msg", "async/entity"},
	"async/mon/wire":         {"async/denc", "async/msg", "async/entity"},
	"async/mon/conf":         {"async/entity"},
	"async/mon": {"async", "async/callback", "async/entity", "async/mon/wire", "async/msg", "connection/auth",
		"connection/auth/cephx", "connection/frame", "eventloop"},
	"async": {"async/callback", "async/compress", "connection", "connection/session", "connection/frame",
		"connection/auth", "dispatch", "eventloop", "eventloop/netpollstack", "async/hist", "async/msg",
		"async/entity"},
	"async/admin": {"async", "connection", "dispatch", "async/hist", "async/msg", "async/entity", "async/rpc",
		"async/stream"},
	"async/live": {"async", "async/live/look", "connection", "dispatch", "async/hist", "async/msg",
		"async/entity", "async/rpc", "async/stream"},
	"async/live/look": {},

	"async/export": {"async", "connection", "dispatch", "async/hist", "async/msg", "async/rpc",
		"async/stream"},
	"async/export/expvars":    {"async", "async/export", "async/hist"},
	"async/export/exporttest": {"async", "async/entity", "async/msg", "async/rpc", "async/stream"},

	"async/adapters/peer":          {"async", "async/entity", "async/msg", "async/stream"},
	"async/adapters/peer/peertest": {"async", "async/entity", "async/msg", "eventloop", "eventloop/netpollstack"},

	"async/resolve": {"async", "async/msg", "async/entity"},
	"async/rpc":     {"async", "async/callback", "async/msg", "eventloop"},
	"async/tickets": {"async", "async/entity", "async/msg", "connection/auth/cephx", "eventloop"},
	"async/osd": {"async", "async/callback", "async/entity", "async/mon", "async/mon/wire", "async/msg",
		"connection/frame"},
	"async/stream": {"async", "async/callback", "async/msg", "async/entity", "eventloop"},

	"async/asynctest": {"async/asynctest/promise", "async", "async/compress", "eventloop",
		"eventloop/simnet", "dispatch",
		"connection/session", "connection/frame", "connection/auth", "async/msg", "async/entity"},
	"async/asynctest/bubble":   {"eventloop", "eventloop/simnet"},
	"async/asynctest/promise":  {"async/msg"},
	"async/asynctest/faultkit": {"eventloop", "eventloop/forward"},
	"async/asynctest/sessiontest": {"async/asynctest/faultkit", "async", "eventloop", "eventloop/forward",
		"eventloop/netpollstack", "dispatch", "connection/auth", "connection/frame", "connection/session",
		"async/msg", "async/entity"},
}

// importersOfAsync are the packages that may import the face, by prefix.
var importersOfAsync = []string{"async/adapters", "async/admin", "async/asynctest", "async/export", "async/interop",
	"async/live", "async/mon", "async/osd", "async/resolve", "async/rpc", "async/stream", "async/tickets", "bench"}

// directRequires are the root module's direct dependencies, all of them.
var directRequires = []string{
	"github.com/cloudwego/netpoll",
	"github.com/panjf2000/ants/v2",
	"golang.org/x/sys",
	"github.com/stretchr/testify",
	"go.uber.org/goleak",
	"pgregory.net/rapid",
}

// testKits are packages of helpers that are linked into tests alone.
var testKits = []string{"eventloop/stacktest/", "async/asynctest/", "async/interop/", "async/adapters/peer/peertest/",
	"async/export/exporttest/"}

// mayImportOutside says which non-test files, by prefix of their path, may
// import what from outside the module and the standard library.
var mayImportOutside = map[string][]string{
	"github.com/cloudwego/netpoll": {"eventloop/netpollstack/"},
	"github.com/panjf2000/ants/v2": {"dispatch/antspool.go"},
	"golang.org/x/sys":             {"eventloop/netpollstack/"},
	"github.com/stretchr/testify":  testKits,
	"go.uber.org/goleak":           testKits,
	"pgregory.net/rapid":           {"async/asynctest/"},
}

// pure are the packages, or single files, that see no socket, clock, chance or
// goroutine: what they need of these is handed to them.
var pure = []string{
	"connection/session/", "connection/frame/", "connection/auth/",
	"async/entity/", "async/denc/", "async/mon/conf/", "async/mon/hunt.go", "async/mon/asks.go", "async/mon/osdmaps.go",
	"async/mon/wire/", "async/msg/", "dispatch/prio.go",
}

// impure is the one file among them that is the outside for its package: the files, the
// clock and the chance that certificates need unless Config says otherwise.
const impure = "connection/auth/tlsauth/system.go"

// bannedInPure maps an import path to what a pure file may still use of it;
// everything else of that import is refused.
var bannedInPure = map[string]func(name string) bool{
	"net":         func(name string) bool { return name == "ErrClosed" },
	"net/http":    func(string) bool { return false },
	"os":          func(string) bool { return false },
	"syscall":     func(string) bool { return false },
	"crypto/rand": func(string) bool { return false },
	"time": func(name string) bool {
		switch name {
		case "Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTimer", "NewTicker":
			return false
		}
		return true
	},
	"math/rand":    seededRand,
	"math/rand/v2": seededRand,
}

// seededRand allows the types and constructors of math/rand, which take their
// source, and refuses its top-level functions, which share a hidden one.
func seededRand(name string) bool {
	switch name {
	case "Rand", "Source", "PCG", "ChaCha8", "Zipf", "New", "NewSource", "NewPCG", "NewChaCha8", "NewZipf":
		return true
	}
	return false
}

// goFile is one parsed source file of the root module.
type goFile struct {
	path string // relative to the module's root, with slashes
	pkg  string // folder, relative to the root
	test bool
	fset *token.FileSet
	ast  *ast.File
}

// example says whether the file shows how a package is used: that takes a messenger.
func (f goFile) example() bool { return strings.HasPrefix(filepath.Base(f.path), "example_") && f.test }

func (f goFile) at(p token.Pos) string {
	return fmt.Sprintf("%s:%d", f.path, f.fset.Position(p).Line)
}

// importPath returns the path of an import without its quotes.
func importPath(s *ast.ImportSpec) string {
	p, err := strconv.Unquote(s.Path.Value)
	if err != nil {
		panic(err)
	}
	return p
}

// under says whether path is prefix or lies below it.
func under(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/")
}

// passedOver says whether a folder of that name has nothing of ours: no packages, as the go command
// has it, or bin, into which other things are built and unpacked, maybe while this test runs.
func passedOver(dir string) bool {
	return dir == "testdata" || dir == "vendor" || dir == "bin" || dir[0] == '.' || dir[0] == '_'
}

// moduleFiles are the files of the module, which no test changes.
func moduleFiles(t *testing.T) []goFile {
	t.Helper()
	files, err := parsedFiles()
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

var parsedFiles = sync.OnceValues(func() (files []goFile, err error) {
	root, err := filepath.Abs("..")
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel != "." && passedOver(d.Name()) {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && rel != "." {
				return filepath.SkipDir // a module of its own
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		fset := token.NewFileSet()
		tree, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			return err
		}
		files = append(files, goFile{path: rel, pkg: filepath.ToSlash(filepath.Dir(rel)),
			test: strings.HasSuffix(rel, "_test.go"), fset: fset, ast: tree})
		return nil
	})
	return files, err
})

func TestImportsFollowTheLadder(t *testing.T) {
	for _, f := range moduleFiles(t) {
		for _, s := range f.ast.Imports {
			path, ok := strings.CutPrefix(importPath(s), modulePath+"/")
			if !ok {
				continue
			}
			if path == "async" && f.pkg != "async" && !f.example() {
				if !slices.ContainsFunc(importersOfAsync, func(p string) bool { return under(f.pkg, p) }) {
					t.Errorf("%s: only %v may import async, the face of the module", f.at(s.Pos()), importersOfAsync)
				}
			}
			if f.test {
				continue
			}
			if allowed, known := mayImport[f.pkg]; !known {
				t.Errorf("%s: package %s has no row in mayImport", f.at(s.Pos()), f.pkg)
			} else if !slices.Contains(allowed, path) {
				t.Errorf("%s: %s may not import %s", f.at(s.Pos()), f.pkg, path)
			}
		}
	}
}

func TestDependenciesStayInTheirFolders(t *testing.T) {
	for _, f := range moduleFiles(t) {
		for _, s := range f.ast.Imports {
			path := importPath(s)
			if first, _, _ := strings.Cut(path, "/"); !strings.Contains(first, ".") || under(path, modulePath) {
				continue // the standard library, or ours
			}
			i := slices.IndexFunc(directRequires, func(p string) bool { return under(path, p) })
			if i < 0 {
				t.Errorf("%s: %s is none of the module's dependencies", f.at(s.Pos()), path)
				continue
			}
			allowed := mayImportOutside[directRequires[i]]
			if !f.test && !slices.ContainsFunc(allowed, func(p string) bool { return under(f.path, p) }) {
				t.Errorf("%s: %s is for %v and tests alone", f.at(s.Pos()), path, allowed)
			}
		}
	}
}

func TestPurePackagesStayPure(t *testing.T) {
	for _, f := range moduleFiles(t) {
		if f.test || f.path == impure || !slices.ContainsFunc(pure, func(p string) bool { return under(f.path, p) }) {
			continue
		}
		for _, complaint := range impurities(f) {
			t.Errorf("%s: a pure file is handed its time, chance and bytes", complaint)
		}
	}
}

// impurities lists what a file does that a pure one must not.
func impurities(f goFile) (found []string) {
	banned := map[string]string{} // local name -> import path
	for _, s := range f.ast.Imports {
		path := importPath(s)
		switch {
		case under(path, "golang.org/x/sys"):
			found = append(found, fmt.Sprintf("%s: imports %s", f.at(s.Pos()), path))
		case bannedInPure[path] == nil:
		case s.Name != nil && s.Name.Name == ".":
			found = append(found, fmt.Sprintf("%s: dot import of %s", f.at(s.Pos()), path))
		case s.Name != nil:
			banned[s.Name.Name] = path
		default:
			name := path[strings.LastIndex(path, "/")+1:]
			if name == "v2" {
				name = "rand"
			}
			banned[name] = path
		}
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, f.at(n.Pos())+": go statement")
		case *ast.SelectorExpr:
			id, ok := n.X.(*ast.Ident)
			if !ok {
				break
			}
			if path := banned[id.Name]; path != "" && !bannedInPure[path](n.Sel.Name) {
				found = append(found, fmt.Sprintf("%s: uses %s.%s", f.at(n.Pos()), path, n.Sel.Name))
			}
		}
		return true
	})
	return found
}

// TestImpuritiesAreSeen makes sure that the check can fail.
func TestImpuritiesAreSeen(t *testing.T) {
	const src = `package p
import ("net"; "net/netip"; "time"; dice "math/rand/v2"; "os"; "golang.org/x/sys/unix")
func f(a netip.Addr, d time.Duration, r *dice.Rand) error {
	go f(a, d, r)
	time.Sleep(d)
	_ = time.Now
	_ = dice.IntN(3)
	_ = dice.New(dice.NewPCG(1, 2))
	_, _ = net.Dial("", "")
	os.Exit(unix.EBADF)
	return net.ErrClosed
}`
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, "p.go", src, 0)
	require.NoError(t, err)
	require.Equal(t, []string{
		"p.go:2: imports golang.org/x/sys/unix",
		"p.go:4: go statement",
		"p.go:5: uses time.Sleep",
		"p.go:6: uses time.Now",
		"p.go:7: uses math/rand/v2.IntN",
		"p.go:9: uses net.Dial",
		"p.go:10: uses os.Exit",
	}, impurities(goFile{path: "p.go", fset: fset, ast: tree}))
}

func TestDirectRequiresAreAllowed(t *testing.T) {
	mod, err := os.ReadFile("../go.mod")
	require.NoError(t, err)
	var direct []string
	inBlock := false
	for line := range strings.Lines(string(mod)) {
		code, comment, _ := strings.Cut(strings.TrimSpace(line), "//")
		fields := strings.Fields(code)
		switch {
		case len(fields) == 0 || strings.TrimSpace(comment) == "indirect":
		case fields[0] == "require" && len(fields) > 1 && fields[1] == "(":
			inBlock = true
		case fields[0] == ")":
			inBlock = false
		case fields[0] == "require":
			direct = append(direct, fields[1])
		case inBlock:
			direct = append(direct, fields[0])
		case fields[0] == "replace":
			t.Errorf("go.mod must not replace anything: whoever requires the module would not get it: %s", line)
		}
	}
	require.ElementsMatch(t, directRequires, direct,
		"direct requires of go.mod; a new one needs a line here and a paragraph in docs/DEPENDENCIES.md")
}

// TestReadmeShowsSecurity: what the README shows on keys are two functions of a program
// that is run.
func TestReadmeShowsSecurity(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	program, err := os.ReadFile("../bench/examples/secure/main.go")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(readme), "\n## Security\n")
	require.True(t, ok)
	section, _, _ = strings.Cut(section, "\n## ")
	for _, name := range []string{"withSecret", "withCertificates"} {
		_, body, ok := strings.Cut(string(program), "\nfunc "+name+"() *async.Messenger {\n")
		require.True(t, ok, name)
		body, _, ok = strings.Cut(body, "\treturn ")
		require.True(t, ok, name)
		require.Contains(t, section, "```go\n"+strings.ReplaceAll("\n"+body, "\n\t", "\n")[1:]+"```\n", name)
	}
}

func TestReadmeShowsTheExample(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	example, err := os.ReadFile("../bench/examples/echo/main.go")
	require.NoError(t, err)
	_, program, ok := strings.Cut(string(example), "\n)\n\n") // after the imports
	require.True(t, ok)
	program, _, ok = strings.Cut(program, "\nfunc must") // before the helpers
	require.True(t, ok)
	require.Contains(t, string(readme), "```go\n"+program+"```\n")
}

// TestModulesAreListed: each module is in the workspace, or among those of the Makefile that
// are tested outside of it.
func TestModulesAreListed(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join("..", name))
		require.NoError(t, err)
		return string(b)
	}
	_, nested, ok := strings.Cut(read("Makefile"), "\nNESTED ")
	require.True(t, ok)
	nested, _, _ = strings.Cut(strings.ReplaceAll(nested, "\\\n", ""), "\n")
	listed := append(strings.Fields(nested)[1:], ".")
	for _, line := range strings.Fields(read("go.work")) {
		if dir, ok := strings.CutPrefix(line, "./"); ok {
			listed = append(listed, dir)
		}
	}
	var found []string
	require.NoError(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != ".." && passedOver(d.Name()) {
			return filepath.SkipDir
		}
		if err == nil && d.Name() == "go.mod" {
			rel, _ := filepath.Rel("..", filepath.Dir(path))
			found = append(found, filepath.ToSlash(rel))
		}
		return err
	}))
	require.ElementsMatch(t, found, listed)
}

// TestReadmeShowsTheLog: the replicated log of the README is a program that is run.
func TestReadmeShowsTheLog(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	example, err := os.ReadFile("adapters/raft/example/main.go")
	require.NoError(t, err)
	_, program, ok := strings.Cut(string(example), "\npackage main\n")
	require.True(t, ok)
	require.Contains(t, string(readme), "```go\npackage main\n"+program+"```\n")
}
