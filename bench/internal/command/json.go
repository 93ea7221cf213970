package command

import (
	"encoding/json"
	"io"
)

// WriteJSON writes v as indented JSON, as all subcommands with --json do that print one object.
func WriteJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
