package tlsauth

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
)

// An authentication payload carries the messages of one flight:
//
//	u8 version (1)
//	one chunk or more:
//	  u8  level: 0 Initial, 2 Handshake, 3 Application, as in tls.QUICEncryptionLevel
//	  u32 length, little endian, 1 or more
//	  ... messages of TLS (RFC 8446 4), which chunks may cut anywhere
//
// The level says which keys of QUIC would encrypt the chunk. Levels do not go down within
// a payload. AUTH_DONE has the payload of no bytes.
const payloadVersion = 1

// The bounds of what a peer may send, in bytes. A payload that exceeds them ends the
// connection.
const (
	// payloadMax bounds one payload; with the fields around it it fits in a frame
	// before authentication (frame.LimitPreAuth, 64 KiB).
	payloadMax = 63 << 10
	// handshakeMax bounds all payloads of a handshake together.
	handshakeMax = 128 << 10
	// chunksMax bounds the chunks of a payload: a flight has one for each level.
	chunksMax = 4

	chunkHeaderLen = 5
)

// PayloadError is a payload of a peer that is not as this package writes them.
type PayloadError struct{ What string }

func (e *PayloadError) Error() string { return "tlsauth: malformed payload: " + e.What }

func malformed(format string, args ...any) error {
	return &PayloadError{What: fmt.Sprintf(format, args...)}
}

// chunk is messages of one level. Its data alias the payload they were parsed from.
type chunk struct {
	level tls.QUICEncryptionLevel
	data  []byte
}

// parsePayload returns the chunks of a payload, at least one.
func parsePayload(p []byte) ([]chunk, error) {
	switch {
	case len(p) > payloadMax:
		return nil, malformed("%d bytes, at most %d are allowed", len(p), payloadMax)
	case len(p) == 0:
		return nil, malformed("it is empty")
	case p[0] != payloadVersion:
		return nil, malformed("version %d, this is version %d", p[0], payloadVersion)
	}
	var chunks []chunk
	for p = p[1:]; len(p) > 0; {
		if len(p) < chunkHeaderLen {
			return nil, malformed("it ends inside the header of a chunk")
		}
		c := chunk{level: tls.QUICEncryptionLevel(p[0])}
		n := binary.LittleEndian.Uint32(p[1:])
		p = p[chunkHeaderLen:]
		switch {
		case !levelAllowed(c.level):
			return nil, malformed("level %d", int(c.level))
		case n == 0:
			return nil, malformed("a chunk without bytes")
		case uint64(n) > uint64(len(p)):
			return nil, malformed("a chunk of %d bytes, of which there are %d", n, len(p))
		case len(chunks) == chunksMax:
			return nil, malformed("more than %d chunks", chunksMax)
		case len(chunks) > 0 && c.level < chunks[len(chunks)-1].level:
			return nil, malformed("level %s after level %s", c.level, chunks[len(chunks)-1].level)
		}
		c.data, p = p[:n], p[n:]
		chunks = append(chunks, c)
	}
	if len(chunks) == 0 {
		return nil, malformed("it has no chunk")
	}
	return chunks, nil
}

// levelAllowed says which levels travel: there is no early data.
func levelAllowed(l tls.QUICEncryptionLevel) bool {
	return l == tls.QUICEncryptionLevelInitial || l == tls.QUICEncryptionLevelHandshake ||
		l == tls.QUICEncryptionLevelApplication
}

// appendChunk appends a chunk to a payload, which it begins if that is empty.
func appendChunk(p []byte, level tls.QUICEncryptionLevel, data []byte) []byte {
	if len(p) == 0 {
		p = append(make([]byte, 0, 1+chunkHeaderLen+len(data)), payloadVersion)
	}
	p = append(p, byte(level))
	p = binary.LittleEndian.AppendUint32(p, uint32(len(data)))
	return append(p, data...)
}
