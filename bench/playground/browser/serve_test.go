package browser

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// web is the folder of the page, look that of what it shares with another page, root that of the
// repository.
const (
	web  = "../web"
	root = "../../.."
	look = root + "/async/live/look"
)

// built is what is compiled once for all tests, into a folder.
var built struct {
	once sync.Once
	dir  string
	err  error
}

// build compiles a package of the repository, and gives the file. What is compiled already go
// knows itself, if the flags are those of the Makefile.
func build(t *testing.T, name, pkg string, flags, env []string) string {
	t.Helper()
	chromium(t)
	built.once.Do(func() { built.dir, built.err = os.MkdirTemp("", "playground") })
	require.NoError(t, built.err)
	workspace, err := filepath.Abs(filepath.Join(root, "go.work"))
	require.NoError(t, err)
	file := filepath.Join(built.dir, name)
	cmd := exec.Command("go", append(append([]string{"build", "-buildvcs=false", "-o", file}, flags...), pkg)...)
	cmd.Dir, cmd.Env = root, append(append(os.Environ(), "GOWORK="+workspace), env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return file
}

// engine serves the page with its engine.
func engine(t *testing.T) string {
	t.Helper()
	wasm := build(t, "playground.wasm", "./bench/playground/wasm", []string{"-trimpath", "-ldflags=-s -w"},
		[]string{"GOOS=js", "GOARCH=wasm", "CGO_ENABLED=0"})
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	require.NoError(t, err)
	return serve(t, map[string]string{
		"/playground.wasm": wasm,
		"/wasm_exec.js":    filepath.Join(strings.TrimSpace(string(goroot)), "lib", "wasm", "wasm_exec.js"),
	})
}

var mocked = map[string]string{"/worker.js": "testdata/mock_worker.js"}

// mock serves the page with a worker that needs no engine.
func mock(t *testing.T) string {
	t.Helper()
	return serve(t, mocked)
}

// serve serves the folder of the page, some of its files from elsewhere.
func serve(t *testing.T, instead map[string]string) string {
	t.Helper()
	url, _ := counted(t, instead)
	return url
}

// counted serves it as well, and counts the requests.
func counted(t *testing.T, instead map[string]string) (url string, requests *atomic.Int64) {
	t.Helper()
	requests = new(atomic.Int64)
	files, shared := http.FileServerFS(os.DirFS(web)), http.FileServerFS(os.DirFS(look))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		w.Header().Set("Cache-Control", "no-store")
		if file := instead[path.Clean(r.URL.Path)]; file != "" {
			http.ServeFile(w, r, file)
			return
		}
		if _, err := os.Stat(filepath.Join(look, path.Clean(r.URL.Path))); err == nil && r.URL.Path != "/" {
			shared.ServeHTTP(w, r)
			return
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/", requests
}
