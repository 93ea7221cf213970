package main

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/bench/internal/command"
	"github.com/asyncmsgr/asyncmsgr/bench/internal/command/commandtest"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/tlsauth"
)

// certClock sets the clock of msgr cert until the test ends.
func certClock(t *testing.T, now time.Time) *time.Time {
	was := certNow
	t.Cleanup(func() { certNow = was })
	certNow = func() time.Time { return now }
	return &now
}

// ok runs msgr, which has to succeed without a complaint.
func ok(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	require.Equal(t, command.ExitOK, run(args, &stdout, &stderr), "%q: %s", args, &stderr)
	require.Empty(t, stderr.String())
	return stdout.String()
}

// fails runs msgr, which has to complain in one line.
func fails(t *testing.T, code int, says string, args ...string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	require.Equal(t, code, run(args, &stdout, &stderr), "%q", args)
	require.Contains(t, stderr.String(), says)
	require.Equal(t, 1, strings.Count(stderr.String(), "\n"), stderr.String())
}

// TestCert: an authority, a certificate of it that a messenger can use, shown and renewed.
func TestCert(t *testing.T) {
	now := certClock(t, time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC))
	dir := filepath.Join(t.TempDir(), "new", "ca")
	out := t.TempDir()
	file := func(name string) string { return filepath.Join(out, name) }
	said := ok(t, "cert", "init", "--dir", dir, "--authority", "test \x1b[31mcluster")
	commandtest.Wants(t, said, "ca.pem: the authority, until 2041-01-31 04:05 UTC; give it to all messengers (CAFile)",
		"ca.key: its key; give it to nobody")
	said += ok(t, "cert", "issue", "--dir", dir, "--name", "osd.3", "--days", "30", "--out", out)
	commandtest.Wants(t, said, file("osd.3.pem")+": osd.3, until 2031-03-05 04:05 UTC (CertFile)",
		file("osd.3.key")+": its key (KeyFile)")
	for name, mode := range map[string]os.FileMode{
		filepath.Join(dir, "ca.pem"): 0o644, filepath.Join(dir, "ca.key"): 0o600,
		file("osd.3.pem"): 0o644, file("osd.3.key"): 0o600,
	} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), name)
	}

	cfg := tlsauth.Config{CertFile: file("osd.3.pem"), KeyFile: file("osd.3.key"), CAFile: filepath.Join(dir, "ca.pem"),
		Time: func() time.Time { return *now }}
	a, err := tlsauth.New(cfg)
	require.NoError(t, err)
	require.Equal(t, "osd.3", a.Name().String())

	shown := ok(t, "cert", "show", file("osd.3.pem"), filepath.Join(dir, "ca.pem"))
	text, err := os.ReadFile(file("osd.3.pem"))
	require.NoError(t, err)
	certs, err := tlsauth.ParseCertificates(text)
	require.NoError(t, err)
	commandtest.Wants(t, shown, file("osd.3.pem")+": osd.3\n",
		"  valid        2031-02-03 04:00 UTC to 2031-03-05 04:05 UTC (another 30 days)\n",
		`  issued by    "test \x1b[31mcluster"`+"\n", "  meant for    connecting and accepting\n",
		"  fingerprint  SHA256 "+fingerprint(certs[0])+"\n",
		`ca.pem: authority "test \x1b[31mcluster"`+"\n", "  meant for    issuing certificates\n")

	// Renewed: the key stays, and so does how long it is valid, unless told.
	key, err := os.ReadFile(file("osd.3.key"))
	require.NoError(t, err)
	*now = now.AddDate(0, 0, 20)
	said += ok(t, "cert", "renew", "--dir", dir, "--name", "osd.3", "--out", out)
	commandtest.Wants(t, said, "osd.3.pem: osd.3, until 2031-03-25 04:05 UTC (before: 2031-03-05 04:05 UTC)")
	said += ok(t, "cert", "renew", "--dir", dir, "--name", "osd.3", "--out", out, "--days", "7")
	commandtest.Wants(t, said, "until 2031-03-02 04:05 UTC (before: 2031-03-25 04:05 UTC)")
	same, err := os.ReadFile(file("osd.3.key"))
	require.NoError(t, err)
	require.True(t, bytes.Equal(key, same))
	_, err = tlsauth.New(cfg)
	require.NoError(t, err)

	// Nothing is replaced without --force.
	before, err := os.ReadFile(file("osd.3.pem"))
	require.NoError(t, err)
	fails(t, command.ExitFault, "osd.3.pem is there already; --force replaces it",
		"cert", "issue", "--dir", dir, "--name", "osd.3", "--out", out)
	require.NoError(t, os.Rename(file("osd.3.pem"), file("elsewhere")))
	fails(t, command.ExitFault, "osd.3.key is there already; --force replaces it",
		"cert", "issue", "--dir", dir, "--name", "osd.3", "--out", out)
	require.NoFileExists(t, file("osd.3.pem"))
	require.NoError(t, os.Rename(file("elsewhere"), file("osd.3.pem")))
	fails(t, command.ExitFault, "ca.pem is there already", "cert", "init", "--dir", dir)
	after, err := os.ReadFile(file("osd.3.pem"))
	require.NoError(t, err)
	require.Equal(t, before, after)
	said += ok(t, "cert", "issue", "--dir", dir, "--name", "osd.3", "--out", out, "--force")
	other, err := os.ReadFile(file("osd.3.key"))
	require.NoError(t, err)
	require.False(t, bytes.Equal(key, other), "a new key")
	_, err = tlsauth.New(cfg)
	require.NoError(t, err)

	// Times that passed.
	*now = now.AddDate(2, 0, 0)
	commandtest.Wants(t, ok(t, "cert", "show", file("osd.3.pem")), "EXPIRED 366 days ago")
	said += ok(t, "cert", "renew", "--dir", dir, "--name", "osd.3", "--out", out)
	commandtest.Wants(t, ok(t, "cert", "show", file("osd.3.pem")), "another 365 days")
	*now = now.AddDate(0, 0, -3)
	commandtest.Wants(t, ok(t, "cert", "show", file("osd.3.pem")), "NOT YET VALID, in 2 days")
	*now = now.AddDate(7, 6, 0)
	said += ok(t, "cert", "issue", "--dir", dir, "--name", "osd.4") // not longer than the authority
	commandtest.Wants(t, said, "osd.4, until 2041-01-31 04:05 UTC")
	*now = now.AddDate(2, 0, 0)
	fails(t, command.ExitFault, "the authority expired on 2041-01-31 04:05 UTC; make another one with msgr cert init",
		"cert", "issue", "--dir", dir, "--name", "osd.5")
	said += ok(t, "cert", "init", "--dir", dir, "--force")
	said += ok(t, "cert", "issue", "--dir", dir, "--name", "osd.5")

	// No key was printed, and no file is left over.
	for _, name := range []string{filepath.Join(dir, "ca.key"), file("osd.3.key"), filepath.Join(dir, "osd.5.key")} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		block, _ := pem.Decode(text)
		seed := block.Bytes[len(block.Bytes)-32:]
		for _, s := range []string{hex.EncodeToString(seed), base64.StdEncoding.EncodeToString(block.Bytes),
			string(seed)} {
			require.NotContains(t, strings.ToLower(said+shown), strings.ToLower(s))
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	require.NoError(t, err)
	require.Empty(t, left)
	left, err = filepath.Glob(filepath.Join(out, "*"))
	require.NoError(t, err)
	require.Len(t, left, 2)
}

