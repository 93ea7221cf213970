package admin

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// errTooLong: a command is longer than CommandMax.
var errTooLong = &Error{syscallE2BIG, fmt.Sprintf("command longer than %d bytes", CommandMax)}

// readCommand reads up to a NUL. A command of words alone may end with a line feed as well.
func readCommand(r io.Reader) ([]byte, error) {
	var b []byte
	chunk := make([]byte, 4096)
	for {
		n, err := r.Read(chunk)
		for i, x := range chunk[:n] {
			if x == 0 || x == '\n' && words(b, chunk[:i]) {
				return append(b, chunk[:i]...), nil
			}
		}
		b = append(b, chunk[:n]...)
		switch {
		case len(b) > CommandMax:
			return nil, errTooLong
		case err != nil:
			return nil, err
		}
	}
}

// words says whether a command that begins so is no JSON.
func words(b, more []byte) bool {
	b = bytes.TrimLeft(append(bytes.Clone(b[:min(len(b), 64)]), more[:min(len(more), 64)]...), " \t\r\n")
	return len(b) > 0 && b[0] != '{'
}

func writeAnswer(w io.Writer, answer []byte) error {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(answer)), uint32(len(answer)))
	_, err := w.Write(append(b, answer...))
	return err
}

// Ask asks the admin socket at path, a Server's or a daemon's of Ceph, and returns the answer.
// timeout bounds all of it. What begins with "ERROR:" is an answer too: IsRefusal knows.
func Ask(path string, command []byte, timeout time.Duration) ([]byte, error) {
	c, err := net.DialTimeout("unix", path, timeout)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(timeout))
	if _, err := c.Write(append(bytes.Clone(command), 0)); err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, fmt.Errorf("admin: no answer from %s: %w", path, unexpected(err))
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > AnswerMax {
		return nil, fmt.Errorf("admin: %s announces an answer of %d bytes, more than %d", path, n, AnswerMax)
	}
	var answer bytes.Buffer
	if _, err := io.CopyN(&answer, c, int64(n)); err != nil {
		return nil, fmt.Errorf("admin: half an answer from %s: %w", path, unexpected(err))
	}
	return answer.Bytes(), nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// IsRefusal says whether an answer is an error.
func IsRefusal(answer []byte) bool { return bytes.HasPrefix(answer, []byte("ERROR:")) }
