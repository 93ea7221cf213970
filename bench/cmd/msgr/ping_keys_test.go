//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/interop"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/tlsauth"
)

// guarded is a mon whose keys those are; it returns its address.
func guarded(t *testing.T, a *tlsauth.Auth) string {
	t.Helper()
	cfg := async.Config{Name: entity.Mon(0), FixedNonce: true, AuthClient: a.Client(), AuthServer: a.Server()}
	return serveWith(t, &interop.MonServer{Status: "{}"}, "127.0.0.1:0", cfg).String()
}

// fileOf writes a file that its owner alone can read.
func fileOf(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

var monName = entity.AuthName{Type: entity.TypeMon, ID: "0"}

// pingTimes are times and addresses, which differ from run to run.
var pingTimes = regexp.MustCompile(
	`\d+\.\d{3} ms|\d{4}-\d\d-\d\d \d\d:\d\d UTC|\d+h\d+m\d+s|\d+ days|127\.0\.0\.1:\d+/\d+`)

// pinged runs msgr ping once; it returns its exit code and what it said, with a T for times.
func pinged(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, complaint bytes.Buffer
	code = run(append([]string{"ping", "--count=1", "--timeout=30s"}, args...), &out, &complaint)
	return code, pingTimes.ReplaceAllString(out.String(), "T"), complaint.String()
}

// TestPingWithASecret: it says how the session is protected, and by whom it is answered.
func TestPingWithASecret(t *testing.T) {
	const secret = "what the messengers of this test share\n"
	a, err := tlsauth.SharedSecret(monName, tlsauth.Secret(secret))
	require.NoError(t, err)
	addr, file := guarded(t, a), fileOf(t, secret)

	code, stdout, stderr := pinged(t, "--secret-file", file, addr)
	require.Equal(t, command.ExitOK, code, stdout+stderr)
	require.Equal(t, `ping mon v2:T
tls, secure mode (TLS 1.3, X25519MLKEM768): the peer, mon.0, has the secret; its certificate expires T (another T)
1: 2 bytes from mon.0 in T
   {}
1 pings, 1 answers, 0 sessions opened anew; round trip min/avg/max T / T / T
`, stdout)
	for _, name := range []string{"client.admin", "client.5", "mds.a", "osd.3", "mgr.0"} {
		code, stdout, stderr = pinged(t, "--secret-file", file, "--name", name, addr)
		require.Equal(t, command.ExitOK, code, "%s: %s%s", name, stdout, stderr)
	}

	code, stdout, stderr = pinged(t, "--json", "--secret-file", file, addr)
	require.Equal(t, command.ExitOK, code, stderr)
	l := objects(t, stdout)[0]
	require.Equal(t, []any{"tls", "secure", "mon.0"}, []any{l["method"], l["mode"], l["peer"]})
	expires, err := time.Parse(time.RFC3339, l["expires"].(string))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(24*time.Hour), expires, time.Hour)
	for name := range l {
		require.Contains(t, pingCmd{}.Help(), `"`+name+`":`)
	}
}

// TestPingWithCertificates: those that msgr cert makes.
func TestPingWithCertificates(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	ok(t, "cert", "init", "--dir", dir)
	for _, name := range []string{"mon.0", "client.admin", "osd.3"} {
		ok(t, "cert", "issue", "--dir", dir, "--name", name, "--days", "30", "--out", dir)
	}
	ca := file("ca.pem")
	a, err := tlsauth.New(tlsauth.Config{CertFile: file("mon.0.pem"), KeyFile: file("mon.0.key"), CAFile: ca})
	require.NoError(t, err)
	addr := guarded(t, a)
	for _, name := range []string{"client.admin", "osd.3"} {
		code, stdout, stderr := pinged(t, "--cert", file(name+".pem"), "--key", file(name+".key"), "--ca", ca, addr)
		require.Equal(t, command.ExitOK, code, stdout+stderr)
		require.Contains(t, stdout, ": the peer proved to be mon.0; its certificate expires T (another T)\n")
	}
}

