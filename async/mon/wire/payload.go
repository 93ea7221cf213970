package wire

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

var le = binary.LittleEndian

// UUID is a cluster id.
type UUID [16]byte

// ParseUUID reads the usual form with dashes.
func ParseUUID(s string) (u UUID, err error) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil {
		return u, fmt.Errorf("uuid %q: %w", s, err)
	}
	if len(b) != len(u) {
		return u, fmt.Errorf("uuid %q: %d bytes", s, len(b))
	}
	return UUID(b), nil
}

// String is the usual form.
func (u UUID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// appendPaxos appends the prefix of most monitor messages: u64 version, s16 and
// u64 of a session that no longer exists.
func appendPaxos(b []byte) []byte {
	b = le.AppendUint64(b, 0)
	b = le.AppendUint16(b, 0xffff)
	return le.AppendUint64(b, 0)
}

const paxosLen = 18

// MonMap is the part of a monitor map that differs from one small cluster to
// another.
type MonMap struct {
	FSID  UUID
	Epoch uint32
	Mons  []MonInfo
}

// MonInfo is one monitor of a MonMap, in the order of ranks.
type MonInfo struct {
	Name  string
	Addrs entity.AddrVec
}

// monFeatures are Ceph 16.2's persistent monitor features.
const monFeatures = 0xff

// Append appends the map as Ceph 16.2 encodes it: struct version 9, compat 6.
func (m MonMap) Append(b []byte) []byte {
	b, all := denc.BeginStruct(b, 9, 6)
	b = append(b, m.FSID[:]...)
	b = le.AppendUint32(b, m.Epoch)
	b = append(b, make([]byte, 16)...) // last changed, created
	for _, features := range []uint64{monFeatures, 0} {
		b = denc.AppendStructHeader(b, 1, 1, 8)
		b = le.AppendUint64(b, features)
	}
	b = le.AppendUint32(b, uint32(len(m.Mons))) // map name -> info; one monitor needs no sorting
	for _, mon := range m.Mons {
		b = denc.AppendString(b, mon.Name)
		var info int
		b, info = denc.BeginStruct(b, 5, 1)
		b = denc.AppendString(b, mon.Name)
		b = mon.Addrs.Append(b)
		b = append(b, make([]byte, 2+2+4)...) // priority, weight, no crush location
		b = denc.EndStruct(b, info)
	}
	b = le.AppendUint32(b, uint32(len(m.Mons))) // ranks
	for _, mon := range m.Mons {
		b = denc.AppendString(b, mon.Name)
	}
	b = append(b, 16)                     // min_mon_release pacific
	b = le.AppendUint32(b, 0)             // removed ranks
	b = append(b, 1)                      // election strategy classic
	b = le.AppendUint32(b, 0)             // disallowed leaders
	b = append(b, make([]byte, 1+4+4)...) // no stretch mode
	return denc.EndStruct(b, all)
}

// ParseMonMap reads the blob of a MMonMap as far as MonMap goes. Monitors come
// in the order of their names.
func ParseMonMap(front []byte) (m MonMap, err error) {
	r := denc.NewReader(front)
	outer := denc.NewReader(r.BL())
	_, body := outer.Struct(9)
	copy(m.FSID[:], body.Bytes(16))
	m.Epoch = body.U32()
	body.Bytes(16)
	body.Struct(1)
	body.Struct(1)
	for range body.Count(10, 64) {
		var mon MonInfo
		mon.Name = body.String()
		_, info := body.Struct(5)
		info.BL() // the name again
		mon.Addrs = entity.ConsumeAddrVec(&info)
		body.Join(&info)
		m.Mons = append(m.Mons, mon)
	}
	outer.Join(&body)
	r.Join(&outer)
	return m, r.Err()
}

// GetVersion asks a monitor for the version of one of its maps.
func GetVersion(handle uint64, what string) *msg.Message {
	return &msg.Message{Type: msg.TypeMonGetVersion, Version: 1,
		Front: denc.AppendString(le.AppendUint64(nil, handle), what)}
}

// ParseGetVersionReply reads a MMonGetVersionReply.
func ParseGetVersionReply(front []byte) (handle, version, oldest uint64, err error) {
	r := denc.NewReader(front)
	handle, version, oldest = r.U64(), r.U64(), r.U64()
	return handle, version, oldest, r.Err()
}

// Command is a command to a monitor, with input in the data segment. tid comes
// back in the answer.
func Command(fsid UUID, tid uint64, json string, input []byte) *msg.Message {
	b := appendPaxos(make([]byte, 0, paxosLen+len(fsid)+8+len(json)))
	b = append(b, fsid[:]...)
	b = le.AppendUint32(b, 1)
	b = denc.AppendString(b, json)
	return &msg.Message{Type: msg.TypeMonCommand, Version: 1, TID: tid, Front: b, Data: input}
}

// ParseCommand reads the words of a MMonCommand.
func ParseCommand(front []byte) (fsid UUID, words []string, err error) {
	r := denc.NewReader(front)
	r.Bytes(paxosLen)
	copy(fsid[:], r.Bytes(len(fsid)))
	for range r.Count(4, 1024) {
		words = append(words, r.String())
	}
	return fsid, words, r.Err()
}

// CommandAck answers the command with that tid, with output in the data segment.
func CommandAck(tid uint64, code int32, status string, words []string, output []byte) *msg.Message {
	b := appendPaxos(nil)
	b = le.AppendUint32(b, uint32(code))
	b = denc.AppendString(b, status)
	b = le.AppendUint32(b, uint32(len(words)))
	for _, w := range words {
		b = denc.AppendString(b, w)
	}
	return &msg.Message{Type: msg.TypeMonCommandAck, Version: 1, TID: tid, Front: b, Data: output}
}

// ParseCommandAck reads the result of a MMonCommandAck.
func ParseCommandAck(front []byte) (code int32, status string, err error) {
	r := denc.NewReader(front)
	r.Bytes(paxosLen)
	code, status = r.S32(), r.String()
	return code, status, r.Err()
}
