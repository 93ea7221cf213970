package frame

import (
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
)

// CompressionRequest is COMPRESSION_REQUEST. It is exchanged only when both
// banners carry FeatureCompression.
type CompressionRequest struct {
	// Compress says whether the connector wants compression.
	Compress bool
	// Methods are those it likes, best first; at most 64.
	Methods []uint32
}

// Tag is TagCompressionRequest.
func (CompressionRequest) Tag() Tag { return TagCompressionRequest }

// AppendPayload appends: bool, vector of u32 methods.
func (f CompressionRequest) AppendPayload(dst []byte) []byte {
	return denc.AppendU32s(denc.AppendBool(dst, f.Compress), f.Methods)
}

// Parse reads a payload.
func (f *CompressionRequest) Parse(p []byte) error {
	r := denc.NewReader(p)
	f.Compress = r.Bool()
	f.Methods = r.U32s(listMax)
	return finish(TagCompressionRequest, p, &r)
}

// String is the frame in one line.
func (f CompressionRequest) String() string {
	return fmt.Sprintf("COMPRESSION_REQUEST compress=%t methods=%v", f.Compress, f.Methods)
}

// CompressionDone is COMPRESSION_DONE, the answer to a CompressionRequest.
type CompressionDone struct {
	Compress bool
	Method   uint32
}

// Tag is TagCompressionDone.
func (CompressionDone) Tag() Tag { return TagCompressionDone }

// AppendPayload appends: bool, u32 method.
func (f CompressionDone) AppendPayload(dst []byte) []byte {
	return le.AppendUint32(denc.AppendBool(dst, f.Compress), f.Method)
}

// Parse reads a payload.
func (f *CompressionDone) Parse(p []byte) error {
	r := denc.NewReader(p)
	f.Compress = r.Bool()
	f.Method = r.U32()
	return finish(TagCompressionDone, p, &r)
}

// String is the frame in one line.
func (f CompressionDone) String() string {
	return fmt.Sprintf("COMPRESSION_DONE compress=%t method=%d", f.Compress, f.Method)
}
