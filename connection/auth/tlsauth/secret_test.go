package tlsauth

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

func newSecretAuth(t testing.TB, clk *clock, name entity.AuthName, secrets ...Secret) *Auth {
	a, err := New(Config{Name: name, Secrets: secrets, Time: clk.time})
	require.NoError(t, err)
	return a
}

func TestSharedSecret(t *testing.T) {
	a, err := SharedSecret(admin, secret)
	require.NoError(t, err)
	b, err := SharedSecret(osd3, secret)
	require.NoError(t, err)
	o := script{clientType: entity.TypeClient, serverType: entity.TypeOSD}.run(a.Client(), b.Server())
	wantDone(t, o, admin, osd3)
	require.Equal(t, admin, a.Name())
}

// TestAuthorityOfASecret: it is the same for all who have the secret, whenever they make
// it, and nothing of it is that of another secret. The bytes are written down: they are a
// part of the protocol.
func TestAuthorityOfASecret(t *testing.T) {
	a, err := authorityOf(secret)
	require.NoError(t, err)
	b, err := authorityOf(append(Secret(nil), secret...))
	require.NoError(t, err)
	require.Equal(t, a.cert.Raw, b.cert.Raw)
	c, err := authorityOf(append(Secret(nil), secret[:len(secret)-1]...))
	require.NoError(t, err)
	require.NotEqual(t, a.cert.PublicKey, c.cert.PublicKey)
	require.NotEqual(t, a.cert.SerialNumber, c.cert.SerialNumber)
	require.NotEqual(t, a.cert.Subject.CommonName, c.cert.Subject.CommonName)
	require.Equal(t, goldenAuthority, fmt.Sprintf("%x", a.cert.PublicKey))
	require.Equal(t, goldenSerial, fmt.Sprintf("%x", a.cert.SerialNumber))
}

// The public key for secret and the number of the certificate, computed with Python's hmac
// (RFC 5869) and OpenSSL.
const (
	goldenAuthority = "75cbf53e8fcd222f40c247dc7e1085f47d17035647c1fffd4a5d688ce8569e46"
	goldenSerial    = "77c031fd60e4ee44651147f14e765c98"
)

// TestSecretsRotate: {old}, {old, new}, {new, old}, {new}: neighbours of the list talk to
// each other, and the ends do not, which is said clearly.
func TestSecretsRotate(t *testing.T) {
	clk, older, newer := newClock(), secret, Secret("another one, 23 bytes..")
	var stages []*Auth
	for _, s := range [][]Secret{{older}, {older, newer}, {newer, older}, {newer}} {
		stages = append(stages, newSecretAuth(t, clk, osd3, s...))
	}
	talks := func(i, j int) bool { return i-j <= 1 && j-i <= 1 || i+j == 3 && i != 0 && j != 0 }
	for i, client := range stages {
		for j, server := range stages {
			o := script{}.run(client.Client(), server.Server())
			if talks(i, j) {
				wantDone(t, o, osd3, osd3)
				continue
			}
			require.False(t, o.finished(), "%d to %d", i, j)
			err := o.serverErr
			if err == nil {
				err = o.clientErr
			}
			require.ErrorIs(t, err, ErrUnknownAuthority)
			require.Contains(t, said(err), "; give both sides the same secret")
			require.ErrorContains(t, err,
				`osd.3: certificate is signed by an authority that is not trusted here ("shared secret `)
		}
	}
}

// TestWrongSecret: either side notices, the client first.
func TestWrongSecret(t *testing.T) {
	clk := newClock()
	a, b := newSecretAuth(t, clk, admin, secret), newSecretAuth(t, clk, osd3, append(Secret("x"), secret...))
	o := script{}.run(a.Client(), b.Server())
	require.ErrorIs(t, o.clientErr, ErrUnknownAuthority)
	require.Len(t, o.payloads, 2)
	// A client that trusts both.
	both := newSecretAuth(t, clk, admin, secret, append(Secret("x"), secret...))
	o = script{}.run(both.Client(), b.Server())
	require.ErrorIs(t, o.serverErr, ErrUnknownAuthority)
	require.EqualValues(t, -13, refusalOf(o.serverErr).Result)
}

