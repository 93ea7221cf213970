package tlsauth

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
)

// parseCertificates reads all certificates of a file. One that was not written to its
// end is an error, also behind others.
func parseCertificates(b []byte) ([]*x509.Certificate, error) {
	blocks, err := pemBlocks(b)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for _, block := range blocks {
		if block.Type != pemCertificate {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: certificate %d: %s", ErrMalformed, len(certs)+1, short(err.Error()))
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("%w: it has no certificate in PEM", ErrMalformed)
	}
	return certs, nil
}

// parseKey reads the first private key of a file. What is wrong is said without what
// crypto/x509 says, whose text is not known to keep keys out.
func parseKey(b []byte) (crypto.Signer, error) {
	blocks, err := pemBlocks(b)
	if err != nil {
		return nil, err
	}
	for _, block := range blocks {
		if block.Type != pemKey && !strings.HasSuffix(block.Type, " "+pemKey) {
			continue
		}
		for _, parse := range []func([]byte) (any, error){
			x509.ParsePKCS8PrivateKey,
			func(b []byte) (any, error) { return x509.ParseECPrivateKey(b) },
			func(b []byte) (any, error) { return x509.ParsePKCS1PrivateKey(b) },
		} {
			if k, err := parse(block.Bytes); err == nil {
				if signer, ok := k.(crypto.Signer); ok {
					return signer, nil
				}
			}
		}
		if block.Type == "ENCRYPTED "+pemKey || block.Headers["DEK-Info"] != "" {
			return nil, fmt.Errorf("%w: the private key is encrypted, which is not supported", ErrMalformed)
		}
		return nil, fmt.Errorf("%w: no private key that can sign", ErrMalformed)
	}
	return nil, fmt.Errorf("%w: it has no private key in PEM", ErrMalformed)
}

// pemBlocks splits a file in PEM. A block that began and did not end is an error.
func pemBlocks(b []byte) (blocks []*pem.Block, err error) {
	for {
		block, rest := pem.Decode(b)
		if block == nil {
			break
		}
		// What pem.Decode passes over on its way to a block is text, or a block that is cut.
		if n := bytes.Count(b[:len(b)-len(rest)], []byte("-----BEGIN ")); n != 1 {
			return nil, fmt.Errorf("%w: block %d does not end", ErrMalformed, len(blocks)+1)
		}
		blocks, b = append(blocks, block), rest
	}
	if bytes.Contains(b, []byte("-----BEGIN")) {
		return nil, fmt.Errorf("%w: block %d does not end", ErrMalformed, len(blocks)+1)
	}
	return blocks, nil
}

// parsePair reads a chain of certificates and the key of its first one.
func parsePair(certPEM, keyPEM []byte) (tls.Certificate, error) {
	certs, err := parseCertificates(certPEM)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return tls.Certificate{}, err
	}
	return joinPair(certs, key)
}

// joinPair makes a pair if the key is that of the first certificate.
func joinPair(certs []*x509.Certificate, key crypto.Signer) (tls.Certificate, error) {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(certs[0].PublicKey) {
		return tls.Certificate{}, ErrMismatch
	}
	c := tls.Certificate{PrivateKey: key, Leaf: certs[0]}
	for _, cert := range certs {
		c.Certificate = append(c.Certificate, cert.Raw)
	}
	return c, nil
}

// ParseCertificates reads the certificates of a file in PEM, for tools that show them.
func ParseCertificates(b []byte) ([]*x509.Certificate, error) {
	certs, err := parseCertificates(b)
	if err != nil {
		return nil, fmt.Errorf("tlsauth: %w", err)
	}
	return certs, nil
}

// ParsePair reads a chain of certificates and the private key of its first one, both in
// PEM. The errors wrap ErrMalformed or ErrMismatch.
func ParsePair(certPEM, keyPEM []byte) (tls.Certificate, error) {
	c, err := parsePair(certPEM, keyPEM)
	if err != nil {
		return c, fmt.Errorf("tlsauth: %w", err)
	}
	return c, nil
}
