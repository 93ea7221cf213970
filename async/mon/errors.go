package mon

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// Errors of a Client. They are wrapped; compare with errors.Is.
var (
	// ErrClosed: the Client was closed.
	ErrClosed = errors.New("mon: the client is closed")
	// ErrBusy: as many questions wait for an answer as may (Config.CommandsMax).
	ErrBusy = errors.New("mon: too many commands wait for an answer")
	// ErrTooLarge: what a monitor answers, or a map, is over a limit of this side; or the
	// input of a command is.
	ErrTooLarge = errors.New("mon: over a limit of this side")
	// ErrRefused: all monitors have refused to let this side in. The *msg.ConnectError with
	// their reason is wrapped too.
	ErrRefused = errors.New("mon: no monitor lets this side in")
	// ErrAnswer: a monitor's answer cannot be read.
	ErrAnswer = errors.New("mon: an answer that cannot be read")
)

// CommandError is a monitor's answer to a command that it did not carry out.
type CommandError struct {
	// Errno is positive, as Linux has it: 2 is ENOENT.
	Errno int
	// Status is what the monitor says for people; Output what there is besides.
	Status string
	Output []byte
}

// errnoNames are those that monitors answer with.
var errnoNames = map[int]string{1: "operation not permitted", 2: "no such entry", 11: "try again",
	13: "permission denied", 16: "busy", 17: "exists already", 22: "invalid argument", 34: "out of range",
	95: "not supported", 110: "timed out"}

// Error is one line with what the monitor says.
func (e *CommandError) Error() string {
	s := fmt.Sprintf("mon: the monitor answers -%d", e.Errno)
	if name := errnoNames[e.Errno]; name != "" {
		s += " (" + name + ")"
	}
	if e.Status != "" {
		s += ": " + strings.Join(strings.Fields(e.Status), " ")
	}
	return s
}

// Is makes errors of the package fs of some numbers.
func (e *CommandError) Is(target error) bool {
	switch e.Errno {
	case 1, 13:
		return target == fs.ErrPermission
	case 2:
		return target == fs.ErrNotExist
	case 17:
		return target == fs.ErrExist
	}
	return false
}
