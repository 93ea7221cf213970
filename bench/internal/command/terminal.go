package command

import (
	"io"
	"os"

	"github.com/charmbracelet/x/term"
)

// IsTerminal says whether w is a terminal, where a line may be written over.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(f.Fd())
}
