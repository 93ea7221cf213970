package tlsauth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// special issues a certificate that Issue would not.
func special(t testing.TB, ca *Authority, change func(*x509.Certificate)) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "client.admin"},
		NotBefore: start.Add(-day), NotAfter: start.Add(day), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func opaque(s string) *url.URL { return &url.URL{Scheme: "ceph", Opaque: s} }

// TestCertificatesRefused: what is wrong with a peer's certificate, on either side: typed,
// with who, why and what to do, and for the peer of a server a number alone.
func TestCertificatesRefused(t *testing.T) {
	ca, other := newCA(t, "ca"), newCA(t, "other")
	valid := func(from, to time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = start.Add(from), start.Add(to) }
	}
	onlyServer := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	onlyClient := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }
	nothing := func(*x509.Certificate) {}
	named := func(cn string, dns ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.Subject.CommonName, c.DNSNames = cn, dns }
	}
	uris := func(u ...*url.URL) func(*x509.Certificate) { return func(c *x509.Certificate) { c.URIs = u } }
	for name, c := range map[string]struct {
		by             *Authority
		change         func(*x509.Certificate)
		client, server error // what is expected if a client, or a server, has it; nil: it is accepted
		text           string
	}{
		"good": {ca, nothing, nil, nil, ""},
		"expired": {ca, valid(-day, -2*time.Hour), ErrExpired, ErrExpired,
			"client.admin: certificate expired 2 h ago; renew"},
		"not yet valid": {ca, valid(3*time.Minute, day), ErrNotYetValid, ErrNotYetValid,
			"not valid yet but in 3 min; compare the clocks"},
		"wrong authority": {other, nothing, ErrUnknownAuthority, ErrUnknownAuthority,
			`not trusted here ("other"); issue it by`},
		"usage server": {ca, onlyServer, ErrUsage, nil, "issue it for client and server authentication"},
		"usage client": {ca, onlyClient, nil, ErrUsage, "issue it for client and server authentication"},
		"no name":      {ca, named(""), ErrNoName, ErrNoName, "no name of an entity: no URI ceph:TYPE.ID"},
		"a host": {ca, named("host", "host.example.com"), ErrNoName, ErrNoName,
			`"host": certificate has no name`},
		"two names": {ca, named("client.a", "osd.1"), ErrNoName, ErrNoName, "several, client.a and osd.1"},
		"two URIs":  {ca, uris(opaque("osd.1"), opaque("osd.2")), ErrNoName, ErrNoName, "several"},
		"a host in a URI": {ca, uris(&url.URL{Scheme: "ceph", Host: "osd.1"}), ErrNoName, ErrNoName,
			"is not of the form"},
		"anybody":          {ca, uris(opaque("any.1")), ErrNoName, ErrNoName, "any is no type of an entity"},
		"escapes":          {ca, uris(opaque("osd.%31")), ErrNoName, ErrNoName, "other characters"},
		"a type of number": {ca, uris(opaque("type4.1")), ErrNoName, ErrNoName, ""},
		"DNS":              {ca, named("", "client.admin"), nil, nil, ""},
		"URI first": {ca,
			func(c *x509.Certificate) { named("x", "osd.1")(c); uris(opaque("client.admin"))(c) }, nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			clk := newClock()
			bad := func() *Auth {
				// Its own clock is such that it does not find out by itself.
				own := special(t, c.by, c.change)
				a, err := New(Config{
					TLS:      &tls.Config{Certificates: []tls.Certificate{own}, RootCAs: poolOf(ca)},
					Time:     func() time.Time { return own.Leaf.NotBefore },
					Identity: func(*x509.Certificate) (entity.AuthName, error) { return osd3, nil },
				})
				require.NoError(t, err)
				// It finds the good side in order, whenever that is.
				a.cfg.Identity = Identify
				return a
			}()
			good := newGivenAuth(t, clk, special(t, ca, func(c *x509.Certificate) {
				named("osd.3")(c)
				c.NotBefore, c.NotAfter = start.Add(-3*day), start.Add(3*day)
			}), ca)
			check := func(t *testing.T, err, want error) {
				var peer *PeerError
				require.ErrorAs(t, err, &peer)
				require.ErrorIs(t, err, want)
				require.ErrorIs(t, err, auth.ErrRefused)
				require.Contains(t, strings.Replace(said(err), " (refused with -13)", "", 1), c.text)
				t.Log(said(err))
			}

			o := script{clientType: entity.TypeClient}.run(bad.Client(), good.Server())
			if c.client == nil {
				wantDone(t, o, admin, osd3)
			} else {
				check(t, o.serverErr, c.client)
				refusal := refusalOf(o.serverErr)
				require.Equal(t, &auth.RefusedError{Method: auth.MethodTLS, Result: -13,
					Methods: []uint32{auth.MethodTLS}, Modes: []uint32{auth.ModeSecure}}, refusal)
				require.ErrorIs(t, o.clientErr, auth.ErrRefused)
				require.ErrorContains(t, o.clientErr, "does not accept the certificate of osd.3 (by ")
				require.False(t, o.finished())
			}

			o = script{serverType: entity.TypeClient}.run(good.Client(), bad.Server())
			if c.server == nil {
				wantDone(t, o, osd3, admin)
			} else {
				check(t, o.clientErr, c.server)
				require.NoError(t, o.serverErr)
				require.Len(t, o.payloads, 2, "the client answers nothing, so it shows its own certificate to nobody")
				require.False(t, o.finished())
			}
		})
	}
}