// TestPingWithKeysSaysWhy: each thing that may be wrong with keys has its reason and its hint.
func TestPingWithKeysSaysWhy(t *testing.T) {
	const (
		secret    = "what the messengers of this test share"
		untrusted = "certificate is signed by an authority that is not trusted here"
	)
	shared := func(s string, now func() time.Time) *tlsauth.Auth {
		a, err := tlsauth.New(tlsauth.Config{Name: monName, Secrets: []tlsauth.Secret{tlsauth.Secret(s)}, Time: now})
		require.NoError(t, err)
		return a
	}
	long := func() time.Time { return time.Now().Add(-72 * time.Hour) }
	soon := func() time.Time { return time.Now().Add(72 * time.Hour) }
	server := guarded(t, shared(secret, nil))

	ca, err := tlsauth.NewAuthority("test", time.Now().Add(-time.Hour), time.Now().Add(time.Hour), nil)
	require.NoError(t, err)
	dir := t.TempDir()
	stranger, err := ca.Issue(entity.AuthName{Type: entity.TypeClient, ID: "x"}, time.Now().Add(-time.Hour),
		time.Now().Add(time.Hour), nil)
	require.NoError(t, err)
	cert, key, err := tlsauth.EncodePEM(stranger)
	require.NoError(t, err)
	ours, _, err := ca.PEM()
	require.NoError(t, err)
	put := func(name string, text []byte) string {
		name = filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(name, text, 0o600))
		return name
	}
	files := []string{"--cert", put("c.pem", cert), "--key", put("c.key", key), "--ca", put("ca.pem", ours)}

	right := []string{"--secret-file", fileOf(t, secret)}
	for name, tc := range map[string]struct {
		flags      []string
		addr       string
		says, hint string
	}{
		"wrong secret": {[]string{"--secret-file", fileOf(t, secret+"\n")}, server,
			"tlsauth: mon.0: " + untrusted + ` ("shared secret `, "secret"},
		"no keys": {nil, server, "allowed: methods [tls], modes [secure]", "common method and mode"},
		"a peer without TLS": {right, serve(t, &interop.MonServer{Status: "{}"}).String(),
			"the peer has no TLS",
			"give the peer keys too, or take TLS from this side"},
		"expired": {right, guarded(t, shared(secret, long)),
			"tlsauth: mon.0: certificate expired T ago", "renew it"},
		"not yet": {right, guarded(t, shared(secret, soon)),
			"tlsauth: mon.0: certificate is not valid yet", "compare the clocks"},
		"another authority": {files, server, untrusted, "ca.pem"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := pinged(t, append(tc.flags, tc.addr)...)
			require.Equal(t, command.ExitFault, code, stdout)
			require.Contains(t, stdout, "1: no answer: msgr: attempt 1 to connect: authentication refused")
			require.Contains(t, stdout, tc.says)
			require.Regexp(t, `\n   .*`+regexp.QuoteMeta(tc.hint), stdout)
			require.NotContains(t, stdout+stderr, secret)

			_, stdout, _ = pinged(t, append(tc.flags, "--json", tc.addr)...)
			l := objects(t, stdout)[0]
			require.Equal(t, "authentication refused", l["reason"])
			require.Contains(t, l["hint"], tc.hint)
			require.NotContains(t, l, "method")
		})
	}
}

// TestPingKeysUsage: what is wrong with the files or their flags is known before anything
// is sent.
func TestPingKeysUsage(t *testing.T) {
	dir := t.TempDir()
	none, short := filepath.Join(dir, "none"), fileOf(t, "password")
	const addr = "v2:127.0.0.1:1/0"
	for _, tc := range []struct {
		says  string
		flags []string
	}{
		{"tlsauth: " + none + ": no such file or directory", []string{"--secret-file", none}},
		{"tlsauth: " + dir + ": is a directory", []string{"--secret-file", dir}},
		{"tlsauth: " + short + ": secret is too short: 8 bytes, not 16 or more; 32 random bytes",
			[]string{"--secret-file", short}},
		{"more than 65536 bytes: that is no secret", []string{"--secret-file", "/dev/zero"}},
		{"tlsauth: " + none + ": no such file or directory", []string{"--cert", none, "--key", none, "--ca", none}},
		{"tlsauth: " + short + ": ", []string{"--cert", short, "--key", short, "--ca", short}},
		{"--cert, --key and --ca go together: --key, --ca is missing", []string{"--cert", none}},
		{"--secret-file and --ca: give one or the other", []string{"--secret-file", short, "--ca", none}},
		{"--name goes with --secret-file", []string{"--name", "osd.3"}},
		{"--name: ", []string{"--name", "nobody", "--secret-file", short}},
	} {
		code, stdout, stderr := pinged(t, append(tc.flags, addr)...)
		require.Equal(t, command.ExitUsage, code, "%q: %s", tc.flags, stderr)
		require.Empty(t, stdout)
		require.Contains(t, stderr, tc.says)
		require.NotContains(t, stderr, "password")

		code, stdout, _ = pinged(t, append(tc.flags, "--json", addr)...)
		require.Equal(t, command.ExitUsage, code)
		lines := objects(t, stdout)
		require.Len(t, lines, 1)
		require.Contains(t, lines[0]["error"], tc.says)
	}
}
