package async_test

import (
	"context"
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/asyncmsgr/asyncmsgr/dispatch"
	"github.com/asyncmsgr/asyncmsgr/eventloop/netpollstack"
)

// The tests of this file keep docs/STABILITY.md and the code together: what is exported
// and not for users has implementationMark in its comment, and stands on that page.

const implementationMark = "Implementation: not for users of the library; may change in any release."

// methodsHeading is the heading of one part of the page.
const methodsHeading = "### The methods of a Connection that are not in msg.Connection"

// ofPackage are the exported names of one package.
type ofPackage struct {
	all, marked []string // functions, types, methods as Type.Method, variables, constants
	whole       bool     // its package comment has the mark
}

// exportedNames reads the files of all packages of the module, but for tests.
func exportedNames(t *testing.T) map[string]*ofPackage {
	found := map[string]*ofPackage{}
	for _, f := range moduleFiles(t) {
		if f.test {
			continue
		}
		p := found[f.pkg]
		if p == nil {
			p = new(ofPackage)
			found[f.pkg] = p
		}
		p.whole = p.whole || isMarked(f.ast.Doc.Text())
		for name, mark := range namesOf(f.ast) {
			p.all = append(p.all, name)
			if mark {
				p.marked = append(p.marked, name)
			}
		}
	}
	return found
}

func isMarked(comments ...string) bool {
	return slices.ContainsFunc(comments, func(c string) bool {
		return strings.Contains(strings.ReplaceAll(c, "\n", " "), implementationMark)
	})
}

// namesOf are the exported names that a file declares, and whether they are marked.
func namesOf(f *ast.File) map[string]bool {
	names := map[string]bool{}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if name := d.Name.Name; ast.IsExported(name) {
				if d.Recv != nil {
					of := receiver(d.Recv.List[0].Type)
					if !ast.IsExported(of) {
						continue
					}
					name = of + "." + name
				}
				names[name] = isMarked(d.Doc.Text())
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					if ast.IsExported(s.Name.Name) {
						names[s.Name.Name] = isMarked(d.Doc.Text(), s.Doc.Text())
					}
				case *ast.ValueSpec:
					for _, id := range s.Names {
						if ast.IsExported(id.Name) {
							names[id.Name] = isMarked(d.Doc.Text(), s.Doc.Text())
						}
					}
				}
			}
		}
	}
	return names
}

// receiver is the name of a method's type.
func receiver(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.StarExpr:
		return receiver(x.X)
	case *ast.IndexExpr:
		return receiver(x.X)
	case *ast.IndexListExpr:
		return receiver(x.X)
	}
	return x.(*ast.Ident).Name
}

// stabilityPage returns the part of docs/STABILITY.md from one heading to another.
func stabilityPage(t *testing.T, from, to string) string {
	page, err := os.ReadFile("../docs/STABILITY.md")
	require.NoError(t, err)
	_, part, ok := strings.Cut(string(page), "\n"+from+"\n")
	require.True(t, ok, from)
	part, _, ok = strings.Cut(part, "\n"+to+"\n")
	require.True(t, ok, to)
	return part
}

var inBackquotes = regexp.MustCompile("`([^`]+)`")

// firstColumn are the names in the first column of the tables of a part, with the rest
// of their row.
func firstColumn(part string) (names []string, rest map[string]string) {
	rest = map[string]string{}
	for line := range strings.Lines(part) {
		cells := strings.SplitN(line, "|", 3)
		if len(cells) < 3 || cells[0] != "" {
			continue
		}
		for _, m := range inBackquotes.FindAllStringSubmatch(cells[1], -1) {
			names = append(names, m[1])
			rest[m[1]] = cells[2]
		}
	}
	return names, rest
}

// TestStabilityNames: in stable packages the marked names are those of the page.
func TestStabilityNames(t *testing.T) {
	found := exportedNames(t)
	inMsg, _ := firstColumn(stabilityPage(t, "### async/msg", methodsHeading))
	inOthers, _ := firstColumn(stabilityPage(t, "### Other stable packages", "## Not promised"))
	for i, name := range inMsg {
		inMsg[i] = "msg." + name
	}
	var marked []string
	for pkg, p := range found {
		if p.whole || pkg == "dispatch" || pkg == "connection" {
			continue
		}
		for _, name := range p.marked {
			marked = append(marked, pkg[strings.LastIndex(pkg, "/")+1:]+"."+name)
		}
	}
	require.ElementsMatch(t, append(inMsg, inOthers...), marked)
}

// TestStabilityOfDispatch: there it is the stable names that the page lists.
func TestStabilityOfDispatch(t *testing.T) {
	p := exportedNames(t)["dispatch"]
	page := stabilityPage(t, "## Packages", "## What compatible means")
	row := regexp.MustCompile("(?m)^\\| `dispatch` \\| stable: ([^|]+) \\|").FindStringSubmatch(page)
	require.NotNil(t, row)
	var stable []string
	for _, name := range p.all {
		of, _, isMethod := strings.Cut(name, ".")
		if !slices.Contains(p.marked, name) && !(isMethod && slices.Contains(p.all, of)) {
			stable = append(stable, name)
		}
	}
	require.ElementsMatch(t, strings.Split(row[1], ", "), stable)
}

// TestStabilityOfPackages: each package has a row, and those that are implementation say
// so.
func TestStabilityOfPackages(t *testing.T) {
	table, _, _ := strings.Cut(stabilityPage(t, "## Packages", "## What compatible means"), "\n`stacktest`:")
	_, rows := firstColumn(table)
	for pkg, p := range exportedNames(t) {
		rest, ok := rows[pkg]
		require.True(t, ok, "package %s has no row in docs/STABILITY.md", pkg)
		if pkg != "dispatch" { // dispatch has two rows
			require.Equal(t, strings.HasPrefix(rest, " implementation"), p.whole,
				"%s: the page and the package comment", pkg)
		}
	}
}

// TestStabilityOfConnections: a type assertion from msg.Connection reaches methods that
// the page lists, and no other.
func TestStabilityOfConnections(t *testing.T) {
	part := stabilityPage(t, methodsHeading, "### Other stable packages")
	ofConn, ofLoopback, ok := strings.Cut(part, "\n| methods of the loopback |")
	require.True(t, ok)
	stack, err := netpollstack.Open(netpollstack.Config{Workers: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stack.Close()) })
	m, err := async.New(async.Config{Stack: stack, Executor: new(dispatch.Inline)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Shutdown(context.Background())) })
	for _, x := range []struct {
		of   reflect.Type
		part string
	}{
		{reflect.TypeFor[*connection.Conn](), ofConn},
		{reflect.TypeOf(m.Loopback()), "|" + ofLoopback},
	} {
		var more []string
		for i := range x.of.NumMethod() {
			name := x.of.Method(i).Name
			if _, has := reflect.TypeFor[msg.Connection]().MethodByName(name); !has {
				more = append(more, name)
			}
		}
		names, _ := firstColumn(x.part)
		names = slices.DeleteFunc(names, func(name string) bool { return !token.IsIdentifier(name) })
		require.ElementsMatch(t, names, more, fmt.Sprint(x.of))
	}
}
