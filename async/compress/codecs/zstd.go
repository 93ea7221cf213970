package codecs

import (
	"encoding/binary"
	"errors"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async/compress"
	"github.com/klauspost/compress/zstd"
)

// Zstd is the plain length, a u32, and one frame of zstd.
type Zstd struct{}

// ID implements compress.Algorithm.
func (Zstd) ID() uint32 { return compress.IDZstd }

// Name implements compress.Algorithm.
func (Zstd) Name() string { return "zstd" }

// encoder and decoder are made when they are first needed: an encoder has some megabytes for each
// processor. Their frames have no checksum, as those on the wire have one.
var (
	encoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false),
			zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic(err) // the options are wrong
		}
		return e
	})
	decoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderConcurrency(0),
			zstd.WithDecoderLowmem(true))
		if err != nil {
			panic(err)
		}
		return d
	})
)

// Append implements compress.Algorithm.
func (Zstd) Append(dst, plain []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(plain)))
	return encoder().EncodeAll(plain, dst)
}

// PlainLen implements compress.Algorithm.
func (Zstd) PlainLen(packed []byte, limit int) (int, error) {
	if len(packed) < 4 {
		return 0, compress.Corrupt(errors.New("shorter than a length"))
	}
	n := binary.LittleEndian.Uint32(packed)
	if uint64(n) > uint64(limit) {
		return 0, compress.ErrTooLong
	}
	return int(n), nil
}

// Decompress implements compress.Algorithm.
func (Zstd) Decompress(dst, packed []byte) error {
	if len(packed) < 4 {
		return compress.ErrLength
	}
	out, err := decoder().DecodeAll(packed[4:], dst[:0:len(dst)])
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return compress.ErrLength
	case err != nil:
		return compress.Corrupt(err)
	case len(out) != len(dst):
		return compress.ErrLength
	}
	return nil
}
