package demo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// The message types of the store.
const (
	typeWrite uint16 = 0x4000 + iota
	typeWriteReply
	typeRead
	typeReadReply
	typeReplicate
	typeReplicated
	typePush
	typePushed
	typePing
	typePong
	typePoll
	typePolled
)

// The priorities of the traffic.
const (
	prioHeartbeat = msg.PriorityHigh
	prioNormal    = msg.PriorityDefault
	prioRecovery  = 10 // below PriorityLow: shares by the token bucket
)

// payload is the front of every message of the store. Object bodies travel in
// middle and data; see content.go.
//
//	u8 version 1 | u8 compat 1 | u32 length | u64 seq | u64 epoch | u32 object | u64 gen | u32 sum
type payload struct {
	Seq    uint64 // in its Stream and priority, from 1
	Epoch  uint64 // incarnation of a lossy stream
	Object uint32
	Gen    uint64 // generation of the object; a time in heartbeats and polls
	Sum    uint32 // crc32c of middle and data
}

const (
	payloadVersion = 1
	payloadLen     = denc.StructHeaderLen + 8 + 8 + 4 + 8 + 4
	seqOffset      = denc.StructHeaderLen
)

var errSum = errors.New("demo: payload checksum")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sum(m *msg.Message) uint32 {
	return crc32.Update(crc32.Checksum(m.Middle, castagnoli), castagnoli, m.Data)
}

// append encodes p.
func (p *payload) append(b []byte) []byte {
	le := binary.LittleEndian
	b, mark := denc.BeginStruct(b, payloadVersion, payloadVersion)
	b = le.AppendUint64(b, p.Seq)
	b = le.AppendUint64(b, p.Epoch)
	b = le.AppendUint32(b, p.Object)
	b = le.AppendUint64(b, p.Gen)
	b = le.AppendUint32(b, p.Sum)
	return denc.EndStruct(b, mark)
}

// decode reads the front of m and verifies middle and data.
func decode(m *msg.Message) (p payload, err error) {
	r := denc.NewReader(m.Front)
	_, b := r.Struct(payloadVersion)
	p = payload{Seq: b.U64(), Epoch: b.U64(), Object: b.U32(), Gen: b.U64(), Sum: b.U32()}
	r.Join(&b)
	if err := r.End(); err != nil {
		return payload{}, fmt.Errorf("type %#x: %w", m.Type, err)
	}
	if s := sum(m); s != p.Sum {
		return p, fmt.Errorf("%w: type %#x object %d gen %d: %#x, not %#x", errSum, m.Type, p.Object, p.Gen, s, p.Sum)
	}
	return p, nil
}

// newMessage returns a message; link.send numbers it. middle and data must not
// change until its end.
func newMessage(typ uint16, prio uint8, tid uint64, p payload, middle, data []byte) *msg.Message {
	m := msg.New(typ, payloadLen)
	m.Priority, m.TID, m.Version = prio, tid, payloadVersion
	m.Middle, m.Data = middle, data
	p.Sum = sum(m)
	p.append(m.Front[:0])
	return m
}

func setSeq(m *msg.Message, seq uint64) { binary.LittleEndian.PutUint64(m.Front[seqOffset:], seq) }

func setEpoch(m *msg.Message, epoch uint64) {
	binary.LittleEndian.PutUint64(m.Front[seqOffset+8:], epoch)
}
