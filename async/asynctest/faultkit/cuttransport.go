package faultkit

import (
	"net/netip"
	"syscall"

	"github.com/asyncmsgr/asyncmsgr/eventloop"
)

// cutTransport stands between a transport of the stack beneath, whose handler it
// is, and the user's handler, whose transport it is. Worker only.
type cutTransport struct {
	w     *cutWorker
	in    eventloop.Transport
	h     eventloop.Handler
	index int // in CutStack.live, under its mu; -1: not there

	cut       Cut // if armed
	armed     bool
	connected bool
	paused    bool
	dead      bool // the user closed or detached it, or was told of its end
	deaf      bool // the read direction was cut: what arrives is gone
	mute      bool // CutVanish: what is written is gone

	written, read int64
}

// armTask arms its transport, on the worker.
type armTask struct {
	t *cutTransport
	c Cut
}

// Run implements eventloop.Task.
func (a *armTask) Run() { a.t.arm(a.c) }

// Abandoned implements eventloop.Abandoner: the handler was told of the cut, and did
// not return.
func (a *armTask) Abandoned() {
	if h, ok := a.t.h.(eventloop.Abandoner); ok {
		h.Abandoned()
	}
}

// arm plans c, or carries out at once what was planned before.
func (t *cutTransport) arm(c Cut) {
	if t.dead || !t.connected || t.mute || t.deaf || t.w.s.calm.Load() {
		return
	}
	if !t.armed && c.After > 0 {
		t.cut, t.armed = c, true
		return
	}
	if !t.armed {
		t.cut = c
	}
	t.cut.After = 0
	// Nobody is writing or reading at this moment, so both see it as a failure.
	if t.cut.Kind == CutVanish {
		t.vanish()
		return
	}
	t.kill()
	t.h.HandleClosed(t.err())
}

// active says whether a cut in direction d is to be looked for.
func (t *cutTransport) active(d CutDir) bool {
	return t.armed && t.cut.Dir == d && !t.w.s.calm.Load()
}

func (t *cutTransport) count() {
	t.armed = false
	t.w.s.cuts.Add(1)
	if f := t.w.s.cfg.OnCut; f != nil {
		f(t.cut, t.written, t.read)
	}
}

// kill ends the transport beneath, with RST or FIN.
func (t *cutTransport) kill() {
	t.count()
	t.end()
	if t.cut.Kind == CutRST {
		t.in.Abort()
	} else {
		t.in.Close()
	}
}

// vanish sends FIN and lets the user go on writing.
func (t *cutTransport) vanish() {
	t.count()
	t.mute = true
	_ = t.in.CloseWrite() // an error is found by reading
}

func (t *cutTransport) err() error {
	e := &CutError{Cut: t.cut, Err: syscall.EPIPE}
	if t.cut.Kind == CutRST {
		e.Err = syscall.ECONNRESET
	}
	return e
}

// end: the user gets no callback any more.
func (t *cutTransport) end() {
	t.dead = true
	t.w.s.remove(t)
}

// HandleConnected implements eventloop.Handler.
func (t *cutTransport) HandleConnected(eventloop.Transport) {
	t.connected = true
	t.w.s.add(t)
	t.h.HandleConnected(t)
}

// ReadInto implements eventloop.Handler.
func (t *cutTransport) ReadInto() []byte {
	if t.deaf {
		return nil
	}
	return t.h.ReadInto()
}

// HandleRead implements eventloop.Handler.
func (t *cutTransport) HandleRead(direct int, rest []byte) {
	if t.deaf {
		return
	}
	n := int64(direct + len(rest))
	if !t.active(CutRead) || n < t.cut.After {
		if t.armed && t.cut.Dir == CutRead {
			t.cut.After = max(0, t.cut.After-n) // 0: passed while calm
		}
		t.read += n
		t.h.HandleRead(direct, rest)
		return
	}
	// Only what comes before the cut gets through.
	if k := int(t.cut.After); k > 0 {
		t.read += int64(k)
		t.cut.After = 0
		d := min(direct, k)
		t.h.HandleRead(d, rest[:k-d])
		if t.dead {
			return
		}
	}
	if t.cut.Kind == CutRST || t.paused { // while paused there is no end of stream
		t.cut.Kind = CutRST
		t.kill()
		t.h.HandleClosed(t.err())
		return
	}
	t.count()
	t.deaf = true
	t.h.HandleEOF()
}

