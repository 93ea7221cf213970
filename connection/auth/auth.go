// Package auth is the authentication of a connection (docs/PROTOCOL.md 2): what a
// method has to provide on either side, and the method NONE. It does no I/O;
// the session core carries the payloads.
package auth

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// Authentication methods and connection modes (spec 1.7).
const (
	MethodNone  uint32 = 1
	MethodCephX uint32 = 2
	// MethodTLS is a private number, outside of those that Ceph gives out: TLS 1.3
	// inside the handshake (connection/auth/tlsauth).
	MethodTLS uint32 = 0x80000001

	ModeCRC    uint32 = 1
	ModeSecure uint32 = 2
)

// The first byte of an authentication payload says towards whom it is meant.
const (
	PayloadAuthorizer = 1  // towards daemons and peers
	PayloadMon        = 10 // towards a monitor
)

// Request is what a client proposes in AUTH_REQUEST.
type Request struct {
	Method  uint32
	Modes   []uint32 // connection modes, preferred first
	Payload []byte
}

// Lengths of the keys in a Result, in bytes.
const (
	// SessionKeyMin is the shortest SessionKey.
	SessionKeyMin = 16
	// ConnectionSecretMin is what secure mode takes of a ConnectionSecret: a key of 16
	// bytes and two nonces of 12. Longer ones may be given, the rest is not used.
	ConnectionSecretMin = 40
)

// Result is a successful authentication. Its slices belong to the session from then on.
type Result struct {
	// GlobalID is the number that a monitor gave to the client that authenticates.
	GlobalID uint64
	// Peer is who the peer is. On the client it is zero where the method proves nothing
	// of the server.
	Peer entity.AuthName
	// Proved says that the method proved Peer; with NONE it is only said. Who proved a
	// name is refused under another.
	Proved bool
	// Method and Mode are those agreed on: Mode is one of the request's, and Method 0 is
	// that of the request.
	Method, Mode uint32
	// Capabilities are what the peer may do, in the method's own encoding.
	Capabilities []byte
	// Expires is when the proof ends, on the wall clock; zero: never.
	Expires time.Time
	// Proof is what the method knows besides: with TLS a *tls.ConnectionState.
	Proof any
	// SessionKey signs the bytes before AUTH_SIGNATURE, SessionKeyMin bytes or more;
	// empty with NONE.
	SessionKey []byte `json:"-"`
	// ConnectionSecret keys secure mode, ConnectionSecretMin bytes or more; empty in crc
	// mode.
	ConnectionSecret []byte `json:"-"`
}

// Format writes what can be known of the result, whatever the verb: of the keys their
// lengths, of Proof its type.
func (r Result) Format(s fmt.State, _ rune) {
	said := "said"
	if r.Proved {
		said = "proved"
	}
	fmt.Fprintf(s, "auth.Result(%s %s, number %d, method %s, mode %s, capabilities of %d bytes, expires %s, "+
		"proof %T, session key of %d bytes, connection secret of %d bytes)", r.Peer, said, r.GlobalID,
		MethodName(r.Method), ModeName(r.Mode), len(r.Capabilities), r.Expires.Format(time.RFC3339), r.Proof,
		len(r.SessionKey), len(r.ConnectionSecret))
}

// Check returns what a method must not say is the outcome of an authentication: a mode
// that there is not, or keys that are too short for it.
func (r *Result) Check() error {
	method := MethodName(r.Method)
	switch {
	case r.Mode != ModeCRC && r.Mode != ModeSecure:
		return fmt.Errorf("auth: method %s gives %s, which there is not", method, ModeName(r.Mode))
	case len(r.SessionKey) > 0 && len(r.SessionKey) < SessionKeyMin:
		return fmt.Errorf("auth: method %s gives a session key of %d bytes, and not %d", method,
			len(r.SessionKey), SessionKeyMin)
	case r.Mode == ModeSecure && len(r.SessionKey) == 0:
		return fmt.Errorf("auth: method %s gives no session key in secure mode: nothing would sign the handshake",
			method)
	case r.Mode == ModeSecure && len(r.ConnectionSecret) < ConnectionSecretMin:
		return fmt.Errorf("auth: method %s gives a connection secret of %d bytes, and not %d", method,
			len(r.ConnectionSecret), ConnectionSecretMin)
	}
	return nil
}

// Peer is who is about to be let in, for who decides about that.
type Peer struct {
	// Authenticated is what the method says of it.
	entity.Authenticated
	// Type is what it says it is, and Addr where it comes from.
	Type entity.Type
	Addr netip.AddrPort
}

// Slow is implemented by a ClientExchange or ServerExchange whose methods take more
// than some microseconds, or wait. If Slow returns true, the session pauses and each
// method of the exchange is called on the executor of the messenger, by one goroutine
// at a time, in place of the connection's worker. It is asked once, after NewExchange,
// which is called on the worker all the same.
//
// An exchange, slow or not, that is an io.Closer is closed once, when it is over: when
// the peer has signed, when another request takes its place, or when the connection
// ends, and then after the method that is running has returned. Close is called by
// whoever comes to it, a worker too, and must not block. Its error is ignored.
type Slow interface {
	Slow() bool
}

// IsSlow says whether an exchange implements Slow, and is.
func IsSlow(exchange any) bool {
	s, ok := exchange.(Slow)
	return ok && s.Slow()
}

// Close closes an exchange, if it is an io.Closer.
func Close(exchange any) error {
	if c, ok := exchange.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// ErrNotYet is returned by ClientExchange.Request while something is missing that is
// under way, such as a ticket: the connection is tried again soon (100 ms, at most 50
// times in a row), without the backoff of a failure.
var ErrNotYet = errors.New("auth: not yet")

// Client makes the connecting side's exchanges. Its methods may be called by
// any worker and must not block.
type Client interface {
	// NewExchange starts an exchange with a peer of that type.
	NewExchange(self, peer entity.Type) ClientExchange
}

// ClientExchange is one connection's authentication, used by its worker only.
// Payloads it is given are valid during the call only.
type ClientExchange interface {
	Request() (Request, error)
	// BadMethod answers AUTH_BAD_METHOD with another request, or an error.
	BadMethod(refusal *RefusedError) (Request, error)
	// More answers AUTH_REPLY_MORE.
	More(payload []byte) ([]byte, error)
	// Done checks AUTH_DONE.
	Done(globalID uint64, mode uint32, payload []byte) (Result, error)
}

// Server makes the accepting side's exchanges; see Client.
type Server interface {
	NewExchange(self, peer entity.Type) ServerExchange
}

// ServerExchange is one accepted connection's authentication.
type ServerExchange interface {
	// Request handles AUTH_REQUEST, More AUTH_REQUEST_MORE. An error with a *RefusedError
	// in it (errors.As) is answered by that as AUTH_BAD_METHOD, and the rest of it is for
	// this side's log; any other error drops the connection.
	Request(r Request) (Reply, error)
	More(payload []byte) (Reply, error)
}

// Reply is what a server answers: AUTH_DONE if Done, else AUTH_REPLY_MORE.
type Reply struct {
	Done    bool
	Payload []byte
	Result  Result
}

// ChooseMode returns the first of the client's modes that is allowed (spec 2).
func ChooseMode(client, allowed []uint32) (uint32, bool) {
	for _, c := range client {
		for _, a := range allowed {
			if a == c {
				return c, true
			}
		}
	}
	return 0, false
}
