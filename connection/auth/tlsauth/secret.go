package tlsauth

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// Secret is a secret that messengers share: SecretMin random bytes or more. It is not a
// password: who sees a handshake can try guesses without asking anybody. It prints as its
// length.
type Secret []byte

// SecretMin is the shortest Secret, in bytes.
const SecretMin = 16

// Format writes the length of the secret, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "secret of %d bytes", len(s)) }

// MarshalText returns the length of the secret as a text.
func (s Secret) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%v", s), nil }

// LogValue is what a log has of the secret: its length.
func (s Secret) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(s)) }

// SharedSecret is an Auth for a messenger called name, without files: all messengers that
// have the secret trust each other. Of several secrets the first one is this messenger's
// own and all are trusted: to change a secret, first give all messengers {old, new}, then
// {new, old}, then {new}.
//
// Who has the secret can be anybody: it can give itself a certificate for any name. The
// names of peers are proved only in that they have the secret. Where a name has to mean
// more, issue certificates (msgr cert).
//
// From each secret comes an authority with an Ed25519 key (HKDF-SHA256). Each messenger
// issues itself a certificate for a day, and a new one after half of it. Clocks may differ
// by five minutes. New with Config.Secrets is the same with an own clock.
func SharedSecret(name entity.AuthName, secrets ...Secret) (*Auth, error) {
	return New(Config{Name: name, Secrets: secrets})
}

// The times of certificates that a messenger issues itself.
const (
	selfLife = 24 * time.Hour
	// selfRenew is when a new one is issued, so that one that was just shown stays valid.
	selfRenew = selfLife / 2
	// selfSkew is how far the clocks of peers may be behind.
	selfSkew = 5 * time.Minute
)

// The labels of what is derived from a secret (RFC 5869 3.2). They are part of the protocol.
const (
	labelAuthorityKey    = "asyncmsgr tlsauth 1 authority key"
	labelAuthoritySerial = "asyncmsgr tlsauth 1 authority serial"
)

// The authority of a secret has no times of its own: it lives as long as the secret.
var (
	secretNotBefore = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	secretNotAfter  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) // "no end" (RFC 5280 4.1.2.5)
)

// authorityOf is the authority of a secret: the same for all who have it.
func authorityOf(s Secret) (*Authority, error) {
	if len(s) < SecretMin {
		return nil, fmt.Errorf("%w: %d bytes, not %d or more", ErrSecretShort, len(s), SecretMin)
	}
	seed, err := hkdf.Key(sha256.New, s, nil, labelAuthorityKey, ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("the key of the authority: %w", err)
	}
	number, err := hkdf.Key(sha256.New, s, nil, labelAuthoritySerial, 16)
	if err != nil {
		return nil, fmt.Errorf("the number of the authority: %w", err)
	}
	key := ed25519.NewKeyFromSeed(seed)
	// The name tells secrets apart in errors: it comes from the public key.
	public := sha256.Sum256(key.Public().(ed25519.PublicKey))
	name := "shared secret " + hex.EncodeToString(public[:4])
	return signAuthority(name, serialOf([16]byte(number)), key, secretNotBefore, secretNotAfter)
}

// secrets are credentials that a messenger issues itself.
type secrets struct {
	cfg       *Config
	authority *Authority
	roots     *x509.CertPool

	mu      sync.Mutex
	current *credentials // nil at first
	from    time.Time    // when current was issued
}

func newSecrets(cfg *Config) (*secrets, error) {
	s := &secrets{cfg: cfg, roots: x509.NewCertPool()}
	for i, secret := range cfg.Secrets {
		a, err := authorityOf(secret)
		if err != nil {
			return nil, &ConfigError{Field: fmt.Sprintf("Secrets[%d]", i), Reason: err}
		}
		if i == 0 {
			s.authority = a
		}
		s.roots.AddCert(a.cert)
	}
	return s, nil
}

func (s *secrets) credentials(now time.Time) (*credentials, error) {
	c, warning, err := s.renewed(now)
	if warning != nil {
		s.cfg.warn(warning) // not under the lock
	}
	return c, err
}

// renewed returns the credentials of now. The warning is of a new certificate that could
// not be issued while the last one is still good.
func (s *secrets) renewed(now time.Time) (c *credentials, warning, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A clock that was put back by more than it may differ makes a new one too.
	if age := now.Sub(s.from); s.current != nil && age < selfRenew && age > -selfSkew {
		return s.current, nil, nil
	}
	pair, err := s.issue(now)
	switch {
	case err == nil:
		s.current, s.from = pairCredentials(pair, s.roots, s.cfg.Name), now
	case s.current == nil:
		return nil, nil, err
	}
	return s.current, err, nil
}

func (s *secrets) issue(now time.Time) (tls.Certificate, error) {
	return s.authority.Issue(s.cfg.Name, now.Add(-selfSkew), now.Add(selfLife), s.cfg.Rand)
}

func (s *secrets) unknownAuthority() string {
	return "give both sides the same secret"
}
