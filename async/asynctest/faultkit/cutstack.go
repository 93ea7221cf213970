package faultkit

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
	"github.com/asyncmsgr/asyncmsgr/eventloop/forward"
)

// CutKind is how a connection is cut.
type CutKind uint8

// The kinds of cuts. What a peer sees is up to its own kernel.
const (
	// CutRST aborts: both ends see a reset, bytes on their way may be lost.
	CutRST CutKind = iota
	// CutFIN closes in order: the peer gets every byte before the cut, then the
	// end of the stream. This end sees a broken pipe, or, when it was reading,
	// the peer's end.
	CutFIN
	// CutVanish sends FIN too, but this end does not notice: what it writes
	// from then on is taken and gone, until the peer's own end arrives. When
	// reading it is CutFIN.
	CutVanish
)

func (k CutKind) String() string {
	return [...]string{CutRST: "rst", CutFIN: "fin", CutVanish: "vanish"}[k]
}

// CutDir is the direction whose bytes a cut counts.
type CutDir uint8

// The directions, seen from the end that is cut.
const (
	CutWrite CutDir = iota
	CutRead
)

func (d CutDir) String() string { return [...]string{CutWrite: "write", CutRead: "read"}[d] }

// Cut is one cut: it happens when After more bytes have passed in direction Dir.
// The byte count is exact, so that a cut falls into the middle of a frame.
type Cut struct {
	Kind  CutKind
	Dir   CutDir
	After int64
}

func (c Cut) String() string { return fmt.Sprintf("%s after %d bytes of %s", c.Kind, c.After, c.Dir) }

// CutError is what the cut end is told. It wraps the error of the system that a
// real failure would have brought.
type CutError struct {
	Cut Cut
	Err syscall.Errno // ECONNRESET or EPIPE
}

func (e *CutError) Error() string { return fmt.Sprintf("cut (%s): %v", e.Cut, e.Err) }

// Unwrap returns the system's error.
func (e *CutError) Unwrap() error { return e.Err }

// CutConfig configures a CutStack; the zero value cuts nothing by itself.
type CutConfig struct {
	// Plan is asked for every new transport, dialled or adopted, whether it is to
	// be cut. Several workers call it at a time; nil means never.
	Plan func(dialled bool) (Cut, bool)
	// OnCut is told of every cut when it happens, with the number of bytes that
	// the transport had written and read. Several workers call it at a time.
	OnCut func(c Cut, written, read int64)
}

// CutStack is something around a stack that cuts its connections. For whoever uses
// what Stack returns, a cut is a failure of the network: nothing else differs from
// the stack beneath. It adds no goroutine and no copy.
//
// The methods of its own may be called by any goroutine.
type CutStack struct {
	stack eventloop.Stack
	cfg   CutConfig
	calm  atomic.Bool
	cuts  atomic.Uint64

	mu   sync.Mutex
	live []*cutTransport // in no particular order
}

// NewCutStack returns what cuts the connections of a stack that uses inner.
func NewCutStack(inner eventloop.Stack, cfg CutConfig) *CutStack {
	s := &CutStack{cfg: cfg}
	s.stack = forward.Stack(inner, func(w eventloop.Worker) eventloop.Worker { return &cutWorker{Worker: w, s: s} })
	return s
}

// Stack is the stack whose connections are cut; all else is that of inner, which it
// closes when it is closed. An accepted socket can be cut once it is adopted.
func (s *CutStack) Stack() eventloop.Stack { return s.stack }

// Live is the number of transports that could be cut now.
func (s *CutStack) Live() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.live)
}

// Cuts is the number of cuts so far.
func (s *CutStack) Cuts() uint64 { return s.cuts.Load() }

// Arm plans c for one of the live transports: number pick modulo Live, so that a
// random pick takes a random one. One that was armed before and is still waiting
// for its bytes is cut at once instead. It says whether there was any transport;
// the cut itself happens later, on the worker, or never, if the bytes do not come.
func (s *CutStack) Arm(pick uint64, c Cut) bool {
	s.mu.Lock()
	if len(s.live) == 0 {
		s.mu.Unlock()
		return false
	}
	t := s.live[pick%uint64(len(s.live))]
	s.mu.Unlock()
	return t.w.Post(&armTask{t, c}) == nil
}

// ArmAll plans c for each of the live transports, as Arm does.
func (s *CutStack) ArmAll(c Cut) {
	s.mu.Lock()
	live := slices.Clone(s.live)
	s.mu.Unlock()
	for _, t := range live {
		_ = t.w.Post(&armTask{t, c}) // a stack that is closed has no transport to cut
	}
}

// Calm stops all cutting, planned cuts included, or allows it again. Cuts that
// workers are about to make may still happen.
func (s *CutStack) Calm(on bool) { s.calm.Store(on) }

func (s *CutStack) add(t *cutTransport) {
	s.mu.Lock()
	t.index = len(s.live)
	s.live = append(s.live, t)
	s.mu.Unlock()
}

// remove may be called twice.
func (s *CutStack) remove(t *cutTransport) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.index < 0 {
		return
	}
	last := len(s.live) - 1
	s.live[t.index] = s.live[last]
	s.live[t.index].index = t.index
	s.live[last] = nil
	s.live = s.live[:last]
	t.index = -1
}

// cutWorker is a worker whose transports can be cut.
type cutWorker struct {
	eventloop.Worker
	s *CutStack
}

// Dial implements eventloop.Worker.
func (w *cutWorker) Dial(remote netip.AddrPort, cfg eventloop.DialConfig, h eventloop.Handler) eventloop.Transport {
	t := w.newTransport(h, true)
	t.in = w.Worker.Dial(remote, cfg, forward.Handler(t, h))
	return t
}

// Adopt implements eventloop.Worker.
func (w *cutWorker) Adopt(sock eventloop.Socket, h eventloop.Handler) eventloop.Transport {
	t := w.newTransport(h, false)
	t.in = w.Worker.Adopt(sock, forward.Handler(t, h))
	t.connected = true
	w.s.add(t)
	return t
}

func (w *cutWorker) newTransport(h eventloop.Handler, dialled bool) *cutTransport {
	t := &cutTransport{w: w, h: h, index: -1}
	if w.s.cfg.Plan != nil {
		t.cut, t.armed = w.s.cfg.Plan(dialled)
	}
	return t
}
