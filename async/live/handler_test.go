package live

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/stretchr/testify/require"
)

// ask sends a request that change has its way with.
func ask(
	t *testing.T, method, url, body string, change func(*http.Request),
) (status int, text string, head http.Header) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	require.NoError(t, err)
	if change != nil {
		change(r)
	}
	a, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	defer a.Body.Close()
	if a.StatusCode == http.StatusOK && strings.HasSuffix(url, "/watch") {
		return a.StatusCode, "", a.Header // it has no end
	}
	b, err := io.ReadAll(a.Body)
	require.NoError(t, err)
	return a.StatusCode, string(b), a.Header
}

// TestFiles: those of the page and what it shares are there, nothing else is, and a browser is told to
// load nothing from elsewhere.
func TestFiles(t *testing.T) {
	_, url := serve(t, Config{})
	for path, want := range map[string]int{
		"/": 200, "/main.js": 200, "/live.css": 200, "/base.css": 200, "/dom.js": 200, "/icon.svg": 200,
		"/look.go": 404, "/nothing": 404,
	} {
		status, _, head := ask(t, "GET", url+path, "", nil)
		require.Equal(t, want, status, path)
		require.Contains(t, head.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self';")
		require.Equal(t, "nosniff", head.Get("X-Content-Type-Options"))
	}
	status, _, _ := ask(t, "POST", url+"/", "", nil)
	require.Equal(t, http.StatusMethodNotAllowed, status)
}

// TestWhoIsRefused: other hosts, other machines, other sites.
func TestWhoIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		hosts                []string
		host, remote, origin string
		says                 string // "": it is served
	}{
		"loopback":           {host: "127.0.0.1:8080", remote: "127.0.0.1:1"},
		"loopback, IPv6":     {host: "[::1]:8080", remote: "[::1]:1"},
		"localhost":          {host: "LocalHost:8080", remote: "127.0.0.1:1"},
		"a unix socket":      {host: "localhost", remote: "@"},
		"a name":             {host: "evil.example:8080", remote: "127.0.0.1:1", says: `"evil.example" is not among`},
		"like loopback":      {host: "127.0.0.1.evil.example", remote: "127.0.0.1:1", says: "is not among"},
		"another machine":    {host: "localhost", remote: "192.0.2.1:1", says: "for its own machine alone"},
		"a name that is set": {hosts: []string{"Node.Example"}, host: "node.example:80", remote: "192.0.2.1:1"},
		"another name": {hosts: []string{"node.example"}, host: "evil.example", remote: "192.0.2.1:1",
			says: "is not among"},
		"all names": {hosts: []string{"*"}, host: "any.example", remote: "192.0.2.1:1"},
		"another site": {host: "localhost", remote: "127.0.0.1:1", origin: "http://evil.example",
			says: "another site's"},
		"the same site": {host: "localhost", remote: "127.0.0.1:1", origin: "http://localhost"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequest("POST", "/act", nil)
			require.NoError(t, err)
			r.Host, r.RemoteAddr = c.host, c.remote
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
			}
			g := newGuard(c.hosts)
			if err := g.admit(r); c.says == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.says)
			}
		})
	}
	_, url := serve(t, Config{})
	status, text, _ := ask(t, "GET", url+"/watch", "", func(r *http.Request) { r.Host = "evil.example" })
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, text, "evil.example")
}

// TestActionsAreOffByDefault, and what is enabled needs the token of the page.
func TestActionsAreOffByDefault(t *testing.T) {
	srv, cl, _ := talk(t, false)
	_, url := serve(t, Config{}, srv, cl)
	v := watch(t, url)
	require.Empty(t, v.hello.Token)
	status, text, _ := ask(t, "POST", url+"/act", `{"action":"cut","node":"osd.0"}`, nil)
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, text, "token")

	h, url := serve(t, Config{Actions: []Action{{Name: "stall", Label: "Stall",
		For: func(n string) bool { return n == "osd.0" },
		Do:  func(string) error { return io.ErrUnexpectedEOF }}}}, srv, cl)
	v = watch(t, url)
	require.Equal(t, h.token, v.hello.Token)
	require.Equal(t, []actionLabel{{"stall", "Stall"}}, v.hello.Actions)
	for body, says := range map[string]string{
		`{"action":"cut","node":"osd.0"}`:      "cutting sessions is not enabled",
		`{"action":"explode","node":"osd.0"}`:  `"explode" is not enabled`,
		`{"action":"stall","node":"client.7"}`: "is not for",
		`{"action":"stall","node":"osd.0"}`:    io.ErrUnexpectedEOF.Error(),
		`no JSON`:                              "cannot be read",
		strings.Repeat(" ", requestMax+1):      "too large",
	} {
		status, text, _ := ask(t, "POST", url+"/act", body,
			func(r *http.Request) { r.Header.Set(tokenHeader, h.token) })
		require.GreaterOrEqual(t, status, 400)
		require.Contains(t, text, says)
	}
	// Who does not allow faults is not cut.
	h, url = serve(t, Config{Cut: true}, srv, cl)
	status, text, _ = ask(t, "POST", url+"/act", `{"action":"cut","node":"osd.0"}`,
		func(r *http.Request) { r.Header.Set(tokenHeader, h.token) })
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, text, "no session of osd.0")
}

