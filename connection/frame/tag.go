package frame

import "strconv"

// Tag is the first byte of a frame: its kind (docs/PROTOCOL.md 1.5).
type Tag uint8

// The tags. Those of compression belong to later protocol versions.
const (
	TagHello                Tag = 1
	TagAuthRequest          Tag = 2
	TagAuthBadMethod        Tag = 3
	TagAuthReplyMore        Tag = 4
	TagAuthRequestMore      Tag = 5
	TagAuthDone             Tag = 6
	TagAuthSignature        Tag = 7
	TagClientIdent          Tag = 8
	TagServerIdent          Tag = 9
	TagIdentMissingFeatures Tag = 10
	TagSessionReconnect     Tag = 11
	TagSessionReset         Tag = 12
	TagSessionRetry         Tag = 13
	TagSessionRetryGlobal   Tag = 14
	TagSessionReconnectOK   Tag = 15
	TagWait                 Tag = 16
	TagMessage              Tag = 17
	TagKeepalive            Tag = 18
	TagKeepaliveAck         Tag = 19
	TagAck                  Tag = 20
	TagCompressionRequest   Tag = 21
	TagCompressionDone      Tag = 22
)

// Direction says which side may send a frame.
type Direction uint8

// The directions. The connector is the side that opened the TCP connection.
const (
	FromConnector Direction = 1
	FromAcceptor  Direction = 2
	FromBoth      Direction = FromConnector | FromAcceptor
)

// tagInfo is what is known about a tag: how long the payload of a control frame
// (for MESSAGE, segment 0) can be, how many segments the frame can have, and who
// may send it.
type tagInfo struct {
	name        string
	min, max    uint32
	segmentsMax uint8
	dir         Direction
	parse       func(p []byte) (Control, error)
}

// The bounds of payloads that vary. The authentication frames are bounded by
// Limits.PreAuth as well.
const (
	addrLenMin     = 19 // an address without a socket address image
	addrLenMax     = 1 << 10
	addrVecLenMax  = 16 << 10
	authPayloadMax = 64 << 10
	u32sLenMax     = 4 + 4*listMax
	listMax        = 64 // methods or modes in a list
)

var tags = [...]tagInfo{
	TagHello:                {"HELLO", 1 + addrLenMin, 1 + addrLenMax, 1, FromBoth, parse[Hello]},
	TagAuthRequest:          {"AUTH_REQUEST", 12, authPayloadMax, 1, FromConnector, parse[AuthRequest]},
	TagAuthBadMethod:        {"AUTH_BAD_METHOD", 16, 8 + 2*u32sLenMax, 1, FromAcceptor, parse[AuthBadMethod]},
	TagAuthReplyMore:        {"AUTH_REPLY_MORE", 4, authPayloadMax, 1, FromAcceptor, parse[AuthReplyMore]},
	TagAuthRequestMore:      {"AUTH_REQUEST_MORE", 4, authPayloadMax, 1, FromConnector, parse[AuthRequestMore]},
	TagAuthDone:             {"AUTH_DONE", 16, authPayloadMax, 1, FromAcceptor, parse[AuthDone]},
	TagAuthSignature:        {"AUTH_SIGNATURE", 32, 32, 1, FromBoth, parse[AuthSignature]},
	TagClientIdent:          {"CLIENT_IDENT", 5 + addrLenMin + 48, addrVecLenMax, 1, FromConnector, parse[ClientIdent]},
	TagServerIdent:          {"SERVER_IDENT", 5 + 48, addrVecLenMax, 1, FromAcceptor, parse[ServerIdent]},
	TagIdentMissingFeatures: {"IDENT_MISSING_FEATURES", 8, 8, 1, FromAcceptor, parse[IdentMissingFeatures]},
	TagSessionReconnect:     {"SESSION_RECONNECT", 5 + 40, addrVecLenMax, 1, FromConnector, parse[SessionReconnect]},
	TagSessionReset:         {"SESSION_RESET", 1, 1, 1, FromAcceptor, parse[SessionReset]},
	TagSessionRetry:         {"SESSION_RETRY", 8, 8, 1, FromAcceptor, parse[SessionRetry]},
	TagSessionRetryGlobal:   {"SESSION_RETRY_GLOBAL", 8, 8, 1, FromAcceptor, parse[SessionRetryGlobal]},
	TagSessionReconnectOK:   {"SESSION_RECONNECT_OK", 8, 8, 1, FromAcceptor, parse[SessionReconnectOK]},
	TagWait:                 {"WAIT", 0, 0, 1, FromAcceptor, parse[Wait]},
	TagMessage:              {"MESSAGE", HeaderLen, HeaderMax, MaxSegments, FromBoth, nil},
	TagKeepalive:            {"KEEPALIVE2", 8, 8, 1, FromBoth, parse[Keepalive]},
	TagKeepaliveAck:         {"KEEPALIVE2_ACK", 8, 8, 1, FromBoth, parse[KeepaliveAck]},
	TagAck:                  {"ACK", 8, 8, 1, FromBoth, parse[Ack]},
	TagCompressionRequest:   {"COMPRESSION_REQUEST", 5, 1 + u32sLenMax, 1, FromConnector, parse[CompressionRequest]},
	TagCompressionDone:      {"COMPRESSION_DONE", 5, 5, 1, FromAcceptor, parse[CompressionDone]},
}

// Known reports whether t is a tag of the protocol.
func (t Tag) Known() bool { return t != 0 && int(t) < len(tags) }

// String is the tag's name in the protocol, "CLIENT_IDENT", or "TAG(99)".
func (t Tag) String() string {
	if t.Known() {
		return tags[t].name
	}
	return "TAG(" + strconv.Itoa(int(t)) + ")"
}

// Direction says which side may send frames with tag t; 0 for unknown tags.
func (t Tag) Direction() Direction {
	if t.Known() {
		return tags[t].dir
	}
	return 0
}
