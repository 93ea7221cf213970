package cephx

import (
	"fmt"
	"slices"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// The answers of a server (errno values, negated).
const (
	eACCES     = 13
	eOPNOTSUPP = 95
)

// LoginError: a monitor does not let this entity in. It wraps the *auth.RefusedError, with
// what the monitor allows.
type LoginError struct {
	Name entity.AuthName
	// KeyType is that of its key.
	KeyType KeyType
	// Proved: the refusal came after this side had shown that it has its key.
	Proved  bool
	Refusal *auth.RefusedError
}

// why is the reason in a few words, as far as a number tells it.
func (e *LoginError) why() (what, hint string) {
	switch {
	case e.Refusal.Result == -eACCES && e.Proved:
		other := TypeAES256K
		if e.KeyType == TypeAES256K {
			other = TypeAES
		}
		what = fmt.Sprintf("the monitor knows no %s, or another key of it, or takes no keys of type %s", e.Name,
			e.KeyType)
		hint = fmt.Sprintf("a monitor answers all three with -13: compare the key with what \"ceph auth get %s\" "+
			"prints; if it is the same, the monitor wants one of type %s (Ceph 20 and later refuse type aes unless "+
			"auth_allowed_ciphers has it, older ones know no other)", e.Name, other)
	case !slices.Contains(e.Refusal.Methods, auth.MethodCephX):
		what = "the peer has no cephx"
		hint = "take cephx from this side, or require it there (auth_cluster_required, auth_service_required)"
	case e.Refusal.Result == -eOPNOTSUPP:
		what = "no mode in common"
		hint = "allow one of the peer's modes here, or one of these there (ms_mon_service_mode, ms_service_mode)"
	default:
		what = "the monitor refuses"
		hint = "the monitor's log says why"
	}
	return what, hint
}

// Error is one line: who, why, and what is allowed.
func (e *LoginError) Error() string {
	what, _ := e.why()
	return fmt.Sprintf("cephx: %s is not let in: %s: %v", e.Name, what, e.Refusal)
}

// Unwrap returns the refusal.
func (e *LoginError) Unwrap() error { return e.Refusal }

// Hint is a sentence on what to do about it.
func (e *LoginError) Hint() string {
	_, hint := e.why()
	return hint
}

// TicketRefusedError: a daemon does not take the ticket of this entity. It wraps the
// *auth.RefusedError.
type TicketRefusedError struct {
	Name    entity.AuthName
	Service entity.Type
	Refusal *auth.RefusedError
}

// Error is one line: who, whose ticket, and what is allowed.
func (e *TicketRefusedError) Error() string {
	return fmt.Sprintf("cephx: a %s does not take the ticket of %s: %v", e.Service, e.Name, e.Refusal)
}

// Unwrap returns the refusal.
func (e *TicketRefusedError) Unwrap() error { return e.Refusal }

// Hint is a sentence on what to do about it.
func (e *TicketRefusedError) Hint() string {
	if e.Refusal.Result == -eACCES {
		return "the daemon has no key for it any more, or not yet: another ticket is asked for; " +
			"compare the clocks of monitors and daemons if it does not help"
	}
	return "the two ends have no method and mode in common"
}

// NoTicketError: there is no ticket to show to a daemon. It wraps auth.ErrNotYet: the
// connection is tried again, for a login or a renewal may be under way.
type NoTicketError struct {
	Name    entity.AuthName
	Service entity.Type
	// Reason is why, in a few words.
	Reason string
}

// Error is one line.
func (e *NoTicketError) Error() string {
	return fmt.Sprintf("cephx: %s has no ticket for a %s: %s", e.Name, e.Service, e.Reason)
}

// Unwrap returns auth.ErrNotYet.
func (e *NoTicketError) Unwrap() error { return auth.ErrNotYet }

// Hint is a sentence on what to do about it.
func (e *NoTicketError) Hint() string {
	return "connect to a monitor first, and stay connected: tickets come from there, and are renewed there"
}

// KeyError: a keyring has no key for an entity.
type KeyError struct {
	Name entity.AuthName
	// Has are some of those that it has keys for.
	Has []entity.AuthName
}

// Error is one line with the names that there are.
func (e *KeyError) Error() string {
	const most = 8
	s := fmt.Sprintf("%v: no key for %s", ErrKeyring, e.Name)
	if len(e.Has) == 0 {
		return s + ": it is empty"
	}
	s += "; it has those of"
	for i, n := range e.Has[:min(len(e.Has), most)] {
		if i > 0 {
			s += ","
		}
		s += " " + n.String()
	}
	if more := len(e.Has) - most; more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

// Unwrap returns ErrKeyring.
func (e *KeyError) Unwrap() error { return ErrKeyring }
