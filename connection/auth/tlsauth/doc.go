// Package tlsauth is the authentication method TLS (auth.MethodTLS): TLS 1.3 with
// certificates on both sides, inside the handshake of msgr v2.1. It is what two
// messengers of this library use where the network is not trusted.
//
// crypto/tls runs without its record layer, as QUIC has it: handshake messages travel
// in the authentication frames, and what the handshake agrees on keys secure mode.
//
//	client                                  server
//	AUTH_REQUEST       ClientHello       ->
//	                                     <- AUTH_REPLY_MORE  ServerHello ... Certificate, Finished
//	AUTH_REQUEST_MORE  Certificate ...
//	                   Finished          ->
//	                                     <- AUTH_DONE        (nothing)
//
// A HelloRetryRequest adds a round. After it both sides have the connection secret and
// the session key from two exporters of TLS (RFC 8446 7.5), so that AUTH_SIGNATURE binds
// all that was said before, banners included, to the TLS handshake.
//
// # Who may be who
//
// The name of a peer comes from its certificate (Identify). With files or a tls.Config,
// names are proofs, as good as the authority that issues the certificates. With shared
// secrets (SharedSecret), who has the secret can be anybody.
//
// # Limitations
//
// Handshake messages are authenticated but not encrypted: who can listen sees the
// certificates, that is the names of both peers. (TLS over TCP hides them from those who
// only listen.) What follows AUTH_DONE is encrypted.
//
// There are no session tickets: each reconnection is a full handshake. Nothing asks
// whether a certificate was revoked; issue them for short times instead.
package tlsauth
