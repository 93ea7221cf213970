//go:build linux && (amd64 || arm64 || loong64)

package admin

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest/faultkit"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/resolve"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/tlsauth"
	"github.com/stretchr/testify/require"
)

// scenes are how the symptoms come about, by the names that the page gives their tests.
var scenes = map[string]func(x *scene){}

// stage adds scenes.
func stage(more map[string]func(x *scene)) bool {
	for name, f := range more {
		scenes[name] = f
	}
	return true
}

var _ = stage(map[string]func(x *scene){
	"nothing_listens": func(x *scene) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(x, err)
		l.Close()
		x.connect(x.client(), addrsAt(l.Addr().String()))
	},
	"firewall": func(x *scene) {
		x.connect(x.client(func(c *async.Config) { c.DialTimeout = 100 * time.Millisecond }), x.full())
	},
	"silence": func(x *scene) {
		x.connect(x.client(func(c *async.Config) { c.ReadyTimeout = 100 * time.Millisecond }), x.listening(""))
	},
	"another_program": func(x *scene) {
		x.connect(x.client(), x.listening("HTTP/1.1 400 Bad Request\r\n\r\n"))
	},
	"stranger": func(x *scene) { x.say(x.server(), "GET / HTTP/1.1\r\n\r\n") },
	"slow_stranger": func(x *scene) {
		x.say(x.server(func(c *async.Config) { c.ReadyTimeout = 50 * time.Millisecond }), "ceph")
	},
	"version": func(x *scene) { x.connect(x.client(), x.listening("ceph v027")) },
	"nonce": func(x *scene) {
		to := x.server().Addrs().Clone()
		to[0].Nonce++
		x.connect(x.client(), to)
	},
	"type": func(x *scene) {
		srv := x.node(entity.MDS(0), msg.StatefulServer(), echo{})
		x.connect(x.client(), srv.Addrs())
	},
	"advertise": func(x *scene) {
		p := x.through(x.server())
		x.connect(x.client(), addrsAt(p.Addr().String()))
	},
	"all_addresses": func(x *scene) { x.bound("0.0.0.0:0", msg.StatefulServer()) },
	"port_taken": func(x *scene) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(x, err)
		defer l.Close()
		m, err := async.New(async.Config{Name: entity.OSD(0), Logger: shipped, BindRetries: 1,
			BindRetryDelay: time.Millisecond})
		require.NoError(x, err)
		require.ErrorIs(x, m.Bind(netip.MustParseAddrPort(l.Addr().String())), syscall.EADDRINUSE)
	},
	"no_keys": func(x *scene) {
		x.connect(x.client(), x.server(secret("osd", "0", "one secret of many bytes")).Addrs())
	},
	"other_keys": func(x *scene) {
		srv := x.server(secret("osd", "0", "one secret of many bytes"))
		x.connect(x.client(secret("client", "1", "another secret of them")), srv.Addrs())
	},
	"not_allowed": func(x *scene) {
		srv := x.server(func(c *async.Config) {
			c.Authorize = func(auth.Peer) error { return errors.New("not on the list") }
		})
		x.connect(x.client(), srv.Addrs())
	},
	"wrong_name": func(x *scene) {
		ca, err := tlsauth.NewAuthority("tests", time.Now().Add(-time.Hour), time.Now().Add(time.Hour), nil)
		require.NoError(x, err)
		srv := x.server(certificate(x.T, ca, "osd.0"))
		x.connect(x.client(certificate(x.T, ca, "client.2")), srv.Addrs())
	},
	"expired": func(x *scene) {
		ca, err := tlsauth.NewAuthority("tests", time.Now().Add(-9*time.Hour), time.Now().Add(time.Hour), nil)
		require.NoError(x, err)
		begun := func() time.Time { return time.Now().Add(-2 * time.Hour) } // when it was still valid
		srv := x.server(certificateAt(x.T, ca, "osd.0", begun, time.Hour))
		x.connect(x.client(certificate(x.T, ca, "client.1")), srv.Addrs())
	},
	"map_file": func(x *scene) {
		f, err := resolve.OpenFile(filepath.Join(x.TempDir(), "map.json"), resolve.FileConfig{Logger: shipped})
		require.NoError(x, err)
		require.NoError(x, f.Close())
	},
	"features": func(x *scene) {
		p := msg.StatefulServer()
		p.FeaturesRequired = 1 << 62
		x.connect(x.client(), x.node(entity.OSD(0), p, echo{}).Addrs())
	},
	"crowded": func(x *scene) {
		srv := x.server(func(c *async.Config) { c.HandshakesMax, c.HandshakesMaxPerHost = 1, 1 })
		x.say(srv, "ceph")
		x.until("it is taken", func() bool { return srv.Stats().Handshakes == 1 })
		x.connect(x.client(), srv.Addrs())
	},
	"events": func(x *scene) {
		hang, begun := make(chan struct{}), new(atomic.Bool)
		srv := x.node(entity.OSD(0), msg.StatelessServer(), acceptHangs{hang, begun}, func(c *async.Config) {
			c.DispatchWidth, c.DispatchWidthMax, c.EventsMax = 1, 1, 1
		})
		x.Cleanup(func() { close(hang) })
		srv.SetDefaultPolicy(msg.StatefulServer())
		require.NoError(x, srv.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
		x.up(x.client(), srv.Addrs())
		x.until("its event is dispatched", begun.Load)
		x.up(x.client(), srv.Addrs())
		x.until("its event waits", func() bool { return srv.Stats().Queue.Len == 1 })
		x.connect(x.client(), srv.Addrs())
	},
	"open_files": func(x *scene) {
		cl, to := x.client(), x.server().Addrs()
		var was, low syscall.Rlimit
		require.NoError(x, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was))
		low, low.Cur = was, 3 // what is open stays open
		require.NoError(x, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low))
		defer func() { require.NoError(x, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was)) }()
		c := x.connect(cl, to)
		x.until("failed", func() bool { return c.LastError() != nil })
	},
	"comes_up_late": func(x *scene) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(x, err)
		l.Close()
		cl := x.client()
		x.connect(cl, addrsAt(l.Addr().String()))
		x.until("it failed", func() bool { return cl.Stats().Faults > 1 })
		x.bound(l.Addr().String(), msg.StatefulServer())
	},
	"two_of_one_address": func(x *scene) {
		to := x.server().Addrs()
		twin := func(c *async.Config) { c.Nonce = 7 }
		x.up(x.client(twin), to)
		x.connect(x.client(twin), to)
	},
})

