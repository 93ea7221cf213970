package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const rootModule = "github.com/asyncmsgr/asyncmsgr"

// prepare compiles a suite's tests both ways.
func (b *bench) prepare(ctx context.Context, s suite) (plain, ours binary, err error) {
	adapter := filepath.Join(b.adapters, s.adapter)
	if s.module == "" { // tests of the adapter's own, which know both ways
		bin := filepath.Join(b.dir, s.name+".test")
		if _, err = b.command(ctx, adapter, nil, "go", "test", "-c", "-o", bin, "./"+s.pkg); err != nil {
			return
		}
		dir := filepath.Join(adapter, s.pkg)
		return binary{bin, dir, append(s.plainEnv, s.env...)}, binary{bin, dir, s.env}, nil
	}
	src, err := b.source(ctx, adapter, s.module)
	if err != nil {
		return
	}
	if plain, err = b.compile(ctx, s, src, "without", func(string) error { return nil }); err != nil {
		return
	}
	ours, err = b.compile(ctx, s, src, "with", func(dir string) error { return b.swap(ctx, s, adapter, dir) })
	return
}

// source is the folder of the module cache with the version of module that the adapter
// requires; it is downloaded if need be.
func (b *bench) source(ctx context.Context, adapter, module string) (string, error) {
	version, err := b.command(ctx, adapter, nil, "go", "list", "-m", "-f", "{{.Version}}", module)
	if err != nil {
		return "", err
	}
	out, err := b.command(ctx, adapter, nil, "go", "mod", "download", "-json", module+"@"+strings.TrimSpace(version))
	if err != nil {
		return "", err
	}
	var m struct{ Dir string }
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		return "", err
	}
	return m.Dir, nil
}

// compile copies the source, changes it, and compiles the tests of the suite's package.
func (b *bench) compile(ctx context.Context, s suite, src, way string, change func(dir string) error) (binary, error) {
	dir := filepath.Join(b.dir, s.name, way)
	if err := copyTree(dir, src); err != nil {
		return binary{}, err
	}
	if err := change(filepath.Clean(dir)); err != nil {
		return binary{}, fmt.Errorf("%s: %w", s.name, err)
	}
	bin := filepath.Join(b.dir, s.name, way+" the adapter")
	_, err := b.command(ctx, dir, []string{"GOFLAGS=-mod=mod"}, "go", "test", "-c", "-vet=off", "-o", bin, "./"+s.pkg)
	return binary{bin, filepath.Join(dir, s.pkg), s.env}, err
}

// swap puts the adapter in the place of the third party's transport, in its copy.
func (b *bench) swap(ctx context.Context, s suite, adapter, dir string) error {
	pkg := filepath.Join(dir, s.pkg)
	for _, e := range s.edits {
		if err := e.apply(pkg); err != nil {
			return err
		}
	}
	requires := map[string]string{rootModule: b.root}
	if s.inPackage == "" {
		requires[rootModule+"/async/adapters/"+s.adapter] = adapter
	} else if err := copyIn(pkg, adapter, s.module, s.inPackage); err != nil {
		return err
	}
	glue := filepath.Join(b.adapters, "proof", "testdata", "swap", s.swap)
	files, err := readGo(glue)
	if err != nil {
		return err
	}
	if err := writeGo(pkg, files); err != nil {
		return err
	}
	edit := []string{"mod", "edit", "-go=1.26.0"}
	for m, at := range requires {
		edit = append(edit, "-require="+m+"@v0.0.0", "-replace="+m+"="+at)
	}
	if _, err := b.command(ctx, dir, nil, "go", edit...); err != nil {
		return err
	}
	sums, err := os.ReadFile(filepath.Join(adapter, "go.sum"))
	if err != nil {
		return err
	}
	own, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "go.sum"), append(own, sums...), 0o644)
}

// copyIn copies the adapter's files into the third party's package, whose tests could
// not import what imports them.
func copyIn(pkg, adapter, module, name string) error {
	files, err := readGo(adapter)
	if err != nil {
		return err
	}
	if files, err = intoPackage(files, module, name); err != nil {
		return err
	}
	return writeGo(pkg, files)
}

// readGo reads the Go files of a folder that are no tests.
func readGo(dir string) (map[string][]byte, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, n := range names {
		if strings.HasSuffix(n, "_test.go") {
			continue
		}
		if files[filepath.Base(n)], err = os.ReadFile(n); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// writeGo writes files whose names tell them from those that are there.
func writeGo(dir string, files map[string][]byte) error {
	for n, src := range files {
		if err := os.WriteFile(filepath.Join(dir, "zz_asyncmsgr_"+n), src, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// copyTree copies a folder of the module cache, whose files cannot be written to.
func copyTree(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), data, 0o644)
	})
}

// apply makes an edit in a folder.
func (e edit) apply(dir string) error {
	name := filepath.Join(dir, e.file)
	if e.remove {
		return os.Remove(name)
	}
	src, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if n := bytes.Count(src, []byte(e.old)); n == 0 || e.times > 0 && n != e.times {
		return fmt.Errorf("%s has %q %d times: another version? See suites.go", e.file, e.old, n)
	}
	return os.WriteFile(name, bytes.ReplaceAll(src, []byte(e.old), []byte(e.new)), 0o644)
}