func TestSecretsRefused(t *testing.T) {
	for n := range SecretMin {
		_, err := SharedSecret(osd3, secret, make(Secret, n))
		var bad *ConfigError
		require.ErrorAs(t, err, &bad)
		require.ErrorIs(t, err, ErrSecretShort)
		require.Equal(t, "Secrets[1]", bad.Field)
	}
	_, err := SharedSecret(osd3, make(Secret, SecretMin))
	require.NoError(t, err)
	_, err = SharedSecret(osd3)
	require.ErrorIs(t, err, ErrNoKeys)
	for _, n := range []entity.AuthName{{}, {Type: entity.TypeOSD}, {Type: entity.TypeAny, ID: "1"},
		{Type: 8, ID: "a b"}} {
		_, err = SharedSecret(n, secret)
		var bad *ConfigError
		require.ErrorAs(t, err, &bad)
		require.Equal(t, "Name", bad.Field)
	}
}

// TestSelfIssuedCertificates: one for a day, another after half of it, and clocks may
// differ by five minutes.
func TestSelfIssuedCertificates(t *testing.T) {
	clk := newClock()
	a, b := newSecretAuth(t, clk, admin, secret), newSecretAuth(t, clk, osd3, secret)
	talk := func() auth.Result {
		o := script{}.run(a.Client(), b.Server())
		wantDone(t, o, admin, osd3)
		return o.client
	}
	first := talk()
	require.Equal(t, start.Add(24*time.Hour), first.Expires)
	require.Equal(t, start.Add(-5*time.Minute), first.Proof.(*tls.ConnectionState).PeerCertificates[0].NotBefore)
	clk.add(selfRenew - time.Second)
	require.Equal(t, first.Expires, talk().Expires, "the same one still")
	clk.add(time.Second)
	require.Equal(t, start.Add(selfRenew+selfLife), talk().Expires)
	for range 20 {
		clk.add(selfRenew + time.Hour)
		require.Equal(t, clk.time().Add(selfLife), talk().Expires)
	}
	clk.add(-30 * day) // a clock that was put right
	require.Equal(t, clk.time().Add(selfLife), talk().Expires)

	for _, c := range []struct {
		behind time.Duration
		ok     bool
	}{{selfSkew, true}, {selfSkew + time.Second, false}, {-selfLife, true}, {-selfLife - time.Second, false}} {
		slow := &clock{now: clk.time().Add(-c.behind)}
		fresh := newSecretAuth(t, clk, osd3, secret)
		_, err := fresh.keys.credentials(clk.time()) // issued now
		require.NoError(t, err)
		o := script{}.run(newSecretAuth(t, slow, admin, secret).Client(), fresh.Server())
		if c.ok && c.behind > 0 {
			wantDone(t, o, admin, osd3)
			continue
		}
		require.Equal(t, c.ok, o.clientErr == nil || refusalOf(o.serverErr) != nil, "%v: %v", c.behind, o.clientErr)
		if !c.ok && c.behind > 0 {
			require.ErrorIs(t, o.clientErr, ErrNotYetValid)
		} else if !c.ok {
			require.ErrorIs(t, o.clientErr, ErrExpired)
		}
	}
}

// failing is a source of chance that fails while it is told to.
type failing struct {
	io.Reader
	fail bool
}

func (f *failing) Read(p []byte) (int, error) {
	if f.fail {
		return 0, errors.New("no chance")
	}
	return f.Reader.Read(p)
}

// TestRandomnessFails: the last certificate is used while it is good, and Warn is told.
func TestRandomnessFails(t *testing.T) {
	r, clk, warnings := chance(t), newClock(), 0
	src := &failing{Reader: rand.NewChaCha8([32]byte{byte(r.IntN(256))})}
	a, err := New(Config{Name: osd3, Secrets: []Secret{secret}, Time: clk.time, Rand: src, Warn: func(err error) {
		require.ErrorContains(t, err, "no chance")
		warnings++
	}})
	require.NoError(t, err)
	src.fail = true
	o := script{}.run(a.Client(), a.Server())
	require.ErrorContains(t, o.clientErr, "a key for osd.3: no chance")
	src.fail = false
	wantDone(t, script{}.run(a.Client(), a.Server()), osd3, osd3)
	src.fail = true
	clk.add(selfRenew)
	wantDone(t, script{}.run(a.Client(), a.Server()), osd3, osd3)
	require.Equal(t, 2, warnings) // for either side
	clk.add(selfRenew + time.Second)
	o = script{}.run(a.Client(), a.Server())
	require.ErrorIs(t, o.clientErr, ErrExpired)
	src.fail = false
	wantDone(t, script{}.run(a.Client(), a.Server()), osd3, osd3)
}

