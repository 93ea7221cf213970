package frame

import (
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
)

// AuthRequest is AUTH_REQUEST: the connector begins to authenticate.
type AuthRequest struct {
	// Method is the authentication method, 1 none or 2 cephx (docs/PROTOCOL.md 1.7).
	Method uint32
	// Modes are the connection modes the connector likes, best first; at most 64.
	Modes []uint32
	// Payload is the method's. After Parse it aliases the parsed bytes.
	Payload []byte
}

// Tag is TagAuthRequest.
func (AuthRequest) Tag() Tag { return TagAuthRequest }

// AppendPayload appends: u32 method, vector of u32 modes, bl payload.
func (f AuthRequest) AppendPayload(dst []byte) []byte {
	dst = le.AppendUint32(dst, f.Method)
	dst = denc.AppendU32s(dst, f.Modes)
	return denc.AppendBL(dst, f.Payload)
}

// Parse reads a payload.
func (f *AuthRequest) Parse(p []byte) error {
	r := denc.NewReader(p)
	f.Method = r.U32()
	f.Modes = r.U32s(listMax)
	f.Payload = r.BL()
	return finish(TagAuthRequest, p, &r)
}

// String is the frame in one line, without the payload.
func (f AuthRequest) String() string {
	return fmt.Sprintf("AUTH_REQUEST method=%d modes=%v payload=(%d bytes)", f.Method, f.Modes, len(f.Payload))
}

// AuthBadMethod is AUTH_BAD_METHOD: the acceptor refuses the request.
type AuthBadMethod struct {
	// Method is the one refused and Result the negative errno.
	Method uint32
	Result int32
	// Methods and Modes are what the acceptor allows; at most 64 each.
	Methods, Modes []uint32
}

// Tag is TagAuthBadMethod.
func (AuthBadMethod) Tag() Tag { return TagAuthBadMethod }

// AppendPayload appends: u32 method, s32 result, vectors of u32 methods and modes.
func (f AuthBadMethod) AppendPayload(dst []byte) []byte {
	dst = le.AppendUint32(dst, f.Method)
	dst = le.AppendUint32(dst, uint32(f.Result))
	dst = denc.AppendU32s(dst, f.Methods)
	return denc.AppendU32s(dst, f.Modes)
}

// Parse reads a payload.
func (f *AuthBadMethod) Parse(p []byte) error {
	r := denc.NewReader(p)
	f.Method = r.U32()
	f.Result = r.S32()
	f.Methods = r.U32s(listMax)
	f.Modes = r.U32s(listMax)
	return finish(TagAuthBadMethod, p, &r)
}

// String is the frame in one line.
func (f AuthBadMethod) String() string {
	return fmt.Sprintf("AUTH_BAD_METHOD method=%d result=%d methods=%v modes=%v",
		f.Method, f.Result, f.Methods, f.Modes)
}

// AuthReplyMore is AUTH_REPLY_MORE: the acceptor's next step of the method.
type AuthReplyMore struct {
	// Payload is the method's. After Parse it aliases the parsed bytes.
	Payload []byte
}

// Tag is TagAuthReplyMore.
func (AuthReplyMore) Tag() Tag { return TagAuthReplyMore }

// AppendPayload appends: bl payload.
func (f AuthReplyMore) AppendPayload(dst []byte) []byte { return denc.AppendBL(dst, f.Payload) }

// Parse reads a payload.
func (f *AuthReplyMore) Parse(p []byte) error {
	r := denc.NewReader(p)
	f.Payload = r.BL()
	return finish(TagAuthReplyMore, p, &r)
}

// String is the frame in one line, without the payload.
func (f AuthReplyMore) String() string {
	return fmt.Sprintf("AUTH_REPLY_MORE payload=(%d bytes)", len(f.Payload))
}

// AuthRequestMore is AUTH_REQUEST_MORE: the connector's next step of the method.
type AuthRequestMore struct {
	// Payload is the method's. After Parse it aliases the parsed bytes.
	Payload []byte
}

// Tag is TagAuthRequestMore.
func (AuthRequestMore) Tag() Tag { return TagAuthRequestMore }

// AppendPayload appends: bl payload.
func (f AuthRequestMore) AppendPayload(dst []byte) []byte { return denc.AppendBL(dst, f.Payload) }

// Parse reads a payload.
func (f *AuthRequestMore) Parse(p []byte) error {
	r := denc.NewReader(p)
	f.Payload = r.BL()
	return finish(TagAuthRequestMore, p, &r)
}

// String is the frame in one line, without the payload.
func (f AuthRequestMore) String() string {
	return fmt.Sprintf("AUTH_REQUEST_MORE payload=(%d bytes)", len(f.Payload))
}

// AuthDone is AUTH_DONE: the connector is who it says.
type AuthDone struct {
	// GlobalID is the number given to the connector.
	GlobalID uint64
	// ConMode is the mode of the frames that follow, 1 crc or 2 secure.
	ConMode uint32
	// Payload is the method's. After Parse it aliases the parsed bytes.
	Payload []byte
}

// Tag is TagAuthDone.
func (AuthDone) Tag() Tag { return TagAuthDone }

// AppendPayload appends: u64 global id, u32 mode, bl payload.
func (f AuthDone) AppendPayload(dst []byte) []byte {
	dst = le.AppendUint64(dst, f.GlobalID)
	dst = le.AppendUint32(dst, f.ConMode)
	return denc.AppendBL(dst, f.Payload)
}

// Parse reads a payload.
func (f *AuthDone) Parse(p []byte) error {
	r := denc.NewReader(p)
	f.GlobalID = r.U64()
	f.ConMode = r.U32()
	f.Payload = r.BL()
	return finish(TagAuthDone, p, &r)
}

// String is the frame in one line, without the payload.
func (f AuthDone) String() string {
	return fmt.Sprintf("AUTH_DONE global_id=%d mode=%d payload=(%d bytes)", f.GlobalID, f.ConMode, len(f.Payload))
}

// AuthSignature is AUTH_SIGNATURE: a proof that both sides saw the same bytes
// so far. It is the first frame in the agreed mode.
type AuthSignature struct {
	// Signature is an HMAC-SHA256, or zeros when there is no session key.
	Signature [32]byte
}

// Tag is TagAuthSignature.
func (AuthSignature) Tag() Tag { return TagAuthSignature }

// AppendPayload appends the 32 bytes.
func (f AuthSignature) AppendPayload(dst []byte) []byte { return append(dst, f.Signature[:]...) }

// Parse reads a payload.
func (f *AuthSignature) Parse(p []byte) error {
	r := denc.NewReader(p)
	copy(f.Signature[:], r.Bytes(len(f.Signature)))
	return finish(TagAuthSignature, p, &r)
}

// String is the frame in one line. It says only whether the signature is zero.
func (f AuthSignature) String() string {
	if f.Signature == [32]byte{} {
		return "AUTH_SIGNATURE signature=(zero)"
	}
	return "AUTH_SIGNATURE signature=(32 bytes)"
}
