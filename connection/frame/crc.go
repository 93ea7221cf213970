package frame

import "hash/crc32"

// castagnoli is the table of crc32c, computed by the processor where it can.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// crcEmpty is the crc of an empty segment.
const crcEmpty = 0xffffffff

// preambleCRC is the crc32c of the protocol with seed 0. Unlike Go's it is not
// inverted, neither at the start nor at the end (msgr2 spec 1.3).
func preambleCRC(p []byte) uint32 { return ^crc32.Update(0xffffffff, castagnoli, p) }

// segmentCRC is the crc32c with seed -1.
func segmentCRC(p []byte) uint32 { return ^crc32.Update(0, castagnoli, p) }

// updateCRC continues a segmentCRC, from crcEmpty on.
func updateCRC(crc uint32, p []byte) uint32 { return ^crc32.Update(^crc, castagnoli, p) }
