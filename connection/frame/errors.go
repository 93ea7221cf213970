package frame

import (
	"errors"
	"fmt"
)

// Classes of failure, for errors.Is. The exact one is the Code of an *Error.
var (
	// ErrBanner: the peer does not speak msgr v2.1, or the banners do not agree.
	ErrBanner = errors.New("frame: bad banner")
	// ErrPeerIsV1: the peer speaks msgr v1. It is an ErrBanner too.
	ErrPeerIsV1 = errors.New("frame: peer speaks msgr v1")
	// ErrCRC: a checksum in crc mode does not match.
	ErrCRC = errors.New("frame: checksum mismatch")
	// ErrMalformed: a frame that no correct peer sends.
	ErrMalformed = errors.New("frame: malformed frame")
	// ErrTooLarge: a frame beyond the Limits or the bound of its tag.
	ErrTooLarge = errors.New("frame: frame too large")
	// ErrCipher: a unit in secure mode does not authenticate.
	ErrCipher = errors.New("frame: frame does not authenticate")
	// ErrOutOfNonces: the cipher has sealed or opened as many units as it may.
	ErrOutOfNonces = errors.New("frame: out of nonces")
)

// Code says exactly what is wrong.
type Code uint8

// The codes, with the class each belongs to.
const (
	BadBanner        Code = iota + 1 // not "ceph v2\n", or its length is out of range; ErrBanner
	PeerIsV1                         // ErrPeerIsV1, ErrBanner
	Revision0                        // the peer cannot do msgr v2.1; ErrBanner
	MissingFeatures                  // a required banner feature is missing; ErrBanner
	BadPreambleCRC                   // ErrCRC
	BadSegmentCount                  // not 1..4, not that of the tag, or lengths beyond it; ErrMalformed
	EmptyLastSegment                 // ErrMalformed
	CompressedFrame                  // compression was not agreed on; ErrMalformed
	UnknownTag                       // ErrMalformed
	TooShort                         // shorter than its tag's frames are; ErrMalformed
	TooLarge                         // ErrTooLarge
	BadSegmentCRC                    // ErrCRC
	BadUnusedCRC                     // slot of a segment the frame does not have; ErrMalformed
	BadLateStatus                    // neither complete nor aborted; ErrMalformed
	BadPayload                       // the fields of a control frame do not parse; ErrMalformed
	BadCipher                        // ErrCipher
	OutOfNonces                      // ErrOutOfNonces
	BadCompression                   // a segment does not decompress; ErrMalformed
)

var codes = [...]struct {
	text  string
	class error
}{
	BadBanner:        {"this is not msgr v2", ErrBanner},
	PeerIsV1:         {"peer speaks msgr v1", ErrPeerIsV1},
	Revision0:        {"peer does not speak msgr v2.1", ErrBanner},
	MissingFeatures:  {"banner features are missing", ErrBanner},
	BadPreambleCRC:   {"preamble crc mismatch", ErrCRC},
	BadSegmentCount:  {"bad segment count", ErrMalformed},
	EmptyLastSegment: {"last segment is empty", ErrMalformed},
	CompressedFrame:  {"compressed frame", ErrMalformed},
	UnknownTag:       {"unknown tag", ErrMalformed},
	TooShort:         {"payload too short", ErrMalformed},
	TooLarge:         {"payload too large", ErrTooLarge},
	BadSegmentCRC:    {"segment crc mismatch", ErrCRC},
	BadUnusedCRC:     {"crc of a segment the frame does not have", ErrMalformed},
	BadLateStatus:    {"bad late status", ErrMalformed},
	BadPayload:       {"bad payload", ErrMalformed},
	BadCipher:        {"frame does not authenticate", ErrCipher},
	OutOfNonces:      {"out of nonces", ErrOutOfNonces},
	BadCompression:   {"does not decompress", ErrMalformed},
}

// String is the code in words.
func (c Code) String() string {
	if int(c) < len(codes) && c != 0 {
		return codes[c].text
	}
	return fmt.Sprintf("code %d", uint8(c))
}

// Error is a failure of the stream. After one, the stream is of no further use:
// the place where the next frame begins is not known.
type Error struct {
	// Code says what is wrong.
	Code Code
	// Tag is the frame's, 0 when it is not known (banner, preamble).
	Tag Tag
	// Segment is the segment concerned, 0..3.
	Segment int
	// Len is the length that was declared or found and Limit the one allowed,
	// where the code is about lengths; for BadSegmentCount, the count.
	Len, Limit int
	// Got is what was received (a crc, a status, features) and Want what it
	// should have been.
	Got, Want uint64
	// Err is the cause, or nil.
	Err error
}

// Error is one line with the tag and the numbers.
func (e *Error) Error() string {
	s := "frame: " + e.Code.String()
	if e.Tag != 0 {
		s += " in " + e.Tag.String()
	}
	switch e.Code {
	case BadPreambleCRC:
		s += fmt.Sprintf(": %#08x, want %#08x", e.Got, e.Want)
	case BadSegmentCRC:
		s += fmt.Sprintf(": segment %d of %d bytes: %#08x, want %#08x", e.Segment, e.Len, e.Got, e.Want)
	case BadUnusedCRC, BadLateStatus:
		s += fmt.Sprintf(": %#x", e.Got)
	case BadSegmentCount:
		s += fmt.Sprintf(": %d", e.Len)
	case TooLarge, TooShort:
		s += fmt.Sprintf(": %s of %d bytes, the limit is %d", e.part(), e.Len, e.Limit)
	case MissingFeatures, Revision0:
		s += fmt.Sprintf(": have %#x, want %#x", e.Got, e.Want)
	case BadCompression:
		s += fmt.Sprintf(": %s of %d bytes", e.part(), e.Len)
	case BadPayload:
		s += fmt.Sprintf(" of %d bytes", e.Len)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// part names what is too long or too short as who sends it or configures Limits knows it.
func (e *Error) part() string {
	if e.Tag == TagMessage && e.Segment > 0 && e.Segment < len(segmentNames) {
		return segmentNames[e.Segment]
	}
	return fmt.Sprintf("segment %d", e.Segment)
}

// segmentNames are the names of a MESSAGE's segments, in msg.Message and in Limits.
var segmentNames = [MaxSegments]string{"header", "Front", "Middle", "Data"}

// Unwrap gives the class and the cause to errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	errs := make([]error, 0, 3)
	if int(e.Code) < len(codes) && codes[e.Code].class != nil {
		errs = append(errs, codes[e.Code].class)
	}
	if e.Code == PeerIsV1 {
		errs = append(errs, ErrBanner)
	}
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	return errs
}

// Peer reports whether the peer, or the network between, is to blame, and not
// this side.
func (e *Error) Peer() bool { return e.Code != OutOfNonces }
