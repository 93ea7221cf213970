package tlsauth

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// TestFiles: the files that EncodePEM writes are read.
func TestFiles(t *testing.T) {
	clk, ca, f := newClock(), newCA(t, "ca"), newFolder(t)
	f.putPair(t, issue(t, ca, osd3))
	f.putCA(t, ca)
	a, err := New(f.config(clk))
	require.NoError(t, err)
	require.Equal(t, osd3, a.Name())
	wantDone(t, script{}.run(a.Client(), a.Server()), osd3, osd3)
	cfg := f.config(clk)
	cfg.Name = osd3
	_, err = New(cfg)
	require.NoError(t, err)
}

// TestBadFiles: at the beginning a file that cannot be used is an error that names it.
func TestBadFiles(t *testing.T) {
	ca := newCA(t, "ca")
	good, another := issue(t, ca, osd3), issue(t, ca, osd3)
	cert, key, err := EncodePEM(good)
	require.NoError(t, err)
	otherCert, otherKey, err := EncodePEM(another)
	require.NoError(t, err)
	caPEM, _, err := ca.PEM()
	require.NoError(t, err)
	write := func(get func(folder) string, text []byte) func(t *testing.T, f folder) string {
		return func(t *testing.T, f folder) string { put(t, get(f), text); return get(f) }
	}
	certFile, keyFile := func(f folder) string { return f.cert }, func(f folder) string { return f.key }
	caFile := func(f folder) string { return f.ca }
	at := func(from, to time.Duration) []byte {
		c, err := ca.IssueFor(osd3, good.PrivateKey.(crypto.Signer), start.Add(from), start.Add(to), nil)
		require.NoError(t, err)
		text, _, err := EncodePEM(c)
		require.NoError(t, err)
		return text
	}
	withoutEnd := cert[:bytes.LastIndexByte(cert[:len(cert)-1], '\n')+1]
	for name, c := range map[string]struct {
		change func(t *testing.T, f folder) string // returns the file that is wrong
		is     error
		text   string
	}{
		"no certificate": {func(t *testing.T, f folder) string { require.NoError(t, os.Remove(f.cert)); return f.cert },
			fs.ErrNotExist, "no such file"},
		"no key": {func(t *testing.T, f folder) string { require.NoError(t, os.Remove(f.key)); return f.key },
			fs.ErrNotExist, "no such file"},
		"no authority": {func(t *testing.T, f folder) string { require.NoError(t, os.Remove(f.ca)); return f.ca },
			fs.ErrNotExist, "no such file"},
		"a folder": {func(t *testing.T, f folder) string {
			require.NoError(t, os.Remove(f.ca))
			require.NoError(t, os.Mkdir(f.ca, 0o700))
			return f.ca
		}, nil, "is a directory"},
		"empty certificate": {write(certFile, nil), ErrMalformed, "it has no certificate"},
		"empty key":         {write(keyFile, nil), ErrMalformed, "it has no private key"},
		"empty authority":   {write(caFile, nil), ErrMalformed, "it has no certificate"},
		"half a certificate": {write(certFile, cert[:len(cert)/2]), ErrMalformed,
			"malformed or half-written: block 1 does not end"},
		"half a chain": {write(certFile, slices.Concat(cert, cert[:len(cert)/2])), ErrMalformed,
			"block 2 does not end"},
		"a chain with a hole": {write(certFile, slices.Concat(cert[:len(cert)/2], cert)),
			ErrMalformed, "block 1 does not end"},
		"a chain with a hole between lines": {
			write(certFile, slices.Concat(withoutEnd, cert)),
			ErrMalformed, "block 1 does not end"},
		"half a key": {write(keyFile, key[:len(key)-10]), ErrMalformed, "does not end"},
		"a key of no kind": {write(keyFile, pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: []byte("key")})),
			ErrMalformed, "no private key that can sign"},
		"an encrypted key": {write(keyFile,
			pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("key")})),
			ErrMalformed, "is encrypted"},
		"no DER": {write(certFile, pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: []byte("c")})),
			ErrMalformed, "certificate 1: "},
		"exchanged": {func(t *testing.T, f folder) string {
			put(t, f.cert, key)
			put(t, f.key, cert)
			return f.cert
		}, ErrMalformed, "it has no certificate"},
		"another's key": {write(keyFile, otherKey), ErrMismatch, "do not belong together: the certificate is "},
		"expired": {write(certFile, at(-2*day, -5*day/4)), ErrExpired,
			"certificate expired 30 h ago; renew it (msgr cert renew)"},
		"not yet valid":       {write(certFile, at(3*day, 9*day)), ErrNotYetValid, "in 3 days"},
		"a leaf as authority": {write(caFile, otherCert), ErrInvalid, `"osd.3" is no authority`},
		"too long":            {write(caFile, make([]byte, fileMax+1)), nil, "more than 1048576 bytes"},
		"the authority expired": {func(t *testing.T, f folder) string {
			old, err := NewAuthority("old", start.Add(-9*day), start.Add(-3*day), nil)
			require.NoError(t, err)
			f.putCA(t, old)
			return f.ca
		}, ErrExpired, "certificate expired 3 days ago"},
		"no name": {func(t *testing.T, f folder) string {
			f.putPair(t, special(t, ca, func(c *x509.Certificate) { c.Subject.CommonName = "x" }))
			return f.cert
		}, ErrNoName, "no URI ceph:TYPE.ID"},
		"another name": {func(t *testing.T, f folder) string { f.putPair(t, issue(t, ca, osd4)); return f.cert },
			ErrWrongName, `certificate is for another name: "osd.4", this is osd.3`},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			put(t, f.cert, cert)
			put(t, f.key, key)
			put(t, f.ca, caPEM)
			cfg := f.config(newClock())
			cfg.Name = osd3
			_, err := New(cfg)
			require.NoError(t, err)
			file := c.change(t, f)
			_, err = New(cfg)
			var bad *FileError
			require.ErrorAs(t, err, &bad)
			require.Equal(t, file, bad.File)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
			require.ErrorContains(t, err, "tlsauth: "+file+": ")
			require.ErrorContains(t, err, c.text)
			require.Equal(t, 1, strings.Count(err.Error(), file), err.Error())
			t.Log(err)
		})
	}
}

