package frame

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
)

// Sizes of secure mode (docs/PROTOCOL.md 1.4).
const (
	secureAlign     = 16
	secureInlineLen = 48                            // of segment 0 in the first unit
	secureHeadLen   = PreambleLen + secureInlineLen // its plaintext
	secureEpilogue  = 16                            // late status and zeros
	overheadMax     = 32                            // of a Cipher
)

// Cipher seals units of one direction, or opens them. Each call uses up one
// nonce, so the calls come in the order of the stream. Not safe for concurrent
// use.
type Cipher interface {
	// Seal appends the sealed plaintext to dst; dst may be plaintext[:0]. It
	// returns nil when there are no nonces left.
	Seal(dst, plaintext []byte) []byte
	// Open appends the plaintext to dst, which may be sealed[:0], or fails if it
	// does not authenticate; then no plaintext is left in dst's memory.
	Open(dst, sealed []byte) ([]byte, error)
	// Overhead is how much longer a sealed unit is; at most 32 bytes.
	Overhead() int
}

// GCM is the Cipher of secure mode: AES-128-GCM, no additional data. The nonce
// is a fixed u32 and a u64 counter, little-endian, that grows by one with every
// unit and must not come back to where it began.
type GCM struct {
	aead  cipher.AEAD
	nonce [12]byte
	first uint64
	bytes uint64 // sealed or opened, tags included
	begun bool
}

// The lengths of NewGCM's parameters.
const (
	GCMKeyLen   = 16
	GCMNonceLen = 12
)