// TestNoClientCertificate: crypto/tls lets a client send none, which this server refuses.
func TestNoClientCertificate(t *testing.T) {
	clk, ca := newClock(), newCA(t, "ca")
	none := new(tls.Certificate)
	naked, err := New(Config{Time: clk.time, TLS: &tls.Config{RootCAs: poolOf(ca),
		GetCertificate:       func(*tls.ClientHelloInfo) (*tls.Certificate, error) { panic("a callback") },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return none, nil },
	}})
	require.NoError(t, err)
	require.Zero(t, naked.Name())
	server := newGivenAuth(t, clk, issue(t, ca, osd3), ca)
	o := script{}.run(naked.Client(), server.Server())
	require.ErrorIs(t, o.serverErr, ErrNoCertificate)
	require.Equal(t, "tlsauth: the peer: no certificate (refused with -13); give it one", said(o.serverErr))
	require.ErrorContains(t, o.clientErr, "does not accept our certificate")

	// A panic of a callback is on a goroutine of crypto/tls, and fails its handshake alone.
	o = script{}.run(server.Client(), naked.Server())
	var panicked *CallbackError
	require.ErrorAs(t, o.serverErr, &panicked)
	require.Equal(t, "GetCertificate", panicked.Callback)
	require.False(t, o.finished())
}

// TestWrongType: a certificate for a client is none for an OSD, whatever HELLO said.
func TestWrongType(t *testing.T) {
	clk, ca := newClock(), newCA(t, "ca")
	client, server := newGivenAuth(t, clk, issue(t, ca, admin), ca), newGivenAuth(t, clk, issue(t, ca, osd3), ca)
	o := script{clientType: entity.TypeOSD, serverType: entity.TypeOSD}.run(client.Client(), server.Server())
	require.ErrorIs(t, o.serverErr, ErrWrongType)
	require.ErrorContains(t, o.serverErr, "client.admin: certificate is for another type of entity than it says: osd")
	require.EqualValues(t, -13, refusalOf(o.serverErr).Result)
	o = script{clientType: entity.TypeOSD, serverType: entity.TypeOSD}.run(server.Client(), client.Server())
	require.ErrorIs(t, o.clientErr, ErrWrongType)
	require.Len(t, o.payloads, 2)
	wantDone(t, script{clientType: entity.TypeAny, serverType: entity.TypeAny}.run(client.Client(), server.Server()),
		admin, osd3)
}

// TestAuthorityExpired: it says whose certificate it was.
func TestAuthorityExpired(t *testing.T) {
	old, err := NewAuthority("old", start.Add(-9*day), start.Add(-day), nil)
	require.NoError(t, err)
	clk, ca := newClock(), newCA(t, "ca")
	own := special(t, old, func(*x509.Certificate) {})
	bad, good := newGivenAuth(t, clk, own, ca), newGivenAuth(t, clk, issue(t, ca, osd3), ca, old)
	o := script{}.run(bad.Client(), good.Server())
	require.Error(t, o.serverErr)
	require.NotNil(t, refusalOf(o.serverErr))
	t.Log(o.serverErr)
}

