package mutants_test

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"go/ast"
	gobuild "go/build"
	"go/format"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// mutated are the packages that TestSeeded breaks.
var mutated = []string{
	"connection/session", "connection", "connection/frame", "dispatch", "async", "eventloop/netpollstack",
}

// point is one place where one small mistake can be made.
type point struct {
	id   string
	pkg  string // directory in the module
	file string // likewise
	line int
	old  string // the line as it is
	new  string // the mistake, in words or as a line
	// from to is what is replaced in the file, by with.
	from, to int
	with     string
}

// operators are the kinds of mistakes:
//
//	flip  a comparison says the opposite; and for or, or for and
//	edge  a comparison that is strict is not, or the other way round
//	off   a number is one more
//	drop  a statement is left out
//	stay  a return, break or continue in the midst of a function is left out
//
// flips and edges are what becomes of the first two.
var flips = map[token.Token]token.Token{
	token.EQL: token.NEQ, token.NEQ: token.EQL, token.LSS: token.GEQ, token.GEQ: token.LSS, token.GTR: token.LEQ,
	token.LEQ: token.GTR, token.LAND: token.LOR, token.LOR: token.LAND,
}

var edges = map[token.Token]token.Token{
	token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
}

// points are all of a package, in the order of the files.
func points(pkg string) ([]*point, error) {
	dir := filepath.Join(root, pkg)
	p, err := gobuild.ImportDir(dir, 0)
	if err != nil {
		return nil, err
	}
	var all []*point
	for _, name := range p.GoFiles {
		b, err := source(path.Join(pkg, name))
		if err != nil {
			return nil, err
		}
		ps, err := pointsOf(pkg, path.Join(pkg, name), b)
		if err != nil {
			return nil, err
		}
		all = append(all, ps...)
	}
	return all, nil
}

// finder walks one file.
type finder struct {
	pkg, file string
	fset      *token.FileSet
	text      []byte
	lines     [][]byte
	name      string         // of the function
	count     map[string]int // of an operator on such a line in the function
	found     []*point
}

func pointsOf(pkg, file string, text []byte) ([]*point, error) {
	f := &finder{pkg: pkg, file: file, fset: token.NewFileSet(), text: text, lines: bytes.Split(text, []byte("\n"))}
	tree, err := parser.ParseFile(f.fset, file, text, 0)
	if err != nil {
		return nil, err
	}
	for _, d := range tree.Decls {
		fn, ok := d.(*ast.FuncDecl)
		// What is only for people to read has no right or wrong.
		if !ok || fn.Body == nil || fn.Name.Name == "String" || fn.Name.Name == "LogValue" {
			continue
		}
		f.name, f.count = funcName(fn), map[string]int{}
		f.body(fn.Body)
	}
	return f.found, nil
}

// funcName is T.Name for a method.
func funcName(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return fn.Name.Name
	}
	t := fn.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
			continue
		case *ast.IndexExpr:
			t = x.X
			continue
		case *ast.IndexListExpr:
			t = x.X
			continue
		case *ast.Ident:
			return x.Name + "." + fn.Name.Name
		}
		return fn.Name.Name
	}
}

// add puts a point at from to. Its name survives changes elsewhere: package, function,
// operator, a hash of the line, and the how-manieth of these in the function.
func (f *finder) add(op string, from, to token.Pos, with string) {
	at := f.fset.Position(from)
	line := string(bytes.TrimSpace(f.lines[at.Line-1]))
	place := fmt.Sprintf("%s/%.3x", op, sha256.Sum256([]byte(line)))
	f.count[place]++
	p := &point{pkg: f.pkg, file: f.file, line: at.Line, old: line, from: at.Offset,
		to: f.fset.Position(to).Offset, with: with}
	p.id = fmt.Sprintf("%s/%s/%s/%d", f.pkg, f.name, place, f.count[place])
	was := strings.Join(strings.Fields(string(f.text[p.from:p.to])), " ")
	p.new = fmt.Sprintf("%s becomes %s", was, with)
	if with == "" {
		p.new = "without " + was
	}
	f.found = append(f.found, p)
}

