package raftmsgr

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/raft"
)

// besides is how many requests that are no AppendEntries are handled at a time.
const besides = 16

// serve registers what peers call.
func (t *Transport) serve() error {
	for _, h := range []struct {
		typ  uint16
		make func() any
		opts []rpc.HandlerOption
	}{
		{typeAppend, func() any { return new(raft.AppendEntriesRequest) }, nil}, // in order
		{typeHeartbeat, func() any { return new(raft.AppendEntriesRequest) }, concurrent()},
		{typeVote, func() any { return new(raft.RequestVoteRequest) }, concurrent()},
		{typePreVote, func() any { return new(raft.RequestPreVoteRequest) }, concurrent()},
		{typeTimeoutNow, func() any { return new(raft.TimeoutNowRequest) }, concurrent()},
	} {
		err := t.o.Node.HandleRaw(h.typ, func(ctx context.Context, r *rpc.Request) ([]byte, error) {
			cmd := h.make()
			if err := decode(r.Body, cmd); err != nil {
				return nil, rpc.Errorf(rpc.CodeInvalid, "raftmsgr: request %#x cannot be read: %v", r.Type, err)
			}
			return t.handle(ctx, cmd, nil, r.Type == typeHeartbeat)
		}, h.opts...)
		if err != nil {
			return err
		}
	}
	return nil
}

func concurrent() []rpc.HandlerOption { return []rpc.HandlerOption{rpc.Concurrent(besides)} }

// handle gives a request to raft and returns the answer.
func (t *Transport) handle(ctx context.Context, cmd any, r io.Reader, heartbeat bool) ([]byte, error) {
	answer := make(chan raft.RPCResponse, 1)
	x := raft.RPC{Command: cmd, Reader: r, RespChan: answer}
	t.mu.Lock()
	fast := t.heartbeat
	t.mu.Unlock()
	if heartbeat && fast != nil {
		fast(x)
	} else {
		select {
		case t.rpcs <- x:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-t.ctx.Done():
			return nil, raft.ErrTransportShutdown
		}
	}
	select {
	case a := <-answer:
		text := ""
		if a.Error != nil {
			text = a.Error.Error()
		}
		return encode(text, a.Response)
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-t.ctx.Done():
		return nil, raft.ErrTransportShutdown
	}
}

// accept takes the snapshots that peers install.
func (t *Transport) accept() {
	for {
		c, err := t.ln.Accept()
		if err != nil {
			return // closed
		}
		t.work.Go(func() {
			defer c.Close()
			defer context.AfterFunc(t.ctx, func() { _ = c.Close() })()
			t.takeSnapshot(steady{c, t.o.Timeout})
		})
	}
}

// takeSnapshot gives a snapshot to raft. The sender is told what goes wrong.
func (t *Transport) takeSnapshot(s io.ReadWriter) {
	head, err := readFrame(s)
	if err != nil {
		return // the sender is gone
	}
	req := new(raft.InstallSnapshotRequest)
	var body []byte
	if err = decode(head, req); err == nil {
		body, err = t.handle(t.ctx, req, io.LimitReader(s, req.Size), false)
	}
	if err != nil {
		body, _ = encode(err.Error(), nil)
	}
	_ = writeFrame(s, body)
}

// steady is a stream that fails when nothing moves for a while.
type steady struct {
	net.Conn
	limit time.Duration
}

func (s steady) Read(b []byte) (int, error) {
	_ = s.SetReadDeadline(time.Now().Add(s.limit))
	return s.Conn.Read(b)
}

func (s steady) Write(b []byte) (int, error) {
	_ = s.SetWriteDeadline(time.Now().Add(s.limit))
	return s.Conn.Write(b)
}

// frameMax bounds a request and an answer around a snapshot.
const frameMax = 16 << 20

func writeFrame(w io.Writer, b []byte) error {
	_, err := w.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

func readFrame(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > frameMax {
		return nil, fmt.Errorf("raftmsgr: a frame of %d bytes, more than %d", n, frameMax)
	}
	var b bytes.Buffer // grows with what comes, not by what is said
	if _, err := io.CopyN(&b, r, int64(n)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// encode is MessagePack, as raft's own transports have it. A reply is two values: the text
// of an error, and the answer.
func encode(values ...any) (b []byte, err error) {
	e := codec.NewEncoderBytes(&b, &codec.MsgpackHandle{})
	for _, v := range values {
		if err = e.Encode(v); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func decode(b []byte, values ...any) error {
	d := codec.NewDecoderBytes(b, &codec.MsgpackHandle{})
	for _, v := range values {
		if err := d.Decode(v); err != nil {
			return err
		}
	}
	if n := d.NumBytesRead(); n != len(b) {
		return fmt.Errorf("%w: %d bytes behind the end", msg.ErrTooLarge, len(b)-n)
	}
	return nil
}

func decodeReply(b []byte, resp any) error {
	var text string
	if err := decode(b, &text, resp); err != nil {
		return fmt.Errorf("raftmsgr: reply cannot be read: %w", err)
	}
	if text != "" {
		return errors.New(text)
	}
	return nil
}
