package playground

import (
	"strconv"
	"strings"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
)

// framer is asynctest's, which names the number and priority of messages as well.
type framer struct{ simnet.Framer }

func newFramer(c simnet.Conn, fromDialer bool) simnet.Framer {
	return framer{asynctest.NewFramer(c, fromDialer)}
}

// Next implements simnet.Framer.
func (f framer) Next(b []byte) (simnet.Frame, bool) {
	fr, ok := f.Framer.Next(b)
	if ok && fr.Tag == uint8(frame.TagMessage) && len(b) >= frame.PreambleLen+frame.HeaderLen {
		var h frame.Header
		if h.Parse(b[frame.PreambleLen:]) == nil {
			name := append(make([]byte, 0, 32), fr.Name...)
			name = strconv.AppendUint(append(name, " #"...), h.Seq, 10)
			name = strconv.AppendUint(append(name, " prio "...), uint64(h.Priority), 10)
			fr.Name = string(name)
		}
	}
	return fr, ok
}

// label is a frame's name, taken apart.
type label struct {
	tag  string
	num  uint64
	prio int
}

func labelOf(name string) (l label) {
	tag, rest, some := strings.Cut(name, " #")
	l.tag = tag
	if some {
		num, prio, _ := strings.Cut(rest, " prio ")
		l.num, _ = strconv.ParseUint(num, 10, 64)
		l.prio, _ = strconv.Atoi(prio)
	}
	return l
}
