package frame

import "fmt"

// Describe is a frame in one line, for logs and tools. payload is segment 0 of a
// control frame and h the header of a MESSAGE; either may be nil. Of secrets it
// shows the lengths only.
func Describe(p *Preamble, payload []byte, h *Header) string {
	if p.Tag == TagMessage {
		lens := fmt.Sprintf(" front=%d middle=%d data=%d", p.Segments[1].Len, p.Segments[2].Len, p.Segments[3].Len)
		if h == nil {
			return p.Tag.String() + lens
		}
		return h.String() + lens
	}
	c, err := ParseControl(p.Tag, payload)
	if err != nil {
		return fmt.Sprintf("%v (%d bytes: %v)", p.Tag, len(payload), err)
	}
	return c.String()
}
