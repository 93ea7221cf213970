package rpc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// The messages of this package. Front is a header, numbers little endian; TID says which call
// (or which body) it is about, and is of the caller's choice, unique among its calls.
//
//	            0       1       2               4                               8               16
//	REQUEST     version flags   method (u16)    life (u32)                      remaining (u64) body
//	REPLY       version flags   method (u16)    code (u32)                      body
//	CANCEL      version flags   0               0
//	PROBE       version flags   0               life (u32)
//	CHUNK       version flags   direction (u16) number (u32)                    bytes
//	CREDIT      version flags   direction (u16) bytes (u32)
//
// version is 1. The body is behind the header, or, when that is at the header's end, Data: who
// sends chooses, and never fills both.
//
// REQUEST: flag 1 says that nobody waits for a reply (OneWay). remaining is how long the caller
// waits, in nanoseconds from when the request is sent, as far as it can know; 0: no limit.
// life: see life.go.
// REPLY: code is 0 and the body the reply, or the code of an Error and the body its message. method
// is that of the request. PROBE has the life, which may be 0, or is there to be sent: see life.go and
// probe.go. CHUNK and CREDIT: see body.go.
const (
	typeRequest = msg.TypeRPCFirst + 0
	typeReply   = msg.TypeRPCFirst + 1
	typeCancel  = msg.TypeRPCFirst + 2
	typeChunk   = msg.TypeRPCFirst + 3
	typeCredit  = msg.TypeRPCFirst + 4
	typeProbe   = msg.TypeRPCFirst + 5
)

const (
	wireVersion = 1

	requestHeader = 16
	shortHeader   = 8 // of all others

	flagOneWay    = 1 << 0 // REQUEST
	knownRequest  = flagOneWay | flagBodyIn
	flagBodyIn    = 1 << 1 // REQUEST: chunks of a body follow; REPLY: the same
	knownReply    = flagBodyIn
	flagChunkLast = 1 << 0 // CHUNK: the body ends with it
	flagChunkFail = 1 << 1 // CHUNK: the body ends before its end; what is in it says why
	flagChunkTell = 1 << 2 // CHUNK: the sender wants to be told as soon as it was read
	knownChunk    = flagChunkLast | flagChunkFail | flagChunkTell
)

// errMalformed: a peer sent something that is none of this package's messages.
var errMalformed = errors.New("rpc: malformed message")

// header is what is in front of a body.
type header struct {
	flags     uint8
	method    uint16
	code      uint32        // REPLY; number, bytes or life in the others
	remaining time.Duration // REQUEST
}

// appendHeader appends the header of a message of that type to b.
func appendHeader(b []byte, typ uint16, h header) []byte {
	b = append(b, wireVersion, h.flags)
	b = binary.LittleEndian.AppendUint16(b, h.method)
	b = binary.LittleEndian.AppendUint32(b, h.code)
	if typ == typeRequest {
		b = binary.LittleEndian.AppendUint64(b, uint64(h.remaining))
	}
	return b
}

// parseHeader reads the header of a message of that type, and returns where the body is.
func parseHeader(typ uint16, front, middle, data []byte) (h header, body []byte, err error) {
	size, known := shortHeader, uint8(0)
	switch typ {
	case typeRequest:
		size, known = requestHeader, knownRequest
	case typeReply:
		known = knownReply
	case typeCancel, typeCredit, typeProbe:
	case typeChunk:
		known = knownChunk
	default:
		return h, nil, fmt.Errorf("%w: type %#x", errMalformed, typ)
	}
	switch {
	case len(front) < size:
		return h, nil, fmt.Errorf("%w: type %#x, %d bytes of front", errMalformed, typ, len(front))
	case len(middle) > 0 || len(front) > size && len(data) > 0:
		return h, nil, fmt.Errorf("%w: type %#x, segments of %d, %d and %d bytes", errMalformed, typ,
			len(front), len(middle), len(data))
	case front[0] != wireVersion:
		return h, nil, fmt.Errorf("%w: type %#x, version %d", errMalformed, typ, front[0])
	case front[1]&^known != 0:
		return h, nil, fmt.Errorf("%w: type %#x, flags %#x", errMalformed, typ, front[1])
	}
	h.flags = front[1]
	h.method = binary.LittleEndian.Uint16(front[2:])
	h.code = binary.LittleEndian.Uint32(front[4:])
	if typ == typeRequest {
		r := binary.LittleEndian.Uint64(front[8:])
		h.remaining = time.Duration(min(r, uint64(remainingMax)))
	}
	if len(data) > 0 {
		return h, data, nil
	}
	return h, front[size:], nil
}

// remainingMax is the longest time that a caller is taken to wait; more is no limit at all.
const remainingMax = 10 * 365 * 24 * time.Hour