// HandleEOF implements eventloop.Handler.
func (t *cutTransport) HandleEOF() {
	if !t.deaf {
		t.h.HandleEOF()
	}
}

// HandleFlush implements eventloop.Handler.
func (t *cutTransport) HandleFlush() { t.h.HandleFlush() }

// HandleClosed implements eventloop.Handler.
func (t *cutTransport) HandleClosed(err error) {
	t.end()
	t.h.HandleClosed(err)
}

// LocalAddr implements eventloop.Transport.
func (t *cutTransport) LocalAddr() netip.AddrPort { return t.in.LocalAddr() }

// RemoteAddr implements eventloop.Transport.
func (t *cutTransport) RemoteAddr() netip.AddrPort { return t.in.RemoteAddr() }

// Write implements eventloop.Transport.
func (t *cutTransport) Write(bufs [][]byte) (int, error) {
	if t.dead {
		return 0, eventloop.ErrTransportClosed
	}
	if t.mute {
		return sizeOf(bufs), nil
	}
	if !t.active(CutWrite) || int64(sizeOf(bufs)) < t.cut.After {
		n, err := t.in.Write(bufs)
		t.passed(n)
		return n, err
	}
	n, err := t.in.Write(prefix(bufs, t.cut.After))
	t.passed(n)
	if err != nil || t.cut.After > 0 {
		return n, err // the socket is full: HandleFlush follows
	}
	if t.cut.Kind == CutVanish {
		t.vanish()
		return sizeOf(bufs), nil
	}
	t.kill()
	return n, t.err()
}

func (t *cutTransport) passed(n int) {
	t.written += int64(n)
	if t.armed && t.cut.Dir == CutWrite {
		t.cut.After = max(0, t.cut.After-int64(n)) // 0: passed while calm
	}
}

func sizeOf(bufs [][]byte) (n int) {
	for _, b := range bufs {
		n += len(b)
	}
	return n
}

// prefix returns slices over the first n bytes.
func prefix(bufs [][]byte, n int64) (out [][]byte) {
	for _, b := range bufs {
		if int64(len(b)) >= n {
			return append(out, b[:n])
		}
		out = append(out, b)
		n -= int64(len(b))
	}
	return out
}

// WantFlush implements eventloop.Transport.
func (t *cutTransport) WantFlush() {
	if !t.dead {
		t.in.WantFlush()
	}
}

// PauseRead implements eventloop.Transport.
func (t *cutTransport) PauseRead() {
	t.paused = true
	t.in.PauseRead()
}

// ResumeRead implements eventloop.Transport.
func (t *cutTransport) ResumeRead() {
	t.paused = false
	t.in.ResumeRead()
}

// CloseWrite implements eventloop.Transport.
func (t *cutTransport) CloseWrite() error { return t.in.CloseWrite() }

// Close implements eventloop.Transport.
func (t *cutTransport) Close() {
	t.end()
	t.in.Close()
}

// Abort implements eventloop.Transport.
func (t *cutTransport) Abort() {
	t.end()
	t.in.Abort()
}

// Detach implements eventloop.Transport. The transport that adopts the socket
// gets a plan of its own. What was cut but not noticed yet cannot be moved.
func (t *cutTransport) Detach() (eventloop.Socket, error) {
	if t.deaf || t.mute {
		t.end()
		t.in.Abort()
		return nil, eventloop.ErrTransportClosed
	}
	sock, err := t.in.Detach()
	if err == nil {
		t.end()
	}
	return sock, err
}
