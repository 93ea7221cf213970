package cephx

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// lab is a cluster without a network: a ticket server, a clock, and payloads handed over.
type lab struct {
	testing.TB
	now     time.Time
	rand    *rand.ChaCha8
	ring    *Keyring
	monitor *Monitor
}

// labKeyring has a key of each type.
func labKeyring(t testing.TB) string {
	var b strings.Builder
	for i, name := range []string{"mon.", "client.admin", "osd.0", "osd.1", "mds.a"} {
		k, err := NewKey(TypeAES256K, []byte(strings.Repeat(string(rune('a'+i)), 32)))
		require.NoError(t, err)
		fmt.Fprintf(&b, "[%s]\n\tkey = %s\n", name, textOf(k))
		fmt.Fprintf(&b, "\tcaps osd = \"allow %s\"\n\tcaps mon = \"allow r\"\n", name)
	}
	k, err := NewKey(TypeAES, []byte("0123456789abcdef"))
	require.NoError(t, err)
	fmt.Fprintf(&b, "[client.old]\n\tkey = %s\n", textOf(k))
	return b.String()
}

func newLab(t testing.TB, change func(*MonitorConfig)) *lab {
	l := &lab{TB: t, now: someTime, rand: rand.NewChaCha8([32]byte{1})}
	var err error
	l.ring, err = ReadKeyring(strings.NewReader(labKeyring(t)))
	require.NoError(t, err)
	cfg := MonitorConfig{Keyring: l.ring, Rand: l.rand, Now: l.time}
	if change != nil {
		change(&cfg)
	}
	l.monitor, err = NewMonitor(cfg)
	require.NoError(t, err)
	return l
}

func (l *lab) time() time.Time { return l.now }

func authName(t testing.TB, s string) entity.AuthName {
	t.Helper()
	n, err := entity.ParseAuthName(s)
	require.NoError(t, err)
	return n
}

func (l *lab) client(name string, change func(*ClientConfig)) *Client {
	l.Helper()
	n := authName(l, name)
	k, err := l.ring.Find(n)
	require.NoError(l, err)
	cfg := ClientConfig{Name: n, Key: k, Rand: l.rand, Now: l.time}
	if change != nil {
		change(&cfg)
	}
	c, err := NewClient(cfg)
	require.NoError(l, err)
	return c
}

func (l *lab) service(typ entity.Type, change func(*ServiceConfig)) *Service {
	l.Helper()
	cfg := ServiceConfig{Type: typ, Rand: l.rand, Now: l.time}
	if change != nil {
		change(&cfg)
	}
	s, err := NewService(cfg)
	require.NoError(l, err)
	s.SetSecrets(l.monitor.Secrets(typ))
	return s
}

// meet has a client and a server talk until both are done, or one has an error. change, if
// not nil, may rewrite each payload: 0 is the client's first.
func meet(c auth.Client, s auth.Server, self, peer entity.Type, change func(n int, p []byte) []byte) (
	client, server auth.Result, err error,
) {
	if change == nil {
		change = func(_ int, p []byte) []byte { return p }
	}
	x, y := c.NewExchange(self, peer), s.NewExchange(peer, self)
	r, err := x.Request()
	if err != nil {
		return client, server, fmt.Errorf("client: %w", err)
	}
	r.Payload = change(0, r.Payload)
	reply, err := y.Request(r)
	for n := 1; ; n += 2 {
		var refusal *auth.RefusedError
		if err != nil && errors.As(err, &refusal) {
			why := err
			if r, err = x.BadMethod(refusal); err != nil {
				return client, server, fmt.Errorf("client: %w; server: %w", err, why)
			}
			y = s.NewExchange(peer, self)
			reply, err = y.Request(r)
			continue
		}
		if err != nil {
			return client, server, fmt.Errorf("server: %w", err)
		}
		reply.Payload = change(n, reply.Payload)
		if reply.Done {
			client, err = x.Done(reply.Result.GlobalID, reply.Result.Mode, reply.Payload)
			if err != nil {
				err = fmt.Errorf("client: %w", err)
			}
			return client, reply.Result, err
		}
		more, err2 := x.More(reply.Payload)
		if err2 != nil {
			return client, server, fmt.Errorf("client: %w", err2)
		}
		reply, err = y.More(change(n+1, more))
	}
}

// login logs in at the lab's monitor.
func (l *lab) login(c *Client) (client, server auth.Result) {
	l.Helper()
	client, server, err := meet(c, l.monitor, c.Name().Type, entity.TypeMon, nil)
	require.NoError(l, err)
	return client, server
}

// renew asks for what is due, as server says that the connection is.
func (l *lab) renew(c *Client, server auth.Result) (asked int, err error) {
	l.Helper()
	fronts, err := c.Renewal()
	if err != nil {
		return 0, err
	}
	peer := &entity.Authenticated{Name: server.Peer, Proved: server.Proved, Method: server.Method, Proof: server.Proof}
	for _, f := range fronts {
		reply, refused := l.monitor.HandleRequest(peer, f)
		require.NotNil(l, reply)
		if err := c.HandleReply(reply); err != nil {
			require.Error(l, refused)
			return asked, err
		}
		require.NoError(l, refused)
		asked++
	}
	return asked, nil
}

// same says that both ends of a connection have the same keys.
func same(t testing.TB, client, server auth.Result, mode uint32) {
	t.Helper()
	require.NoError(t, client.Check())
	require.NoError(t, server.Check())
	require.Equal(t, mode, client.Mode)
	require.Equal(t, mode, server.Mode)
	require.Equal(t, client.SessionKey, server.SessionKey)
	require.Equal(t, client.ConnectionSecret, server.ConnectionSecret)
	require.Equal(t, client.GlobalID, server.GlobalID)
	require.True(t, server.Proved)
	if mode == auth.ModeCRC {
		require.Empty(t, client.ConnectionSecret)
	}
}
