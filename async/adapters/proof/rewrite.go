package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strconv"
)

// ownPrefix is put before what a package calls its own when its files become files of
// another one, which may have the same names.
const ownPrefix = "msgr_"

// splice is a piece of a file, from one offset to another, and what takes its place.
type splice struct {
	from, to int
	text     string
}

// intoPackage makes the files of a package that imports another one files of that other
// one: the import goes, raft.Log becomes Log, and what the files declare gets ownPrefix.
func intoPackage(files map[string][]byte, imported, pkg string) (map[string][]byte, error) {
	fset := token.NewFileSet()
	parsed := map[string]*ast.File{}
	own := map[string]bool{}
	for name, src := range files {
		f, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		parsed[name] = f
		for _, d := range f.Decls {
			declared(d, own)
		}
	}
	out := map[string][]byte{}
	for name, f := range parsed {
		offset := func(p token.Pos) int { return fset.Position(p).Offset }
		cuts := []splice{{offset(f.Name.Pos()), offset(f.Name.End()), pkg}}
		local := ""
		for _, i := range f.Imports {
			if p, _ := strconv.Unquote(i.Path.Value); p == imported {
				local = path.Base(imported)
				if i.Name != nil {
					local = i.Name.Name
				}
				cuts = append(cuts, splice{offset(i.Pos()), offset(i.End()), ""})
			}
		}
		skip := map[*ast.Ident]bool{f.Name: true}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				skip[n.Sel] = true
				if x, ok := n.X.(*ast.Ident); ok && x.Name == local && local != "" {
					skip[x] = true
					cuts = append(cuts, splice{offset(n.Pos()), offset(n.Sel.Pos()), ""})
				}
			case *ast.KeyValueExpr:
				if k, ok := n.Key.(*ast.Ident); ok {
					skip[k] = true
				}
			case *ast.Field:
				for _, x := range n.Names {
					skip[x] = true
				}
			case *ast.FuncDecl:
				skip[n.Name] = n.Recv != nil || n.Name.Name == "init"
			case *ast.Ident:
				if own[n.Name] && !skip[n] {
					cuts = append(cuts, splice{offset(n.Pos()), offset(n.Pos()), ownPrefix})
				}
			}
			return true
		})
		slices.SortFunc(cuts, func(a, b splice) int { return b.from - a.from })
		src := slices.Clone(files[name])
		for _, c := range cuts {
			src = slices.Replace(src, c.from, c.to, []byte(c.text)...)
		}
		out[name] = src
	}
	return out, nil
}

// declared adds the names that a declaration gives to a package.
func declared(d ast.Decl, own map[string]bool) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil && d.Name.Name != "init" {
			own[d.Name.Name] = true
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				own[s.Name.Name] = true
			case *ast.ValueSpec:
				for _, n := range s.Names {
					if n.Name != "_" {
						own[n.Name] = true
					}
				}
			}
		}
	}
}
