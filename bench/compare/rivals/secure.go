package rivals

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/bench/compare/workload"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/tlsauth"
)

// The contestants that encrypt are guests: they take part in the scenarios about that.

// benchSecret is shared by the processes of a comparison, and protects nothing.
var benchSecret = tlsauth.Secret("a secret of the comparison, on loopback")

// AsyncSecure is async-fast with a shared secret: TLS 1.3 in the handshake, and secure mode.
func AsyncSecure() workload.Contestant {
	c := messengerContestant("async-secure", newAsyncSecure, true)
	c.Guest = true
	return c
}

func newAsyncSecure(workload.Options) (makeMessenger, error) {
	return func(name entity.Name, at netip.AddrPort) (messenger, error) {
		id := entity.AuthName{Type: name.Type, ID: strconv.FormatInt(name.Num, 10)}
		keys, err := tlsauth.SharedSecret(id, benchSecret)
		if err != nil {
			return nil, err
		}
		m, err := async.New(async.Config{
			Name: name, ListenBacklog: 4096, AuthClient: keys.Client(), AuthServer: keys.Server(),
		})
		if err == nil && at.IsValid() {
			err = m.Bind(at)
		}
		return m, err
	}, nil
}

// RawTLS is raw-net over crypto/tls: TLS 1.3 with AES-128-GCM, as secure mode has.
func RawTLS() workload.Contestant {
	c := RawNet()
	c.Name, c.Guest, c.ServeAll = "raw-tls", true, nil
	c.Serve = func(workload.Options) (workload.Server, error) {
		cfg, err := serverTLS()
		if err != nil {
			return nil, err
		}
		l, err := tls.Listen("tcp", loopback.String(), cfg)
		if err != nil {
			return nil, err
		}
		return startRawNet(l), nil
	}
	c.Dial = func(addr string, _ workload.Options) (workload.Client, error) {
		return &rawNetClient{addr: addr, dial: func(addr string) (net.Conn, error) {
			return tls.Dial("tcp", addr, clientTLS("msgr2"))
		}}, nil
	}
	return c
}

// serverTLS has a certificate of its own making, clientTLS takes any: it is not the
// handshake that is measured.
func serverTLS() (*tls.Config, error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, pub, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "msgr2"},
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	}, nil
}

func clientTLS(protocol string) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, NextProtos: []string{protocol}}
}
