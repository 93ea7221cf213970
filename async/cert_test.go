package async

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest/faultkit"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/tlsauth"
)

// certLab is a lab with an authority and a wall clock that tests set.
type certLab struct {
	*lab
	cas  []*tlsauth.Authority
	mu   sync.Mutex
	wall time.Time
}

var certStart = time.Date(2030, 6, 1, 12, 0, 0, 0, time.UTC)

func newCertLab(t testing.TB) *certLab {
	l := &certLab{lab: newLab(t), wall: certStart}
	l.addAuthority()
	return l
}

func (l *certLab) addAuthority() *tlsauth.Authority {
	ca, err := tlsauth.NewAuthority("the tests' authority", certStart.Add(-time.Hour), certStart.AddDate(9, 0, 0), nil)
	require.NoError(l.t, err)
	l.cas = append(l.cas, ca)
	return ca
}

func (l *certLab) now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wall
}

func (l *certLab) pass(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wall = l.wall.Add(d)
}

// certFiles is a messenger's keys in files, and what it says of them.
type certFiles struct {
	l              *certLab
	name           entity.AuthName
	cert, key, cas string
	book           logbook
	ahead          time.Duration // its clock is, of the lab's
	auth           *tlsauth.Auth
}

// files are those of a messenger called name, whose certificate is valid from now for so
// long.
func (l *certLab) files(name string, from, life time.Duration) *certFiles {
	dir := l.t.TempDir()
	f := &certFiles{l: l, cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"),
		cas: filepath.Join(dir, "ca.pem")}
	var err error
	f.name, err = entity.ParseAuthName(name)
	require.NoError(l.t, err)
	f.book.on = l.notify
	f.trust(l.cas...)
	f.renew(l.cas[0], from, life)
	return f
}

func (f *certFiles) put(name string, text []byte) {
	require.NoError(f.l.t, os.WriteFile(name+".new", text, 0o600))
	require.NoError(f.l.t, os.Rename(name+".new", name))
}

func (f *certFiles) trust(cas ...*tlsauth.Authority) {
	var all []byte
	for _, ca := range cas {
		text, _, err := ca.PEM()
		require.NoError(f.l.t, err)
		all = append(all, text...)
	}
	f.put(f.cas, all)
}

// renew writes another certificate, and returns it.
func (f *certFiles) renew(ca *tlsauth.Authority, from, life time.Duration) *x509.Certificate {
	c, cert, key := f.issue(ca, from, life)
	f.put(f.cert, cert)
	f.put(f.key, key)
	return c.Leaf
}

func (f *certFiles) issue(ca *tlsauth.Authority, from, life time.Duration) (c tls.Certificate, cert, key []byte) {
	now := f.l.now()
	c, err := ca.Issue(f.name, now.Add(from), now.Add(from+life), nil)
	require.NoError(f.l.t, err)
	cert, key, err = tlsauth.EncodePEM(c)
	require.NoError(f.l.t, err)
	return c, cert, key
}

// use makes a node have the keys, and log into the book.
func (f *certFiles) use(c *Config) {
	a, err := tlsauth.New(tlsauth.Config{CertFile: f.cert, KeyFile: f.key, CAFile: f.cas,
		Time: func() time.Time { return f.l.now().Add(f.ahead) },
		Warn: func(err error) { f.book.logger().Warn("keys", "err", err) }})
	require.NoError(f.l.t, err)
	f.auth = a
	c.AuthClient, c.AuthServer, c.Logger = a.Client(), a.Server(), f.book.logger()
}

// shown is the certificate that the peer showed on a connection.
func shown(c msg.Connection) *x509.Certificate {
	cs, ok := c.Authenticated().Proof.(*tls.ConnectionState)
	if !ok || len(cs.PeerCertificates) == 0 {
		return nil
	}
	return cs.PeerCertificates[0]
}

