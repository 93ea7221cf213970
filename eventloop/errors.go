package eventloop

import "errors"

// Errors of a stack. Errors of the system are wrapped with %w and can be told
// apart with errors.Is(err, syscall.ECONNREFUSED) and the like.
var (
	// ErrStackClosed means the stack was closed; it is not used again.
	ErrStackClosed = errors.New("eventloop: stack closed")
	// ErrTransportClosed means the transport was closed or detached by this side.
	ErrTransportClosed = errors.New("eventloop: transport closed")
	// ErrDialTimeout means that DialConfig.Timeout passed before the connection
	// was established.
	ErrDialTimeout error = timeoutError("eventloop: dial timed out")
	// ErrNotSupported means that this stack does not exist on this platform.
	ErrNotSupported = errors.New("eventloop: not supported on this platform")
)

// timeoutError is an error that net.Error's Timeout tells apart.
type timeoutError string

func (e timeoutError) Error() string { return string(e) }
func (timeoutError) Timeout() bool   { return true }
