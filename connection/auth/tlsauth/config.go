package tlsauth

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// Config says where an Auth has its keys: in files, in a tls.Config, or from shared
// secrets. Exactly one of the three is to be given.
type Config struct {
	// Name is who this messenger is. With Secrets it is required. Otherwise it may be
	// zero: the name is that in the certificate; if it is not zero, a certificate for
	// another name is an error.
	Name entity.AuthName

	// CertFile is a file with this messenger's certificate, then those between it and its
	// authority; KeyFile has its private key (PKCS #8, SEC 1 or PKCS #1, not encrypted);
	// CAFile has the authorities whose certificates are accepted. All are PEM. They are
	// read again when they change (size, time or place on the disk), which new handshakes
	// look for, once a second at most. Files that cannot be used then, such as a
	// certificate whose key is not written yet, are told to Warn, and what was read before
	// stays in use.
	CertFile, KeyFile, CAFile string

	// TLS is a configuration of the caller's own, for keys elsewhere. It is cloned, and
	// what this method is about is set: TLS 1.3 only, certificates on both sides, the
	// protocol "msgr2", no session tickets, no name of a host. RootCAs or ClientCAs is
	// required: one of them counts for both if the other is nil. So is a certificate:
	// Certificates, or both GetCertificate and GetClientCertificate. VerifyConnection and
	// VerifyPeerCertificate may refuse more (on the client the latter gets no verified
	// chains). A KeyLogWriter gets the secrets of handshakes, as everywhere. Callbacks run on goroutines of crypto/tls;
	// they may block, and must not call runtime.Goexit, which would keep the handshake's
	// goroutine forever.
	TLS *tls.Config

	// Secrets are shared with all peers; see SharedSecret. They are not kept.
	Secrets []Secret

	// Identity is who a certificate belongs to; nil means Identify. It gets the
	// certificates of peers that were verified, and this messenger's own. It may be called
	// by several goroutines, and may block.
	Identity func(*x509.Certificate) (entity.AuthName, error)

	// Time is the wall clock that certificates are compared with; nil means the one of
	// TLS, or the system's. Any goroutine may call it.
	Time func() time.Time

	// Rand is where keys and serial numbers of certificates come from that a messenger
	// with Secrets issues itself; nil means the system's. It is read by one goroutine at
	// a time. The handshake has its own.
	Rand io.Reader

	// Warn is told of what is wrong and is got along with: files that changed and cannot
	// be used. nil means slog.Default. It is called by the handshake that found out.
	Warn func(error)
}

// Format writes the name of the messenger, whatever the verb: a Config may have secrets.
func (c Config) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "tlsauth.Config(%s)", c.Name) }

// complete checks that there is one source of keys and sets what is nil.
func (c *Config) complete() error {
	files := c.CertFile != "" || c.KeyFile != "" || c.CAFile != ""
	sources := 0
	for _, given := range []bool{files, c.TLS != nil, len(c.Secrets) > 0} {
		if given {
			sources++
		}
	}
	switch {
	case sources == 0:
		return &ConfigError{Field: "CertFile", Reason: fmt.Errorf("%w: give files, TLS or Secrets", ErrNoKeys)}
	case sources > 1:
		return &ConfigError{Field: "CertFile", Reason: errors.New("give one of files, TLS and Secrets, not several")}
	}
	if files {
		for _, f := range []struct{ field, value string }{
			{"CertFile", c.CertFile}, {"KeyFile", c.KeyFile}, {"CAFile", c.CAFile},
		} {
			if f.value == "" {
				return &ConfigError{Field: f.field,
					Reason: fmt.Errorf("%w: give CertFile, KeyFile and CAFile, all of them", ErrNoKeys)}
			}
		}
	}
	if c.Name != (entity.AuthName{}) || len(c.Secrets) > 0 {
		if err := checkName(c.Name); err != nil {
			return &ConfigError{Field: "Name", Reason: err}
		}
	}
	if c.Time == nil && c.TLS != nil {
		c.Time = c.TLS.Time
	}
	if c.Time == nil {
		c.Time = systemTime
	}
	if c.Identity == nil {
		c.Identity = Identify
	}
	return nil
}

func (c *Config) warn(err error) {
	if c.Warn != nil {
		c.Warn(err)
		return
	}
	slog.Default().Warn("asyncmsgr: certificates", "err", err)
}

// ownName is the name in this messenger's own certificate.
func ownName(leaf *x509.Certificate, c *Config) (entity.AuthName, error) {
	n, err := c.Identity(leaf)
	switch {
	case err != nil:
		return n, err
	case c.Name != (entity.AuthName{}) && n != c.Name:
		return n, fmt.Errorf("%w: %s, this is %s", ErrWrongName, quoted(n.String()), c.Name)
	}
	return n, nil
}
