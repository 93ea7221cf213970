package tlsauth

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// What is wrong with a certificate, a key or a configuration, for errors.Is. A
// *PeerError, *FileError or *ConfigError around it says whose it is.
var (
	ErrExpired          = errors.New("certificate expired")
	ErrNotYetValid      = errors.New("certificate is not valid yet")
	ErrUnknownAuthority = errors.New("certificate is signed by an authority that is not trusted here")
	ErrUsage            = errors.New("certificate is not meant for this side of a connection")
	ErrInvalid          = errors.New("certificate is not valid")
	ErrNoCertificate    = errors.New("no certificate")
	ErrNoName           = errors.New("certificate has no name of an entity")
	ErrWrongName        = errors.New("certificate is for another name")
	ErrWrongType        = errors.New("certificate is for another type of entity")

	ErrMalformed   = errors.New("malformed or half-written")
	ErrMismatch    = errors.New("certificate and key do not belong together")
	ErrSecretShort = errors.New("secret is too short")
	ErrNoKeys      = errors.New("no keys are configured")
)

// PeerError is a peer that did not prove to be somebody. On the server it comes together
// with an *auth.RefusedError: the peer learns the number of that and nothing else.
type PeerError struct {
	// Peer is the name in the certificate, which nothing proves, or "the peer".
	Peer string
	// Reason is one of ErrExpired, ErrNotYetValid, ErrUnknownAuthority, ErrUsage,
	// ErrInvalid, ErrNoCertificate, ErrNoName and ErrWrongType, or wraps one.
	Reason error
	// Detail goes on after Reason ("2 h ago"), Advice is what to do; both may be empty.
	Detail, Advice string
}

// Hint is Advice, for logs: it is not in Error.
func (e *PeerError) Hint() string { return e.Advice }

func (e *PeerError) Error() string {
	s := "tlsauth: " + e.Peer + ": " + e.Reason.Error()
	if e.Detail != "" {
		s += " " + e.Detail
	}
	return s
}

// Unwrap returns Reason and auth.ErrRefused.
func (e *PeerError) Unwrap() []error { return []error{e.Reason, auth.ErrRefused} }

// OwnError is this side's own certificate that cannot be shown any more. It is no fault of
// the peer.
type OwnError struct {
	Name entity.AuthName
	// Reason is ErrExpired or ErrNotYetValid; Detail and Advice are as in a PeerError.
	Reason         error
	Detail, Advice string
}

func (e *OwnError) Error() string {
	return fmt.Sprintf("tlsauth: our own certificate, %s: %v %s", e.Name, e.Reason, e.Detail)
}

// Hint is Advice, for logs: it is not in Error.
func (e *OwnError) Hint() string { return e.Advice }

// Unwrap returns Reason.
func (e *OwnError) Unwrap() error { return e.Reason }

// HandshakeError is a TLS handshake that failed for another reason than a certificate:
// bytes that were altered on the way, or a peer that is none.
type HandshakeError struct{ Err error }

func (e *HandshakeError) Error() string {
	return "tlsauth: the TLS handshake failed: " + short(e.Err.Error())
}

// Hint is what to do, for logs.
func (e *HandshakeError) Hint() string {
	return "what is between the two ends changes what they send, or the peer is another program"
}

// Unwrap returns Err.
func (e *HandshakeError) Unwrap() error { return e.Err }

// FileError is a file that cannot be used.
type FileError struct {
	File string
	// Reason wraps one of the errors of this package, or what the system said, such as
	// fs.ErrNotExist.
	Reason error
	// Advice is what to do; it may be empty.
	Advice string
}

func (e *FileError) Error() string {
	s := "tlsauth: " + e.File + ": " + e.Reason.Error()
	if e.Advice != "" {
		s += "; " + e.Advice
	}
	return s
}

// Unwrap returns Reason.
func (e *FileError) Unwrap() error { return e.Reason }

// ConfigError is a field of Config, or of its TLS, that cannot be used.
type ConfigError struct {
	Field  string
	Reason error
}

func (e *ConfigError) Error() string { return "tlsauth: Config." + e.Field + ": " + e.Reason.Error() }

// Unwrap returns Reason.
func (e *ConfigError) Unwrap() error { return e.Reason }

