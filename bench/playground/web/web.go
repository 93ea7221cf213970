// Package web is the page of the playground: plain files, which this one embeds, and those of
// async/live/look beneath them. Those that make playground adds, the simulator as WebAssembly and
// what loads it, are there if msgr was built after that.
package web

import (
	"embed"
	"io/fs"
	"path"

	"github.com/asyncmsgr/asyncmsgr/async/live/look"
)

//go:embed *
var files embed.FS

// Files are those of the page, without this one.
func Files() fs.FS { return look.Under(page{}) }

type page struct{}

// Open implements fs.FS.
func (page) Open(name string) (fs.File, error) {
	if path.Ext(name) == ".go" {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return files.Open(name)
}
