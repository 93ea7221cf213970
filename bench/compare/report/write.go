package report

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Files are what Write writes, by name.
var Files = []struct {
	Name  string
	Write func(w io.Writer, r *Report) error
}{
	{"report.html", HTML},
	{"report.md", Markdown},
	{"report.json", func(w io.Writer, r *Report) error { return JSON(w, r.Rows) }},
	{"raw.json", Raw},
	{"raw.csv", CSV},
	{"benchstat.txt", Benchstat},
}

// Prepare makes sure that a report can be written to dir, which it makes if need be:
// call it before measuring.
func Prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// Write writes all files of a report to dir. A file is there as a whole or not at all.
func Write(dir string, r *Report) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, x := range Files {
		if err := WriteFile(filepath.Join(dir, x.Name), func(w io.Writer) error { return x.Write(w, r) }); err != nil {
			return fmt.Errorf("%s: %w", x.Name, err)
		}
	}
	return nil
}

// WriteFile makes or replaces a file once all of it is written.
func WriteFile(name string, write func(w io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	err = errors.Join(write(f), f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
