package stream

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// Codes of a CloseError that are not the application's: those below CodeReserved are.
const (
	// CodeClosed is that of Close: the end that closed neither reads nor writes any more.
	CodeClosed uint32 = 0
	// CodeReserved and above are this package's.
	CodeReserved uint32 = 0xffffff00
)

// Codes of this package.
const (
	// CodeProtocol: one of the ends broke the protocol, by the judgement of the other.
	CodeProtocol = CodeReserved + iota
	// CodeUnknown: the other end does not know the stream, most often since it has
	// restarted and the session went on (policies without ResetCheck).
	CodeUnknown
	// CodeNoService: nobody listens under that name.
	CodeNoService
	// CodeBacklog: Options.Backlog streams wait to be accepted there.
	CodeBacklog
	// CodeStreams: Options.StreamsMax streams exist on the connection.
	CodeStreams
	// CodeMemory: Options.BufferMax or ConnBufferMax bytes are promised.
	CodeMemory
	// CodeCancelled: the Context of Dial ended.
	CodeCancelled
	// CodeVersion: the other end speaks another version of this protocol.
	CodeVersion
)

var (
	// ErrPeerReset: the session with the peer is over, by a remote reset (it restarted, or
	// gave the connection up) or by a reset; what was written may not have arrived.
	ErrPeerReset = errors.New("stream: session with the peer was reset")
	// ErrNoService is CodeNoService.
	ErrNoService = errors.New("stream: nobody listens under that name")
	// ErrBacklogFull is CodeBacklog.
	ErrBacklogFull = errors.New("stream: too many streams wait to be accepted")
	// ErrTooManyStreams is CodeStreams.
	ErrTooManyStreams = errors.New("stream: too many streams on the connection")
	// ErrNoMemory is CodeMemory.
	ErrNoMemory = errors.New("stream: too many bytes promised to peers")
	// ErrProtocol is CodeProtocol.
	ErrProtocol = errors.New("stream: protocol error")
	// ErrUnknownStream is CodeUnknown.
	ErrUnknownStream = errors.New("stream: unknown to the peer")
	errCancelled     = errors.New("stream: dial cancelled")
	// ErrVersion is CodeVersion.
	ErrVersion = errors.New("stream: peer speaks another version")
	// ErrServiceTaken: Listen for a service that has a listener.
	ErrServiceTaken = errors.New("stream: service has a listener already")
	// ErrLost: the messenger gave up a message of the stream (msg.ErrRejected), or the
	// peer's did.
	ErrLost = errors.New("stream: a message of the stream was lost")
)

// CloseError is why a stream was closed otherwise than by Close on this side.
//
// errors.Is knows it as the Err... of this package that stands for its Code; as
// net.ErrClosed if this side closed it; and as io.ErrClosedPipe if the peer did.
type CloseError struct {
	// Code is the application's, below CodeReserved, or one of this package.
	Code uint32
	// Reason is a text for people, at most ReasonMax bytes of it; that of a peer is to be
	// treated as input.
	Reason string
	// Remote says that the peer closed the stream, or refused it.
	Remote bool
}

// Error is one line.
func (e *CloseError) Error() string {
	who := "closed"
	if e.Remote {
		who = "closed by peer"
	}
	what := "stream " + who
	if err := sentinel(e.Code); err != nil {
		what = fmt.Sprintf("%v (%s)", err, who)
	} else if e.Code != CodeClosed {
		what += " with code " + strconv.FormatUint(uint64(e.Code), 10)
	}
	if e.Reason != "" {
		what += ": " + strconv.Quote(e.Reason)
	}
	return what
}

// Is implements the rule of errors.Is.
func (e *CloseError) Is(target error) bool {
	switch target {
	case net.ErrClosed:
		return !e.Remote
	case io.ErrClosedPipe:
		return e.Remote
	}
	err := sentinel(e.Code)
	return err != nil && err == target
}

func sentinel(code uint32) error {
	switch code {
	case CodeProtocol:
		return ErrProtocol
	case CodeUnknown:
		return ErrUnknownStream
	case CodeNoService:
		return ErrNoService
	case CodeBacklog:
		return ErrBacklogFull
	case CodeStreams:
		return ErrTooManyStreams
	case CodeMemory:
		return ErrNoMemory
	case CodeCancelled:
		return errCancelled
	case CodeVersion:
		return ErrVersion
	}
	return nil
}
