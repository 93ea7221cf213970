package command

import (
	"io"
	"os"
)

// IsTerminal says whether w is a terminal, where a line may be written over.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
