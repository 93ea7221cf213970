package tlsauth

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// long runs take minutes: every bit of each payload is flipped. The default run takes a
// sample of them.
var long = os.Getenv("ASYNCMSGR_LONG") != ""

var seedFlag = flag.Uint64("tls-seed", 0, "the seed of random tests; 0: from the clock")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// chance returns the test's source of chance, and prints its seed.
func chance(t testing.TB) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-tls-seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// start is when the tests' clocks begin.
var start = time.Date(2030, 6, 1, 12, 0, 0, 0, time.UTC)

// clock is a wall clock that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: start} }

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

var (
	osd3   = entity.AuthName{Type: entity.TypeOSD, ID: "3"}
	osd4   = entity.AuthName{Type: entity.TypeOSD, ID: "4"}
	admin  = entity.AuthName{Type: entity.TypeClient, ID: "admin"}
	monA   = entity.AuthName{Type: entity.TypeMon, ID: "a"}
	day    = 24 * time.Hour
	secret = Secret("sixteen bytes or more")
)

// newCA is an authority of the tests.
func newCA(t testing.TB, name string) *Authority {
	a, err := NewAuthority(name, start.Add(-365*day), start.Add(365*day), nil)
	require.NoError(t, err)
	return a
}

func issue(t testing.TB, ca *Authority, name entity.AuthName) tls.Certificate {
	c, err := ca.Issue(name, start.Add(-time.Hour), start.Add(10*day), nil)
	require.NoError(t, err)
	return c
}

func poolOf(cas ...*Authority) *x509.CertPool {
	p := x509.NewCertPool()
	for _, ca := range cas {
		p.AddCert(ca.Certificate())
	}
	return p
}

func tlsOf(c tls.Certificate, cas ...*Authority) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{c}, RootCAs: poolOf(cas...)}
}

// newGivenAuth is an Auth that shows c and trusts the authorities.
func newGivenAuth(t testing.TB, clk *clock, c tls.Certificate, cas ...*Authority) *Auth {
	a, err := New(Config{TLS: tlsOf(c, cas...), Time: clk.time})
	require.NoError(t, err)
	return a
}

// folder has the three files of a messenger.
type folder struct{ cert, key, ca string }

func newFolder(t testing.TB) folder {
	dir := t.TempDir()
	return folder{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")}
}

// put replaces a file as careful programs do: by a rename.
func put(t testing.TB, name string, text []byte) {
	require.NoError(t, os.WriteFile(name+".new", text, 0o600))
	require.NoError(t, os.Rename(name+".new", name))
}

func (f folder) putPair(t testing.TB, c tls.Certificate) {
	cert, key, err := EncodePEM(c)
	require.NoError(t, err)
	put(t, f.cert, cert)
	put(t, f.key, key)
}

func (f folder) putCA(t testing.TB, cas ...*Authority) {
	var text []byte
	for _, ca := range cas {
		cert, _, err := ca.PEM()
		require.NoError(t, err)
		text = append(text, cert...)
	}
	put(t, f.ca, text)
}

func (f folder) config(clk *clock) Config {
	return Config{CertFile: f.cert, KeyFile: f.key, CAFile: f.ca, Time: clk.time}
}

// script carries the payloads of a handshake between two exchanges and may change each:
// edit gets 0 for the client's AUTH_REQUEST, 1 for the server's answer, and so on; the
// last one is AUTH_DONE.
type script struct {
	clientType, serverType entity.Type // as HELLO has them; 0: not known
	edit                   func(step int, payload []byte) []byte
}

// outcome is how a handshake ended. Each side has a result or an error, or neither if the
// other side failed before.
type outcome struct {
	client, server       auth.Result
	clientErr, serverErr error
	payloads             [][]byte
}

// run lets both sides talk as the session would, and closes both exchanges.
func (s script) run(client auth.Client, server auth.Server) (o outcome) {
	c, v := client.NewExchange(s.clientType, s.serverType), server.NewExchange(s.serverType, s.clientType)
	defer closeExchange(c)
	defer closeExchange(v)
	carry := func(p []byte) []byte {
		if s.edit != nil {
			p = s.edit(len(o.payloads), append([]byte(nil), p...))
		}
		o.payloads = append(o.payloads, p)
		return p
	}
	req, err := c.Request()
	if err != nil {
		o.clientErr = err
		return o
	}
	req.Payload = carry(req.Payload)
	rep, err := v.Request(req)
	for range 8 {
		if err != nil {
			o.serverErr = err
			if refusal := refusalOf(err); refusal != nil {
				_, o.clientErr = c.BadMethod(refusal)
			}
			return o
		}
		p := carry(rep.Payload)
		if rep.Done {
			o.server = rep.Result
			o.client, o.clientErr = c.Done(rep.Result.GlobalID, rep.Result.Mode, p)
			return o
		}
		var answer []byte
		if answer, o.clientErr = c.More(p); o.clientErr != nil {
			return o
		}
		rep, err = v.More(carry(answer))
	}
	panic("a handshake without end")
}

func closeExchange(x any) {
	if err := x.(interface{ Close() error }).Close(); err != nil {
		panic(err)
	}
}

// finished says that both sides have the same keys: what must not be if anything was wrong.
func (o outcome) finished() bool {
	return o.clientErr == nil && o.serverErr == nil && len(o.client.ConnectionSecret) > 0 &&
		string(o.client.ConnectionSecret) == string(o.server.ConnectionSecret)
}

func wantDone(t testing.TB, o outcome, client, server entity.AuthName) {
	t.Helper()
	require.NoError(t, o.clientErr)
	require.NoError(t, o.serverErr)
	require.Equal(t, server, o.client.Peer)
	require.Equal(t, client, o.server.Peer)
	for _, r := range []auth.Result{o.client, o.server} {
		require.True(t, r.Proved)
		require.Equal(t, auth.MethodTLS, r.Method)
		require.Equal(t, auth.ModeSecure, r.Mode)
		require.GreaterOrEqual(t, len(r.ConnectionSecret), auth.ConnectionSecretMin)
		require.GreaterOrEqual(t, len(r.SessionKey), auth.SessionKeyMin)
		require.NotContains(t, string(r.ConnectionSecret), string(r.SessionKey))
		require.Equal(t, r.Expires, r.Proof.(*tls.ConnectionState).PeerCertificates[0].NotAfter)
	}
	require.Equal(t, o.client.ConnectionSecret, o.server.ConnectionSecret)
	require.Equal(t, o.client.SessionKey, o.server.SessionKey)
}

// said is what a log has of an error: its text and what to do.
func said(err error) string {
	var knows interface {
		error
		Hint() string
	}
	if errors.As(err, &knows) {
		return err.Error() + "; " + knows.Hint()
	}
	return err.Error()
}

// withName is a change of a certificate: its name.
func withName(n entity.AuthName) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.Subject.CommonName = n.String() }
}
