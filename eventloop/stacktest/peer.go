package stacktest

import (
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// peer is a Handler that checks what every Handler may rely on, records its
// callbacks and passes them to hooks. Without hooks it collects what it
// receives, writes what send was given, and keeps the connection until the test
// ends it.
type peer struct {
	e    *env
	name string

	// worker only
	w       eventloop.Worker
	t       eventloop.Transport
	up      bool // HandleConnected came, or is not due
	ended   bool // by this side: no callback may follow
	eof     bool
	dialing bool   // in Dial
	exiting bool   // a callback ended its goroutine, and Abandoned has not come yet
	out     []byte // still to be written
	into    []byte // for ReadInto

	// hooks, worker only
	started   func(*peer) // after Adopt
	connected func(*peer)
	read      func(p *peer, direct int, rest []byte) // instead of collecting
	readInto  func(*peer) []byte
	sawEOF    func(*peer)
	flush     func(*peer) // instead of writing out
	closed    func(*peer, error)
	abandoned func(*peer)
	done      func() // after the end, by whichever side

	busy atomic.Bool // in a callback

	mu       sync.Mutex
	events   []string
	received []byte
	err      error // of HandleClosed
}

func (e *env) newPeer(name string, w eventloop.Worker) *peer { return &peer{e: e, name: name, w: w} }

// note records an event.
func (p *peer) note(event string) {
	p.mu.Lock()
	p.events = append(p.events, event)
	p.mu.Unlock()
	if event == "done" && p.done != nil {
		p.done()
	}
	p.e.Notify()
}

// count is how often an event was recorded; any goroutine, like all that follow.
func (p *peer) count(event string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, e := range p.events {
		if e == event {
			n++
		}
	}
	return n
}

// has says whether an event was recorded; for Until.
func (p *peer) has(event string) func() bool {
	return func() bool { return p.count(event) > 0 }
}

func (p *peer) history() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.events)
}

// bytes is what was collected.
func (p *peer) bytes() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.received)
}

// got says whether n bytes were collected; for Until.
func (p *peer) got(n int) func() bool {
	return func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.received) >= n
	}
}

func (p *peer) closedWith() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// do runs f on the peer's worker and waits for it; test's goroutine only.
func (p *peer) do(f func()) {
	p.e.t.Helper()
	p.e.do(p.w, f)
}

// send has b written; test's goroutine only.
func (p *peer) send(b string) {
	p.e.t.Helper()
	p.do(func() { p.write([]byte(b)) })
}

// write has b written at the end of the round; worker only.
func (p *peer) write(b []byte) {
	p.out = append(p.out, b...)
	p.t.WantFlush()
}

func (p *peer) dial(to netip.AddrPort, cfg eventloop.DialConfig) {
	p.dialing = true
	p.t = p.w.Dial(to, cfg, p)
	p.dialing = false
}

// close, abort and detach end the connection; worker only.
func (p *peer) close() {
	p.ended = true
	p.t.Close()
	p.note("done")
}

func (p *peer) abort() {
	p.ended = true
	p.t.Abort()
	p.note("done")
}

func (p *peer) detach() eventloop.Socket {
	p.ended = true
	s, err := p.t.Detach()
	if err != nil {
		p.e.t.Errorf("detach: %v", err)
	}
	p.note("done")
	return s
}

// enter begins a callback and checks that it is allowed.
func (p *peer) enter(callback string) {
	if p.busy.Swap(true) {
		p.e.t.Errorf("%s: %s while another callback runs", p.name, callback)
	}
	if p.e.closed.Load() {
		p.e.t.Errorf("%s: %s after the stack was closed", p.name, callback)
	}
	if p.dialing {
		p.e.t.Errorf("%s: %s within Dial", p.name, callback)
	}
	if p.ended {
		p.e.t.Errorf("%s: %s after the end: %v", p.name, callback, p.history())
	}
	if p.exiting {
		p.e.t.Errorf("%s: %s before Abandoned: %v", p.name, callback, p.history())
	}
	if !p.up && callback != "HandleConnected" && callback != "HandleClosed" {
		p.e.t.Errorf("%s: %s before HandleConnected", p.name, callback)
	}
}

func (p *peer) leave() { p.busy.Store(false) }

// exit ends the goroutine of the callback that calls it.
func (p *peer) exit() {
	p.exiting = true
	runtime.Goexit()
}

// Abandoned implements eventloop.Abandoner.
func (p *peer) Abandoned() {
	if p.busy.Swap(true) {
		p.e.t.Errorf("%s: Abandoned while another callback runs", p.name)
	}
	defer p.leave()
	if !p.exiting {
		p.e.t.Errorf("%s: Abandoned, but no callback ended its goroutine: %v", p.name, p.history())
	}
	p.exiting = false
	p.note("abandoned")
	if p.abandoned != nil {
		p.abandoned(p)
	}
}

func (p *peer) HandleConnected(t eventloop.Transport) {
	p.enter("HandleConnected")
	defer p.leave()
	if p.up {
		p.e.t.Errorf("%s: HandleConnected is not due", p.name)
	}
	p.t, p.up = t, true
	if p.connected != nil {
		p.connected(p)
	}
	p.note("connected")
}

func (p *peer) ReadInto() []byte {
	p.enter("ReadInto")
	defer p.leave()
	p.into = nil
	if p.readInto != nil {
		p.into = p.readInto(p)
	}
	return p.into
}

func (p *peer) HandleRead(direct int, rest []byte) {
	p.enter("HandleRead")
	defer p.leave()
	if p.eof {
		p.e.t.Errorf("%s: HandleRead after HandleEOF", p.name)
	}
	if direct+len(rest) == 0 || direct > len(p.into) || len(rest) > 0 && direct < len(p.into) {
		p.e.t.Errorf("%s: %d bytes direct and %d others for a slice of %d", p.name, direct, len(rest), len(p.into))
	}
	if p.read != nil {
		p.read(p, direct, rest)
	} else {
		p.collect(direct, rest)
	}
	p.note("read")
}

func (p *peer) collect(direct int, rest []byte) {
	p.mu.Lock()
	p.received = append(append(p.received, p.into[:direct]...), rest...)
	p.mu.Unlock()
}

func (p *peer) HandleEOF() {
	p.enter("HandleEOF")
	defer p.leave()
	if p.eof {
		p.e.t.Errorf("%s: second HandleEOF", p.name)
	}
	p.eof = true
	if p.sawEOF != nil {
		p.sawEOF(p)
	}
	p.note("eof")
}

func (p *peer) HandleFlush() {
	p.enter("HandleFlush")
	defer p.leave()
	p.note("flush")
	if p.flush != nil {
		p.flush(p)
		return
	}
	p.writeOut()
}

func (p *peer) writeOut() {
	n, err := p.t.Write([][]byte{p.out})
	if err != nil {
		p.close()
	}
	p.out = p.out[n:]
}

func (p *peer) HandleClosed(err error) {
	p.enter("HandleClosed")
	defer p.leave()
	p.ended = true
	if err == nil {
		p.e.t.Errorf("%s: HandleClosed without an error", p.name)
	}
	p.mu.Lock()
	p.err = err
	p.mu.Unlock()
	if p.closed != nil {
		p.closed(p, err)
	}
	p.note("closed")
	p.note("done")
}
