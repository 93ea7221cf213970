package tlsauth

import (
	"crypto"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// Authority issues certificates that this package accepts: a certificate of an authority
// and its private key. It may be used by several goroutines, and prints without its key.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// NewAuthority makes an authority with a new Ed25519 key, valid from notBefore to
// notAfter. Its name is for people. random nil means the system's.
func NewAuthority(name string, notBefore, notAfter time.Time, random io.Reader) (*Authority, error) {
	random = orSystemRand(random)
	_, key, err := ed25519.GenerateKey(random)
	if err != nil {
		return nil, fmt.Errorf("tlsauth: a key for the authority: %w", err)
	}
	serial, err := newSerial(random)
	if err != nil {
		return nil, err
	}
	return signAuthority(name, serial, key, notBefore, notAfter)
}

// signAuthority makes the authority's own certificate, which nothing random is in.
func signAuthority(name string, serial *big.Int, key ed25519.PrivateKey, notBefore, notAfter time.Time,
) (*Authority, error) {
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: notBefore.UTC(), NotAfter: notAfter.UTC(),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(systemRand, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("tlsauth: the certificate of the authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("tlsauth: the certificate of the authority: %w", err)
	}
	return &Authority{cert: cert, key: key}, nil
}

// ParseAuthority reads what PEM wrote. The key may be of any kind that crypto/x509 signs
// with.
func ParseAuthority(certPEM, keyPEM []byte) (*Authority, error) {
	pair, err := parsePair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("tlsauth: authority: %w", err)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("tlsauth: authority: %w: it is no certificate of an authority", ErrInvalid)
	}
	return &Authority{cert: pair.Leaf, key: signer}, nil
}

// Certificate is the authority's own certificate, which its peers trust. It must not be
// changed.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// PEM returns the authority's certificate and its private key (PKCS #8). The key is the
// caller's to hide.
func (a *Authority) PEM() (certPEM, keyPEM []byte, err error) {
	return EncodePEM(tls.Certificate{Certificate: [][]byte{a.cert.Raw}, PrivateKey: a.key})
}

// Format writes the name of the authority, whatever the verb: never its key.
func (a Authority) Format(s fmt.State, _ rune) {
	name := "none"
	if a.cert != nil {
		name = quoted(a.cert.Subject.CommonName)
	}
	fmt.Fprintf(s, "tlsauth.Authority(%s)", name)
}

// Issue makes a certificate for name with a new Ed25519 key, for both sides of a
// connection, valid from notBefore to notAfter but not longer than the authority. random
// nil means the system's.
func (a *Authority) Issue(name entity.AuthName, notBefore, notAfter time.Time, random io.Reader,
) (tls.Certificate, error) {
	random = orSystemRand(random)
	_, key, err := ed25519.GenerateKey(random)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("tlsauth: a key for %s: %w", name, err)
	}
	return a.IssueFor(name, key, notBefore, notAfter, random)
}

// IssueFor is Issue for a private key that is there already: to renew a certificate
// without a new key, so that one file changes and not two.
func (a *Authority) IssueFor(name entity.AuthName, key crypto.Signer, notBefore, notAfter time.Time,
	random io.Reader) (tls.Certificate, error) {
	if err := checkName(name); err != nil {
		return tls.Certificate{}, fmt.Errorf("tlsauth: %s: %w", quoted(name.String()), err)
	}
	random = orSystemRand(random)
	serial, err := newSerial(random)
	if err != nil {
		return tls.Certificate{}, err
	}
	if notAfter.After(a.cert.NotAfter) {
		notAfter = a.cert.NotAfter
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: commonName(name)},
		URIs:      []*url.URL{{Scheme: uriScheme, Opaque: name.String()}},
		NotBefore: notBefore.UTC(), NotAfter: notAfter.UTC(),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(random, template, a.cert, key.Public(), a.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("tlsauth: a certificate for %s: %w", name, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("tlsauth: a certificate for %s: %w", name, err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// commonName is for people. RFC 5280 has 64 bytes for it.
func commonName(n entity.AuthName) string {
	s := n.String()
	return s[:min(len(s), 64)]
}

// newSerial is a serial number of 127 random bits: positive, and 16 bytes at most.
func newSerial(random io.Reader) (*big.Int, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return nil, fmt.Errorf("tlsauth: a serial number: %w", err)
	}
	return serialOf(b), nil
}

func serialOf(b [16]byte) *big.Int {
	b[0] = b[0]&0x7f | 0x40 // positive, and never zero
	return new(big.Int).SetBytes(b[:])
}

func orSystemRand(random io.Reader) io.Reader {
	if random == nil {
		return systemRand
	}
	return random
}

// The types of PEM blocks.
const (
	pemCertificate = "CERTIFICATE"
	pemKey         = "PRIVATE KEY"
)

// EncodePEM returns a chain of certificates and its private key (PKCS #8) as files have
// them. The key is the caller's to hide.
func EncodePEM(c tls.Certificate) (certPEM, keyPEM []byte, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return nil, nil, fmt.Errorf("tlsauth: the private key: %w", err)
	}
	for _, cert := range c.Certificate {
		certPEM = append(certPEM, pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: cert})...)
	}
	return certPEM, pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: der}), nil
}
