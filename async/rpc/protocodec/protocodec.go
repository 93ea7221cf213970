// Package protocodec is the codec of protobuf for async/rpc. It is a module of its own, so that who
// has no protobuf does not download it.
//
//	get := rpc.Method[pb.GetRequest, pb.GetReply]{Type: 0x1001, Codec: protocodec.Codec}
package protocodec

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/asyncmsgr/asyncmsgr/async/rpc"
)

// Codec encodes and decodes generated messages. A value whose pointer is no proto.Message gives
// an error.
var Codec rpc.Codec = codec{}

type codec struct{}

// Append implements rpc.Codec.
func (codec) Append(b []byte, v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("protocodec: %T is no proto.Message", v)
	}
	return proto.MarshalOptions{}.MarshalAppend(b, m)
}

// Unmarshal implements rpc.Codec.
func (codec) Unmarshal(data []byte, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("protocodec: %T is no proto.Message", v)
	}
	return proto.Unmarshal(data, m)
}
