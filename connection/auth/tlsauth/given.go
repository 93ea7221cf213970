package tlsauth

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// given are the credentials of Config.TLS.
type given struct {
	creds credentials
}

func newGiven(cfg *Config, now time.Time) (*given, entity.AuthName, error) {
	bad := func(field string, reason error) (*given, entity.AuthName, error) {
		return nil, entity.AuthName{}, &ConfigError{Field: "TLS." + field, Reason: reason}
	}
	base := cfg.TLS.Clone()
	if base.RootCAs == nil {
		base.RootCAs = base.ClientCAs
	}
	if base.ClientCAs == nil {
		base.ClientCAs = base.RootCAs
	}
	callbacks := base.GetCertificate != nil && base.GetClientCertificate != nil
	switch {
	case base.RootCAs == nil:
		return bad("RootCAs", errors.New("no authority is given; those of the system would let everybody in"))
	case len(base.Certificates) == 0 && !callbacks:
		return bad("Certificates", errors.New("there is none; give one, or GetCertificate and GetClientCertificate"))
	case base.MaxVersion != 0 && base.MaxVersion < tls.VersionTLS13:
		return bad("MaxVersion", errors.New("it is less than TLS 1.3"))
	case base.GetConfigForClient != nil:
		return bad("GetConfigForClient", errors.New("it is not supported: what it returned could demand less"))
	}
	base.EncryptedClientHelloConfigList, base.EncryptedClientHelloKeys = nil, nil
	guardCallbacks(base)

	name := cfg.Name
	var leaf *x509.Certificate
	if len(base.Certificates) > 0 {
		var err error
		if leaf, err = leafOf(&base.Certificates[0]); err != nil {
			return bad("Certificates", err)
		}
		if key, ok := base.Certificates[0].PrivateKey.(crypto.Signer); !ok {
			return bad("Certificates", fmt.Errorf("%w: there is no private key that can sign", ErrMismatch))
		} else if _, err := joinPair([]*x509.Certificate{leaf}, key); err != nil {
			return bad("Certificates", err)
		}
		if detail, advice, reason := validity(leaf, now); reason != nil {
			return bad("Certificates", fmt.Errorf("%s: %w %s; %s", claimed(leaf), reason, detail, advice))
		}
		if name, err = ownName(leaf, cfg); err != nil {
			return bad("Certificates", err)
		}
	}
	client, server := configs(base)
	return &given{creds: credentials{client: client, server: server, leaf: leaf, name: name}}, name, nil
}

func (g *given) credentials(time.Time) (*credentials, error) { return &g.creds, nil }

func (g *given) unknownAuthority() string {
	return "issue it by one of Config.TLS's authorities, or add its own to them"
}

// leafOf is the first certificate of a chain.
func leafOf(c *tls.Certificate) (*x509.Certificate, error) {
	if c.Leaf != nil {
		return c.Leaf, nil
	}
	if len(c.Certificate) == 0 {
		return nil, ErrNoCertificate
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return nil, ErrMalformed
	}
	return leaf, nil
}

// guardCallbacks lets a panic in a callback fail its handshake: crypto/tls calls them on a
// goroutine of its own, where nobody else could stop one. What a callback has against a
// peer is a refusal.
func guardCallbacks(c *tls.Config) {
	if f := c.GetCertificate; f != nil {
		c.GetCertificate = func(h *tls.ClientHelloInfo) (_ *tls.Certificate, err error) {
			defer guard("GetCertificate", &err)
			return f(h)
		}
	}
	if f := c.GetClientCertificate; f != nil {
		c.GetClientCertificate = func(r *tls.CertificateRequestInfo) (_ *tls.Certificate, err error) {
			defer guard("GetClientCertificate", &err)
			return f(r)
		}
	}
	if f := c.VerifyPeerCertificate; f != nil {
		c.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) (err error) {
			defer guard("VerifyPeerCertificate", &err)
			if err = f(raw, chains); err != nil {
				leaf, _ := x509.ParseCertificate(raw[0])
				err = &PeerError{Peer: claimed(leaf), Reason: err}
			}
			return err
		}
	}
	if f := c.VerifyConnection; f != nil {
		c.VerifyConnection = func(cs tls.ConnectionState) (err error) {
			defer guard("VerifyConnection", &err)
			if err = f(cs); err != nil {
				err = &PeerError{Peer: claimed(cs.PeerCertificates[0]), Reason: err}
			}
			return err
		}
	}
}

// guard is deferred around a callback; its caller returns *err.
func guard(callback string, err *error) {
	if p := recover(); p != nil {
		*err = &CallbackError{Callback: callback, Panic: p}
	}
}
