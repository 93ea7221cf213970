package async

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/asyncmsgr/asyncmsgr/eventloop/forward"
)

// cutStack is a stack whose connections break after some bytes, read or written,
// as its plan says for each new connection. A socket that moves to another worker
// is a new connection.
type cutStack struct {
	stack eventloop.Stack // for Config.Stack
	cuts  atomic.Int64

	mu   sync.Mutex
	plan func() (readAt, writeAt int64) // negative: never
}

var errCut = fmt.Errorf("cut by the test: %w", syscall.ECONNRESET)

func newCutStack(s eventloop.Stack) *cutStack {
	c := &cutStack{plan: func() (int64, int64) { return -1, -1 }}
	c.stack = forward.Stack(s, func(w eventloop.Worker) eventloop.Worker { return &cutWorker{w, c} })
	return c
}

// setPlan is for connections made from now on.
func (s *cutStack) setPlan(plan func() (readAt, writeAt int64)) {
	s.mu.Lock()
	s.plan = plan
	s.mu.Unlock()
}

// cutRandomly cuts each connection with probability p, after up to max bytes.
func (s *cutStack) cutRandomly(rnd *rand.Rand, p float64, most int64) {
	s.setPlan(func() (int64, int64) {
		if rnd.Float64() >= p {
			return -1, -1
		}
		if rnd.IntN(2) == 0 {
			return rnd.Int64N(most), -1
		}
		return -1, rnd.Int64N(most)
	})
}

func (s *cutStack) heal() { s.setPlan(func() (int64, int64) { return -1, -1 }) }

func (s *cutStack) next() (int64, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.plan()
}

type cutWorker struct {
	eventloop.Worker
	s *cutStack
}

func (w *cutWorker) Dial(remote netip.AddrPort, cfg eventloop.DialConfig, h eventloop.Handler) eventloop.Transport {
	t := w.wrap(h)
	t.Transport = w.Worker.Dial(remote, cfg, forward.Handler(t, h))
	return t
}

func (w *cutWorker) Adopt(sock eventloop.Socket, h eventloop.Handler) eventloop.Transport {
	t := w.wrap(h)
	t.Transport = w.Worker.Adopt(sock, forward.Handler(t, h))
	return t
}

func (w *cutWorker) wrap(h eventloop.Handler) *cutTransport {
	t := &cutTransport{w: w, h: h}
	t.readLeft, t.writeLeft = w.s.next()
	return t
}

// cutTransport is both sides of a transport: what the connection calls and what
// the stack calls.
type cutTransport struct {
	eventloop.Transport
	w                   *cutWorker
	h                   eventloop.Handler
	readLeft, writeLeft int64
	dead                bool
}

func (t *cutTransport) cut() {
	t.dead = true
	t.w.s.cuts.Add(1)
	t.Transport.Abort()
}

func (t *cutTransport) Write(bufs [][]byte) (int, error) {
	if t.dead {
		return 0, errCut
	}
	if t.writeLeft < 0 {
		return t.Transport.Write(bufs)
	}
	var some [][]byte
	left := t.writeLeft
	for _, b := range bufs {
		if int64(len(b)) > left {
			b = b[:left]
		}
		left -= int64(len(b))
		some = append(some, b)
	}
	n, err := t.Transport.Write(some)
	t.writeLeft -= int64(n)
	if err == nil && t.writeLeft == 0 {
		t.cut()
		err = errCut
	}
	return n, err
}

func (t *cutTransport) Close() { t.dead = true; t.Transport.Close() }
func (t *cutTransport) Abort() { t.dead = true; t.Transport.Abort() }
func (t *cutTransport) Detach() (eventloop.Socket, error) {
	s, err := t.Transport.Detach()
	t.dead = err == nil
	return s, err
}

func (t *cutTransport) HandleConnected(eventloop.Transport) { t.h.HandleConnected(t) }
func (t *cutTransport) ReadInto() []byte                    { return t.h.ReadInto() }
func (t *cutTransport) HandleEOF()                          { t.h.HandleEOF() }
func (t *cutTransport) HandleFlush()                        { t.h.HandleFlush() }
func (t *cutTransport) HandleClosed(err error)              { t.dead = true; t.h.HandleClosed(err) }

func (t *cutTransport) HandleRead(direct int, rest []byte) {
	if t.readLeft < 0 {
		t.h.HandleRead(direct, rest)
		return
	}
	before := t.readLeft
	direct = int(min(int64(direct), t.readLeft))
	t.readLeft -= int64(direct)
	rest = rest[:min(int64(len(rest)), t.readLeft)]
	t.readLeft -= int64(len(rest))
	if before > 0 {
		t.h.HandleRead(direct, rest)
	}
	if t.readLeft == 0 && !t.dead {
		t.cut()
		t.h.HandleClosed(errCut)
	}
}
