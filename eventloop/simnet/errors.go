package simnet

import (
	"errors"
	"fmt"
	"time"
)

// ErrEnded: the channel given to Network.EndOn was closed.
var ErrEnded = errors.New("simnet: the run was ended")

// StuckError says that what RunUntil waited for did not happen, or that time did
// not go on.
type StuckError struct {
	At      time.Duration
	Why     string
	Seed    uint64
	Sockets string // see Network.Netstat
	Last    string // see Network.Last
}

func (e *StuckError) Error() string {
	return fmt.Sprintf("simnet: no progress at %v: %s (seed %d)\n%s%s", e.At, e.Why, e.Seed, e.Sockets, e.Last)
}

func (n *Network) stuck(format string, args ...any) *StuckError {
	why := fmt.Sprintf(format, args...)
	return &StuckError{At: n.Now(), Why: why, Seed: n.seed, Sockets: n.Netstat(), Last: n.Last()}
}

// PanicError says that a rule panicked, and ends the run.
type PanicError struct {
	// Rule is the name given to Add, Packet what it was asked about.
	Rule   string
	Packet Packet
	At     time.Duration
	Seed   uint64
	// Value is that of the panic, Stack where it happened.
	Value any
	Stack string
}

func (e *PanicError) Error() string {
	p := &e.Packet
	return fmt.Sprintf("simnet: rule %q panicked at %v (seed %d): %v\n"+
		"it was asked about a %v of %d bytes at offset %d of connection %d, from %s (%s) to %s (%s)\n%s",
		e.Rule, e.At, e.Seed, e.Value, p.Kind, len(p.Data), p.Offset, p.Conn, p.From, p.Src, p.To, p.Dst, e.Stack)
}

// Unwrap is the value of the panic if that was an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
