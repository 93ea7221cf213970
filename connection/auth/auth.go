// Package auth is the authentication of a connection (docs/PROTOCOL.md 2): what a
// method has to provide on either side, and the method NONE. It does no I/O;
// the session core carries the payloads.
package auth

import (
	"errors"
	"fmt"
	"strings"
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

// Errno values that AUTH_BAD_METHOD carries, negated.
const (
	eACCES     = 13
	eOPNOTSUPP = 95
)

// ErrRefused: the peer, or this side, refused the authentication.
var ErrRefused = errors.New("auth: refused")

// RefusedError is an AUTH_BAD_METHOD: what was asked for and what the server
// would allow. It wraps ErrRefused.
type RefusedError struct {
	Method         uint32
	Result         int32
	Methods, Modes []uint32
}

func (e *RefusedError) Error() string {
	var why string
	switch e.Result {
	case -eACCES:
		why = " (permission denied)"
	case -eOPNOTSUPP:
		why = " (not supported)"
	}
	return fmt.Sprintf("auth: method %s refused with %d%s; allowed: methods %s, modes %s",
		MethodName(e.Method), e.Result, why, list(e.Methods, MethodName), list(e.Modes, ModeName))
}

// MethodName is what an authentication method is called.
func MethodName(m uint32) string {
	switch m {
	case MethodNone:
		return "none"
	case MethodCephX:
		return "cephx"
	case MethodTLS:
		return "tls"
	}
	return fmt.Sprintf("method %d", m)
}

// ModeName is what a connection mode is called.
func ModeName(m uint32) string {
	switch m {
	case ModeCRC:
		return "crc"
	case ModeSecure:
		return "secure"
	}
	return fmt.Sprintf("mode %d", m)
}

// list is what a peer sent, so no more than a few are shown.
func list(numbers []uint32, name func(uint32) string) string {
	const most = 8
	if len(numbers) == 0 {
		return "[]"
	}
	var b strings.Builder
	for i, n := range numbers[:min(len(numbers), most)] {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(name(n))
	}
	if more := len(numbers) - most; more > 0 {
		fmt.Fprintf(&b, " and %d more", more)
	}
	return "[" + b.String() + "]"
}

// Unwrap returns ErrRefused.
func (e *RefusedError) Unwrap() error { return ErrRefused }

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
	// Proved says that the method proved Peer; with NONE it is only said.
	Proved bool
	// Method and Mode are those agreed on. Method 0 is that of the request.
	Method, Mode uint32
	// Capabilities are what the peer may do, in the method's own encoding.
	Capabilities []byte
	// Expires is when the proof ends, on the wall clock; zero: never.
	Expires time.Time
	// Proof is what the method knows besides: with TLS a *tls.ConnectionState.
	Proof any
	// SessionKey signs the bytes before AUTH_SIGNATURE, SessionKeyMin bytes or more;
	// empty with NONE.
	SessionKey []byte
	// ConnectionSecret keys secure mode, ConnectionSecretMin bytes or more; empty in crc
	// mode.
	ConnectionSecret []byte
}

// Slow is implemented by a ClientExchange or ServerExchange whose methods take more
// than some microseconds, or wait. If Slow returns true, the session pauses and each
// method of the exchange is called on the executor of the messenger, by one goroutine
// at a time, in place of the connection's worker. It is asked once, after NewExchange.
// A connection that ends meanwhile is told so through Close, if the exchange is an
// io.Closer, after the method has returned.
type Slow interface {
	Slow() bool
}

// ErrNotYet is returned by ClientExchange.Request while something is missing that is
// under way, such as a ticket: the connection is tried again soon, without the backoff
// of a failure.
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
	// Request handles AUTH_REQUEST, More AUTH_REQUEST_MORE. A *RefusedError is
	// answered by AUTH_BAD_METHOD; any other error drops the connection.
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
