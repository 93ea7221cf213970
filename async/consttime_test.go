package async_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// secretNames are names of what an attacker could guess byte by byte, if a comparison of it
// took longer the more of it is right. (Tag is the kind of a frame here; tags of AES-GCM are
// compared by crypto/cipher.)
var secretNames = regexp.MustCompile(`(?i)sig(nature)?s?$|key$|secret|hmac|\bmac$|digest|proof$|password|checksum$`)

// comparesBytes are the functions that stop at the first difference.
var comparesBytes = map[string]bool{"bytes.Equal": true, "bytes.Compare": true, "bytes.HasPrefix": true,
	"slices.Equal": true, "slices.Compare": true, "reflect.DeepEqual": true, "strings.Compare": true,
	"strings.EqualFold": true, "subtle.ConstantTimeCompare": false, "hmac.Equal": false}

// comparisonsAllowed are those that are not of secrets, by file and text.
var comparisonsAllowed = map[string]string{
	"async/rpc/context.go: key == (requestKey{})":                                 "the key of a context's value",
	"connection/auth/cephx/keyring.go: strings.Compare(a.String(), b.String())":   "names",
	"connection/auth/cephx/monitorreply.go: q.request == GetAuthSessionKey":       "the number of a request",
	"connection/auth/cephx/renewal.go: q.request == GetAuthSessionKey":            "the number of a request",
	"connection/auth/cephx/service.go: id == SecretMon":                           "the id of a secret",
	"connection/auth/tlsauth/identity.go: strings.EqualFold(u.Scheme, uriScheme)": "a certificate's name",
	"connection/auth/tlsauth/pem.go: block.Type != pemKey":                        "the kind of a block",
	"connection/frame/auth.go: f.Signature == [32]byte{}":                         "what came, for a text",
}

// TestConstantTime: signatures, keys and tags are compared by hmac.Equal or crypto/subtle,
// and by nothing else: neither ==, for arrays and strings, nor the functions that compare
// bytes, which the packages of authentication and of the wire do not use at all.
func TestConstantTime(t *testing.T) {
	used := map[string]bool{}
	constant := 0
	for _, dir := range []string{"async", "connection", "dispatch", "eventloop"} {
		root := filepath.Join("..", dir)
		require.NoError(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			rel := strings.TrimPrefix(filepath.ToSlash(path), "../")
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") ||
				strings.HasPrefix(rel, "async/asynctest/") || strings.HasPrefix(rel, "async/interop/") {
				return err
			}
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, path, nil, 0)
			require.NoError(t, err)
			for _, c := range comparisons(fset, f, strings.HasPrefix(rel, "connection/")) {
				if c.constant {
					constant++
					continue
				}
				at := rel + ": " + c.text
				if _, ok := comparisonsAllowed[at]; ok {
					used[at] = true
					continue
				}
				t.Errorf("%s (%s): compare by hmac.Equal or subtle.ConstantTimeCompare, "+
					"or say in comparisonsAllowed why not", at, fset.Position(c.pos))
			}
			return nil
		}))
	}
	for at := range comparisonsAllowed {
		require.True(t, used[at], "%s: is not there any more", at)
	}
	require.NotZero(t, constant, "the signature is compared somewhere")
}

type comparison struct {
	text     string
	pos      token.Pos
	constant bool
}

// comparisons are those in a file that may be of secrets, and those in constant time; with
// calls, also each call of a function that compares bytes.
func comparisons(fset *token.FileSet, f *ast.File, calls bool) (found []comparison) {
	text := func(n ast.Node) string {
		var b strings.Builder
		printer.Fprint(&b, fset, n)
		return strings.Join(strings.Fields(b.String()), " ")
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			bad, known := comparesBytes[text(n.Fun)]
			if known && (calls || !bad) {
				found = append(found, comparison{text(n), n.Pos(), !bad})
			}
		case *ast.BinaryExpr:
			if (n.Op == token.EQL || n.Op == token.NEQ) && !plain(n.X) && !plain(n.Y) &&
				(secretNames.MatchString(lastName(n.X)) || secretNames.MatchString(lastName(n.Y))) {
				found = append(found, comparison{text(n), n.Pos(), false})
			}
		case *ast.SwitchStmt:
			if n.Tag != nil && secretNames.MatchString(lastName(n.Tag)) {
				found = append(found, comparison{"switch " + text(n.Tag), n.Pos(), false})
			}
		}
		return true
	})
	return found
}

// plain says that a side of a comparison is no secret: nil, a number, a constant text, a
// length.
func plain(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return true
	case *ast.Ident:
		return e.Name == "nil" || e.Name == "true" || e.Name == "false"
	case *ast.CallExpr:
		name, ok := e.Fun.(*ast.Ident)
		return ok && (name.Name == "len" || name.Name == "cap")
	}
	return false
}

// lastName is the name of what an expression is: x.SessionKey, keys[i], string(key).
func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.IndexExpr:
		return lastName(e.X)
	case *ast.SliceExpr:
		return lastName(e.X)
	case *ast.StarExpr:
		return lastName(e.X)
	case *ast.ParenExpr:
		return lastName(e.X)
	case *ast.UnaryExpr:
		return lastName(e.X)
	case *ast.CallExpr:
		if len(e.Args) == 1 {
			return lastName(e.Args[0]) // a conversion
		}
	}
	return ""
}

// TestComparisonsAreFound: the rule finds what it is about.
func TestComparisonsAreFound(t *testing.T) {
	for code, want := range map[string]int{
		"f.Signature != want": 1, "want == f.Signature": 1, "string(key) == x": 1,
		"[4]byte(x.SessionKey) != y": 1, "*sig == other": 1, "key == nil": 0, "len(key) != 16": 0, "a == b": 0,
		"bytes.Equal(a, b)": 1, "slices.Equal(a, b)": 1, "hmac.Equal(a, b)": 1, "strings.EqualFold(a, b)": 1,
	} {
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, "x.go", fmt.Sprintf("package x\nvar _ = %s", code), 0)
		require.NoError(t, err)
		found := comparisons(fset, f, true)
		require.Len(t, found, want, code)
		require.Equal(t, code == "hmac.Equal(a, b)", len(found) == 1 && found[0].constant, code)
	}
}
