// Package auth is the authentication of a connection (docs/PROTOCOL.md 2): what a
// method has to provide on either side, and the method NONE. It does no I/O;
// the session core carries the payloads.
package auth

import (
	"errors"
	"fmt"
	"strings"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// Authentication methods and connection modes (spec 1.7).
const (
	MethodNone  uint32 = 1
	MethodCephX uint32 = 2

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

// Result is a successful authentication.
type Result struct {
	GlobalID uint64
	// Peer is the authenticated entity; on the client it is zero.
	Peer entity.AuthName
	Mode uint32
	// SessionKey signs the bytes before AUTH_SIGNATURE; empty with NONE.
	SessionKey []byte
	// ConnectionSecret keys secure mode; empty in crc mode.
	ConnectionSecret []byte
}

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