// CallbackError is a panic of a callback of Config.TLS, which runs on a goroutine of
// crypto/tls.
type CallbackError struct {
	Callback string
	Panic    any
}

func (e *CallbackError) Error() string {
	return fmt.Sprintf("tlsauth: panic in Config.TLS.%s: %v", e.Callback, e.Panic)
}

// refused is an error whose text is for the operator and whose answer is for the peer.
type refused struct {
	why    error
	answer *auth.RefusedError
}

func (e *refused) Error() string {
	return e.why.Error() + " (refused with " + strconv.Itoa(int(e.answer.Result)) + ")"
}

// Unwrap returns both.
func (e *refused) Unwrap() []error { return []error{e.why, e.answer} }

// declined is a refusal of the peer, on the client.
type declined struct {
	what, hint string
	refusal    *auth.RefusedError
}

func (e *declined) Error() string { return "tlsauth: " + e.what + ": " + e.refusal.Error() }
func (e *declined) Hint() string  { return e.hint }
func (e *declined) Unwrap() error { return e.refusal }

// alertCertificateRequired is the alert of a client without a certificate (RFC 8446 6).
const alertCertificateRequired = tls.AlertError(116)

// explain says what is behind an error of crypto/tls.
func explain(err error, now time.Time, unknownAdvice string) error {
	var peer *PeerError
	var verification *tls.CertificateVerificationError
	var callback *CallbackError
	var alert tls.AlertError
	switch {
	case errors.As(err, &peer):
		return peer
	case errors.As(err, &callback):
		return callback
	case errors.As(err, &verification):
		return explainCertificate(verification, now, unknownAdvice)
	case errors.As(err, &alert) && alert == alertCertificateRequired:
		return &PeerError{Peer: nameless, Reason: ErrNoCertificate, Advice: "give it one"}
	}
	return &HandshakeError{Err: err}
}

// explainCertificate says in our words why a certificate did not verify.
func explainCertificate(v *tls.CertificateVerificationError, now time.Time, unknownAdvice string) *PeerError {
	e := &PeerError{Peer: nameless, Reason: ErrInvalid}
	var leaf *x509.Certificate
	if len(v.UnverifiedCertificates) > 0 {
		leaf = v.UnverifiedCertificates[0]
		e.Peer = claimed(leaf)
	}
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(v.Err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		e.Detail, e.Advice, e.Reason = validity(invalid.Cert, now)
		if leaf != nil && !invalid.Cert.Equal(leaf) {
			e.Detail += " (that of the authority " + quoted(invalid.Cert.Subject.CommonName) + ")"
		}
	case errors.As(v.Err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		e.Reason, e.Advice = ErrUsage, "issue it for client and server authentication"
	case errors.As(v.Err, &unknown):
		e.Reason, e.Advice = ErrUnknownAuthority, unknownAdvice
		if leaf != nil {
			e.Detail = "(" + quoted(leaf.Issuer.CommonName) + ")"
		}
	default:
		e.Detail = "(" + short(v.Err.Error()) + ")"
	}
	return e
}

// validity says why a certificate is not valid at that time; reason is nil if it is.
func validity(cert *x509.Certificate, now time.Time) (detail, advice string, reason error) {
	switch {
	case now.After(cert.NotAfter):
		return span(now.Sub(cert.NotAfter)) + " ago", "renew it (msgr cert renew)", ErrExpired
	case now.Before(cert.NotBefore):
		return "but in " + span(cert.NotBefore.Sub(now)), "compare the clocks", ErrNotYetValid
	}
	return "", "", nil
}

// span is a duration in its largest unit.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return strconv.Itoa(int(d/time.Second)) + " s"
	case d < time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + " min"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d/time.Hour)) + " h"
	}
	return strconv.Itoa(int(d/(24*time.Hour))) + " days"
}

// textMax bounds what a peer may write into our errors, in bytes.
const textMax = 200

// short is a text that a peer may have written into, cut, and with nothing in it that a
// terminal obeys.
func short(s string) string {
	if len(s) > textMax {
		s = s[:textMax] + "..."
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// quoted is a text of a peer, cut and quoted.
func quoted(s string) string {
	if len(s) > textMax {
		s = s[:textMax] + "..."
	}
	return strconv.QuoteToASCII(s)
}
