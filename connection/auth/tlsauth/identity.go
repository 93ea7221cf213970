package tlsauth

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"strings"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// uriScheme begins a URI that is a name: ceph:osd.3.
const uriScheme = "ceph"

// nameLenMax bounds a name in a certificate, in bytes.
const nameLenMax = 128

// Identify returns the name in a certificate: that of its one URI of the form
// ceph:osd.3; or, if it has no URI of that scheme, the one name of an entity (osd.3,
// client.admin) among its DNS names and its common name. Anything ambiguous is an error
// that wraps ErrNoName, as is no name at all. Note that a DNS name such as
// mon.example.com is the name of a monitor: the authority must not give such
// certificates to others.
//
// It reads the certificate only and verifies nothing. It may be called by several
// goroutines.
func Identify(cert *x509.Certificate) (entity.AuthName, error) {
	var found []entity.AuthName
	add := func(n entity.AuthName) {
		for _, f := range found {
			if f == n {
				return
			}
		}
		found = append(found, n)
	}
	for _, u := range cert.URIs {
		if !strings.EqualFold(u.Scheme, uriScheme) {
			continue
		}
		n, err := parseURI(u)
		if err != nil {
			return entity.AuthName{}, err
		}
		add(n)
	}
	if len(found) == 0 {
		for _, s := range append([]string{cert.Subject.CommonName}, cert.DNSNames...) {
			if n, err := parseName(s); err == nil {
				add(n)
			}
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return entity.AuthName{}, fmt.Errorf("%w: no URI ceph:TYPE.ID, and no DNS name or common name TYPE.ID",
			ErrNoName)
	}
	return entity.AuthName{}, fmt.Errorf("%w: several, %s and %s among them", ErrNoName, found[0], found[1])
}

// parseURI reads ceph:osd.3, which has to be written in that one way.
func parseURI(u *url.URL) (entity.AuthName, error) {
	if u.Opaque == "" || u.String() != uriScheme+":"+u.Opaque {
		return entity.AuthName{}, fmt.Errorf("%w: the URI %s is not of the form ceph:TYPE.ID", ErrNoName,
			quoted(u.String()))
	}
	n, err := parseName(u.Opaque)
	if err != nil {
		return entity.AuthName{}, fmt.Errorf("%w: the URI %s: %w", ErrNoName, quoted(u.String()), err)
	}
	return n, nil
}

// ParseName reads a name that a certificate may have; see Identify. Its errors say what is
// wrong.
func ParseName(s string) (entity.AuthName, error) {
	n, err := parseName(s)
	if err != nil {
		return n, fmt.Errorf("tlsauth: %s is no name: %w", quoted(s), err)
	}
	return n, nil
}

// parseName reads osd.3 or client.admin: one of the types that talk, a dot and an id of
// letters, digits and "._-+@".
func parseName(s string) (entity.AuthName, error) {
	if len(s) > nameLenMax {
		return entity.AuthName{}, fmt.Errorf("a name of %d bytes, at most %d are allowed", len(s), nameLenMax)
	}
	n, err := entity.ParseAuthName(s)
	if err != nil {
		return n, err
	}
	if err := checkName(n); err != nil {
		return entity.AuthName{}, err
	}
	return n, nil
}

// checkName refuses what no certificate may have as a name, so that a name is safe to
// print and has one spelling.
func checkName(n entity.AuthName) error {
	switch n.Type {
	case entity.TypeMon, entity.TypeMDS, entity.TypeOSD, entity.TypeClient, entity.TypeMgr:
	default:
		return fmt.Errorf("%s is no type of an entity that has a certificate; give one of mon, mds, osd, client, mgr",
			n.Type)
	}
	if n.ID == "" || len(n.ID) > nameLenMax {
		return fmt.Errorf("an id of %d bytes, not 1 to %d", len(n.ID), nameLenMax)
	}
	for i := range len(n.ID) {
		c := n.ID[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("._-+@", c) >= 0:
		default:
			return fmt.Errorf("id %s has other characters than letters, digits and ._-+@", quoted(n.ID))
		}
	}
	return nil
}

// claimed is what an unverified certificate calls its owner, for the text of an error.
func claimed(cert *x509.Certificate) string {
	if cert == nil || cert.Subject.CommonName == "" && len(cert.DNSNames)+len(cert.URIs) == 0 {
		return nameless
	}
	if n, err := Identify(cert); err == nil {
		return n.String()
	}
	return quoted(cert.Subject.CommonName)
}

// nameless is a peer of which nothing is known.
const nameless = "the peer"
