package demo

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
)

// contents knows what every generation of every object looks like, so that no
// copy needs to be kept for comparing. A body is a header of objectHeaderLen
// bytes, which travels as the middle segment, and a piece of a pool of random
// bytes, the data. It is read only.
type contents struct {
	pool  []byte
	sizes []int
}

const objectHeaderLen = 16

func newContents(seed uint64, sizes []int) *contents {
	largest := 0
	for _, s := range sizes {
		largest = max(largest, s)
	}
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24), 1})
	c := &contents{pool: make([]byte, largest+1<<20), sizes: sizes}
	_, _ = rng.Read(c.pool) // never fails
	return c
}

// mix is a cheap hash (splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// body returns generation gen of object: the header, freshly made, and the data,
// which must not be changed.
func (c *contents) body(object uint32, gen uint64) (header, data []byte) {
	h := mix(uint64(object)<<40 ^ gen)
	size := c.sizes[h%uint64(len(c.sizes))]
	at := int(mix(h) % uint64(len(c.pool)-size+1))
	header = binary.LittleEndian.AppendUint32(make([]byte, 0, objectHeaderLen), object)
	header = binary.LittleEndian.AppendUint64(header, gen)
	header = binary.LittleEndian.AppendUint32(header, uint32(size))
	return header, c.pool[at : at+size]
}

// is says whether header and data are that generation of that object.
func (c *contents) is(object uint32, gen uint64, header, data []byte) bool {
	h, d := c.body(object, gen)
	return bytes.Equal(h, header) && bytes.Equal(d, data)
}
