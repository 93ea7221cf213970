package browser

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"testing"
)

// web is the folder of the page.
const web = "../web"

// mock serves the page with a worker that needs no engine.
func mock(t *testing.T) string {
	t.Helper()
	return serve(t, map[string]string{"/worker.js": "testdata/mock_worker.js"})
}

// serve serves the folder of the page, some of its files from elsewhere.
func serve(t *testing.T, instead map[string]string) string {
	t.Helper()
	files := http.FileServerFS(os.DirFS(web))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if file := instead[path.Clean(r.URL.Path)]; file != "" {
			http.ServeFile(w, r, file)
			return
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/"
}