// TestAnythingButTLSInSecureMode: a server says what there is, and a client asks for
// nothing else.
func TestAnythingButTLSInSecureMode(t *testing.T) {
	clk, ca := newClock(), newCA(t, "ca")
	a := newGivenAuth(t, clk, issue(t, ca, osd3), ca)
	c := a.Client().NewExchange(entity.TypeOSD, entity.TypeOSD)
	defer closeExchange(c)
	hello, err := c.Request()
	require.NoError(t, err)
	require.Equal(t, auth.MethodTLS, hello.Method)
	require.Equal(t, []uint32{auth.ModeSecure}, hello.Modes)
	require.True(t, c.(auth.Slow).Slow())
	for _, r := range []auth.Request{
		{Method: auth.MethodNone, Modes: []uint32{auth.ModeSecure}, Payload: hello.Payload},
		{Method: auth.MethodCephX, Modes: []uint32{auth.ModeSecure}, Payload: hello.Payload},
		{Method: 0, Modes: []uint32{auth.ModeSecure}},
		{Method: auth.MethodTLS, Modes: []uint32{auth.ModeCRC}, Payload: hello.Payload},
		{Method: auth.MethodTLS, Modes: nil, Payload: hello.Payload},
		{Method: auth.MethodTLS, Modes: []uint32{0, 1, 3, 1 << 31}, Payload: hello.Payload},
	} {
		v := a.Server().NewExchange(entity.TypeOSD, entity.TypeOSD)
		require.True(t, v.(auth.Slow).Slow())
		_, err := v.Request(r)
		require.Equal(t, &auth.RefusedError{Method: r.Method, Result: -95,
			Methods: []uint32{auth.MethodTLS}, Modes: []uint32{auth.ModeSecure}}, refusalOf(err))
		_, err = v.More(hello.Payload)
		require.Error(t, err, "nothing goes on after a refusal")
		_, err = v.Request(hello)
		require.Error(t, err)
	}
	_, err = c.BadMethod(&auth.RefusedError{Method: auth.MethodTLS, Result: -95, Methods: []uint32{auth.MethodNone}})
	require.Contains(t, said(err), "the peer has no TLS: ")
	require.Contains(t, said(err), "; give the peer keys too")
	require.ErrorContains(t, err, "allowed: methods [none]")
	require.ErrorIs(t, err, auth.ErrRefused)
	_, err = c.More(nil)
	require.Error(t, err)
}

// TestOutOfTurn: a client is not done before its handshake is, nor in another mode, and
// nothing may be added to AUTH_DONE.
func TestOutOfTurn(t *testing.T) {
	clk, ca := newClock(), newCA(t, "ca")
	a := newGivenAuth(t, clk, issue(t, ca, osd3), ca)
	begin := func() (auth.ClientExchange, auth.ServerExchange, auth.Reply) {
		c, v := a.Client().NewExchange(0, 0), a.Server().NewExchange(0, 0)
		hello, err := c.Request()
		require.NoError(t, err)
		_, err = c.Request()
		require.Error(t, err, "twice")
		rep, err := v.Request(hello)
		require.NoError(t, err)
		return c, v, rep
	}
	for name, step := range map[string]func(c auth.ClientExchange, v auth.ServerExchange, rep auth.Reply) error{
		"done at once": func(c auth.ClientExchange, _ auth.ServerExchange, _ auth.Reply) error {
			_, err := c.Done(0, auth.ModeSecure, nil)
			return err
		},
		"done in crc mode": func(c auth.ClientExchange, _ auth.ServerExchange, rep auth.Reply) error {
			_, err := c.More(rep.Payload)
			require.NoError(t, err)
			_, err = c.Done(0, auth.ModeCRC, nil)
			return err
		},
		"done with bytes": func(c auth.ClientExchange, _ auth.ServerExchange, rep auth.Reply) error {
			_, err := c.More(rep.Payload)
			require.NoError(t, err)
			_, err = c.Done(0, auth.ModeSecure,
				appendChunk(nil, tls.QUICEncryptionLevelApplication, []byte{4, 0, 0, 0}))
			return err
		},
		"done twice": func(c auth.ClientExchange, _ auth.ServerExchange, rep auth.Reply) error {
			_, err := c.More(rep.Payload)
			require.NoError(t, err)
			_, err = c.Done(5, auth.ModeSecure, nil)
			require.NoError(t, err)
			_, err = c.Done(5, auth.ModeSecure, nil)
			return err
		},
		"more than the handshake": func(c auth.ClientExchange, _ auth.ServerExchange, rep auth.Reply) error {
			_, err := c.More(rep.Payload)
			require.NoError(t, err)
			_, err = c.More(rep.Payload)
			return err
		},
		"the server's flight twice": func(_ auth.ClientExchange, v auth.ServerExchange, rep auth.Reply) error {
			_, err := v.More(rep.Payload)
			return err
		},
		"more after the end": func(c auth.ClientExchange, v auth.ServerExchange, rep auth.Reply) error {
			finish, err := c.More(rep.Payload)
			require.NoError(t, err)
			last, err := v.More(finish)
			require.NoError(t, err)
			require.True(t, last.Done)
			_, err = v.More(finish)
			return err
		},
		"a closed client": func(c auth.ClientExchange, _ auth.ServerExchange, rep auth.Reply) error {
			closeExchange(c)
			_, err := c.Request()
			require.ErrorIs(t, err, net.ErrClosed)
			_, err = c.More(rep.Payload)
			return err
		},
		"a closed server": func(c auth.ClientExchange, v auth.ServerExchange, rep auth.Reply) error {
			closeExchange(v)
			finish, err := c.More(rep.Payload)
			require.NoError(t, err)
			_, err = v.More(finish)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, v, rep := begin()
			require.Error(t, step(c, v, rep))
			closeExchange(c)
			closeExchange(v)
			closeExchange(c) // again, as a session may
		})
	}
	// A server that was never asked anything.
	v := a.Server().NewExchange(0, 0)
	_, err := v.More(nil)
	require.Error(t, err)
	closeExchange(v)
	_, err = v.Request(auth.Request{Method: auth.MethodTLS, Modes: []uint32{auth.ModeSecure},
		Payload: appendChunk(nil, 0, []byte{1})})
	require.ErrorIs(t, err, net.ErrClosed)
}

