package codecs

import (
	"encoding/binary"
	"errors"
	"sync"

	"github.com/asyncmsgr/asyncmsgr/async/compress"
	"github.com/pierrec/lz4/v4"
)

// LZ4 is a list of blocks without frames, of which this side writes one:
//
//	u32 n, n x { u32 plain length, u32 packed length }, n blocks
//
// A block may refer to what the ones before it became.
type LZ4 struct{}

const (
	lz4HeadLen  = 4
	lz4EntryLen = 8
	lz4Window   = 64 << 10 // how far back a block refers
)

// ID implements compress.Algorithm.
func (LZ4) ID() uint32 { return compress.IDLZ4 }

// Name implements compress.Algorithm.
func (LZ4) Name() string { return "lz4" }

var lz4Compressors = sync.Pool{New: func() any { return new(lz4.Compressor) }}

// Append implements compress.Algorithm.
func (LZ4) Append(dst, plain []byte) []byte {
	at := len(dst)
	room := lz4HeadLen + lz4EntryLen + lz4.CompressBlockBound(len(plain))
	if cap(dst)-at < room {
		dst = append(make([]byte, 0, at+room), dst...)
	}
	dst = binary.LittleEndian.AppendUint32(dst, 1)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(plain)))
	c := lz4Compressors.Get().(*lz4.Compressor)
	// It cannot fail: there is room for what does not become shorter.
	n, err := c.CompressBlock(plain, dst[at+lz4HeadLen+lz4EntryLen:at+room])
	lz4Compressors.Put(c)
	if err != nil || n == 0 {
		panic("codecs: lz4 has not compressed into what it said is room for all")
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(n))
	return dst[:len(dst)+n]
}

// blocks checks the head and returns how many blocks there are, and how long they become.
func (LZ4) blocks(packed []byte) (n int, plain uint64, err error) {
	if len(packed) < lz4HeadLen {
		return 0, 0, compress.Corrupt(errors.New("shorter than its head"))
	}
	count := binary.LittleEndian.Uint32(packed)
	if count == 0 || uint64(count) > uint64(len(packed)-lz4HeadLen)/lz4EntryLen {
		return 0, 0, compress.Corrupt(errors.New("a number of blocks that are not there"))
	}
	n = int(count)
	left := uint64(len(packed) - lz4HeadLen - n*lz4EntryLen)
	for i := range n {
		e := packed[lz4HeadLen+i*lz4EntryLen:]
		plain += uint64(binary.LittleEndian.Uint32(e))
		size := uint64(binary.LittleEndian.Uint32(e[4:]))
		if size > left {
			return 0, 0, compress.Corrupt(errors.New("a block that is not there"))
		}
		left -= size
	}
	if left > 0 {
		return 0, 0, compress.Corrupt(errors.New("bytes after the last block"))
	}
	return n, plain, nil
}

// PlainLen implements compress.Algorithm.
func (a LZ4) PlainLen(packed []byte, limit int) (int, error) {
	_, plain, err := a.blocks(packed)
	switch {
	case err != nil:
		return 0, err
	case plain > uint64(limit):
		return 0, compress.ErrTooLong
	}
	return int(plain), nil
}

// Decompress implements compress.Algorithm.
func (a LZ4) Decompress(dst, packed []byte) error {
	n, plain, err := a.blocks(packed)
	switch {
	case err != nil:
		return err
	case plain != uint64(len(dst)):
		return compress.ErrLength
	}
	in, done := packed[lz4HeadLen+n*lz4EntryLen:], 0
	for i := range n {
		e := packed[lz4HeadLen+i*lz4EntryLen:]
		become, size := int(binary.LittleEndian.Uint32(e)), int(binary.LittleEndian.Uint32(e[4:]))
		to := dst[done : done+become : done+become]
		var k int
		if done == 0 {
			k, err = lz4.UncompressBlock(in[:size], to)
		} else {
			k, err = lz4.UncompressBlockWithDict(in[:size], to, dst[max(0, done-lz4Window):done])
		}
		switch {
		case err != nil:
			return compress.Corrupt(err)
		case k != become:
			return compress.ErrLength
		}
		in, done = in[size:], done+become
	}
	return nil
}
