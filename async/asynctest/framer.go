package asynctest

import (
	"encoding/binary"

	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// TagBanner is the tag that Framer gives to the banner, which has none.
const TagBanner = 0

// NewFramer returns what finds the frames of msgr2 in one direction of a
// connection: for simnet.Config.Framer, so that breakpoints can stop a host before it
// reads or sends a frame, and traces and charts name them. In secure mode (msgr2
// spec 1.4) only what comes before is seen.
func NewFramer(simnet.Conn, bool) simnet.Framer { return &framer{} }

type framer struct {
	banner bool // it has been seen
	blind  bool
}

// Next implements simnet.Framer.
func (f *framer) Next(b []byte) (simnet.Frame, bool) {
	if f.blind {
		return simnet.Frame{Name: "secure"}, true
	}
	if !f.banner {
		if len(b) < bannerHead {
			return simnet.Frame{}, false
		}
		f.banner = true
		return simnet.Frame{Tag: TagBanner, Name: "BANNER",
			Size: bannerHead + int64(binary.LittleEndian.Uint16(b[bannerHead-2:]))}, true
	}
	if len(b) < frame.PreambleLen {
		return simnet.Frame{}, false
	}
	n := bodyLen(b)
	if n < 0 {
		f.blind = true
		return simnet.Frame{Name: "secure"}, true
	}
	tag := frame.Tag(b[0])
	if tag == frame.TagAuthDone {
		if len(b) < frame.PreambleLen+12 {
			return simnet.Frame{}, false
		}
		f.blind = binary.LittleEndian.Uint32(b[frame.PreambleLen+8:]) == auth.ModeSecure
	}
	return simnet.Frame{Tag: uint8(tag), Name: tag.String(), Size: frame.PreambleLen + int64(n)}, true
}

// bannerHead is the part of a banner before its payload (docs/PROTOCOL.md 1.2).
const bannerHead = 10