// TestNoSecretInATextAtAll: whatever is printed of what has keys, and each error of
// handshakes that fail, has no key in it, in no encoding.
func TestNoSecretInATextAtAll(t *testing.T) {
	r, clk := chance(t), newClock()
	own := make(Secret, 32)
	for i := range own {
		own[i] = byte(r.IntN(256))
	}
	old := Secret(strings.Repeat("p", 20))
	cfg := Config{Name: osd3, Secrets: []Secret{own, old}, Time: clk.time}
	a, err := New(cfg)
	require.NoError(t, err)
	require.Nil(t, a.cfg.Secrets, "they are not kept")
	_, err = a.keys.credentials(clk.time())
	require.NoError(t, err)
	hidden := map[string][]byte{"secret": own, "old secret": old}
	for i, s := range []Secret{own, old} {
		ca, err := authorityOf(s)
		require.NoError(t, err)
		_, key, err := ca.PEM()
		require.NoError(t, err)
		hidden[fmt.Sprint("authority ", i)] = ca.key.(interface{ Seed() []byte }).Seed()
		hidden[fmt.Sprint("authority's file ", i)] = key[30:60]
	}
	leaf := a.keys.(*secrets).current.client.Certificates[0]
	hidden["own key"] = leaf.PrivateKey.(interface{ Seed() []byte }).Seed()

	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	jsonLogger := slog.New(slog.NewJSONHandler(&log, nil))
	show := func(v any) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&log, verb+"\n", v)
		}
		logger.Info("x", "v", v)
		jsonLogger.Info("x", "v", v)
		if b, err := json.Marshal(v); err == nil {
			log.Write(b)
		}
	}
	ca, err := authorityOf(own)
	require.NoError(t, err)
	c, v := a.Client().NewExchange(0, 0), a.Server().NewExchange(0, 0)
	defer closeExchange(c)
	defer closeExchange(v)
	hello, err := c.Request()
	require.NoError(t, err)
	rep, err := v.Request(hello)
	require.NoError(t, err)
	finish, err := c.More(rep.Payload)
	require.NoError(t, err)
	for _, x := range []any{own, &own, []Secret{own}, cfg, &cfg, a, *ca, ca, a.Client(), a.Server(), c, v,
		struct{ S Secret }{own}} {
		show(x)
	}
	k := c.(*clientExchange).agreed
	show(k)
	show(*k)
	hidden["connection secret"], hidden["session key"] = k.connectionSecret, k.sessionKey
	last, err := v.More(finish)
	require.NoError(t, err)
	show(last.Result.Proof)

	// Each way to fail, of this package's tests: bits that are flipped anywhere.
	for range 200 {
		step, at := r.IntN(3), r.IntN(1<<16)
		o := script{edit: func(s int, p []byte) []byte {
			if s == step {
				p[at%len(p)] ^= 1 << (at % 8)
			}
			return p
		}}.run(a.Client(), a.Server())
		show(o.clientErr)
		show(o.serverErr)
	}
	_, err = SharedSecret(osd3, own[:15])
	show(err)
	hidden["short secret"] = own[:15]
	other := newSecretAuth(t, clk, admin, append(Secret("x"), own...))
	o := script{}.run(other.Client(), a.Server())
	show(o.clientErr)

	require.Equal(t, "tlsauth.Config(osd.3)", fmt.Sprintf("%+v", cfg))
	require.Equal(t, "tlsauth.Auth(osd.3)", fmt.Sprintf("%+v", a))
	text := log.String()
	require.Greater(t, len(text), 10000)
	for what, b := range hidden {
		require.GreaterOrEqual(t, len(b), 15)
		for how, s := range map[string]string{
			"raw": string(b), "hex": hex.EncodeToString(b), "HEX": strings.ToUpper(hex.EncodeToString(b)),
			"base64": base64.RawStdEncoding.EncodeToString(b), "base64url": base64.RawURLEncoding.EncodeToString(b),
			"decimal": strings.Trim(fmt.Sprint([]byte(b)), "[]"),
			"%#v":     strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", []byte(b)), "[]byte{"), "}"),
			"quoted":  strings.Trim(fmt.Sprintf("%q", string(b)), `"`),
		} {
			require.NotContains(t, text, s, "%s, %s", what, how)
			require.NotContains(t, text, s[:len(s)/2], "half of %s, %s", what, how)
		}
	}
}
