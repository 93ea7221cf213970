package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// On the wire each step of a stream is one message, sent at the stream's priority, so that
// those of one stream stay in order. All numbers are little-endian.
//
//	type           front                                 from  when
//	0xE010 OPEN    u32 window | u8 n | n bytes service   D     first; the answer is ACCEPT or CLOSE
//	0xE011 ACCEPT  u32 window                            A     once
//	0xE012 DATA    1 byte or more                        both  within the credit; header's DataOff: see below
//	0xE013 WINDOW  u32 more                              both  that many bytes of DATA may be sent in addition
//	0xE014 FIN     (empty)                               both  no DATA follows
//	0xE015 CLOSE   u32 code | reason, at most 512 bytes  both  nothing follows; answered by CLOSE, if not sent yet
//
//	tid of all:    u63 number of the stream, chosen by D | u1 whether the sender is D
//
// D is who dialled, A who accepts. window is how many bytes the other end may send before it
// gets a WINDOW. The DataOff of a DATA counts the DATA messages of the stream in that
// direction, modulo 2^16: one that the messenger gave up (msg.ErrRejected) is noticed.
//
// An end remembers a stream until it has sent and received CLOSE. A CLOSE that answers OPEN
// is a refusal, and is not answered; nor is one with CodeUnknown, which answers messages of
// streams that the receiver does not know. Its numbers begin at a random one for each Mux,
// so those of an earlier life of a peer mean nothing to the next one.
const (
	typeOpen uint16 = msg.TypeStreamFirst + iota
	typeAccept
	typeData
	typeWindow
	typeFin
	typeClose
)

const (
	// ServiceMax is the longest name of a service, in bytes.
	ServiceMax = 255
	// ReasonMax is how many bytes of a reason are sent.
	ReasonMax = 512
	// creditMax is the most that a peer may have us send ahead.
	creditMax = 1<<31 - 1

	// version of the wire format: the header's version and compat of OPEN.
	version = 1
)

// streamKey is a stream in the table of one connection.
type streamKey struct {
	id   uint64 // 63 bits
	mine bool   // dialled by this side
}

// tid is the header's tid of what this side sends on the stream.
func (k streamKey) tid() uint64 {
	if k.mine {
		return k.id<<1 | 1
	}
	return k.id << 1
}

// keyOf is the stream that a received message with that tid belongs to.
func keyOf(tid uint64) streamKey { return streamKey{id: tid >> 1, mine: tid&1 == 0} }

// header is what precedes, or is all of, the front of a message that is not DATA.
type header struct {
	window  uint32 // OPEN, ACCEPT, WINDOW
	service string // OPEN
	code    uint32 // CLOSE
	reason  string // CLOSE
}

// errHeader is wrapped by what parse returns.
var errHeader = errors.New("bad header")

// parse reads the front of a message of that type. It never keeps front.
func parse(typ uint16, front []byte) (h header, err error) {
	bad := func(format string, args ...any) (header, error) {
		what := fmt.Sprintf(format, args...)
		return header{}, fmt.Errorf("%w: %s of %d bytes%s", errHeader, name(typ), len(front), what)
	}
	switch typ {
	case typeOpen:
		if len(front) < 5 {
			return bad(", at least 5")
		}
		if n := int(front[4]); len(front) != 5+n {
			return bad(", with a service of %d", n)
		}
		h.window = binary.LittleEndian.Uint32(front)
		h.service = string(front[5:])
	case typeAccept, typeWindow:
		if len(front) != 4 {
			return bad(", not 4")
		}
		h.window = binary.LittleEndian.Uint32(front)
	case typeFin:
		if len(front) != 0 {
			return bad(", not 0")
		}
	case typeClose:
		if len(front) < 4 || len(front) > 4+ReasonMax {
			return bad(", from 4 to %d", 4+ReasonMax)
		}
		h.code = binary.LittleEndian.Uint32(front)
		h.reason = string(front[4:])
	default:
		return bad(", unknown")
	}
	if typ <= typeWindow && (h.window == 0 || h.window > creditMax) {
		return bad(", with a window of %d", h.window)
	}
	return h, nil
}

// name is that of a type.
func name(typ uint16) string {
	names := [...]string{"OPEN", "ACCEPT", "DATA", "WINDOW", "FIN", "CLOSE"}
	if i := int(typ) - int(typeOpen); i >= 0 && i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("type %#x", typ)
}

// build is the other direction: a message of that type for the stream.
func build(typ uint16, k streamKey, prio uint8, h header) *msg.Message {
	var m *msg.Message
	switch typ {
	case typeOpen:
		m = msg.New(typ, 5+len(h.service))
		binary.LittleEndian.PutUint32(m.Front, h.window)
		m.Front[4] = byte(len(h.service))
		copy(m.Front[5:], h.service)
		m.Version, m.Compat = version, version
	case typeAccept, typeWindow:
		m = msg.New(typ, 4)
		binary.LittleEndian.PutUint32(m.Front, h.window)
	case typeFin:
		m = msg.New(typ, 0)
	case typeClose:
		reason := cut(h.reason)
		m = msg.New(typ, 4+len(reason))
		binary.LittleEndian.PutUint32(m.Front, h.code)
		copy(m.Front[4:], reason)
	default:
		panic(fmt.Sprintf("stream: build of a message of type %#x", typ))
	}
	m.TID, m.Priority = k.tid(), prio
	return m
}

// cut is as much of a reason as is sent, in whole characters.
func cut(reason string) string {
	if len(reason) <= ReasonMax {
		return reason
	}
	n := ReasonMax
	for n > ReasonMax-utf8.UTFMax && !utf8.RuneStart(reason[n]) {
		n--
	}
	return reason[:n]
}
