package rpc

import (
	"context"
	"encoding"
	"encoding/json"
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Codec makes bytes of values and values of bytes. Both methods may be called by any goroutine,
// on workers too.
type Codec interface {
	// Append appends v, a pointer, to b.
	Append(b []byte, v any) ([]byte, error)
	// Unmarshal makes the value that v points to, which is the zero value, of data, which is not
	// used again.
	Unmarshal(data []byte, v any) error
}

// JSON is encoding/json.
var JSON Codec = jsonCodec{}

type jsonCodec struct{}

func (jsonCodec) Append(b []byte, v any) ([]byte, error) {
	j, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if len(b) == 0 {
		return j, nil
	}
	return append(b, j...), nil
}

func (jsonCodec) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

// Binary is for types that encode themselves: encoding.BinaryAppender, or BinaryMarshaler, and
// BinaryUnmarshaler, by the type or by its pointer.
var Binary Codec = binaryCodec{}

type binaryCodec struct{}

func (binaryCodec) Append(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case encoding.BinaryAppender:
		return v.AppendBinary(b)
	case encoding.BinaryMarshaler:
		m, err := v.MarshalBinary()
		return append(b, m...), err
	}
	return nil, fmt.Errorf("rpc: %T is no encoding.BinaryAppender", v)
}

func (binaryCodec) Unmarshal(data []byte, v any) error {
	u, ok := v.(encoding.BinaryUnmarshaler)
	if !ok {
		return fmt.Errorf("rpc: %T is no encoding.BinaryUnmarshaler", v)
	}
	return u.UnmarshalBinary(data)
}

// Raw is for []byte, and types made of it, as they are. What is decoded refers to the
// message that it came in.
var Raw Codec = rawCodec{}

type rawCodec struct{}

func (rawCodec) Append(b []byte, v any) ([]byte, error) {
	p, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("rpc: %T is no *[]byte", v)
	}
	if len(b) == 0 {
		return *p, nil
	}
	return append(b, *p...), nil
}

func (rawCodec) Unmarshal(data []byte, v any) error {
	p, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("rpc: %T is no *[]byte", v)
	}
	*p = data
	return nil
}

// Handle registers h for requests of that type, which the codec reads and whose replies it
// writes. A request that cannot be read is answered with CodeInvalid, a reply that cannot be
// written with CodeInternal. A nil reply without an error is the reply's zero value. See
// HandleRaw, whose errors it returns, and RequestFrom.
func Handle[Req, Resp any](n *Node, typ uint16, codec Codec, h func(context.Context, *Req) (*Resp, error),
	opts ...HandlerOption) error {
	return n.HandleRaw(typ, func(ctx context.Context, r *Request) ([]byte, error) {
		req := new(Req)
		if err := codec.Unmarshal(r.Body, req); err != nil {
			return nil, Errorf(CodeInvalid, "the request cannot be read: %v", err)
		}
		resp, err := h(ctx, req)
		if err != nil {
			return nil, err
		}
		if resp == nil {
			resp = new(Resp)
		}
		b, err := codec.Append(nil, resp)
		if err != nil {
			return nil, Errorf(CodeInternal, "the reply cannot be encoded: %v", err)
		}
		return b, nil
	}, opts...)
}

// Call is Node.Call of a request that the codec encodes, and whose reply it reads. A request that
// cannot be encoded is not sent, and the error is the codec's; a reply that cannot be read is
// ErrBadReply.
func Call[Req, Resp any](ctx context.Context, n *Node, c msg.Connection, typ uint16, codec Codec, req *Req,
	opts ...CallOption) (*Resp, error) {
	b, err := codec.Append(nil, req)
	if err != nil {
		return nil, failed(typ, err)
	}
	reply, err := n.Call(ctx, c, typ, b, opts...)
	if err != nil {
		return nil, err
	}
	resp := new(Resp)
	if err := codec.Unmarshal(reply, resp); err != nil {
		return nil, failed(typ, fmt.Errorf("%w: %w", ErrBadReply, err))
	}
	return resp, nil
}

// Method is a type of request with what it is encoded by: written once, for both ends.
type Method[Req, Resp any] struct {
	Type  uint16
	Codec Codec
}

// Handle is the function Handle.
func (m Method[Req, Resp]) Handle(n *Node, h func(context.Context, *Req) (*Resp, error), opts ...HandlerOption) error {
	return Handle(n, m.Type, m.Codec, h, opts...)
}

// Call is the function Call.
func (m Method[Req, Resp]) Call(ctx context.Context, n *Node, c msg.Connection, req *Req, opts ...CallOption) (
	*Resp, error) {
	return Call[Req, Resp](ctx, n, c, m.Type, m.Codec, req, opts...)
}

// Go is Node.Go, with the reply decoded where done is called.
func (m Method[Req, Resp]) Go(ctx context.Context, n *Node, c msg.Connection, req *Req, done func(*Resp, error),
	opts ...CallOption) {
	b, err := m.Codec.Append(nil, req)
	if err != nil {
		n.callDone(func([]byte, error) { done(nil, failed(m.Type, err)) }, nil, nil)
		return
	}
	n.Go(ctx, c, m.Type, b, func(reply []byte, err error) {
		if err != nil {
			done(nil, err)
			return
		}
		resp := new(Resp)
		if err := m.Codec.Unmarshal(reply, resp); err != nil {
			done(nil, failed(m.Type, fmt.Errorf("%w: %w", ErrBadReply, err)))
			return
		}
		done(resp, nil)
	}, opts...)
}
