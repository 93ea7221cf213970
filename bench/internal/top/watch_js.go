package top

import (
	"context"
	"errors"
	"io"
)

// Watch needs a terminal.
func Watch(context.Context, io.Writer, Options) error {
	return errors.New("there is no terminal here; use --count")
}