// TestCertRefuses: files that are not what they should be.
func TestCertRefuses(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	ok(t, "cert", "init", "--dir", dir)
	ok(t, "cert", "init", "--dir", other)
	ok(t, "cert", "issue", "--dir", dir, "--name", "osd.3")
	file := func(name string) string { return filepath.Join(dir, name) }
	rename := func(from, to string) { require.NoError(t, os.Rename(file(from), file(to))) }

	rename("osd.3.pem", "osd.4.pem")
	rename("osd.3.key", "osd.4.key")
	fails(t, command.ExitFault, "osd.4.pem is a certificate for osd.3, not for osd.4; issue one with",
		"cert", "renew", "--dir", dir, "--name", "osd.4")
	fails(t, command.ExitFault,
		"no such file or directory; give the name of a certificate, which msgr cert issue makes",
		"cert", "renew", "--dir", dir, "--name", "osd.3")
	rename("osd.4.pem", "osd.3.pem")
	fails(t, command.ExitFault, "give the name of its key", "cert", "renew", "--dir", dir, "--name", "osd.3")
	key, err := os.ReadFile(filepath.Join(other, "ca.key"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file("osd.3.key"), key, 0o600))
	fails(t, command.ExitFault, "certificate and key do not belong together", "cert", "renew", "--dir", dir,
		"--name", "osd.3")
	require.NoError(t, os.WriteFile(file("ca.key"), key, 0o600))
	fails(t, command.ExitFault, "certificate and key do not belong together", "cert", "issue", "--dir", dir,
		"--name", "osd.5")
	require.NoError(t, os.WriteFile(file("ca.key"), key[:50], 0o600))
	fails(t, command.ExitFault, "half-written", "cert", "issue", "--dir", dir, "--name", "osd.5")
	require.NoError(t, os.WriteFile(file("ca.pem"), make([]byte, pemFileMax+1), 0o600))
	fails(t, command.ExitFault, "has more than 1048576 bytes", "cert", "show", file("ca.pem"))
	require.NoFileExists(t, file("osd.5.pem"))
	require.NoFileExists(t, file("osd.5.key"))

	// A certificate is no authority.
	leaf, err := os.ReadFile(file("osd.3.pem"))
	require.NoError(t, err)
	rename("osd.4.key", "ca.key")
	require.NoError(t, os.WriteFile(file("ca.pem"), leaf, 0o600))
	fails(t, command.ExitFault, "it is no certificate of an authority", "cert", "issue", "--dir", dir, "--name",
		"osd.5")
}

