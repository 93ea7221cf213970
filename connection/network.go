package connection

import (
	"errors"
	"syscall"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/session"
)

// systemReasons is what the system's errors mean for a connection, the first that fits.
var systemReasons = []struct {
	err    error
	reason msg.Reason
}{
	{syscall.ECONNREFUSED, msg.ReasonRefused},
	{syscall.ECONNRESET, msg.ReasonClosed},
	{syscall.ECONNABORTED, msg.ReasonClosed},
	{syscall.EPIPE, msg.ReasonClosed},
	{syscall.ETIMEDOUT, msg.ReasonTimeout},
	{syscall.EHOSTUNREACH, msg.ReasonUnreachable},
	{syscall.ENETUNREACH, msg.ReasonUnreachable},
	{syscall.EADDRNOTAVAIL, msg.ReasonUnreachable},
	{syscall.EADDRINUSE, msg.ReasonUnreachable},
	{syscall.EAFNOSUPPORT, msg.ReasonUnreachable},
	{syscall.EACCES, msg.ReasonUnreachable},
	{syscall.EPERM, msg.ReasonUnreachable},
	{syscall.EINVAL, msg.ReasonUnreachable},
	{syscall.EMFILE, msg.ReasonUnreachable},
	{syscall.ENFILE, msg.ReasonUnreachable},
}

// NetworkError sorts what a stack says of a broken transport.
func NetworkError(err error) error {
	for _, s := range systemReasons {
		if errors.Is(err, s.err) {
			return &session.NetworkError{Reason: s.reason, Err: err}
		}
	}
	var t interface{ Timeout() bool }
	if errors.As(err, &t) && t.Timeout() {
		return &session.NetworkError{Reason: msg.ReasonTimeout, Err: err}
	}
	return err
}