// bound is a started server at that address.
func (x *scene) bound(at string, p msg.Policy, change ...func(*async.Config)) *async.Messenger {
	x.Helper()
	m := x.node(entity.OSD(0), msg.StatelessServer(), echo{}, change...)
	m.SetDefaultPolicy(p)
	require.NoError(x, m.Bind(netip.MustParseAddrPort(at)))
	return m
}

// elsewhere has a server be known by another address of this host, where through listens.
func elsewhere(c *async.Config) {
	c.Advertise = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.2:0")}
}

// through is a proxy before srv, at another address.
func (x *scene) through(srv *async.Messenger) *faultkit.Proxy {
	x.Helper()
	port := srv.Addrs()[0].AddrPort.Port()
	return faultkit.StartProxy(x, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), port),
		netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port))
}

// say connects to m, says something, and stays until the test ends.
func (x *scene) say(m *async.Messenger, what string) {
	x.Helper()
	c, err := net.Dial("tcp", m.Addrs()[0].AddrPort.String())
	require.NoError(x, err)
	x.Cleanup(func() { c.Close() })
	_, err = c.Write([]byte(what))
	require.NoError(x, err)
}

// full is a place whose host does not answer: as many connections wait there for somebody to
// accept them as may.
func (x *scene) full() entity.AddrVec {
	x.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(x, err)
	x.Cleanup(func() { syscall.Close(fd) })
	require.NoError(x, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(x, syscall.Listen(fd, 0))
	sa, err := syscall.Getsockname(fd)
	require.NoError(x, err)
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(sa.(*syscall.SockaddrInet4).Port))
	c, err := net.Dial("tcp", at.String())
	require.NoError(x, err)
	x.Cleanup(func() { c.Close() })
	return addrsAt(at.String())
}

// secret has a messenger share one.
func secret(kind, id, text string) func(*async.Config) {
	return func(c *async.Config) {
		t := entity.TypeClient
		if kind == "osd" {
			t = entity.TypeOSD
		}
		keys, err := tlsauth.SharedSecret(entity.AuthName{Type: t, ID: id}, tlsauth.Secret(text))
		if err != nil {
			panic(err)
		}
		c.AuthClient, c.AuthServer = keys.Client(), keys.Server()
	}
}

// certificate has a messenger have one of that name.
func certificate(t *testing.T, ca *tlsauth.Authority, name string) func(*async.Config) {
	return certificateAt(t, ca, name, time.Now, time.Hour)
}

// certificateAt is the same, with that clock, by which it is valid for so long.
func certificateAt(
	t *testing.T, ca *tlsauth.Authority, name string, clock func() time.Time, life time.Duration,
) func(*async.Config) {
	dir := t.TempDir()
	who, err := entity.ParseAuthName(name)
	require.NoError(t, err)
	c, err := ca.Issue(who, clock().Add(-time.Hour), clock().Add(life), nil)
	require.NoError(t, err)
	cert, key, err := tlsauth.EncodePEM(c)
	require.NoError(t, err)
	all, _, err := ca.PEM()
	require.NoError(t, err)
	cfg := tlsauth.Config{Time: clock, CertFile: filepath.Join(dir, "cert"), KeyFile: filepath.Join(dir, "key"),
		CAFile: filepath.Join(dir, "ca")}
	for file, text := range map[string][]byte{cfg.CertFile: cert, cfg.KeyFile: key, cfg.CAFile: all} {
		require.NoError(t, os.WriteFile(file, text, 0o600))
	}
	keys, err := tlsauth.New(cfg)
	require.NoError(t, err)
	return func(c *async.Config) { c.AuthClient, c.AuthServer = keys.Client(), keys.Server() }
}

// listening is a listener that says something to whoever connects, and then listens.
func (x *scene) listening(say string) entity.AddrVec {
	x.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(x, err)
	var ended sync.WaitGroup
	var conns []net.Conn
	ended.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns = append(conns, c)
			_, _ = c.Write([]byte(say))
		}
	})
	x.Cleanup(func() {
		l.Close()
		ended.Wait()
		for _, c := range conns {
			c.Close()
		}
	})
	return addrsAt(l.Addr().String())
}

// addrsAt is that place, whichever process is there.
func addrsAt(hostport string) entity.AddrVec {
	return entity.AddrVec{{Type: entity.AddrMsgr2, AnyNonce: true, AddrPort: netip.MustParseAddrPort(hostport)}}
}

// acceptHangs does not return from HandleAccept.
type acceptHangs struct {
	until chan struct{}
	begun *atomic.Bool
}

func (acceptHangs) Dispatch(*msg.Message) bool { return true }
func (a acceptHangs) HandleAccept(msg.Connection) {
	a.begun.Store(true)
	<-a.until
}
