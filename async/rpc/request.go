package rpc

import (
	"io"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// Request is what a handler is to answer. It stays valid for as long as it is referenced; only
// the handler may write to Body.
type Request struct {
	// Conn is where it came from. The handler may call its peer over it.
	Conn msg.Connection
	Type uint16
	// Priority is that of the request's message.
	Priority uint8
	// OneWay says that nobody waits for a reply: the handler's is dropped.
	OneWay bool
	Body   []byte
	// TraceContext is the caller's, if both sides offer msg.FeatureTraceContext: see there.
	TraceContext string
	// Stream is the body that follows the request in chunks (CallBody); nil if there is none.
	// Read returns io.EOF at its end, and ErrBodyIncomplete if it ends before that, as it does when
	// the handler's context ends. It ends with the handler, who need not close it. One goroutine at a time.
	Stream io.ReadCloser

	answer io.Reader
}

// Answer has body follow the reply, in chunks, when the handler has returned without an error; the
// caller has to use CallBody, and the handler to be Concurrent, whose goroutine reads body then, as fast
// as the caller reads. It is closed afterwards if it is an io.Closer. If it fails, the
// caller's Read does.
func (r *Request) Answer(body io.Reader) { r.answer = body }

// serverCall is a request with its context and, if it is small, its body.
type serverCall struct {
	Request
	ctx  Context
	tid  uint64
	h    *handler
	live bool // in shard.running
	in   *inBody

	answered bool // the reply is sent, and its body under way
	room     [96]byte
}

// newServerCall makes a request of m, which is not touched afterwards, and may be released.
func (n *Node) newServerCall(m *msg.Message, h *handler, hd header, body []byte) *serverCall {
	c := m.Connection()
	sc := &serverCall{tid: m.TID, h: h}
	sc.Conn, sc.Type, sc.Priority, sc.OneWay = c, hd.method, m.Priority, hd.flags&flagOneWay != 0
	sc.TraceContext = m.TraceContext
	sc.ctx.n, sc.ctx.sh, sc.ctx.parent, sc.ctx.request = n, n.shardOf(c), background, &sc.Request
	sc.ctx.onWorker = h.fast
	if hd.remaining > 0 {
		sc.ctx.deadline = m.ReceivedAt() + hd.remaining
	}
	switch {
	case len(body) <= len(sc.room):
		sc.Body = sc.room[:copy(sc.room[:], body):len(body)]
		m.Release()
	case len(body) <= copyMax:
		sc.Body = append([]byte(nil), body...)
		m.Release()
	default:
		sc.Body = body
	}
	return sc
}

// late says whether the caller has given up by now.
func (sc *serverCall) late() bool {
	return sc.ctx.deadline != 0 && sc.ctx.n.clock.Now() >= sc.ctx.deadline
}
