package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// shown is what the page is told, as far as this test looks at it.
type shown struct {
	Token string
	Rates struct{ Sent float64 }
	Nodes []struct {
		Name, Condition string
		Ready           int
		Queue           [4]int
	}
	Links []struct {
		A, B      string
		Conns, Up int
	}
	Events []struct{ Kind, Node, Peer string }
}

// viewer watches the page as a browser does.
type viewer struct {
	t     *testing.T
	url   string
	lines *bufio.Scanner
	token string
}

func view(t *testing.T, ctx context.Context, url string) *viewer {
	r, err := http.NewRequestWithContext(ctx, "GET", url+"/watch", nil)
	require.NoError(t, err)
	a, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	t.Cleanup(func() { _ = a.Body.Close() })
	v := &viewer{t: t, url: url, lines: bufio.NewScanner(a.Body)}
	v.lines.Buffer(nil, 1<<20)
	v.token = v.next().Token
	return v
}

func (v *viewer) next() (s shown) {
	for v.lines.Scan() {
		if data, ok := strings.CutPrefix(v.lines.Text(), "data: "); ok {
			require.NoError(v.t, json.Unmarshal([]byte(data), &s))
			return s
		}
	}
	require.FailNow(v.t, "the page has ended", "%v", v.lines.Err())
	return s
}

func (v *viewer) until(good func(shown) bool) {
	for !good(v.next()) {
	}
}

func (v *viewer) act(action, node, peer string) {
	b, err := json.Marshal(map[string]string{"action": action, "node": node, "peer": peer})
	require.NoError(v.t, err)
	r, err := http.NewRequest("POST", v.url+"/act", strings.NewReader(string(b)))
	require.NoError(v.t, err)
	r.Header.Set("X-Live-Token", v.token)
	a, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(v.t, err)
	require.Equal(v.t, http.StatusOK, a.StatusCode)
	require.NoError(v.t, a.Body.Close())
}

// TestDemoPage: what is broken by the page heals, and no promise is broken.
func TestDemoPage(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	cfg := small()
	cfg.Duration, cfg.Page, cfg.CutRate, cfg.Clients, cfg.PageEvery = time.Hour, l, -1, -1, 20*time.Millisecond
	began, ended := make(chan struct{}), make(chan error, 1)
	cfg.Began = func(*Report) { close(began) }
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var r *Report
	go func() {
		var err error
		r, err = Run(ctx, cfg)
		ended <- err
	}()
	select {
	case <-began:
	case err := <-ended:
		require.NoError(t, err)
	}
	v := view(t, ctx, "http://"+l.Addr().String())
	v.until(func(s shown) bool { return s.Rates.Sent > 0 })
	condition := func(node, want string) func(shown) bool {
		return func(s shown) bool {
			for _, n := range s.Nodes {
				if n.Name == node {
					return n.Condition == want
				}
			}
			return false
		}
	}
	v.act("cut", "osd.0", "client.1")
	cut, back := false, false
	v.until(func(s shown) bool {
		for _, e := range s.Events {
			of := e.Node == "osd.0" && e.Peer == "client.1"
			cut, back = cut || of && e.Kind == "cut", back || of && e.Kind == "reconnect"
		}
		return cut && back
	})
	v.act("kill", "client.2", "")
	v.until(condition("client.2", "killed"))
	v.act("unplug", "osd.1", "")
	v.until(func(s shown) bool {
		for _, l := range s.Links {
			if (l.A == "osd.1" || l.B == "osd.1") && l.Up > 0 {
				return false
			}
		}
		return condition("osd.1", "unplugged")(s)
	})
	v.act("stall", "osd.2", "")
	v.until(func(s shown) bool { // its queue grows
		for _, n := range s.Nodes {
			if n.Name == "osd.2" && n.Queue[1]+n.Queue[2]+n.Queue[3] > 0 {
				return condition("osd.2", "stalled")(s)
			}
		}
		return false
	})
	v.act("kill", "client.0", "") // while what it has sent waits at osd.2
	v.act("restart", "client.2", "")
	v.act("plug", "osd.1", "")
	v.until(func(s shown) bool {
		for _, l := range s.Links {
			if (l.A == "osd.1" || l.B == "osd.1") && l.Up < l.Conns {
				return false
			}
		}
		return condition("osd.1", "")(s)
	})
	v.until(func(s shown) bool { // the client is back
		for _, n := range s.Nodes {
			if n.Name == "client.2" && n.Ready == cfg.OSDs {
				return condition("client.2", "")(s) && condition("client.0", "killed")(s)
			}
		}
		return false
	})
	stop() // osd.2 is stalled still, and client.0 dead
	require.NoError(t, <-ended)
	require.True(t, r.OK, "%+v", r)
	require.True(t, r.Drained)
	require.Positive(t, r.Reconnects)
	_, err = net.Dial("tcp", l.Addr().String())
	require.Error(t, err, "the page has ended with the demo")
}