func (f *finder) body(b *ast.BlockStmt) {
	last := b.List
	ast.Inspect(b, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "panic" || id.Name == "make") {
				return false // how a panic reads; how much memory to begin with
			}
		case *ast.BinaryExpr:
			if to, ok := flips[n.Op]; ok {
				f.add("flip", n.OpPos, n.OpPos+token.Pos(len(n.Op.String())), to.String())
			}
			if to, ok := edges[n.Op]; ok {
				f.add("edge", n.OpPos, n.OpPos+token.Pos(len(n.Op.String())), to.String())
			}
		case *ast.BasicLit:
			if v, err := strconv.ParseInt(n.Value, 0, 64); n.Kind == token.INT && err == nil {
				f.add("off", n.Pos(), n.End(), strconv.FormatInt(v+1, 10))
			}
		case *ast.BlockStmt:
			f.statements(n.List, last)
		case *ast.CaseClause:
			f.statements(n.Body, last)
		case *ast.CommClause:
			f.statements(n.Body, last)
		case *ast.GenDecl:
			return n.Tok == token.VAR
		case *ast.ArrayType:
			return false
		}
		return true
	})
}

// statements are those of one block, which is the function's own if they are last.
func (f *finder) statements(list, last []ast.Stmt) {
	for i, s := range list {
		drop := false
		switch s := s.(type) {
		case *ast.ExprStmt:
			call, ok := s.X.(*ast.CallExpr)
			id, plain := (*ast.Ident)(nil), false
			if ok {
				id, plain = call.Fun.(*ast.Ident)
			}
			drop = ok && (!plain || id.Name != "panic")
		case *ast.AssignStmt:
			drop = s.Tok != token.DEFINE && !blank(s)
		case *ast.IncDecStmt, *ast.SendStmt, *ast.DeferStmt, *ast.GoStmt:
			drop = true
		case *ast.ReturnStmt, *ast.BranchStmt:
			if b, ok := s.(*ast.BranchStmt); ok && (b.Tok == token.GOTO || b.Tok == token.FALLTHROUGH) {
				continue
			}
			if i == len(list)-1 && (len(last) == 0 || s != last[len(last)-1]) {
				f.add("stay", s.Pos(), s.End(), "")
			}
		}
		if drop {
			f.add("drop", s.Pos(), s.End(), "")
		}
	}
}

// blank says whether s assigns to nothing.
func blank(s *ast.AssignStmt) bool {
	for _, x := range s.Lhs {
		if id, ok := x.(*ast.Ident); !ok || id.Name != "_" {
			return false
		}
	}
	return true
}

// apply makes the mistake.
func (p *point) apply(text []byte) []byte {
	out := append([]byte(nil), text[:p.from]...)
	out = append(out, p.with...)
	// What was several lines stays several, for the numbers of the others.
	out = append(out, bytes.Repeat([]byte("\n"), bytes.Count(text[p.from:p.to], []byte("\n")))...)
	return append(out, text[p.to:]...)
}

func TestPoints(t *testing.T) {
	text := []byte(`package p

func (x *T[E]) f(a []int) (n int) {
	for i := range a {
		if i < 2 && a[i] == x.m {
			continue
		}
		x.m = a[0]
		defer x.g(
			i)
	}
	if n > 0 {
		panic(1)
	}
	_ = n
	x.n++
	return 7
}

func (t T) String() string { return "a"[1:] }
`)
	ps, err := pointsOf("q", "q/p.go", text)
	require.NoError(t, err)
	slices.SortFunc(ps, func(a, b *point) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.id, b.id)) })
	var got []string
	seen := map[string]bool{}
	for _, p := range ps {
		got = append(got, fmt.Sprintf("%d %s: %s", p.line, strings.Join(strings.Split(p.id, "/")[1:3], " "), p.new))
		require.False(t, seen[p.id], p.id)
		seen[p.id] = true
		b := p.apply(text)
		_, err := format.Source(b)
		require.NoError(t, err, p.new)
		require.Equal(t, bytes.Count(text, []byte("\n")), bytes.Count(b, []byte("\n")))
	}
	require.Equal(t, []string{
		"5 T.f edge: < becomes <=", "5 T.f flip: < becomes >=", "5 T.f off: 2 becomes 3",
		"5 T.f flip: && becomes ||", "5 T.f flip: == becomes !=", "6 T.f stay: without continue",
		"8 T.f drop: without x.m = a[0]", "8 T.f off: 0 becomes 1", "9 T.f drop: without defer x.g( i)",
		"12 T.f edge: > becomes >=", "12 T.f flip: > becomes <=", "12 T.f off: 0 becomes 1",
		"16 T.f drop: without x.n++", "17 T.f off: 7 becomes 8",
	}, got)
}
