package simnet

import "slices"

// Frame is a unit of what runs over a connection, as a Framer sees it.
type Frame struct {
	// Tag is what kind of frame it is, Name the same for people.
	Tag  uint8
	Name string
	// Size is that of the whole frame in bytes; 0: the rest of the stream, which
	// the Framer does not understand.
	Size int64
	// Offset is where in the stream it begins; the network fills it in.
	Offset int64
}

// Framer finds the frames in one direction of one connection: breakpoints need it,
// and traces and charts show what it says. The network knows nothing about what is
// in its bytes.
type Framer interface {
	// Next is given bytes of the stream from where a frame begins, all that were
	// written so far, and says what frame that is; false if there are too few bytes
	// to tell, and it will be asked again when there are more. It must not keep b.
	Next(b []byte) (Frame, bool)
}

// maxHead is how many bytes a Framer may want to see of a frame before it has to
// say what it is; then it is not asked any more.
const maxHead = 64 << 10

// framing follows the frames of a pipe.
type framing struct {
	framer Framer // nil: given up
	next   int64  // where a frame begins
	head   []byte // its bytes so far, if the framer could not tell
	marks  []Frame
	stops  []*Hit // frames not to be read yet, by their offsets
}

// find looks at what was just written, at offset off, and returns the breakpoints
// that are to stop parts of it from being sent.
func (p *pipe) find(data []byte, off int64) (hits []*Hit) {
	fr := p.frames
	fr.marks = slices.DeleteFunc(fr.marks, func(f Frame) bool { return f.Offset < p.read })
	if fr.framer == nil || fr.next >= off+int64(len(data)) {
		return nil
	}
	view := data[max(fr.next-off, 0):]
	if len(fr.head) > 0 {
		fr.head = append(fr.head, data...)
		view = fr.head
	}
	for len(view) > 0 {
		f, ok := fr.framer.Next(view)
		if !ok {
			if fr.head = append([]byte(nil), view...); len(view) > maxHead {
				fr.framer, fr.head = nil, nil
			}
			return hits
		}
		f.Offset = fr.next
		fr.marks = append(fr.marks, f)
		if hit := p.breakAt(Writes, f); hit != nil {
			hits = append(hits, hit)
		}
		if hit := p.breakAt(Reads, f); hit != nil {
			hit.limit = max(f.Offset, off)
			fr.stops = append(fr.stops, hit)
		}
		if f.Size <= 0 {
			fr.framer, fr.head = nil, nil
			return hits
		}
		fr.next += f.Size
		view = view[min(f.Size, int64(len(view))):]
	}
	fr.head = nil
	return hits
}

// begun are the frames that begin in the size bytes at off.
func (p *pipe) begun(off int64, size int32) (names []string) {
	if p.frames != nil {
		for _, f := range p.frames.marks {
			if f.Offset >= off && f.Offset < off+int64(size) {
				names = append(names, f.Name)
			}
		}
	}
	return names
}