// TestCertificateExpires: an established session goes on when a certificate expires, with
// all that is sent. The handshake after the next break fails: one warning says whose
// certificate, since when and what to do. When it is renewed, the session goes on by itself,
// and nothing was lost.
func TestCertificateExpires(t *testing.T) {
	for _, whose := range []string{"client", "server"} {
		t.Run(whose, func(t *testing.T) {
			l := newCertLab(t)
			life := map[string]time.Duration{"client": 100 * time.Hour, "server": 100 * time.Hour}
			life[whose] = 10 * time.Hour
			sf, cf := l.files("osd.0", -time.Minute, life["server"]), l.files("osd.1", -time.Minute, life["client"])
			cuts := faultkit.NewCutStack(l.stack, faultkit.CutConfig{})
			srv := l.server(entity.OSD(0), msg.StatefulServer(), sf.use)
			cl := l.client(entity.OSD(1), msg.LosslessClient(), cf.use, func(c *Config) { c.Stack = cuts.Stack() })
			c := l.connect(cl, srv)
			require.Equal(t, auth.MethodTLS, c.Authenticated().Method)
			require.True(t, c.Authenticated().Proved)

			l.pass(12 * time.Hour)
			require.NoError(t, c.Send(text("after it expired")))
			srv.wantMessages(1)
			require.Empty(t, cf.book.lines("level=WARN"))

			require.True(t, cuts.Arm(0, faultkit.Cut{Kind: faultkit.CutRST, Dir: faultkit.CutWrite}))
			require.NoError(t, c.Send(text("after a break")))
			// What this side finds out of itself is not a refusal.
			reason := map[string]msg.Reason{"client": msg.ReasonOther, "server": msg.ReasonAuth}[whose]
			l.until("attempts", func() bool { return cl.Stats().ConnectFailures[reason] >= 4 })
			require.False(t, c.IsConnected())
			own, other := cf, sf
			if whose == "server" {
				own, other = sf, cf
			}
			require.Len(t, own.book.lines("level=WARN", "our own certificate", own.name.String(), "certificate expired",
				"ago", "renew it"), 1, "%s", own.book.lines("level=WARN"))
			require.LessOrEqual(t, len(other.book.lines("level=WARN")), 1, "%s", other.book.lines("level=WARN"))

			own.renew(l.cas[0], -time.Minute, 100*time.Hour)
			l.pass(2 * time.Second) // files are looked at once a second
			l.until("connected", c.IsConnected)
			require.Equal(t, []string{"after it expired", "after a break"}, srv.wantMessages(2))
			require.Zero(t, cl.times("reset")+cl.times("remote reset")+srv.times("reset")+srv.times("remote reset"))
		})
	}
}

// TestCertificateNotYetValid: a client whose clock is ahead shows a certificate that is not
// valid yet for the server, which says so once, with the name; and lets it in when it is.
func TestCertificateNotYetValid(t *testing.T) {
	l := newCertLab(t)
	sf := l.files("osd.0", -time.Minute, 100*time.Hour)
	cf := l.files("osd.1", 2*time.Hour, 10*time.Hour)
	_, err := tlsauth.New(tlsauth.Config{CertFile: cf.cert, KeyFile: cf.key, CAFile: cf.cas, Time: l.now})
	require.ErrorIs(t, err, tlsauth.ErrNotYetValid)
	require.ErrorContains(t, err, cf.cert)

	cf.ahead = 3 * time.Hour
	srv := l.server(entity.OSD(0), msg.StatefulServer(), sf.use)
	cl := l.client(entity.OSD(1), msg.LosslessClient(), cf.use)
	c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	require.NoError(t, c.Send(text("early")))
	l.until("attempts", func() bool { return cl.Stats().ConnectFailures[msg.ReasonAuth] >= 4 })
	require.Len(t, sf.book.lines("level=WARN", "osd.1", "certificate is not valid yet"), 1,
		"%s", sf.book.lines("level=WARN"))
	require.Len(t, sf.book.lines("level=WARN"), 1)
	require.Len(t, cf.book.lines("level=WARN", "cannot connect", "osd.1"), 1, "%s", cf.book.lines("level=WARN"))
	require.Empty(t, cf.book.lines("not valid yet"), "the peer learns a number only")
	l.pass(2 * time.Hour)
	l.until("connected", c.IsConnected)
	require.Equal(t, []string{"early"}, srv.wantMessages(1))
}

