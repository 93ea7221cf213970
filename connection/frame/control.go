package frame

import (
	"encoding/binary"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
)

var le = binary.LittleEndian

// Control is a control frame: any but MESSAGE. The types with a Parse method
// here are all there are; either a value or a pointer can be sent. Sending a
// pointer to a struct that the caller keeps allocates nothing.
type Control interface {
	// Tag is the frame's tag.
	Tag() Tag
	// AppendPayload appends the payload, segment 0. It only appends.
	AppendPayload(dst []byte) []byte
	// String is the frame in one line. It shows no secrets, only their lengths.
	String() string
}

// parser is a pointer to the control frame T.
type parser[T any] interface {
	*T
	Control
	Parse(p []byte) error
}

func parse[T any, P parser[T]](p []byte) (Control, error) {
	c := P(new(T))
	if err := c.Parse(p); err != nil {
		return nil, err
	}
	return c, nil
}

// ParseControl parses the payload of a control frame by its tag, for tools and
// tests; a session parses into a struct of its own. Slices in the result alias p.
func ParseControl(t Tag, p []byte) (Control, error) {
	if !t.Known() {
		return nil, &Error{Code: UnknownTag, Tag: t}
	}
	if tags[t].parse == nil {
		return nil, &Error{Code: BadPayload, Tag: t, Len: len(p)}
	}
	return tags[t].parse(p)
}

// finish is the end of every Parse: what r found, as an Error about the frame.
func finish(t Tag, p []byte, r *denc.Reader) error {
	if err := r.End(); err != nil {
		return &Error{Code: BadPayload, Tag: t, Len: len(p), Err: err}
	}
	return nil
}

// parseU64 parses the payloads that are one u64.
func parseU64(t Tag, p []byte, v *uint64) error {
	r := denc.NewReader(p)
	*v = r.U64()
	return finish(t, p, &r)
}
