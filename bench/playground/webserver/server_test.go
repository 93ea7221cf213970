package webserver

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/asyncmsgr/asyncmsgr/async/live/look"
	"github.com/asyncmsgr/asyncmsgr/bench/playground/web"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves a site until the test ends.
func start(t *testing.T, site fs.FS) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, site) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return l.Addr().String()
}

// A client that is not ours understands it.
func TestServe(t *testing.T) {
	big := strings.Repeat("x", 3<<20)
	addr := start(t, fstest.MapFS{
		"index.html": {Data: []byte("<p>hello")}, "a/b.js": {Data: []byte(big)}, "x.wasm": {Data: []byte("w")},
		"secret": {Data: []byte("s")},
	})
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for path, want := range map[string]struct {
		status int
		kind   string
		body   string
	}{
		"/":             {200, "text/html; charset=utf-8", "<p>hello"},
		"/?seed=7":      {200, "text/html; charset=utf-8", "<p>hello"},
		"/a/b.js":       {200, "text/javascript; charset=utf-8", big},
		"/x.wasm":       {200, "application/wasm", "w"},
		"/a":            {404, "text/plain; charset=utf-8", "there is no such file\n"},
		"/secret":       {404, "text/plain; charset=utf-8", "there is no such file\n"},
		"/../../x.js":   {404, "text/plain; charset=utf-8", "there is no such file\n"},
		"/a//../x.wasm": {200, "application/wasm", "w"},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			q, err := http.NewRequest(method, "http://"+addr+path, nil)
			require.NoError(t, err)
			r, err := client.Do(q)
			require.NoError(t, err, path)
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			require.NoError(t, r.Body.Close())
			require.Equal(t, want.status, r.StatusCode, path)
			require.Equal(t, want.kind, r.Header.Get("Content-Type"))
			require.EqualValues(t, len(want.body), r.ContentLength)
			if method == "GET" {
				require.Equal(t, want.body, string(body), path)
			}
		}
	}
	r, err := client.Post("http://"+addr+"/", "text/plain", nil)
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	require.Equal(t, 405, r.StatusCode)
}

// What is no request is told so, or nothing, and ends the connection.
func TestServeGarbage(t *testing.T) {
	addr := start(t, fstest.MapFS{"index.html": {Data: []byte("x")}})
	for in, want := range map[string]string{
		"hello\r\n\r\n":          "HTTP/1.1 400",
		"GET / HTTP/2\r\n\r\n":   "HTTP/1.1 400",
		"GET x HTTP/1.1\r\n\r\n": "HTTP/1.1 400",
		"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello":                  "HTTP/1.1 400",
		"GET / HTTP/1.1\r\nX: " + strings.Repeat("y", headMax) + "\r\n\r\n": "HTTP/1.1 400",
		"GET /" + strings.Repeat("y", headMax) + " HTTP/1.1\r\n\r\n":        "HTTP/1.1 400",
		"GET / HTTP/1.0\r\n\r\n":                                            "HTTP/1.1 200",
		"GET / HTTP/1.1\r\nConnection: close\r\n\r\n":                       "HTTP/1.1 200",
	} {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		_, err = io.WriteString(c, in)
		require.NoError(t, err)
		line, err := bufio.NewReader(c).ReadString('\n')
		require.NoError(t, err, "%.40q", in)
		require.True(t, strings.HasPrefix(line, want), "%.40q: %s", in, line)
		_, _ = io.Copy(io.Discard, c) // ends
		require.NoError(t, c.Close())
	}
}

// More connections than there may be wait, and all end with the server.
func TestServeMany(t *testing.T) {
	addr := start(t, fstest.MapFS{"index.html": {Data: []byte("x")}})
	for i := range connsMax + 10 {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer c.Close()
		if i < connsMax {
			_, err = fmt.Fprint(c, "GET / HTTP/1.1\r\n\r\n")
			require.NoError(t, err)
			line, err := bufio.NewReader(c).ReadString('\n')
			require.NoError(t, err)
			require.Contains(t, line, "200")
		}
	}
}

// The page that is built in lacks nothing but what make playground makes, and has no sources.
func TestSite(t *testing.T) {
	_, err := fs.Stat(web.Files(), "index.html")
	require.NoError(t, err)
	_, err = fs.Stat(web.Files(), "web.go")
	require.ErrorIs(t, err, fs.ErrNotExist)

	_, _, err = Site(context.Background(), t.TempDir(), io.Discard)
	require.ErrorContains(t, err, "is no folder of make pages")

	of := look.Over{fstest.MapFS{"a": {Data: []byte("1")}},
		fstest.MapFS{"a": {Data: []byte("2")}, "b": {Data: []byte("3")}}}
	for name, want := range map[string]string{"a": "1", "b": "3"} {
		got, err := fs.ReadFile(of, name)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	_, err = of.Open("c")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// Where there is no simulator it is built, and where that cannot be, the error says what to do.
func TestSiteBuilds(t *testing.T) {
	page := fstest.MapFS{"index.html": {Data: []byte("x")}}
	var said strings.Builder
	if !testing.Short() { // it takes a minute for the first time
		site, done, err := siteOf(context.Background(), page, &said)
		require.NoError(t, err)
		require.NoError(t, complete(site, ""))
		require.Contains(t, said.String(), "building the simulator")
		wasm, err := fs.ReadFile(site, wasmFile)
		require.NoError(t, err)
		require.Equal(t, "\x00asm", string(wasm[:4]))
		done()
		require.Error(t, complete(site, ""))
	}
	t.Chdir(t.TempDir())
	t.Setenv("GOWORK", "off")
	t.Setenv("GOFLAGS", "-mod=mod")
	said.Reset()
	_, _, err := siteOf(context.Background(), page, &said)
	require.ErrorIs(t, err, ErrNoSimulator)
	require.ErrorContains(t, err, "run make playground in a checkout")
	require.ErrorContains(t, err, "no checkout around the working directory")
	require.Empty(t, said.String())
}
