package frame

import "hash/crc32"

// castagnoli is the table of crc32c, computed by the processor where it can.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// crcEmpty is the crc of an empty segment.
const crcEmpty = 0xffffffff

// shortMax is the length up to which crcShort is faster: beyond it the standard
// library computes several parts at once.
const shortMax = 256

// preambleCRC is the crc32c of the protocol with seed 0. Unlike Go's it is not
// inverted, neither at the start nor at the end (docs/PROTOCOL.md 1.3).
func preambleCRC(p []byte) uint32 { return updateCRC(0, p) }

// SegmentCRC is the crc of a segment as it stands in a frame's epilogue.
func SegmentCRC(p []byte) uint32 { return segmentCRC(p) }

// segmentCRC is the crc32c with seed -1.
func segmentCRC(p []byte) uint32 { return updateCRC(crcEmpty, p) }

// updateCRC continues a segmentCRC, from crcEmpty on.
func updateCRC(crc uint32, p []byte) uint32 {
	switch {
	case useFold && len(p) >= foldMin:
		crc = crcFold(crc, p)
		return crcShort(crc, p[len(p)&^63:])
	case useShort && len(p) <= shortMax:
		return crcShort(crc, p)
	}
	return ^crc32.Update(^crc, castagnoli, p)
}
