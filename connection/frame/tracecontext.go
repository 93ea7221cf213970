package frame

import "errors"

// HasTraceContext is the bit of Header.Reserved that says that the middle segment begins with a trace
// context: between two peers that both offer msg.FeatureTraceContext. Ceph's daemons send 0 there.
//
//	0  1  n
//	1  n  the context
//	   .. the message's own middle
const HasTraceContext uint16 = 1 << 0

// PrependTraceContext returns context, of 255 bytes at most, in front of middle, in new memory.
func PrependTraceContext(context string, middle []byte) []byte {
	b := make([]byte, 0, 1+len(context)+len(middle))
	b = append(b, byte(len(context)))
	b = append(b, context...)
	return append(b, middle...)
}

var errTraceContext = errors.New("a trace context that is longer than its segment")

// CutTraceContext is the reverse. rest is a part of middle.
func CutTraceContext(middle []byte) (context string, rest []byte, err error) {
	if len(middle) == 0 || int(middle[0]) >= len(middle) {
		return "", nil, errTraceContext
	}
	n := 1 + int(middle[0])
	return string(middle[1:n]), middle[n:], nil
}
