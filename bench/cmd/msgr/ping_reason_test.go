//go:build linux

package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// cephxOnly is a server that lets nobody in without cephx in secure mode.
type cephxOnly struct{}

func (cephxOnly) NewExchange(_, _ entity.Type) auth.ServerExchange { return cephxOnly{} }

func (cephxOnly) Request(r auth.Request) (auth.Reply, error) {
	return auth.Reply{}, &auth.RefusedError{Method: r.Method, Result: -13, Methods: []uint32{auth.MethodCephX},
		Modes: []uint32{auth.ModeSecure}}
}

func (cephxOnly) More([]byte) (auth.Reply, error) { panic("nothing was begun") }

// stranger is a mon with that configuration.
func stranger(t *testing.T, change func(*async.Config)) string {
	t.Helper()
	cfg := async.Config{Name: entity.Mon(0)}
	change(&cfg)
	m, err := async.New(cfg)
	require.NoError(t, err)
	m.SetDefaultPolicy(msg.StatelessServer())
	require.NoError(t, m.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
	require.NoError(t, m.Start())
	t.Cleanup(func() { require.NoError(t, m.Shutdown(context.Background())) })
	return m.Addrs()[0].String()
}

// TestPingSaysWhy: a ping that cannot succeed says so at once, why, and what the peer
// would allow.
func TestPingSaysWhy(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	v1, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer v1.Close()
	go func() {
		for c, err := v1.Accept(); err == nil; c, err = v1.Accept() {
			_, _ = c.Write([]byte("ceph v027" + string(make([]byte, 200))))
			_ = c.Close()
		}
	}()
	for name, tc := range map[string]struct {
		addr         string
		says         string
		reason, hint string
	}{
		"another method": {stranger(t, func(c *async.Config) { c.AuthServer = cephxOnly{} }),
			"none refused with -13 (permission denied); allowed: methods [cephx], modes [secure]",
			"authentication refused", "both ends have to be configured for a common method and mode"},
		"another type": {stranger(t, func(c *async.Config) { c.Name = entity.OSD(3) }),
			"it is a osd, expected a mon", "wrong peer", "another process than the one asked for"},
		"a web server": {web.Listener.Addr().String(),
			"what came begins with 'HTTP/1.1", "not a messenger", "is the port right?"},
		"msgr v1": {v1.Addr().String(), "peer speaks msgr v1", "another protocol version", "port 3300"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			require.Equal(t, command.ExitFault,
				run([]string{"ping", "--count=1", "--timeout=30s", tc.addr}, &stdout, &stderr))
			require.Contains(t, stdout.String(), "1: no answer: msgr: attempt 1 to connect: "+tc.reason)
			require.Contains(t, stdout.String(), tc.says)
			require.Contains(t, stdout.String(), "\n   ", "the hint")
			require.Contains(t, stdout.String(), tc.hint)
			require.Contains(t, stdout.String(), "1 pings, 0 answers, 0 sessions opened anew")
			require.Equal(t, "msgr ping: 1 of 1 pings were not answered\n", stderr.String())

			stdout.Reset()
			require.Equal(t, command.ExitFault,
				run([]string{"ping", "--json", "--count=1", "--timeout=30s", tc.addr}, &stdout, &stderr))
			l := objects(t, stdout.String())[0]
			require.Equal(t, tc.reason, l["reason"])
			require.Contains(t, l["hint"], tc.hint)
			require.EqualValues(t, 1, l["attempt"])
			require.NotEmpty(t, l["state"])
			if name == "another method" {
				require.Equal(t, []any{"cephx"}, l["allowed_methods"])
				require.Equal(t, []any{"secure"}, l["allowed_modes"])
			} else {
				require.NotContains(t, l, "allowed_methods")
			}
			for name := range l {
				require.Contains(t, pingCmd{}.Help(), `"`+name+`":`)
			}
		})
	}
}
