package frame

// crcShort continues a crc32c over a short p with the processor's instruction:
// for a header it takes a third of what the standard library's way there takes.
// It needs hasCRC32.
//
//go:noescape
func crcShort(crc uint32, p []byte) uint32

func hasCRC32() bool

// useShort is whether crcShort can be called.
var useShort = hasCRC32()
