//go:build !amd64

package frame

const useShort = false

func crcShort(uint32, []byte) uint32 { panic("frame: no crc instruction") }

const useFold, foldMin = false, 1 << 30

func crcFold(uint32, []byte) uint32 { panic("frame: no multiplication without carry") }
