package tlsauth_test

import (
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/tlsauth"
)

// With a secret that all messengers have there are no files. What Client and Server return
// is for AuthClient and AuthServer of the messenger's Config, and name for its AuthName.
func ExampleSharedSecret() {
	name := entity.AuthName{Type: entity.TypeOSD, ID: "3"}
	old := tlsauth.Secret("random bytes, from somewhere safe")
	next := tlsauth.Secret("more of them, which come after it")
	a, err := tlsauth.SharedSecret(name, next, old) // shows next, accepts both
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = a.Client(), a.Server()
	fmt.Println(a, old)

	_, err = tlsauth.SharedSecret(name, tlsauth.Secret("password"))
	fmt.Println(err)
	// Output:
	// tlsauth.Auth(osd.3) secret of 33 bytes
	// tlsauth: Config.Secrets[0]: secret is too short: 8 bytes, not 16 or more
}

// Files are those that msgr cert makes, or of any other authority. They are read again
// when they change.
func ExampleNew() {
	_, err := tlsauth.New(tlsauth.Config{
		CertFile: "testdata/osd.3.pem", KeyFile: "testdata/osd.3.key", CAFile: "testdata/ca.pem",
	})
	fmt.Println(err)
	// Output:
	// tlsauth: testdata/osd.3.pem: no such file or directory
}

// Certificates of SPIFFE have the name in a URI of their own.
func ExampleConfig_identity() {
	cfg := tlsauth.Config{
		CertFile: "svid.pem", KeyFile: "svid_key.pem", CAFile: "bundle.pem",
		Identity: func(cert *x509.Certificate) (entity.AuthName, error) {
			for _, u := range cert.URIs {
				if id, ok := strings.CutPrefix(u.String(), "spiffe://storage.example/osd/"); ok {
					return entity.AuthName{Type: entity.TypeOSD, ID: id}, nil
				}
			}
			return entity.AuthName{}, tlsauth.ErrNoName
		},
	}
	_, err := cfg.Identity(new(x509.Certificate))
	fmt.Println(err)
	// Output:
	// certificate has no name of an entity
}
