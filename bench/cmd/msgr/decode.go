package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// decodeCmd prints and verifies recorded connections (see frame.Transcript for
// the file format). It ends with an error at the first frame that does not
// verify. A stream that stops inside a frame is said to, but is an error only if
// the file has no complete frame at all.
type decodeCmd struct {
	Keyring string   `placeholder:"FILE" help:"Open cephx logins, and what is encrypted, with the keys of this keyring file, and verify their signatures."`
	JSON    bool     `name:"json" help:"Print an object for each line."`
	Files   []string `arg:"" name:"file" help:"Recorded connections, in the .hex format. With --keyring those of one process in the order of time."`
}

// Help is shown by msgr decode --help.
func (decodeCmd) Help() string {
	return `Prints the frames of recorded connections, a line each, in the order of the wire, and verifies
their checksums. A recording has a line for each chunk of bytes,

  C 26 72 0.000217 010124000000080000...

that is: the side that sent it (C connected, S accepted), the chunk's offset in that side's
stream, its length, seconds since the start, and the bytes in hex. Lines with # are comments.

What is compressed is opened too, and the algorithm named; lengths in front of that are as on the wire.

With --keyring, cephx logins are opened with the keys of the entities in it: proofs, tickets,
authorizers and both AUTH_SIGNATUREs are verified, and in secure mode every frame is decrypted
and its tag verified. A session with a daemon needs the ticket that its client got from the
monitor: give the recording of that login before it. What no key was found for is said, and
stays encrypted; what a key does not open is an error. Secrets are not printed.

Examples:
  msgr decode recording.hex
  msgr decode --keyring=client.admin.keyring login.hex session.hex
  msgr decode --json recording.hex      a line of JSON for each line, frames with their parts

The exit code is 1 at the first frame, signature or ticket that does not verify, and for a file
without a complete frame that has more than banners.`
}

// Run decodes the files in turn.
func (c *decodeCmd) Run(w io.Writer) error {
	watch, err := newCephxWatch(c.Keyring)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	for _, file := range c.Files {
		to := io.Writer(out)
		if c.JSON {
			to = &jsonLines{w: out, file: file}
		}
		if err := decodeFile(to, file, watch); err != nil {
			return errors.Join(out.Flush(), err)
		}
	}
	return out.Flush()
}

// openFile opens a file to be read, which a directory is not.
func openFile(name, what string) (*os.File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%w; give the name of %s", err, what)
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		_ = f.Close()
		return nil, fmt.Errorf("%s is a directory; give the name of %s", name, what)
	}
	return f, nil
}

func decodeFile(w io.Writer, file string, watch *cephxWatch) error {
	f, err := openFile(file, "a recording")
	if err != nil {
		return err
	}
	defer f.Close()
	t, err := frame.ReadTranscript(f)
	if err != nil {
		return fmt.Errorf("%s: %w; a recording is described in msgr decode --help", file, err)
	}
	if _, asJSON := w.(*jsonLines); !asJSON {
		fmt.Fprintf(w, "==> %s\n", file)
	}
	conn := watch.connection(t, w)
	var banners [2]bool
	sum, err := t.Walk(frame.WalkOptions{Secret: conn.connectionSecret}, func(r *frame.Record) error {
		banners[sideOf(r.From)] = banners[sideOf(r.From)] || r.Banner != nil
		if j, ok := w.(*jsonLines); ok {
			j.record = r
		}
		if _, err := fmt.Fprintln(w, r); err != nil {
			return err
		}
		return conn.visit(r)
	})
	if err == nil {
		explainRest(w, &sum, banners)
	}
	fmt.Fprintf(w, "frames %d, preamble crcs %d ok, segment crcs %d ok", sum.Frames, sum.Frames, sum.SegmentCRCs)
	if sum.Units > 0 {
		fmt.Fprintf(w, ", sealed units %d ok", sum.Units)
	}
	fmt.Fprintln(w)
	conn.summary()
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return notEmpty(file, t, &sum, banners)
}

// sideOf is a side's index in arrays of two.
func sideOf(d frame.Direction) int {
	if d == frame.FromAcceptor {
		return 1
	}
	return 0
}

// The sides as recordings and records name them.
var sides = [2]string{"C", "S"}

// explainRest says what of the streams was not decoded, and why.
func explainRest(w io.Writer, sum *frame.Summary, banners [2]bool) {
	for i, side := range sides {
		if n := sum.Encrypted[i]; n > 0 {
			fmt.Fprintf(w, "%s encrypted from here: %d bytes\n", side, n)
		}
		switch n := sum.Partial[i]; {
		case n > 0 && !banners[i]:
			fmt.Fprintf(w, "%s ends inside its banner, after %d bytes of it\n", side, n)
		case n > 0:
			fmt.Fprintf(w, "%s ends inside a frame, after %d bytes of it\n", side, n)
		case sum.Frames == 0 && banners[i]:
			fmt.Fprintf(w, "%s nothing follows its banner\n", side)
		case sum.Frames == 0:
			fmt.Fprintf(w, "%s sent nothing\n", side)
		}
	}
}

// notEmpty is an error about a recording that begins in the middle of something and ends
// there. One of banners alone is complete: that is how a connection looks that one side
// gave up.
func notEmpty(file string, t *frame.Transcript, sum *frame.Summary, banners [2]bool) error {
	switch {
	case sum.Frames > 0:
		return nil
	case len(t.Chunks) == 0:
		return fmt.Errorf("%s: there is nothing in it; a recording is described in msgr decode --help", file)
	case sum.Partial == [2]int{}:
		return nil
	}
	var at []string
	for i, side := range sides {
		if sum.Partial[i] > 0 {
			what := "the first frame"
			if !banners[i] {
				what = "the banner"
			}
			at = append(at, what+" of "+side)
		}
	}
	return fmt.Errorf("%s: no complete frame: it ends inside %s; record more", file, strings.Join(at, " and "))
}
