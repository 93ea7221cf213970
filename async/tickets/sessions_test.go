package tickets_test

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest/sessiontest"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/cephx"
)

// cluster is a ticket server, and the entities that have a key there.
type cluster struct {
	t       testing.TB
	ring    *cephx.Keyring
	monitor *cephx.Monitor
}

func newCluster(t testing.TB) *cluster {
	var b strings.Builder
	add := func(name string) {
		k, err := cephx.NewKey(cephx.TypeAES256K, []byte(fmt.Sprintf("%32s", name)))
		require.NoError(t, err)
		text := base64.StdEncoding.EncodeToString(k.Append(nil))
		fmt.Fprintf(&b, "[%s]\nkey = %s\ncaps osd = \"allow *\"\n", name, text)
	}
	add("mon.")
	for i := range 100 {
		add(fmt.Sprintf("client.%d", i))
		add(fmt.Sprintf("osd.%d", i))
	}
	for _, name := range []string{"client.admin", "client.4711", "mds.0", "mds.1", "mds.2"} {
		add(name)
	}
	c := &cluster{t: t}
	var err error
	c.ring, err = cephx.ReadKeyring(strings.NewReader(b.String()))
	require.NoError(t, err)
	c.monitor, err = cephx.NewMonitor(cephx.MonitorConfig{Keyring: c.ring, Rand: rand.Reader, Now: time.Now})
	require.NoError(t, err)
	return c
}

// entity is the authentication of a messenger of that name, which has not logged in, in
// that mode with daemons.
func (c *cluster) entity(name entity.AuthName, modes ...uint32) (*cephx.Client, auth.Server) {
	c.t.Helper()
	key, err := c.ring.Find(name)
	require.NoError(c.t, err)
	cfg := cephx.ClientConfig{Name: name, Key: key, Modes: modes, Rand: rand.Reader, Now: time.Now}
	var server auth.Server
	switch name.Type {
	case entity.TypeMon:
		server = c.monitor
	case entity.TypeClient: // nobody has a ticket for a client
	default:
		s, err := cephx.NewService(cephx.ServiceConfig{Type: name.Type, Rand: rand.Reader, Now: time.Now})
		require.NoError(c.t, err)
		s.SetSecrets(c.monitor.Secrets(name.Type))
		server, cfg.Service = s, s
	}
	x, err := cephx.NewClient(cfg)
	require.NoError(c.t, err)
	return x, server
}

// login logs in without a network.
func (c *cluster) login(x *cephx.Client) {
	c.t.Helper()
	client, server := x.NewExchange(x.Name().Type, entity.TypeMon), c.monitor.NewExchange(entity.TypeMon, x.Name().Type)
	r, err := client.Request()
	require.NoError(c.t, err)
	challenge, err := server.Request(r)
	require.NoError(c.t, err)
	proof, err := client.More(challenge.Payload)
	require.NoError(c.t, err)
	done, err := server.More(proof)
	require.NoError(c.t, err)
	_, err = client.Done(done.Result.GlobalID, done.Result.Mode, done.Payload)
	require.NoError(c.t, err)
}

// kind is package async with cephx, in that mode, wherever a test does not bring an
// authentication of its own.
func (c *cluster) kind(mode uint32) sessiontest.Kind {
	plain := sessiontest.Async()
	return sessiontest.Kind{Name: "cephx " + auth.ModeName(mode), Lends: plain.Lends,
		New: func(t testing.TB, o sessiontest.Options) sessiontest.Messenger {
			name := entity.AuthName{Type: o.Name.Type, ID: fmt.Sprint(o.Name.Num)}
			if _, known := c.ring.Key(name); known && o.AuthClient == nil && o.AuthServer == nil {
				x, server := c.entity(name, mode)
				c.login(x)
				o.AuthClient, o.AuthServer = x, server
			}
			return plain.New(t, o)
		}}
}

// TestSessions: the suite that all messengers pass, logged in by cephx in either mode.
func TestSessions(t *testing.T) {
	if testing.Short() {
		t.Skip("package async runs the suite too")
	}
	c := newCluster(t)
	for _, mode := range []uint32{auth.ModeCRC, auth.ModeSecure} {
		k := c.kind(mode)
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			sessiontest.Run(t, k, k)
		})
	}
}
