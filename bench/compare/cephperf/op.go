package cephperf

import "encoding/binary"

// What Ceph's programs send each other, encoded so that they can decode it
// (docs/PROTOCOL.md has messages as opaque): an MOSDOp that writes to one object, and the
// MOSDOpReply to it. Versions and lengths of the fronts are those of release 16.2.
const (
	typeRequest = 42
	typeReply   = 43

	requestVersion, requestCompat = 8, 3
	replyVersion, replyCompat     = 8, 2

	requestFront = 220
	replyFront   = 102
)

const (
	objectName   = "object-name"
	opWriteFull  = 0x2202
	flagsOfWrite = 0x400024
	noSnapshot   = ^uint64(1) // -2: the head of the object
)

// front is bytes in the making.
type front []byte

func (f *front) u8(x uint8)   { *f = append(*f, x) }
func (f *front) u16(x uint16) { *f = binary.LittleEndian.AppendUint16(*f, x) }
func (f *front) u32(x uint32) { *f = binary.LittleEndian.AppendUint32(*f, x) }
func (f *front) u64(x uint64) { *f = binary.LittleEndian.AppendUint64(*f, x) }
func (f *front) zeros(n int)  { *f = append(*f, make([]byte, n)...) }

func (f *front) text(s string) {
	f.u32(uint32(len(s)))
	*f = append(*f, s...)
}

// structure begins a structure with its versions and the bytes that follow.
func (f *front) structure(version, compat uint8, n uint32) {
	f.u8(version)
	f.u8(compat)
	f.u32(n)
}

// encodeRequest is the front of an MOSDOp that writes length bytes.
func encodeRequest(length int) []byte {
	f := make(front, 0, requestFront)
	f.structure(1, 1, 18) // the placement group
	f.u8(1)
	f.u64(1)          // pool
	f.u32(1)          // seed
	f.u32(^uint32(0)) // preferred: none
	f.u8(^uint8(0))   // shard: none
	f.u32(1)          // hash
	f.u32(1)          // epoch
	f.u32(flagsOfWrite)
	f.structure(2, 2, 21) // the request's id: that of the message
	f.zeros(21)
	f.zeros(24)           // no trace
	f.u32(0)              // incarnation of the client
	f.zeros(8)            // time
	f.structure(6, 3, 28) // where the object is
	f.u64(1)
	f.u32(^uint32(0))
	f.text("")
	f.text("")
	f.u64(^uint64(0))
	f.text(objectName)
	f.u16(1) // one operation
	f.u16(opWriteFull)
	f.u32(0)
	f.u64(0)
	f.u64(uint64(length))
	f.zeros(12)
	f.u32(uint32(length))
	f.u64(noSnapshot)
	f.u64(0)
	f.u32(0)
	f.u32(0) // retries
	f.u64(0) // features
	return f
}

// encodeReply is the front of an MOSDOpReply that says that all went well.
func encodeReply() []byte {
	f := make(front, 0, replyFront)
	f.text("")
	f.u8(1)
	f.u64(1)
	f.u32(1)
	f.u32(^uint32(0))
	f.u64(flagsOfWrite)
	f.u32(0)    // result
	f.zeros(12) // version of the object, that nobody asks for any more
	f.u32(1)    // epoch
	f.u32(0)    // operations
	f.u32(0)    // retries
	f.zeros(12) // version
	f.u64(0)
	f.u8(0)     // no redirection
	f.zeros(24) // no trace
	return f
}