// NewGCM returns a Cipher for one direction of a connection. key is 16 bytes and
// nonce 12, both slices of the connection secret.
func NewGCM(key, nonce []byte) (*GCM, error) {
	if len(key) != GCMKeyLen || len(nonce) != GCMNonceLen {
		return nil, fmt.Errorf("frame: key of %d bytes and nonce of %d, want %d and %d",
			len(key), len(nonce), GCMKeyLen, GCMNonceLen)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	g := &GCM{aead: aead, nonce: [12]byte(nonce)}
	g.first = g.counter()
	return g, nil
}

func (g *GCM) counter() uint64 { return binary.LittleEndian.Uint64(g.nonce[4:]) }

// spent reports that every nonce was used.
func (g *GCM) spent() bool { return g.begun && g.counter() == g.first }

// Used is how many units were sealed, or opened, and how many bytes they have, tags
// included.
func (g *GCM) Used() (units, bytes uint64) { return g.counter() - g.first, g.bytes }

func (g *GCM) next(sealed int) {
	g.bytes += uint64(sealed)
	binary.LittleEndian.PutUint64(g.nonce[4:], g.counter()+1)
	g.begun = true
}

// Seal implements Cipher.
func (g *GCM) Seal(dst, plaintext []byte) []byte {
	if g.spent() {
		return nil
	}
	dst = g.aead.Seal(dst, g.nonce[:], plaintext, nil)
	g.next(len(plaintext) + g.aead.Overhead())
	return dst
}

// Open implements Cipher.
func (g *GCM) Open(dst, sealed []byte) ([]byte, error) {
	if g.spent() {
		return nil, ErrOutOfNonces
	}
	dst, err := g.aead.Open(dst, g.nonce[:], sealed, nil)
	if err != nil {
		return nil, err
	}
	g.next(len(sealed))
	return dst, nil
}

// Overhead implements Cipher: the tag of 16 bytes.
func (g *GCM) Overhead() int { return g.aead.Overhead() }

// pad is n rounded up to the padding of secure mode.
func pad(n int) int { return (n + secureAlign - 1) &^ (secureAlign - 1) }

// secureRestLen is the length of the second unit for a segment 0 of n bytes, 0
// if there is none.
func secureRestLen(n, overhead int) int {
	if n <= secureInlineLen {
		return 0
	}
	return pad(n) - secureInlineLen + overhead
}

// secureTailLen is the length of the last unit of a frame of several segments.
func secureTailLen(p *Preamble, overhead int) int {
	n := secureEpilogue + overhead
	for i := 1; i < int(p.NumSegments); i++ {
		n += pad(int(p.Segments[i].Len))
	}
	return n
}

// inSmall reports whether short units are collected in small. In secure mode it
// holds the first part of segment 0 while the rest is collected.
func (d *Decoder) inSmall() bool { return d.cipher == nil || d.state != atFirst }

// open opens a unit and says what is wrong in our terms.
func (d *Decoder) open(dst, unit []byte) ([]byte, error) {
	tag := d.pre.Tag
	if d.state == atHead {
		tag = 0
	}
	p, err := d.cipher.Open(dst, unit)
	if err == ErrOutOfNonces {
		return nil, &Error{Code: OutOfNonces, Tag: tag}
	}
	if err != nil {
		return nil, &Error{Code: BadCipher, Tag: tag, Err: err}
	}
	if want := len(unit) - d.cipher.Overhead(); len(p)-len(dst) != want {
		panic(fmt.Sprintf("frame: cipher opened %d bytes, want %d", len(p)-len(dst), want))
	}
	return p, nil
}

// openFirst returns segment 0 of l bytes, given the second unit, if there is one.
func (d *Decoder) openFirst(unit []byte, l int) ([]byte, error) {
	if l <= secureInlineLen {
		return d.small[PreambleLen : PreambleLen+l : PreambleLen+l], nil
	}
	p, err := d.open(d.acc[:secureInlineLen], unit)
	if err != nil {
		return nil, err
	}
	d.acc = p
	return p[:l:l], nil
}

// openTail copies segments 1 to 3 out of a last unit that is short.
func (d *Decoder) openTail(unit []byte) error {
	p, err := d.open(d.small[:0], unit)
	if err != nil {
		return err
	}
	if !d.hasBody {
		d.body = make([]byte, d.bodyLen)
	}
	for i, off := 1, 0; i < int(d.pre.NumSegments); i++ {
		l := int(d.pre.Segments[i].Len)
		copy(d.body[d.bodyOff:], p[off:off+l])
		d.bodyOff += l
		off += pad(l)
	}
	return d.lateStatus(p[len(p)-secureEpilogue])
}

// openBody opens the last unit, which may be in body, to where body begins, and ends the
// frame.
func (d *Decoder) openBody(unit []byte) error {
	p, err := d.open(d.body[:0], unit)
	if err != nil {
		return err
	}
	if err := d.lateStatus(p[len(p)-secureEpilogue]); err != nil {
		return err
	}
	d.state = atEnd
	return nil
}

// used is what c has sealed or opened with its key: units and bytes; 0 for none, and for a
// Cipher that does not count (see GCM.Used).
func used(c Cipher) (units, bytes uint64) {
	if g, ok := c.(interface{ Used() (units, bytes uint64) }); ok {
		return g.Used()
	}
	return 0, 0
}

// sealFrame appends a frame in secure mode.
func (e *Encoder) sealFrame(b *Batch, t Tag, late byte, first, front, middle, data []byte) {
	lens := [MaxSegments]uint32{segmentLen(first), segmentLen(front), segmentLen(middle), segmentLen(data)}
	if e.spent {
		return
	}
	if t != TagMessage || lens != e.lens {
		putPreamble(&e.preamble, t, &lens)
		if e.lens = lens; t != TagMessage {
			e.lens[0] = 0
		}
	}
	e.sealUnits(b, late, &lens, first, front, middle, data)
}

// sealUnits appends a frame whose preamble is in e.
func (e *Encoder) sealUnits(b *Batch, late byte, lens *[MaxSegments]uint32, first, front, middle, data []byte) {
	overhead := e.cipher.Overhead()
	segments := e.segments()
	headLen, restLen, tailLen := secureHeadLen+overhead, secureRestLen(len(first), overhead), 0
	if segments > 1 {
		tailLen = secureEpilogue + overhead
		for _, l := range lens[1:segments] {
			tailLen += pad(int(l))
		}
	}
	dst := b.block(headLen + restLen + tailLen)
	copy(dst, e.preamble[:])
	e.seal(dst[:headLen:headLen], PreambleLen, first[:min(len(first), secureInlineLen)])
	dst = dst[headLen:]
	if restLen > 0 {
		e.seal(dst[:restLen:restLen], 0, first[secureInlineLen:])
		dst = dst[restLen:]
	}
	if tailLen > 0 {
		e.sealTail(dst, late, front, middle, data)
	}
}

// sealTail fills dst with the last unit.
func (e *Encoder) sealTail(dst []byte, late byte, segs ...[]byte) {
	off := 0
	for _, s := range segs {
		k := copy(dst[off:], s)
		clear(dst[off+k : off+pad(k)])
		off += pad(k)
	}
	clear(dst[off : off+secureEpilogue])
	dst[off] = late
	e.sealInPlace(dst)
}

// seal fills dst, whose first off bytes are there, with p and zeros, and seals it.
func (e *Encoder) seal(dst []byte, off int, p []byte) {
	off += copy(dst[off:], p)
	clear(dst[off:])
	e.sealInPlace(dst)
}

// sealInPlace seals a unit whose plaintext is in dst, with room for the overhead.
func (e *Encoder) sealInPlace(dst []byte) {
	if e.spent {
		clear(dst)
		return
	}
	p := dst[:len(dst)-e.cipher.Overhead()]
	out := e.cipher.Seal(p[:0], p)
	if out == nil {
		clear(dst)
		e.spent = true
		return
	}
	if len(out) != len(dst) {
		panic(fmt.Sprintf("frame: cipher sealed %d bytes to %d, want %d", len(p), len(out), len(dst)))
	}
}
