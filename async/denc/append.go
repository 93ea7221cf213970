package denc

import (
	"encoding/binary"
	"fmt"
	"math"
)

var le = binary.LittleEndian

// StructHeaderLen is the length of the header of a versioned struct: u8
// version, u8 compat, u32 length of the rest.
const StructHeaderLen = 6

// AppendBool appends b as one byte, 0 or 1.
func AppendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// AppendBL appends p as a bufferlist: u32 length and the bytes.
func AppendBL(dst, p []byte) []byte {
	dst = le.AppendUint32(dst, length(len(p)))
	return append(dst, p...)
}

// AppendString appends s as u32 length and the bytes.
func AppendString(dst []byte, s string) []byte {
	dst = le.AppendUint32(dst, length(len(s)))
	return append(dst, s...)
}

// AppendU32s appends v as a vector of u32: u32 count and the items.
func AppendU32s(dst []byte, v []uint32) []byte {
	dst = le.AppendUint32(dst, length(len(v)))
	for _, x := range v {
		dst = le.AppendUint32(dst, x)
	}
	return dst
}

// AppendStructHeader appends the header of a versioned struct whose body of n
// bytes follows (Ceph's ENCODE_START).
func AppendStructHeader(dst []byte, version, compat uint8, n int) []byte {
	dst = append(dst, version, compat)
	return le.AppendUint32(dst, length(n))
}

// BeginStruct appends the header of a versioned struct of yet unknown length
// and returns the mark to give to EndStruct after the body was appended.
func BeginStruct(dst []byte, version, compat uint8) ([]byte, int) {
	return AppendStructHeader(dst, version, compat, 0), len(dst)
}

// EndStruct writes the length of the struct that was begun at mark.
func EndStruct(dst []byte, mark int) []byte {
	le.PutUint32(dst[mark+2:], length(len(dst)-mark-StructHeaderLen))
	return dst
}

// length is n as the u32 that counts it. Ours to keep in range.
func length(n int) uint32 {
	if n < 0 || int64(n) > math.MaxUint32 {
		panic(fmt.Sprintf("denc: length %d does not fit in 32 bits", n))
	}
	return uint32(n)
}
