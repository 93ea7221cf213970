package tlsauth

import (
	"crypto/tls"
	"crypto/x509"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// alpn is the one protocol that both sides offer (RFC 7301). QUIC's TLS requires one.
const alpn = "msgr2"

// credentials are what a handshake needs of this side. They are not changed once they
// are made, and shared by the handshakes of a time.
type credentials struct {
	// client and server are the configurations of either side but for what a handshake
	// adds (forHandshake).
	client, server *tls.Config
	// leaf is the own certificate; nil if a callback of the user knows.
	leaf *x509.Certificate
	// name is who this side says it is; zero if only a callback of the user knows.
	name entity.AuthName
}

// source is where credentials come from. It may be asked by several goroutines, and may
// wait for the disk.
type source interface {
	credentials(now time.Time) (*credentials, error)
	// unknownAuthority is what to do about a peer whose authority is not trusted.
	unknownAuthority() string
}

// pairCredentials are those of one certificate and the authorities that are trusted.
func pairCredentials(pair tls.Certificate, roots *x509.CertPool, name entity.AuthName) *credentials {
	base := &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, ClientCAs: roots}
	client, server := configs(base)
	return &credentials{client: client, server: server, leaf: pair.Leaf, name: name}
}

// configs makes the two sides of a configuration, with all that this method requires.
func configs(base *tls.Config) (client, server *tls.Config) {
	base = base.Clone()
	base.MinVersion = tls.VersionTLS13
	base.NextProtos = []string{alpn}
	base.SessionTicketsDisabled = true
	base.ClientSessionCache = nil
	base.InsecureSkipVerify = false
	base.ServerName = ""
	client, server = base, base.Clone()

	// A name of a host says nothing here: the chain is verified in forHandshake.
	client.InsecureSkipVerify = true
	if client.GetClientCertificate == nil {
		// The one certificate is sent also to a server that does not list its authority,
		// so that the server can say whose certificate it does not accept.
		own := &client.Certificates[0]
		client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own, nil }
	}
	server.ClientAuth = tls.RequireAndVerifyClientCert
	server.GetClientCertificate = nil
	return client, server
}

// clientFor and serverFor are the configuration of one handshake, which has one time.
func (c *credentials) clientFor(now time.Time) *tls.Config {
	cfg := c.client.Clone()
	cfg.Time = func() time.Time { return now }
	roots, next := cfg.RootCAs, cfg.VerifyConnection
	cfg.VerifyConnection = func(cs tls.ConnectionState) error {
		if err := verifyServer(cs.PeerCertificates, roots, now); err != nil {
			return err
		}
		if next != nil {
			return next(cs)
		}
		return nil
	}
	return cfg
}

func (c *credentials) serverFor(now time.Time) *tls.Config {
	cfg := c.server.Clone()
	cfg.Time = func() time.Time { return now }
	return cfg
}

// verifyServer is what crypto/tls does with the certificate of a client, for that of a
// server: the chain, the times and the usages, without the name of a host.
func verifyServer(chain []*x509.Certificate, roots *x509.CertPool, now time.Time) error {
	if len(chain) == 0 {
		return &PeerError{Peer: nameless, Reason: ErrNoCertificate}
	}
	opts := x509.VerifyOptions{
		Roots: roots, CurrentTime: now, Intermediates: x509.NewCertPool(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, c := range chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(opts); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err}
	}
	return nil
}
