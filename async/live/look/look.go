// Package look is what the pages of this project have in common: colours, type, the layout of a
// ring, small helpers. They are plain files, which this one embeds: the page of package live and
// the playground (bench/playground) are made with them.
//
// Implementation: not for users of the library; may change in any release.
package look

import (
	"embed"
	"errors"
	"io/fs"
)

//go:embed *.css *.js *.svg
var files embed.FS

// Under is a site with the common files beneath its own.
func Under(site fs.FS) fs.FS { return Over{site, files} }

// Over is two sites: what the first one lacks, and the folder itself, is the second one's.
type Over [2]fs.FS

// Open implements fs.FS.
func (o Over) Open(name string) (fs.File, error) {
	f, err := o[0].Open(name)
	if name == "." || errors.Is(err, fs.ErrNotExist) {
		if f != nil {
			_ = f.Close()
		}
		return o[1].Open(name)
	}
	return f, err
}
