package frame

// How the Decoder gathers what has arrived, and what memory it takes for it.

const (
	// smallMax is the longest unit that is collected in the Decoder itself: a
	// sealed first block, or a header with its crc.
	smallMax = secureHeadLen + overheadMax
	// allocStep is the memory that is taken on the peer's word; beyond it, no more
	// than twice what has arrived.
	allocStep = 64 << 10
	// readIntoMin is how much of a body must be missing for ReadInto to be worth a
	// read of its own.
	readIntoMin = 4 << 10
	// fillStep is how much of a body is copied before its crc is computed, so that
	// the bytes are still in the cache: for 1 MiB three times as fast as to copy
	// it all first, and somewhat faster than the crc at the end of the frame.
	fillStep = 32 << 10
	// accKept is the collecting buffer that is kept between frames.
	accKept = 4 << 10
)

// collect returns the next need bytes when they are all there: as part of b if
// nothing was collected before, otherwise from where they were collected. While
// bytes are missing it consumes all of b.
func (d *Decoder) collect(b []byte, need int) (unit []byte, n int, ok bool) {
	if d.have == 0 && len(b) >= need {
		return b[:need:need], need, true
	}
	n = min(len(b), need-int(d.have))
	if need <= smallMax && d.inSmall() {
		copy(d.small[d.have:], b[:n])
		d.have += int32(n)
		if int(d.have) < need {
			return nil, n, false
		}
		d.have = 0
		return d.small[:need:need], n, true
	}
	base := len(d.acc) - int(d.have) // secure mode keeps the start of segment 0 there
	d.acc = append(d.acc, b[:n]...)
	d.have += int32(n)
	if int(d.have) < need {
		return nil, n, false
	}
	d.have = 0
	return d.acc[base:], n, true
}

// fill takes body bytes from b and returns how many.
func (d *Decoder) fill(b []byte) int {
	n := min(len(b), d.bodyLen-d.bodyOff)
	if n == 0 {
		return 0
	}
	d.growBody(n)
	for done := 0; done < n; done += fillStep {
		k := min(n-done, fillStep)
		copy(d.body[d.bodyOff:], b[done:done+k])
		d.account(k)
	}
	return n
}

// fillSealed takes bytes of a sealed last unit from b and returns how many; ok says that
// the unit was complete and is open. If all of it is in b it is opened from there.
func (d *Decoder) fillSealed(b []byte) (n int, ok bool, err error) {
	n = min(len(b), d.bodyLen-d.bodyOff)
	if n == d.bodyLen {
		d.growAll()
		return n, true, d.openBody(b[:n])
	}
	d.growBody(n)
	copy(d.body[d.bodyOff:], b[:n])
	if d.bodyOff += n; d.bodyOff < d.bodyLen {
		return n, false, nil
	}
	return n, true, d.openBody(d.body)
}

// account computes the crcs of the n body bytes that have just arrived.
func (d *Decoder) account(n int) {
	for n > 0 {
		k := min(n, d.segEnd-d.bodyOff)
		if k == 0 {
			d.seg++
			d.segEnd += int(d.pre.Segments[d.seg].Len)
			continue
		}
		d.crc[d.seg-1] = updateCRC(d.crc[d.seg-1], d.body[d.bodyOff:d.bodyOff+k])
		d.bodyOff += k
		n -= k
	}
}

// growAll makes room for all of the body, which has arrived.
func (d *Decoder) growAll() {
	if !d.hasBody {
		d.body = make([]byte, d.bodyLen)
	}
}

// growBody makes room for at least n more body bytes. Memory of our own grows
// with what has arrived, not with what was declared.
func (d *Decoder) growBody(n int) {
	if d.hasBody || d.bodyOff+n <= len(d.body) {
		return
	}
	l := min(max(d.bodyOff+n, 2*d.bodyOff, allocStep), d.bodyLen)
	grown := make([]byte, l)
	copy(grown, d.body[:d.bodyOff])
	d.body = grown
}
