package async

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest/faultkit"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/tlsauth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// hidden are the keys of a run, and all that was printed of it.
type hidden struct {
	mu   sync.Mutex
	keys map[string]string // and what they are
	book logbook
}

// add is one more key.
func (h *hidden) add(what string, key []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(key) >= 16 {
		h.keys[string(key)] = what
	}
}

// logger logs everything, as text and as JSON.
func (h *hidden) logger(asJSON bool) *slog.Logger {
	opts := &slog.HandlerOptions{Level: slog.LevelDebug - 4, AddSource: true}
	if asJSON {
		return slog.New(slog.NewJSONHandler(&h.book, opts))
	}
	return slog.New(slog.NewTextHandler(&h.book, opts))
}

// verbs prints v by those verbs.
func (h *hidden) verbs(v any, verbs ...string) {
	for _, verb := range verbs {
		fmt.Fprintf(&h.book, verb+"\n", v)
	}
}

// show prints each in every way. Verbs that do not fit follow pointers, so that what others
// work with meanwhile is shown by verbs that do not.
func (h *hidden) show(vs ...any) {
	for _, v := range vs {
		h.verbs(v, "%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d")
		h.logger(false).Info("show", "v", v)
		h.logger(true).Info("show", "v", v)
		if b, err := json.Marshal(v); err == nil {
			h.book.Write(b)
		}
		for err, ok := v.(error); ok && err != nil; err = errors.Unwrap(err) {
			fmt.Fprintf(&h.book, "%+v %#v\n", err, err)
		}
	}
}

// encodings are how bytes may show up in a text.
func encodings(b []byte) map[string]string {
	return map[string]string{
		"raw": string(b), "hex": hex.EncodeToString(b), "HEX": strings.ToUpper(hex.EncodeToString(b)),
		"base64": base64.RawStdEncoding.EncodeToString(b), "base64url": base64.RawURLEncoding.EncodeToString(b),
		"decimal":    strings.Trim(fmt.Sprint(b), "[]"),
		"json":       strings.ReplaceAll(strings.Trim(fmt.Sprint(b), "[]"), " ", ","),
		"Go, stacks": strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", b), "[]byte{"), "}"),
		"quoted":     strings.Trim(fmt.Sprintf("%q", string(b)), `"`),
	}
}

// check fails if half of any key is in what was printed.
func (h *hidden) check(t *testing.T) {
	h.mu.Lock()
	defer h.mu.Unlock()
	text := h.book.buf.String()
	for key, what := range h.keys {
		for how, s := range encodings([]byte(key)[:8]) {
			if at := strings.Index(text, s); at >= 0 {
				t.Errorf("%s is printed (%s): %q HERE %.100q", what, how, text[max(0, at-300):at], text[at:])
			}
		}
	}
	t.Logf("%d keys, %d bytes printed", len(h.keys), len(text))
	require.Greater(t, len(h.keys), 20)
	require.Greater(t, len(text), 100_000)
}

// keyTap is both sides of a method, and hides what its results have. It is printed itself:
// what it needs of the hidden it has as a function.
type keyTap struct {
	tap    tap
	client auth.Client
	server auth.Server
}

type tap func(auth.Result, error) error
type tapClient struct{ *keyTap }
type tapServer struct{ *keyTap }
type tapAsking struct {
	auth.ClientExchange
	tap tap
}
type tapServing struct {
	auth.ServerExchange
	tap tap
}

func (k tapClient) NewExchange(self, peer entity.Type) auth.ClientExchange {
	return tapAsking{k.client.NewExchange(self, peer), k.tap}
}
func (k tapServer) NewExchange(self, peer entity.Type) auth.ServerExchange {
	return tapServing{k.server.NewExchange(self, peer), k.tap}
}
func (x tapAsking) Slow() bool    { return auth.IsSlow(x.ClientExchange) }
func (x tapAsking) Close() error  { return auth.Close(x.ClientExchange) }
func (x tapServing) Slow() bool   { return auth.IsSlow(x.ServerExchange) }
func (x tapServing) Close() error { return auth.Close(x.ServerExchange) }

func (x tapAsking) Done(id uint64, mode uint32, p []byte) (auth.Result, error) {
	r, err := x.ClientExchange.Done(id, mode, p)
	return r, x.tap(r, err)
}
func (x tapServing) Request(r auth.Request) (auth.Reply, error) {
	rep, err := x.ServerExchange.Request(r)
	return rep, x.tap(rep.Result, err)
}
func (x tapServing) More(p []byte) (auth.Reply, error) {
	rep, err := x.ServerExchange.More(p)
	return rep, x.tap(rep.Result, err)
}

func (h *hidden) tap(r auth.Result, err error) error {
	h.add("a session key", r.SessionKey)
	h.add("a connection secret", r.ConnectionSecret)
	if len(r.SessionKey) > 0 || err != nil {
		h.show(r, err)
	}
	return err
}

// randTap is a source of keys that are hidden.
type randTap struct{ add func(what string, key []byte) }

