package frame

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Transcript is a recorded TCP connection. Its text form has a line per chunk of
// bytes, in the order they were on the wire,
//
//	C 26 72 0.000217 010124000000080000...
//
// that is: the side that sent it (C connected, S accepted), the chunk's offset in
// that side's stream, its length, seconds since the start, and the bytes in hex.
// Lines that begin with # are comments.
type Transcript struct {
	// Comments are the comment lines without the #.
	Comments []string
	// Chunks are without gaps: each begins where the last of its side ended.
	Chunks []Chunk
}

// Chunk is a piece of one side's stream.
type Chunk struct {
	// From is FromConnector or FromAcceptor.
	From Direction
	// Offset is where the chunk begins in the stream.
	Offset int
	// At is the time since the start of the recording.
	At time.Duration
	// Data is not empty.
	Data []byte
}

// letter is the side as a transcript writes it.
func (d Direction) letter() byte {
	if d == FromAcceptor {
		return 'S'
	}
	return 'C'
}

// side is the direction's index in arrays of two.
func (d Direction) side() int {
	if d == FromAcceptor {
		return 1
	}
	return 0
}

// transcriptLineMax bounds a line: some 32 MiB of bytes.
const transcriptLineMax = 64 << 20

// ReadTranscript reads the text form. It refuses gaps.
func ReadTranscript(r io.Reader) (*Transcript, error) {
	t := &Transcript{}
	var offsets [2]int
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, transcriptLineMax)
	for line := 1; sc.Scan(); line++ {
		text := strings.TrimSpace(sc.Text())
		if comment, ok := strings.CutPrefix(text, "#"); ok {
			t.Comments = append(t.Comments, strings.TrimSpace(comment))
			continue
		}
		if text == "" {
			continue
		}
		c, err := parseChunk(strings.Fields(text))
		if err != nil {
			return nil, fmt.Errorf("frame: transcript line %d: %w", line, err)
		}
		off := &offsets[c.From.side()]
		if c.Offset != *off {
			return nil, fmt.Errorf("frame: transcript line %d: offset %d, want %d", line, c.Offset, *off)
		}
		*off += len(c.Data)
		t.Chunks = append(t.Chunks, c)
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("frame: transcript: %w", err)
	}
	return t, nil
}

func parseChunk(f []string) (c Chunk, err error) {
	if len(f) != 5 {
		return c, fmt.Errorf("%d fields, want 5", len(f))
	}
	switch f[0] {
	case "C":
		c.From = FromConnector
	case "S":
		c.From = FromAcceptor
	default:
		return c, fmt.Errorf("side %q, want C or S", f[0])
	}
	if c.Offset, err = strconv.Atoi(f[1]); err != nil {
		return c, err
	}
	n, err := strconv.Atoi(f[2])
	if err != nil {
		return c, err
	}
	secs, err := strconv.ParseFloat(f[3], 64)
	if err != nil {
		return c, err
	}
	c.At = time.Duration(secs * float64(time.Second))
	if c.Data, err = hex.DecodeString(f[4]); err != nil {
		return c, err
	}
	if n != len(c.Data) || n == 0 {
		return c, fmt.Errorf("length %d of %d bytes", n, len(c.Data))
	}
	return c, nil
}

// Stream is all bytes of one side.
func (t *Transcript) Stream(from Direction) []byte {
	var parts [][]byte
	for _, c := range t.Chunks {
		if c.From == from {
			parts = append(parts, c.Data)
		}
	}
	return bytes.Join(parts, nil)
}