// TestFilesChange: new handshakes have new files, once a second at most; what cannot be
// used is told once and changes nothing.
func TestFilesChange(t *testing.T) {
	clk, ca, next, f := newClock(), newCA(t, "ca"), newCA(t, "next"), newFolder(t)
	first, second := issue(t, ca, osd3), issue(t, next, osd3)
	f.putPair(t, first)
	f.putCA(t, ca)
	var warnings []error
	cfg := f.config(clk)
	cfg.Warn = func(err error) { warnings = append(warnings, err) }
	a, err := New(cfg)
	require.NoError(t, err)
	peer := newGivenAuth(t, clk, issue(t, ca, admin), ca, next)
	shows := func(want tls.Certificate) {
		t.Helper()
		for range 3 { // however many handshakes there are
			o := script{}.run(peer.Client(), a.Server())
			wantDone(t, o, admin, osd3)
			require.True(t, o.client.Proof.(*tls.ConnectionState).PeerCertificates[0].Equal(want.Leaf))
			o = script{}.run(a.Client(), peer.Server())
			wantDone(t, o, osd3, admin)
			require.True(t, o.server.Proof.(*tls.ConnectionState).PeerCertificates[0].Equal(want.Leaf))
		}
	}
	warned := func(n int, is error, texts ...string) {
		t.Helper()
		require.Len(t, warnings, n)
		var bad *FileError
		require.ErrorAs(t, warnings[n-1], &bad)
		require.ErrorIs(t, warnings[n-1], is)
		for _, text := range texts {
			require.ErrorContains(t, warnings[n-1], text)
		}
	}
	shows(first)

	// The certificate first: it has no key yet, as anybody sees who looks in between.
	cert, key, err := EncodePEM(second)
	require.NoError(t, err)
	put(t, f.cert, cert)
	shows(first)
	require.Empty(t, warnings, "nobody looks within a second")
	clk.add(filesCheckMin)
	shows(first)
	warned(1, ErrMismatch, f.key, "what was read before stays in use")
	clk.add(filesCheckMin)
	shows(first)
	require.Len(t, warnings, 1, "it is told once")
	put(t, f.key, key[:40])
	clk.add(filesCheckMin)
	shows(first)
	warned(2, ErrMalformed, f.key)
	put(t, f.key, key)
	shows(first)
	clk.add(filesCheckMin)
	shows(second)
	require.Len(t, warnings, 2)

	// Files that go away, and come back as they were.
	require.NoError(t, os.Remove(f.ca))
	clk.add(filesCheckMin)
	shows(second)
	warned(3, fs.ErrNotExist, f.ca)
	f.putCA(t, ca)
	clk.add(filesCheckMin)
	shows(second)

	// The authorities change: the peer, whose certificate is from ca, is not trusted now.
	f.putCA(t, next)
	clk.add(filesCheckMin)
	o := script{}.run(peer.Client(), a.Server())
	require.ErrorIs(t, o.serverErr, ErrUnknownAuthority)
	require.Contains(t, said(o.serverErr), "; issue it by an authority in "+f.ca)
	f.putCA(t, next, ca)
	clk.add(filesCheckMin)
	shows(second)

	// A messenger does not become another one.
	f.putPair(t, issue(t, ca, osd4))
	clk.add(filesCheckMin)
	shows(second)
	warned(4, ErrWrongName, "osd.4")

	// Written in place, with the same length: the time tells.
	f.putPair(t, second)
	clk.add(filesCheckMin)
	shows(second)
	third := issue(t, next, osd3)
	cert, key, err = EncodePEM(third)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(f.cert, cert, 0o600))
	require.NoError(t, os.WriteFile(f.key, key, 0o600))
	clk.add(-time.Hour) // and a clock that was put back looks at once
	for _, name := range []string{f.cert, f.key} {
		require.NoError(t, os.Chtimes(name, time.Time{}, start.Add(99*time.Second)))
	}
	shows(third)

	// Another file with the same length and time: the place tells.
	fourth := issue(t, next, osd3)
	cert, key, err = EncodePEM(fourth)
	require.NoError(t, err)
	for name, text := range map[string][]byte{f.cert: cert, f.key: key} {
		was, err := os.Stat(name)
		require.NoError(t, err)
		require.EqualValues(t, len(text), was.Size())
		held, err := os.Open(name) // so that its place is not given to the new one
		require.NoError(t, err)
		defer held.Close()
		put(t, name, text)
		require.NoError(t, os.Chtimes(name, time.Time{}, was.ModTime()))
	}
	clk.add(filesCheckMin)
	shows(fourth)
	require.Len(t, warnings, 4)
}

