package main

import (
	"bufio"
	"fmt"
	"io"
	"os"

	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// decodeCmd prints and verifies recorded connections (see frame.Transcript for
// the file format). It ends with an error at the first frame that does not
// verify. A stream that stops inside a frame is said to, but is an error only if
// the file has no complete frame at all. What is encrypted is not looked at.
type decodeCmd struct {
	Files []string `arg:"" name:"file" help:"Recorded connections, in the .hex format."`
}

// Run decodes the files in turn.
func (c *decodeCmd) Run(w io.Writer) error {
	out := bufio.NewWriter(w)
	for _, file := range c.Files {
		if err := decodeFile(out, file); err != nil {
			out.Flush()
			return err
		}
	}
	return out.Flush()
}

func decodeFile(w io.Writer, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	t, err := frame.ReadTranscript(f)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	fmt.Fprintf(w, "==> %s\n", file)
	sum, err := t.Walk(frame.WalkOptions{}, func(r *frame.Record) error {
		_, err := fmt.Fprintln(w, r)
		return err
	})
	if err == nil {
		explainRest(w, &sum)
	}
	fmt.Fprintf(w, "frames %d, preamble crcs %d ok, segment crcs %d ok\n", sum.Frames, sum.Frames, sum.SegmentCRCs)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if sum.Frames == 0 {
		return fmt.Errorf("%s: no complete frame", file)
	}
	return nil
}

// explainRest says what of the streams was not decoded, and why.
func explainRest(w io.Writer, sum *frame.Summary) {
	for i, side := range [...]string{"C", "S"} {
		if n := sum.Encrypted[i]; n > 0 {
			fmt.Fprintf(w, "%s encrypted from here: %d bytes\n", side, n)
		}
		if n := sum.Partial[i]; n > 0 {
			fmt.Fprintf(w, "%s ends inside a frame, after %d bytes of it\n", side, n)
		}
	}
}