// TestCertificatesRotate: files that are replaced are used by new handshakes; established
// sessions go on with what they were made with, without a break.
func TestCertificatesRotate(t *testing.T) {
	l := newCertLab(t)
	sf, cf := l.files("osd.0", -time.Minute, 10*time.Hour), l.files("osd.1", -time.Minute, 10*time.Hour)
	srv := l.server(entity.OSD(0), msg.StatefulServer(), sf.use)
	cl := l.client(entity.OSD(1), msg.LosslessClient(), cf.use)
	c := l.connect(cl, srv)
	first := shown(c)

	second := sf.renew(l.cas[0], -time.Minute, 20*time.Hour)
	l.pass(time.Hour)
	xf := l.files("osd.2", -time.Minute, 10*time.Hour)
	other := l.client(entity.OSD(2), msg.LosslessClient(), xf.use)
	d := l.connect(other, srv)
	require.True(t, second.Equal(shown(d)), "a new handshake has the new one")
	require.Equal(t, second.NotAfter, d.Authenticated().Expires)
	require.True(t, first.Equal(shown(c)), "an established session is what it was")
	require.NoError(t, c.Send(text("the old one")))
	srv.wantMessages(1)
	require.True(t, first.Equal(shown(c)))

	// The authority changes: first all trust both, then all show one of the new, then the old
	// one goes. Nobody is refused in between, and established sessions do not notice.
	next := l.addAuthority()
	all := []*certFiles{sf, cf, xf}
	wantNew := func() {
		t.Helper()
		l.pass(2 * time.Second)
		for number, f := range map[int64]*certFiles{1: cf, 2: xf} { // another process of either
			cl := l.client(entity.OSD(number), msg.LosslessClient(), func(c *Config) {
				c.AuthClient, c.AuthServer, c.Logger = f.auth.Client(), f.auth.Server(), f.book.logger()
			})
			l.connect(cl, srv)
			cl.MarkDownAll()
		}
	}
	for _, f := range all {
		f.trust(l.cas[0], next)
	}
	wantNew()
	for _, f := range all {
		f.renew(next, -time.Minute, 20*time.Hour)
	}
	wantNew()
	for _, f := range all {
		f.trust(next)
	}
	wantNew()
	old := l.files("osd.3", -time.Minute, 10*time.Hour) // by the old authority
	late := l.client(entity.OSD(3), msg.LosslessClient(), old.use)
	e, err := late.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	l.until("refused", func() bool { return late.Stats().ConnectFailures[msg.ReasonAuth] >= 3 })
	require.Len(t, sf.book.lines("level=WARN", "osd.3", "not trusted here"), 1, "%s", sf.book.lines("level=WARN"))
	require.Len(t, sf.book.lines("level=WARN", sf.cas), 1)
	e.MarkDown()

	require.NoError(t, c.Send(text("still")))
	require.NoError(t, d.Send(text("there")))
	require.ElementsMatch(t, []string{"the old one", "still", "there"}, srv.wantMessages(3))
	require.True(t, first.Equal(shown(c)))
	require.Equal(t, 1, cl.times("connect"))
	require.Equal(t, 1, other.times("connect"))
}

// TestRenewalFails: files that cannot be used are told once, with the file and the reason,
// and what was read before stays in use, until they can be.
func TestRenewalFails(t *testing.T) {
	l := newCertLab(t)
	sf, cf := l.files("osd.0", -time.Minute, 10*time.Hour), l.files("osd.1", -time.Minute, 10*time.Hour)
	srv := l.server(entity.OSD(0), msg.StatefulServer(), sf.use)
	cl := l.client(entity.OSD(1), msg.LosslessClient(), cf.use)
	reconnect := func() *x509.Certificate {
		t.Helper()
		l.pass(2 * time.Second)
		c := l.connect(cl, srv)
		cert := shown(c)
		c.MarkDown()
		return cert
	}
	first := reconnect()
	_, cert, key := sf.issue(l.cas[0], -time.Minute, 20*time.Hour)
	_, expired, expiredKey := sf.issue(l.cas[0], -30*time.Minute, time.Minute)
	good, _ := os.ReadFile(sf.cert)
	goodKey, _ := os.ReadFile(sf.key)
	for i, bad := range []struct {
		cert, key []byte
		file, why string
	}{
		{cert[:len(cert)/2], goodKey, sf.cert, "half-written"},
		{cert, goodKey, sf.key, "do not belong together"},
		{cert, key[:20], sf.key, "half-written"},
		{expired, expiredKey, sf.cert, "certificate expired"},
		{good, nil, sf.key, "no such file"},
	} {
		sf.put(sf.cert, bad.cert)
		sf.put(sf.key, bad.key)
		if bad.key == nil {
			require.NoError(t, os.Remove(sf.key))
		}
		for range 3 {
			require.True(t, first.Equal(reconnect()), bad.why)
		}
		require.Len(t, sf.book.lines("level=WARN", bad.file, bad.why, "what was read before stays in use"), 1,
			"%s", sf.book.lines("level=WARN"))
		require.Len(t, sf.book.lines("level=WARN"), i+1)
	}
	sf.put(sf.cert, cert)
	sf.put(sf.key, key)
	require.False(t, first.Equal(reconnect()))
	require.Len(t, sf.book.lines("level=WARN"), 5)
	require.Empty(t, cf.book.lines("level=WARN"))
}
