package tlsauth

import (
	"fmt"
	"net"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// The answers of a server (errno values, negated).
const (
	eACCES     = 13
	eOPNOTSUPP = 95
)

// exchange is what both sides of an authentication have in common. It is used by one
// goroutine at a time, the executor's: its methods take a millisecond and may wait for
// files. Whoever abandons it has to call Close.
type exchange struct {
	auth *Auth
	peer entity.Type // from HELLO

	now    time.Time // of the first call: all of a handshake has one time
	h      *handshake
	closed bool
}

// Slow implements auth.Slow.
func (x *exchange) Slow() bool { return true }

// Close implements io.Closer: it ends the handshake's goroutine. An exchange that
// succeeded or failed has none. It may be called again; the exchange is of no use then.
func (x *exchange) Close() error {
	x.closed = true
	if x.h != nil {
		x.h.close()
		x.h = nil
	}
	return nil
}

// Format writes whom the exchange is with, whatever the verb: never a key.
func (x *exchange) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "tlsauth.exchange(with %s)", x.peer) }

// begin returns the credentials for a handshake that begins.
func (x *exchange) begin() (*credentials, error) {
	if x.closed {
		return nil, fmt.Errorf("tlsauth: %w", net.ErrClosed)
	}
	x.now = x.auth.cfg.Time()
	creds, err := x.auth.keys.credentials(x.now)
	if err != nil {
		return nil, err
	}
	if creds.leaf != nil {
		if detail, advice, reason := validity(creds.leaf, x.now); reason != nil {
			return nil, &OwnError{Name: creds.name, Reason: reason, Detail: detail, Advice: advice}
		}
	}
	return creds, nil
}

// identify says who the peer of a handshake is that is done, if that may be.
func (x *exchange) identify(k *keys) (entity.AuthName, error) {
	leaf := k.state.PeerCertificates[0]
	name, err := x.auth.cfg.Identity(leaf)
	if err != nil {
		return name, &PeerError{Peer: claimed(leaf), Reason: err, Advice: "issue one for a name, such as osd.3"}
	}
	if x.peer != 0 && x.peer != entity.TypeAny && name.Type != x.peer {
		return name, &PeerError{Peer: name.String(), Reason: ErrWrongType,
			Detail: fmt.Sprintf("than it says: %s", x.peer), Advice: "issue one for the type that it is"}
	}
	return name, nil
}

// result is what the session gets.
func (x *exchange) result(name entity.AuthName, k *keys) auth.Result {
	return auth.Result{
		Peer: name, Proved: true, Method: auth.MethodTLS, Mode: auth.ModeSecure,
		Expires: k.state.PeerCertificates[0].NotAfter, Proof: k.state,
		SessionKey: k.sessionKey, ConnectionSecret: k.connectionSecret,
	}
}

// explain is an error of a handshake in our words.
func (x *exchange) explain(err error) error {
	if err == nil {
		return nil
	}
	if _, ours := err.(*PayloadError); ours {
		return err
	}
	return explain(err, x.now, x.auth.keys.unknownAuthority())
}
