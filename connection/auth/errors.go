package auth

import (
	"errors"
	"fmt"
	"strings"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// Errno values that AUTH_BAD_METHOD carries, negated.
const (
	eACCES     = 13
	eOPNOTSUPP = 95
)

var (
	// ErrRefused: the peer, or this side, refused the authentication.
	ErrRefused = errors.New("auth: refused")
	// ErrDowngrade: the peer wants less than this side demands; see DowngradeError.
	ErrDowngrade = errors.New("auth: less than is demanded")
)

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

// DowngradeError is what the two ends cannot agree on: one side demands certain methods
// and modes, and what the other one offers, or answers, is none of them. It wraps
// ErrDowngrade, and the peer's refusal if it came with one.
type DowngradeError struct {
	// Methods and Modes are those that are demanded. No Methods: any.
	Methods, Modes []uint32
	// OfferedMethods and OfferedModes are what there is instead.
	OfferedMethods, OfferedModes []uint32
	// Err is the refusal; nil: there was none.
	Err error
}

// Error is one line with both lists.
func (e *DowngradeError) Error() string {
	s := ErrDowngrade.Error() + ": demanded "
	if len(e.Methods) > 0 {
		s += "methods " + list(e.Methods, MethodName) + ", "
	}
	s += "modes " + list(e.Modes, ModeName) + "; offered "
	if len(e.OfferedMethods) > 0 || len(e.Methods) > 0 {
		s += "methods " + list(e.OfferedMethods, MethodName) + ", "
	}
	return s + "modes " + list(e.OfferedModes, ModeName)
}

// Unwrap returns ErrDowngrade and the refusal.
func (e *DowngradeError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrDowngrade}
	}
	return []error{ErrDowngrade, e.Err}
}

// Hint is a sentence on what may be wrong and what to do about it.
func (e *DowngradeError) Hint() string {
	return "the two ends have no method and mode in common that this side takes: configure one of those demanded " +
		"on the peer, or demand less here; if the peer does have one, somebody between may be rewriting what it says"
}

// DeniedError is a peer that authenticated and is not authorized (Config.Authorize). It
// wraps the reason, and the *RefusedError that the peer gets.
type DeniedError struct {
	Name entity.AuthName
	Err  error
	// Refusal is all that the peer hears of it.
	Refusal *RefusedError
}

// Error is one line with the name and the reason.
func (e *DeniedError) Error() string {
	return fmt.Sprintf("auth: %s is not authorized: %v", e.Name, e.Err)
}

// Unwrap returns the reason and the refusal.
func (e *DeniedError) Unwrap() []error { return []error{e.Err, e.Refusal} }

// Hint is a sentence on what to do about it.
func (e *DeniedError) Hint() string {
	return "Config.Authorize of this messenger decided so: is the peer meant to be let in?"
}

// Denied is the error for a peer that asked by req and is not let in because of err.
func Denied(name entity.AuthName, req Request, err error) *DeniedError {
	return &DeniedError{Name: name, Err: err,
		Refusal: &RefusedError{Method: req.Method, Result: -eACCES, Methods: []uint32{req.Method}, Modes: req.Modes}}
}