// TestMonitorsGiveNumbers: as with the method NONE.
func TestMonitorsGiveNumbers(t *testing.T) {
	clk, ca := newClock(), newCA(t, "ca")
	mon, client := newGivenAuth(t, clk, issue(t, ca, monA), ca), newGivenAuth(t, clk, issue(t, ca, admin), ca)
	for n := uint64(1); n <= 2; n++ {
		o := script{clientType: entity.TypeClient, serverType: entity.TypeMon}.run(client.Client(), mon.Server())
		wantDone(t, o, admin, monA)
		require.Equal(t, n, o.server.GlobalID)
		require.Equal(t, n, o.client.GlobalID)
	}
	o := script{clientType: entity.TypeMon, serverType: entity.TypeMon}.run(mon.Client(), mon.Server())
	wantDone(t, o, monA, monA)
	require.Zero(t, o.server.GlobalID)
}

// signCounter is a key that counts what it signs.
type signCounter struct {
	ed25519.PrivateKey
	n *atomic.Int32
}

func (s signCounter) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.n.Add(1)
	return s.PrivateKey.Sign(r, digest, opts)
}

// TestNothingIsSignedEarly: a server signs nothing for a part of a ClientHello, whichever
// part, nor for anything else, and keeps nothing of it.
func TestNothingIsSignedEarly(t *testing.T) {
	clk, ca := newClock(), newCA(t, "ca")
	own := issue(t, ca, osd3)
	var signed atomic.Int32
	own.PrivateKey = signCounter{own.PrivateKey.(ed25519.PrivateKey), &signed}
	a := newGivenAuth(t, clk, own, ca)
	c := a.Client().NewExchange(0, 0)
	defer closeExchange(c)
	hello, err := c.Request()
	require.NoError(t, err)
	const header = 1 + chunkHeaderLen
	message := hello.Payload[header:]
	for n := 0; n < len(hello.Payload); n += 1 + 13*(n/header) {
		cut := hello
		cut.Payload = hello.Payload[:n] // the framing is cut
		if n > header {
			cut.Payload = appendChunk(nil, 0, message[:n-header]) // the message is cut
		}
		v := a.Server().NewExchange(0, 0)
		_, err := v.Request(cut)
		var bad *PayloadError
		require.ErrorAs(t, err, &bad, "%d bytes", n)
		_, err = v.More(hello.Payload) // no second chance
		require.Error(t, err)
	}
	require.Zero(t, signed.Load())
	v := a.Server().NewExchange(0, 0)
	defer closeExchange(v)
	_, err = v.Request(hello)
	require.NoError(t, err)
	require.EqualValues(t, 1, signed.Load())
}