// TestFilesSeveralAtOnce: handshakes at the same time share what is read.
func TestFilesSeveralAtOnce(t *testing.T) {
	clk, ca, f := newClock(), newCA(t, "ca"), newFolder(t)
	f.putPair(t, issue(t, ca, osd3))
	f.putCA(t, ca)
	cfg := f.config(clk)
	cfg.Warn = func(error) {} // a pair that is half there may be seen
	a, err := New(cfg)
	require.NoError(t, err)
	errs := make(chan error, 4)
	for range cap(errs) {
		go func() {
			for range 20 {
				clk.add(filesCheckMin)
				if o := (script{}).run(a.Client(), a.Server()); !o.finished() {
					errs <- errors.Join(o.clientErr, o.serverErr)
					return
				}
			}
			errs <- nil
		}()
	}
	for range 10 {
		f.putPair(t, issue(t, ca, osd3))
	}
	for range cap(errs) {
		require.NoError(t, <-errs)
	}
}

func TestConfigRefused(t *testing.T) {
	ca := newCA(t, "ca")
	own := issue(t, ca, osd3)
	pool := poolOf(ca)
	certs := []tls.Certificate{own}
	mixed := issue(t, ca, osd3)
	mixed.PrivateKey = own.PrivateKey
	for name, c := range map[string]struct {
		cfg   Config
		field string
	}{
		"nothing":     {Config{}, "CertFile"},
		"only a name": {Config{Name: osd3}, "CertFile"},
		"two sources": {Config{Name: osd3, Secrets: []Secret{secret}, TLS: tlsOf(own, ca)}, "CertFile"},
		"no KeyFile":  {Config{CertFile: "x", CAFile: "x"}, "KeyFile"},
		"no CAFile":   {Config{CertFile: "x", KeyFile: "x"}, "CAFile"},
		"no CertFile": {Config{CAFile: "x", KeyFile: "x"}, "CertFile"},
		"bad name":    {Config{CertFile: "x", KeyFile: "x", CAFile: "x", Name: entity.AuthName{Type: 4}}, "Name"},
		"no roots":    {Config{TLS: &tls.Config{Certificates: certs}}, "TLS.RootCAs"},
		"no certs":    {Config{TLS: &tls.Config{RootCAs: pool}}, "TLS.Certificates"},
		"half": {Config{TLS: &tls.Config{RootCAs: pool,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &own, nil }}},
			"TLS.Certificates"},
		"old": {Config{TLS: &tls.Config{RootCAs: pool, Certificates: certs, MaxVersion: tls.VersionTLS12}},
			"TLS.MaxVersion"},
		"by client": {Config{TLS: &tls.Config{RootCAs: pool, Certificates: certs,
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }}},
			"TLS.GetConfigForClient"},
		"other name": {Config{Name: osd4, TLS: &tls.Config{RootCAs: pool, Certificates: certs}}, "TLS.Certificates"},
		"expired": {Config{Time: func() time.Time { return start.Add(99 * day) },
			TLS: &tls.Config{RootCAs: pool, Certificates: certs}}, "TLS.Certificates"},
		"no key":      {Config{TLS: tlsOf(tls.Certificate{Certificate: own.Certificate}, ca)}, "TLS.Certificates"},
		"another key": {Config{TLS: tlsOf(mixed, ca)}, "TLS.Certificates"},
		"empty": {Config{TLS: &tls.Config{RootCAs: pool, Certificates: make([]tls.Certificate, 1)}},
			"TLS.Certificates"},
		"no DER": {Config{TLS: &tls.Config{RootCAs: pool,
			Certificates: []tls.Certificate{{Certificate: [][]byte{{1}}}}}}, "TLS.Certificates"},
	} {
		if c.cfg.Time == nil {
			c.cfg.Time = newClock().time
		}
		_, err := New(c.cfg)
		var bad *ConfigError
		require.ErrorAs(t, err, &bad, name)
		require.Equal(t, c.field, bad.Field, name)
		require.ErrorContains(t, err, "tlsauth: Config."+c.field+": ", name)
		t.Log(err)
	}
}

