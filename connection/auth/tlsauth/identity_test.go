package tlsauth

import (
	"crypto/x509"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

func TestParseName(t *testing.T) {
	for s, want := range map[string]entity.AuthName{
		"osd.3": osd3, "client.admin": admin, "mon.a": monA,
		"client.rgw.host-1_b+c@d": {Type: entity.TypeClient, ID: "rgw.host-1_b+c@d"},
		"mgr.x":                   {Type: entity.TypeMgr, ID: "x"},
		"mds.0":                   {Type: entity.TypeMDS, ID: "0"},
		"osd.03":                  {Type: entity.TypeOSD, ID: "03"},
	} {
		n, err := parseName(s)
		require.NoError(t, err, s)
		require.Equal(t, want, n)
		require.Equal(t, s, n.String())
	}
	for _, s := range []string{
		"", ".", "osd", "osd.", ".3", "OSD.3", "osd.3 ", " osd.3", "osd.3\x00", "osd.3\n", "osd.*", "*.3", "any.3",
		"auth.1", "type4.3", "type8.admin", "osd:3", "client.\u00e9", "client.a/b", "client.%41", "http://osd.3",
		"client." + strings.Repeat("a", nameLenMax),
	} {
		_, err := parseName(s)
		require.Error(t, err, "%q", s)
	}
}

// FuzzIdentify: a name that is found has one spelling and is safe to print, and stands in
// the certificate.
func FuzzIdentify(f *testing.F) {
	for _, s := range []string{"ceph:osd.3", "CEPH:osd.3", "ceph://osd.3", "ceph:osd.3?x", "ceph:osd.3#",
		"ceph:osd%2e3",
		"spiffe://a/osd.3", "ceph:/osd.3", "ceph:client.a%0a"} {
		f.Add(s, "", "")
		f.Add(s, "client.admin", "osd.4")
	}
	f.Add("", "client.admin", "client.admin")
	f.Fuzz(func(t *testing.T, uri, cn, dns string) {
		cert := new(x509.Certificate)
		cert.Subject.CommonName = cn
		if u, err := url.Parse(uri); err == nil {
			cert.URIs = append(cert.URIs, u)
		}
		if dns != "" {
			cert.DNSNames = []string{dns}
		}
		require.NotContains(t, claimed(cert), "\n")
		n, err := Identify(cert)
		if err != nil {
			require.ErrorIs(t, err, ErrNoName)
			require.NotContains(t, err.Error(), "\n")
			return
		}
		require.NoError(t, checkName(n))
		switch again := n.String(); {
		// The scheme in any case, and net/url forgets an empty fragment.
		case strings.EqualFold(strings.TrimSuffix(uri, "#"), "ceph:"+again):
		case again == cn || again == dns:
			require.True(t, cn == dns || cn == again != (dns == again))
		default:
			t.Fatalf("%s is in none of %q, %q, %q", again, uri, cn, dns)
		}
		back, err := parseName(n.String())
		require.NoError(t, err)
		require.Equal(t, n, back)
	})
}

// TestOwnIdentity: a function of the user maps other names, of peers and of its own.
func TestOwnIdentity(t *testing.T) {
	clk, ca := newClock(), newCA(t, "ca")
	spiffe := func(path string) *url.URL { return &url.URL{Scheme: "spiffe", Host: "cluster", Path: path} }
	own := func(path string) Config {
		c := special(t, ca, func(c *x509.Certificate) { c.Subject.CommonName, c.URIs = "x", []*url.URL{spiffe(path)} })
		return Config{TLS: tlsOf(c, ca), Time: clk.time, Identity: func(c *x509.Certificate) (entity.AuthName, error) {
			return entity.ParseAuthName(strings.ReplaceAll(c.URIs[0].Path[1:], "/", "."))
		}}
	}
	client, err := New(own("/client/admin"))
	require.NoError(t, err)
	server, err := New(own("/osd/3"))
	require.NoError(t, err)
	wantDone(t, script{}.run(client.Client(), server.Server()), admin, osd3)

	// Whose function says no is refused as by us.
	cfg := own("/osd/3")
	cfg.Identity = nil
	_, err = New(cfg)
	require.ErrorIs(t, err, ErrNoName)
	server.cfg.Identity = Identify
	o := script{}.run(client.Client(), server.Server())
	require.ErrorIs(t, o.serverErr, ErrNoName)
	require.EqualValues(t, -13, refusalOf(o.serverErr).Result)
}