func (r randTap) Read(p []byte) (int, error) {
	n, err := io.ReadFull(rand.Reader, p)
	if n >= ed25519.SeedSize { // serial numbers are shorter, and no secret
		r.add("the key of a certificate", p[:n])
	}
	return n, err
}

// TestNoSecretIsPrinted: messengers with a shared secret, and with certificates, connect,
// fail in every way, and print all that they and their parts can say, with all of the log.
// Nothing of any key is in it: the secret, the keys of the authority and of certificates,
// session keys and connection secrets.
func TestNoSecretIsPrinted(t *testing.T) {
	for _, how := range []string{"shared secret", "certificate"} {
		t.Run(how, func(t *testing.T) {
			h := &hidden{keys: map[string]string{}}
			was := slog.Default()
			slog.SetDefault(h.logger(false))
			var ended []*Messenger
			t.Cleanup(func() { // when nobody works with them any more
				slog.SetDefault(was)
				for _, m := range ended {
					h.verbs(m, "%v", "%+v", "%#v")
				}
				h.check(t)
			})
			ended = testNoSecretIsPrinted(t, how == "certificate", h)
		})
	}
}

// TestHiddenIsFound: the check finds what it looks for.
func TestHiddenIsFound(t *testing.T) {
	key := []byte("\x00\x01sixteen \xffbytes\n")
	text := fmt.Sprintf("%s %v %#v %x %X %q", key, key, key, key, key, key)
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		text += e.EncodeToString(key)
	}
	text += strings.ReplaceAll(fmt.Sprint(key), " ", ",")
	for how, s := range encodings(key) {
		require.Contains(t, text, s, how)
	}
}

