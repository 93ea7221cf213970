package async_test

import (
	"bytes"
	"fmt"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// lineMax is how many columns a line of Go has at most. A tab counts as four.
const lineMax = 120

var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// TestLinesAreShort: no line of Go has more columns, in any module.
func TestLinesAreShort(t *testing.T) {
	files := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != ".." && passedOver(d.Name()):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil || bytes.Contains(src, []byte("// Code generated")) && generated.Match(src) {
			return err
		}
		files++
		for _, complaint := range longLines(filepath.ToSlash(path)[len("../"):], src) {
			t.Errorf("%s: break it where a reader would, such as between arguments or after &&", complaint)
		}
		return nil
	})
	require.NoError(t, err)
	require.NotZero(t, files)
}

// longLines lists the lines of a file that are too long. Those of a raw string that is
// the last thing on its line are as long as they are: a struct tag cannot be broken, and
// a break in a text would be seen.
func longLines(name string, src []byte) (found []string) {
	fset := token.NewFileSet()
	file := fset.AddFile(name, -1, len(src))
	var s scanner.Scanner
	s.Init(file, src, nil, 0)
	raw := map[int]bool{}
	first, last := 0, -1 // lines of the raw string before this token
	for {
		pos, tok, text := s.Scan()
		if last > first || tok == token.SEMICOLON && text == "\n" {
			for n := first; n <= last; n++ {
				raw[n] = true
			}
		}
		if tok == token.EOF {
			break
		}
		first, last = 0, -1
		if tok == token.STRING && text[0] == '`' {
			first = file.Line(pos)
			last = first + strings.Count(text, "\n")
		}
	}
	n := 0
	for line := range strings.Lines(string(src)) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if width := utf8.RuneCountInString(line) + 3*strings.Count(line, "\t"); width > lineMax && !raw[n] {
			found = append(found, fmt.Sprintf("%s:%d: %d columns, more than %d", name, n, width, lineMax))
		}
	}
	return found
}

// TestLongLinesAreSeen makes sure that the check can fail.
func TestLongLinesAreSeen(t *testing.T) {
	long := strings.Repeat("x", lineMax-2)
	src := "package p\n\n" +
		"//" + long + "\n" +
		"//" + long + "µ\n" +
		"var x = `" + long + "` + x\n" +
		"var y = f(`" + long + "\n" + long + "xxx`)\n" +
		"type z struct {\n\tZ int `help:\"" + long + "\"`\n" +
		"\tz int // " + long + "\n}\n"
	require.Equal(t, []string{
		"p.go:4: 121 columns, more than 120",
		"p.go:5: 132 columns, more than 120",
		"p.go:10: 131 columns, more than 120",
	}, longLines("p.go", []byte(src)))
}
