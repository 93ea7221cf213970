package frame

// foldMin is the length from which crcFold is faster, and the least that it takes.
const foldMin = 256

// crcFold continues a crc32c over p as far as its length is a multiple of 64, by
// multiplications without carry of 512 bits at a time (VPCLMULQDQ), which is several
// times as fast as the crc instruction. It needs hasFold and foldMin bytes.
//
//go:noescape
func crcFold(crc uint32, p []byte) uint32

func hasFold() bool

// useFold is whether crcFold can be called.
var useFold = hasFold()
