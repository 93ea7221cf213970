package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"

	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// jsonLines writes each line as an object, with the parts of the record that it is about.
type jsonLines struct {
	w      io.Writer
	file   string
	record *frame.Record // of the next line; nil: it is about no record
	rest   []byte        // a line that has no end yet
}

// lineJSON is a line. A note has its text alone.
type lineJSON struct {
	File    string  `json:"file"`
	From    string  `json:"from,omitempty"` // C connected, S accepted
	Offset  *int    `json:"offset,omitempty"`
	Len     int     `json:"len,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
	Banner  bool    `json:"banner,omitempty"`
	Tag     string  `json:"tag,omitempty"`
	Sealed  bool    `json:"sealed,omitempty"`
	Aborted bool    `json:"aborted,omitempty"`
	Packed  string  `json:"compressed,omitempty"` // by which algorithm
	Text    string  `json:"text"`
}

// Write implements io.Writer.
func (j *jsonLines) Write(p []byte) (int, error) {
	j.rest = append(j.rest, p...)
	for {
		line, after, ok := bytes.Cut(j.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		l := lineJSON{File: j.file, Text: strings.TrimSpace(string(line))}
		if r := j.record; r != nil {
			l.From, l.Offset, l.Len, l.Seconds = sides[sideOf(r.From)], &r.Offset, r.Len, r.At.Seconds()
			l.Banner, l.Sealed, l.Aborted = r.Banner != nil, r.Sealed, r.Aborted
			l.Packed = r.Compressed
			if !l.Banner {
				l.Tag = r.Preamble.Tag.String()
			}
		}
		j.rest, j.record = after, nil
		if err := json.NewEncoder(j.w).Encode(&l); err != nil {
			return 0, err
		}
	}
}