// TestConfig: what makes no sense is refused.
func TestConfig(t *testing.T) {
	some := func() []*async.Messenger { return nil }
	yes, do := func(string) bool { return true }, func(string) error { return nil }
	for _, cfg := range []Config{
		{},
		{Messengers: some, Every: -1},
		{Messengers: some, Actions: []Action{{Name: "x", Label: "X"}}},
		{Messengers: some, Actions: []Action{{Name: cutName, Label: "X", For: yes, Do: do}}},
		{Messengers: some, Actions: []Action{{Name: "x", Label: "X", For: yes, Do: do},
			{Name: "x", Label: "X", For: yes, Do: do}}},
	} {
		_, err := New(cfg)
		require.ErrorIs(t, err, errConfig)
	}
}

// TestViewersAreBounded, and nobody looks when none is there.
func TestViewersAreBounded(t *testing.T) {
	h, url := serve(t, Config{})
	var all []*watcher
	for range ViewersMax {
		all = append(all, watch(t, url))
	}
	status, text, _ := ask(t, "GET", url+"/watch", "", nil)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, text, "16 pages watch already")
	for _, v := range all {
		v.end()
	}
	require.Eventually(t, func() bool {
		h.hub.mu.Lock()
		defer h.hub.mu.Unlock()
		return h.hub.stop == nil && len(h.hub.viewers) == 0
	}, patience, time.Millisecond)
	watch(t, url).until("it looks again", func(*state, []event) bool { return true })
}

// TestAViewerThatIsLate misses states, and is given the timeline anew.
func TestAViewerThatIsLate(t *testing.T) {
	h := newHub(newLooker(&Config{Messengers: func() []*async.Messenger { return nil }}), time.Hour)
	v, err := h.join()
	require.NoError(t, err)
	h.mu.Lock()
	of := h.stop
	h.mu.Unlock()
	<-v.next      // what run has seen; it looks again in an hour
	for range 2 { // the first one takes the place
		h.give([]byte("x"), of)
	}
	require.True(t, h.missed(v))
	require.False(t, h.missed(v))
	h.give([]byte("of a run that is over"), make(chan struct{}))
	require.False(t, h.missed(v))
	h.leave(v)
	h.close()
	_, err = h.join()
	require.ErrorContains(t, err, "closed")
}

// TestClose ends those who watch.
func TestClose(t *testing.T) {
	h, url := serve(t, Config{})
	v := watch(t, url)
	h.Close()
	for v.next(new(state)) != "" {
	}
	status, _, _ := ask(t, "GET", url+"/watch", "", nil)
	require.Equal(t, http.StatusServiceUnavailable, status)
}

// TestPause: a look that takes long is seldom.
func TestPause(t *testing.T) {
	require.Equal(t, 990*time.Millisecond, pause(time.Second, 10*time.Millisecond))
	require.Equal(t, 24*time.Second, pause(time.Second, time.Second))
}

// TestServe: a server of its own serves until it is closed; without a configuration it never does.
func TestServe(t *testing.T) {
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		return l
	}
	l := listen()
	s, err := Serve(l, Config{Messengers: func() []*async.Messenger { return nil }})
	require.NoError(t, err)
	v := watch(t, "http://"+l.Addr().String())
	s.Close()
	s.Close()
	for v.next(new(state)) != "" {
	}
	l = listen()
	_, err = Serve(l, Config{})
	require.ErrorIs(t, err, errConfig)
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}