func testNoSecretIsPrinted(t *testing.T, certificates bool, h *hidden) (ended []*Messenger) {
	l := newCertLab(t)
	h.book.on = l.notify
	secret := make([]byte, 32)
	_, err := rand.Read(secret)
	require.NoError(t, err)
	keyFile := func(name string) {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		block, _ := pem.Decode(text)
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		require.NoError(t, err)
		h.add("the key of a certificate", key.(ed25519.PrivateKey).Seed())
	}
	var panics atomic.Pointer[string] // where the next one is
	boom := func(where string) {
		if p := panics.Load(); p != nil && *p == where && panics.CompareAndSwap(p, nil) {
			panic("planned in " + where)
		}
	}
	identity := func(c *x509.Certificate) (entity.AuthName, error) {
		boom("Identity")
		return tlsauth.Identify(c)
	}
	use := func(name, secret string) func(*Config) {
		cfg := tlsauth.Config{Time: l.now, Rand: randTap{h.add}, Identity: identity}
		if certificates {
			f := l.files(name, -time.Minute, 100*time.Hour)
			keyFile(f.key)
			cfg.CertFile, cfg.KeyFile, cfg.CAFile = f.cert, f.key, f.cas
			if secret == "wrong" {
				other := l.addAuthority()
				l.cas = l.cas[:1]
				f.renew(other, -time.Minute, 100*time.Hour)
				keyFile(f.key)
			}
		} else {
			cfg.Secrets = []tlsauth.Secret{tlsauth.Secret(secret), tlsauth.Secret(strings.Repeat("s", 16) + secret)}
			var err error
			cfg.Name, err = entity.ParseAuthName(name)
			require.NoError(t, err)
			for _, s := range cfg.Secrets {
				h.add("the secret", s)
				seed, err := hkdf.Key(sha256.New, s, nil, "asyncmsgr tlsauth 1 authority key", ed25519.SeedSize)
				require.NoError(t, err)
				h.add("the key of the secret's authority", seed)
			}
			if secret == "wrong" {
				cfg.Secrets = []tlsauth.Secret{tlsauth.Secret("another secret " + name)}
			}
		}
		a, err := tlsauth.New(cfg)
		require.NoError(t, err)
		tap := &keyTap{h.tap, a.Client(), a.Server()}
		return func(c *Config) {
			c.AuthClient, c.AuthServer = tapClient{tap}, tapServer{tap}
			c.Logger = h.logger(name == "osd.1")
			c.Authorize = func(p auth.Peer) error { boom("Authorize"); h.show(p); return nil }
			h.verbs(*c, "%v", "%+v", "%#v")
			h.verbs(c, "%v", "%+v", "%#v")
			own := *c
			own.Stack, own.Executor, own.Logger = nil, nil, nil
			h.show(own, cfg, &cfg, a, a.Client(), a.Server())
		}
	}
	ca, caKey, err := l.cas[0].PEM()
	require.NoError(t, err)
	block, _ := pem.Decode(caKey)
	h.add("the file of the authority's key", block.Bytes[len(block.Bytes)-32:])
	_, err = tlsauth.ParsePair(caKey, ca) // the wrong way round
	require.Error(t, err)
	h.show(err, l.cas[0])
	_, err = tls.X509KeyPair(caKey, ca)
	h.show(err)
	_, err = tlsauth.SharedSecret(entity.AuthName{Type: entity.TypeOSD, ID: "1"}, secret[:15])
	h.show(err)

	srv := l.node(entity.OSD(0), msg.StatefulServer(), use("osd.0", string(secret)))
	srv.onMessage = func(*msg.Message) { boom("Dispatch") }
	srv.onEvent = func(what string, _ msg.Connection) { boom(what) }
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	// Handshakes are cut: the n-th connection after so many bytes of one direction.
	const step, most = 150, 2400
	var dials, calm atomic.Int64
	cuts := faultkit.NewCutStack(l.stack, faultkit.CutConfig{Plan: func(bool) (faultkit.Cut, bool) {
		n := dials.Add(1)
		after := step * (n / 2)
		if after > most {
			calm.Store(1)
		}
		return faultkit.Cut{Kind: faultkit.CutRST, Dir: faultkit.CutDir(n % 2), After: after}, calm.Load() == 0
	}})
	quick := func(c *Config) { c.InitialBackoff, c.MaxBackoff = time.Millisecond, 5*time.Millisecond }
	cl := l.client(entity.OSD(1), msg.LosslessClient(), use("osd.1", string(secret)), quick,
		func(c *Config) { c.Stack = cuts.Stack() })
	c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	h.verbs(c, "%v", "%+v", "%s", "%q", "%x")
	require.NoError(t, c.Send(text("through cuts")))
	srv.wantMessages(1)
	require.Greater(t, cuts.Cuts(), uint64(10))
	calm.Store(1)
	cuts.Calm(true)
	dump := func(n *node) {
		for c := range n.Connections() {
			h.verbs(c, "%v", "%+v", "%s", "%q", "%x")
			h.show(c.LastError(), c.Authenticated(), c.PeerAddrs(), c.Policy())
		}
		h.show(n.Stats())
		for _, e := range n.events() {
			h.show(e.err)
		}
	}
	dump(srv)
	dump(cl)

	// Panics of callbacks, in the handshake and after it.
	for i, where := range []string{"Identity", "Authorize", "accept", "Dispatch"} {
		panics.Store(&where)
		fault(c)
		require.NoError(t, c.Send(text("%s", where)))
		if where != "Dispatch" { // which has that message
			srv.wantMessages(2 + i)
		}
		l.until("panic", func() bool { return panics.Load() == nil })
		dump(cl)
	}
	// Wrong secrets and authorities, a clock that is a year on, and no TLS at all.
	wrong := l.client(entity.OSD(2), msg.LosslessClient(), use("osd.2", "wrong"), quick)
	d, err := wrong.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	l.until("refused", func() bool { return wrong.Stats().ConnectFailures[msg.ReasonAuth] >= 3 })
	dump(wrong)
	dump(srv)
	d.MarkDown()
	before := srv.Stats().AcceptFailures
	l.pass(20 * 365 * 24 * time.Hour)
	fault(c)
	if certificates {
		l.until("expired", func() bool { return srv.Stats().AcceptFailures != before })
	}
	dump(cl)
	dump(srv)
	l.pass(-20 * 365 * 24 * time.Hour)
	l.until("back", c.IsConnected)
	for _, payload := range [][]byte{nil, []byte("no TLS"), {0, 0, 0, 4, 1, 0, 0, 0}} {
		p := l.rawHello(srv)
		p.say(&frame.AuthRequest{Method: auth.MethodTLS, Modes: []uint32{auth.ModeSecure}, Payload: payload})
		for p.next() != nil {
			p.say(&frame.AuthRequest{Method: auth.MethodNone, Modes: []uint32{auth.ModeCRC}})
			p.c.(*net.TCPConn).CloseWrite()
		}
	}
	dump(srv)
	require.NoError(t, cl.Shutdown(timeout(t)))
	require.NoError(t, srv.Shutdown(timeout(t)))
	h.show(c.LastError())
	h.verbs(c, "%v", "%+v")
	for _, n := range []*node{cl, srv} {
		h.show(n.Stats(), n.Name())
		ended = append(ended, n.Messenger)
	}
	return ended
}

// rawHello is a rawPeer that has not authenticated.
func (l *lab) rawHello(to *node) *rawPeer {
	l.t.Helper()
	p := &rawPeer{t: l.t, to: to.Addrs()[0]}
	var err error
	p.c, err = net.Dial("tcp", p.to.AddrPort.String())
	require.NoError(l.t, err)
	l.t.Cleanup(func() { p.c.Close() })
	require.NoError(l.t, p.c.SetDeadline(time.Now().Add(patience)))
	p.write(frame.Banner{Supported: frame.FeatureRevision1, Required: frame.FeatureRevision1}.Append(nil))
	p.buf = make([]byte, frame.BannerLen)
	_, err = io.ReadFull(p.c, p.buf)
	require.NoError(l.t, err)
	p.buf = nil
	p.dec.Init(frame.Limits{})
	p.say(&frame.Hello{EntityType: entity.TypeOSD, PeerAddr: p.to})
	wantFrame[frame.Hello](p)
	return p
}
