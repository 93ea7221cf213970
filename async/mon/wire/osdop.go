package wire

import (
	"fmt"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Operations on an object.
const (
	OpRead      uint16 = 0x1201
	OpWriteFull uint16 = 0x2202
	OpDelete    uint16 = 0x2205
)

// opWrites is in the number of each operation that changes an object.
const opWrites uint16 = 0x2000

// Flags of a MOSDOp.
const (
	flagOnDisk     uint32 = 0x04
	flagRetry      uint32 = 0x08
	flagRead       uint32 = 0x10
	flagWrite      uint32 = 0x20
	flagKnowsRedir uint32 = 0x400000
)

// noSnap is the object as it is now, and no snapshot of it.
const noSnap = ^uint64(0) - 1

// opLen is the length of one operation in a MOSDOp and its reply.
const opLen = 38

// OSDOp is a MOSDOp with one operation.
type OSDOp struct {
	TID    uint64
	Pool   int64
	Object string
	// Namespace is that of the object; "" is the default one.
	Namespace string
	// Hash is that of the object's name, Seed that of its placement group: the numbers of
	// raw_pgid and pgid in the answer to the command "osd map".
	Hash, Seed uint32
	// Epoch is that of the OSD map by which the OSD was chosen.
	Epoch uint32
	// Retry counts how often the operation was asked for before; the OSD carries it out once.
	Retry int32
	Op    uint16
	// Offset and Length of what is read, or written.
	Offset, Length uint64
	// Seconds since 1970, for what is written.
	Seconds uint32
	Data    []byte
}

// priorityOSDOp is what Ceph's clients give it.
const priorityOSDOp = 63

// Message is o as a message, version 8, which Ceph sends from 13 to 19 and later ones read.
//
//	placement group | u32 hash | u32 epoch | u32 flags | request | 24 zero bytes | u32 incarnation | utime
//	| locator | string object | u16 n, n x 38 | s64 snapshot | u64 snapshots | u32 0 | s32 retry | u64 features
func (o OSDOp) Message() *msg.Message {
	b := denc.AppendStructHeader(make([]byte, 0, 256), 1, 1, 18)
	b = appendPG(b, o.Pool, o.Seed)
	b = append(b, 0xff) // no shard
	b = le.AppendUint32(b, o.Hash)
	b = le.AppendUint32(b, o.Epoch)
	flags := flagOnDisk | flagRead | flagKnowsRedir
	if o.Op&opWrites != 0 {
		flags = flagOnDisk | flagWrite | flagKnowsRedir
	}
	if o.Retry > 0 {
		flags |= flagRetry
	}
	b = le.AppendUint32(b, flags)
	const requestLen, traceLen = 21, 24
	b = denc.AppendStructHeader(b, 2, 2, requestLen) // the name and number are those of the message
	b = append(b, make([]byte, requestLen+traceLen)...)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint32(b, o.Seconds)
	b = le.AppendUint32(b, 0)
	b, locator := denc.BeginStruct(b, 6, 3)
	b = le.AppendUint64(b, uint64(o.Pool))
	b = le.AppendUint32(b, 0xffffffff)
	b = denc.AppendString(b, "") // no key
	b = denc.AppendString(b, o.Namespace)
	b = le.AppendUint64(b, ^uint64(0))
	b = denc.EndStruct(b, locator)
	b = denc.AppendString(b, o.Object)
	b = le.AppendUint16(b, 1)
	b = appendOp(b, o)
	b = le.AppendUint64(b, noSnap)
	b = le.AppendUint64(b, 0)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint32(b, uint32(o.Retry))
	b = le.AppendUint64(b, msg.FeaturesAll)
	return &msg.Message{Type: TypeOSDOp, Version: 8, Compat: 3, Priority: priorityOSDOp, TID: o.TID, Front: b,
		Data: o.Data}
}

// appendPG appends a placement group: u8 1, s64 pool, u32 seed, s32 -1.
func appendPG(b []byte, pool int64, seed uint32) []byte {
	b = append(b, 1)
	b = le.AppendUint64(b, uint64(pool))
	b = le.AppendUint32(b, seed)
	return le.AppendUint32(b, 0xffffffff)
}

func appendOp(b []byte, o OSDOp) []byte {
	b = le.AppendUint16(b, o.Op)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint64(b, o.Offset)
	b = le.AppendUint64(b, o.Length)
	b = append(b, make([]byte, 12)...) // truncation
	return le.AppendUint32(b, uint32(len(o.Data)))
}

// OSDOpReply is the answer to an OSDOp: what was read is in the data segment.
type OSDOpReply struct {
	Object string
	Flags  uint64
	// Result is 0, or a negative errno.
	Result int32
	Epoch  uint32
	// Ops are the operations' own results.
	Ops   []int32
	Retry int32
}

// opsMax bounds the operations of one message.
const opsMax = 16

// ParseOSDOpReply reads a MOSDOpReply, version 8, as far as OSDOpReply goes.
//
//	string object | placement group | u64 flags | s32 result | {u64, u32} | u32 epoch | u32 n, n x 38
//	| s32 retry | n x s32 result | ...
func ParseOSDOpReply(front []byte) (o OSDOpReply, err error) {
	r := denc.NewReader(front)
	o.Object = r.String()
	r.Bytes(17)
	o.Flags, o.Result = r.U64(), r.S32()
	r.Bytes(12)
	o.Epoch = r.U32()
	n := r.Count(opLen, opsMax)
	r.Bytes(n * opLen)
	o.Retry = r.S32()
	for range n {
		o.Ops = append(o.Ops, r.S32())
	}
	return o, r.Err()
}

// Message is o as an OSD's answer to a MOSDOp with that tid, with one operation at most.
func (o OSDOpReply) Message(tid uint64, data []byte) *msg.Message {
	if len(o.Ops) > 1 {
		panic(fmt.Sprintf("wire: %d operations", len(o.Ops)))
	}
	b := denc.AppendString(nil, o.Object)
	b = appendPG(b, 0, 0)
	b = le.AppendUint64(b, o.Flags)
	b = le.AppendUint32(b, uint32(o.Result))
	b = append(b, make([]byte, 12)...)
	b = le.AppendUint32(b, o.Epoch)
	b = le.AppendUint32(b, uint32(len(o.Ops)))
	b = append(b, make([]byte, opLen*len(o.Ops))...)
	b = le.AppendUint32(b, uint32(o.Retry))
	for _, result := range o.Ops {
		b = le.AppendUint32(b, uint32(result))
	}
	b = append(b, make([]byte, 12+8+1+24)...)
	return &msg.Message{Type: TypeOSDOpReply, Version: 8, Compat: 2, TID: tid, Front: b, Data: data}
}
