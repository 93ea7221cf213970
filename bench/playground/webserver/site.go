package webserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/asyncmsgr/asyncmsgr/async/live/look"
	"github.com/asyncmsgr/asyncmsgr/bench/playground/web"
)

// What make playground adds to the page.
const (
	wasmFile   = "playground.wasm"
	loaderFile = "wasm_exec.js"
	wasmPkg    = "github.com/asyncmsgr/asyncmsgr/bench/playground/wasm"
)

// ErrNoSimulator: neither has this program the simulator for browsers in it, nor can it be
// built here.
var ErrNoSimulator = errors.New("this msgr was built without the simulator for browsers")

// Site is the page with all it needs: dir, if it is named; otherwise what is built in, and,
// where that lacks the simulator, what go can build of a checkout around the working
// directory, of which a line is written to say. done removes that.
func Site(ctx context.Context, dir string, say io.Writer) (site fs.FS, done func(), err error) {
	if dir != "" {
		site = os.DirFS(dir)
		return site, func() {}, complete(site, dir)
	}
	return siteOf(ctx, web.Files(), say)
}

// siteOf is a page with a simulator: its own, or one that is built.
func siteOf(ctx context.Context, page fs.FS, say io.Writer) (site fs.FS, done func(), err error) {
	if complete(page, "") == nil {
		return page, func() {}, nil
	}
	built, err := os.MkdirTemp("", "playground-")
	if err != nil {
		return nil, nil, err
	}
	done = func() { _ = os.RemoveAll(built) }
	if err = build(ctx, built, say); err != nil {
		done()
		return nil, nil, fmt.Errorf("%w, and it cannot be built here (%w): run make playground in a checkout and "+
			"build msgr again, or name the folder that make pages has made", ErrNoSimulator, err)
	}
	return look.Over{os.DirFS(built), page}, done, nil
}

// complete says what a site lacks.
func complete(site fs.FS, name string) error {
	for _, file := range []string{"index.html", wasmFile, loaderFile} {
		if _, err := fs.Stat(site, file); err != nil {
			return fmt.Errorf("%s is no folder of make pages: %w", name, err)
		}
	}
	return nil
}

// build has go make the simulator.
func build(ctx context.Context, dir string, say io.Writer) error {
	if out, err := goCommand(ctx, "list", "-f", "{{.Dir}}", wasmPkg); err != nil {
		return fmt.Errorf("no checkout around the working directory: %w", firstLine(out, err))
	}
	fmt.Fprintln(say, "building the simulator for browsers, which takes up to a minute for the first time")
	out, err := goCommand(ctx, "build", "-trimpath", "-ldflags=-s -w", "-o",
		filepath.Join(dir, wasmFile), wasmPkg)
	if err != nil {
		return firstLine(out, err)
	}
	root, err := goCommand(ctx, "env", "GOROOT")
	if err != nil {
		return firstLine(root, err)
	}
	loader, err := os.ReadFile(filepath.Join(strings.TrimSpace(root), "lib", "wasm", loaderFile))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, loaderFile), loader, 0o644)
}

// goCommand runs go for WebAssembly.
func goCommand(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// firstLine is an error with what a command printed first.
func firstLine(out string, err error) error {
	line, _, _ := strings.Cut(strings.TrimSpace(out), "\n")
	if line == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, line)
}