// TestReplaceFile: a file is replaced as a whole or not at all, and nothing is left over.
func TestReplaceFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	require.NoError(t, replaceFile(name, []byte("one"), modeCert))
	held, err := os.Open(name)
	require.NoError(t, err)
	defer held.Close()
	require.NoError(t, replaceFile(name, []byte("three"), modeKey))
	old := make([]byte, 8)
	n, err := held.Read(old)
	require.NoError(t, err)
	require.Equal(t, "one", string(old[:n]), "who has it open goes on with the old one")
	info, err := os.Stat(name)
	require.NoError(t, err)
	require.Equal(t, modeKey, info.Mode().Perm())

	taken := filepath.Join(dir, "taken")
	require.NoError(t, os.MkdirAll(filepath.Join(taken, "x"), 0o700))
	require.Error(t, replaceFile(taken, []byte("x"), modeKey))
	require.Error(t, replaceFile(filepath.Join(dir, "absent", "f"), nil, modeKey))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 2)
}

// TestUsages: what a certificate is meant for.
func TestUsages(t *testing.T) {
	const other = x509.ExtKeyUsageCodeSigning
	for want, c := range map[string]x509.Certificate{
		"connecting":               {ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
		"accepting":                {ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, other}},
		"connecting and accepting": {},
		"neither connecting nor accepting: no messenger accepts it": {ExtKeyUsage: []x509.ExtKeyUsage{other}},
		"issuing certificates": {IsCA: true},
	} {
		require.Equal(t, want, usages(&c))
	}
}
