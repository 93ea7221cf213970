package auth

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

// NoneClient authenticates by saying who it is (spec 2.1). The zero ID is "".
type NoneClient struct {
	Name entity.AuthName
	// GlobalID is the number that a monitor gave this client, 0 while there is none; it
	// is said to everybody but monitors. nil: always 0. Any worker may call it.
	GlobalID func() uint64
}

// NewExchange implements Client.
func (c NoneClient) NewExchange(self, peer entity.Type) ClientExchange {
	mode := byte(PayloadAuthorizer)
	if peer == entity.TypeMon && self != entity.TypeMon {
		mode = PayloadMon
	}
	x := &noneClientExchange{name: c.Name, payloadMode: mode}
	if c.GlobalID != nil && peer != entity.TypeMon {
		x.globalID = c.GlobalID()
	}
	return x
}

type noneClientExchange struct {
	name        entity.AuthName
	payloadMode byte
	globalID    uint64 // 0: please assign
}

func (x *noneClientExchange) Request() (Request, error) {
	p := []byte{x.payloadMode}
	p = x.name.Append(p)
	p = binary.LittleEndian.AppendUint64(p, x.globalID)
	return Request{Method: MethodNone, Modes: []uint32{ModeCRC}, Payload: p}, nil
}

func (x *noneClientExchange) BadMethod(refusal *RefusedError) (Request, error) {
	return Request{}, refusal
}

func (x *noneClientExchange) More([]byte) ([]byte, error) {
	return nil, fmt.Errorf("%w: AUTH_REPLY_MORE with method none", ErrRefused)
}

func (x *noneClientExchange) Done(globalID uint64, mode uint32, payload []byte) (Result, error) {
	// "With method NONE only CRC is ever allowed."
	if mode != ModeCRC {
		return Result{}, fmt.Errorf("%w: con_mode %d with method none", ErrRefused, mode)
	}
	return Result{GlobalID: globalID, Mode: mode}, nil
}

// NoneServer lets everybody in and believes the name they give (spec 2.1). Use
// it where the network is trusted. A NoneServer is shared by pointer.
type NoneServer struct {
	// RequireName refuses an empty payload, which heartbeat clients may send.
	RequireName bool

	lastGlobalID atomic.Uint64
}

// NewExchange implements Server.
func (s *NoneServer) NewExchange(_, _ entity.Type) ServerExchange {
	return &noneServerExchange{server: s}
}

type noneServerExchange struct{ server *NoneServer }

func (x *noneServerExchange) Request(r Request) (Reply, error) {
	refuse := func(errno int32) error {
		return &RefusedError{Method: r.Method, Result: -errno, Methods: []uint32{MethodNone}, Modes: []uint32{ModeCRC}}
	}
	if r.Method != MethodNone {
		return Reply{}, refuse(eOPNOTSUPP)
	}
	mode, ok := ChooseMode(r.Modes, []uint32{ModeCRC})
	if !ok {
		return Reply{}, refuse(eOPNOTSUPP)
	}
	res := Result{Mode: mode}
	if len(r.Payload) == 0 {
		if x.server.RequireName {
			return Reply{}, refuse(eACCES)
		}
		return Reply{Done: true, Result: res}, nil
	}
	rd := denc.NewReader(r.Payload)
	payloadMode := rd.U8()
	res.Peer = entity.ConsumeAuthName(&rd)
	res.GlobalID = rd.U64()
	if rd.Err() != nil || payloadMode == 0 || payloadMode > 19 {
		return Reply{}, refuse(eACCES)
	}
	if res.GlobalID == 0 && payloadMode == PayloadMon {
		res.GlobalID = x.server.lastGlobalID.Add(1)
	}
	return Reply{Done: true, Result: res}, nil
}

func (x *noneServerExchange) More([]byte) (Reply, error) {
	return Reply{}, fmt.Errorf("%w: AUTH_REQUEST_MORE with method none", ErrRefused)
}