// TestForeignClients: what crypto/tls allows for QUIC and this method does not, or the
// other way round.
func TestForeignClients(t *testing.T) {
	clk, ca := newClock(), newCA(t, "ca")
	a := newGivenAuth(t, clk, issue(t, ca, osd3), ca)
	own := issue(t, ca, admin)
	for name, c := range map[string]struct {
		params []byte
		change func(*tls.Config)
		text   string // "" means that it is accepted
	}{
		"as we do":             {[]byte{}, func(*tls.Config) {}, ""},
		"transport parameters": {[]byte{1, 0}, func(*tls.Config) {}, "2 bytes of transport parameters"},
		"another protocol": {[]byte{}, func(c *tls.Config) { c.NextProtos = []string{"h3"} },
			"application protocol"},
		"no protocol": {[]byte{}, func(c *tls.Config) { c.NextProtos = nil },
			"did not request an application protocol"},
		"more protocols": {[]byte{}, func(c *tls.Config) { c.NextProtos = []string{"h3", alpn} }, ""},
		"another curve": {[]byte{}, func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP256} },
			""},
		"a name of a host": {[]byte{}, func(c *tls.Config) { c.ServerName = "x" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := pairCredentials(own, poolOf(ca), admin).clientFor(start)
			c.change(cfg)
			q := tls.QUICClient(&tls.QUICConfig{TLSConfig: cfg})
			q.SetTransportParameters(c.params)
			require.NoError(t, q.Start(context.Background()))
			h := &handshake{conn: q}
			defer h.close()
			hello, err := h.drain(nil)
			require.NoError(t, err)
			v := a.Server().NewExchange(0, 0)
			defer closeExchange(v)
			_, err = v.Request(auth.Request{Method: auth.MethodTLS, Modes: []uint32{auth.ModeSecure}, Payload: hello})
			if c.text == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.text)
			require.Nil(t, refusalOf(err), "a connection that is no handshake of ours is dropped")
			t.Log(err)
		})
	}
}

// TestHelloRetry: a server that wants another curve asks for a second ClientHello, which is
// one more round.
func TestHelloRetry(t *testing.T) {
	clk, ca := newClock(), newCA(t, "ca")
	own := issue(t, ca, osd3)
	server, err := New(Config{Time: clk.time, TLS: &tls.Config{Certificates: []tls.Certificate{own},
		ClientCAs: poolOf(ca), CurvePreferences: []tls.CurveID{tls.CurveP384}}})
	require.NoError(t, err)
	client := newGivenAuth(t, clk, issue(t, ca, admin), ca)
	o := script{}.run(client.Client(), server.Server())
	wantDone(t, o, admin, osd3)
	require.Len(t, o.payloads, 6)
}

// TestForeignServer: a server with transport parameters is refused too.
func TestForeignServer(t *testing.T) {
	clk, ca := newClock(), newCA(t, "ca")
	a := newGivenAuth(t, clk, issue(t, ca, admin), ca)
	c := a.Client().NewExchange(0, 0)
	defer closeExchange(c)
	hello, err := c.Request()
	require.NoError(t, err)
	cfg := pairCredentials(issue(t, ca, osd3), poolOf(ca), osd3).serverFor(start)
	q := tls.QUICServer(&tls.QUICConfig{TLSConfig: cfg})
	q.SetTransportParameters([]byte("q"))
	require.NoError(t, q.Start(context.Background()))
	h := &handshake{conn: q}
	defer h.close()
	flight, err := h.step(hello.Payload)
	require.NoError(t, err)
	_, err = c.More(flight)
	var bad *PayloadError
	require.ErrorAs(t, err, &bad)
	require.ErrorContains(t, err, "1 bytes of transport parameters")
}

// TestOwnCertificateExpires: a messenger does not show a certificate that expired while it
// ran, on either side, and says whose it is.
func TestOwnCertificateExpires(t *testing.T) {
	clk, ca := newClock(), newCA(t, "ca")
	later := &clock{now: start.Add(10*day + 3*time.Hour)}
	old := newGivenAuth(t, clk, issue(t, ca, osd3), ca)
	longer, err := ca.Issue(admin, start, start.Add(99*day), nil)
	require.NoError(t, err)
	peer := newGivenAuth(t, later, longer, ca)
	clk.add(10*day + 3*time.Hour)
	o := script{}.run(old.Client(), peer.Server())
	var own *OwnError
	require.ErrorAs(t, o.clientErr, &own)
	require.Equal(t, "tlsauth: our own certificate, osd.3: certificate expired 3 h ago; renew it (msgr cert renew)",
		said(o.clientErr))
	o = script{}.run(peer.Client(), old.Server())
	require.ErrorIs(t, o.serverErr, ErrExpired)
	require.True(t, errors.As(o.serverErr, &own))
	require.Contains(t, said(o.clientErr), "; its log says why")
}