// TestGivenIsClonedAndHardened: what a caller's tls.Config allows does not count, and the
// caller's is not changed.
func TestGivenIsClonedAndHardened(t *testing.T) {
	clk, ca, stranger := newClock(), newCA(t, "ca"), newCA(t, "stranger")
	lax := tlsOf(issue(t, ca, osd3), ca)
	lax.InsecureSkipVerify = true
	lax.ClientAuth = tls.NoClientCert
	lax.NextProtos = []string{"h2"}
	lax.MinVersion = tls.VersionTLS10
	lax.ServerName = "host"
	lax.ClientSessionCache = tls.NewLRUClientSessionCache(9)
	lax.Time = clk.time
	refuse := errors.New("not today")
	var no error
	lax.VerifyConnection = func(cs tls.ConnectionState) error {
		require.NotEmpty(t, cs.PeerCertificates)
		return no
	}
	a, err := New(Config{TLS: lax})
	require.NoError(t, err)
	require.True(t, lax.InsecureSkipVerify)
	require.Nil(t, lax.ClientCAs)
	for _, c := range []*tls.Config{a.keys.(*given).creds.client, a.keys.(*given).creds.server} {
		require.Equal(t, []string{"msgr2"}, c.NextProtos)
		require.EqualValues(t, tls.VersionTLS13, c.MinVersion)
		require.True(t, c.SessionTicketsDisabled)
		require.Nil(t, c.ClientSessionCache)
		require.Empty(t, c.ServerName)
		require.NotNil(t, c.RootCAs)
		require.NotNil(t, c.ClientCAs)
	}
	require.Equal(t, tls.RequireAndVerifyClientCert, a.keys.(*given).creds.server.ClientAuth)
	require.Equal(t, []string{"h2"}, lax.NextProtos)
	friend, bad := newGivenAuth(t, clk, issue(t, ca, admin), ca), newGivenAuth(t, clk, issue(t, stranger, admin), ca)
	for range 2 {
		wantDone(t, script{}.run(friend.Client(), a.Server()), admin, osd3)
		wantDone(t, script{}.run(a.Client(), friend.Server()), osd3, admin)
	}
	require.ErrorIs(t, script{}.run(bad.Client(), a.Server()).serverErr, ErrUnknownAuthority)
	require.ErrorIs(t, script{}.run(a.Client(), bad.Server()).clientErr, ErrUnknownAuthority)
	no = refuse
	o := script{}.run(friend.Client(), a.Server())
	require.ErrorIs(t, o.serverErr, refuse)
	require.EqualError(t, o.serverErr, "tlsauth: client.admin: not today (refused with -13)")
	o = script{}.run(a.Client(), friend.Server())
	require.ErrorIs(t, o.clientErr, refuse)
	require.Len(t, o.payloads, 2)
	require.ErrorIs(t, o.clientErr, auth.ErrRefused)
	require.Nil(t, refusalOf(o.clientErr))
}
