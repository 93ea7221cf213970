package faultkit

import (
	"errors"
	"net"
	"net/netip"
	"sync"
)

// TB is what a Proxy needs of its test; *testing.T and *testing.B have it.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
}

// Proxy is a TCP proxy that cuts the connections through it with a reset, at both
// ends, at a chosen byte or on demand, holds their bytes back, or refuses new ones.
// Its methods may be called by any goroutine.
type Proxy struct {
	tb TB
	wg sync.WaitGroup

	mu       sync.Mutex
	passing  sync.Cond // told when bytes may pass again, and of the end of each connection
	addr     netip.AddrPort
	target   netip.AddrPort
	listener net.Listener // nil while refusing
	plan     func(n int) (up, down int64)
	live     map[*link]bool
	streams  []*Streams // recorded, in the order of accepting; nil: not recording
	chunk    int        // what is passed on at a time
	frozen   bool
	freezeAt int64 // how many more bytes pass, in all, until it freezes; negative: no bound
	accepted int
	cuts     int
	closed   bool
}

// Streams are the bytes of one proxied connection: those sent by the side that
// connected (Up) and by the target (Down), as far as they were passed on and up
// to a MiB each.
type Streams struct{ Up, Down []byte }

const (
	streamMax = 1 << 20
	chunkMax  = 32 << 10
)

// link is one connection through the proxy.
type link struct{ near, far *net.TCPConn }

// StartProxy forwards connections from addr, whose port may be 0, to target until
// the test ends. The target may be set later.
func StartProxy(tb TB, addr, target netip.AddrPort) *Proxy {
	tb.Helper()
	p := &Proxy{tb: tb, addr: addr, target: target, live: map[*link]bool{}, chunk: chunkMax, freezeAt: -1}
	p.passing.L = &p.mu
	p.Accept()
	tb.Cleanup(p.close)
	return p
}

// Addr is where it listens.
func (p *Proxy) Addr() netip.AddrPort { return locked(p, &p.addr) }

// Cuts is how many connections were cut so far.
func (p *Proxy) Cuts() int { return locked(p, &p.cuts) }

// Accepted is how many connections came since the start or the last Plan.
func (p *Proxy) Accepted() int { return locked(p, &p.accepted) }

func locked[T any](p *Proxy, field *T) T {
	p.mu.Lock()
	defer p.mu.Unlock()
	return *field
}

// SetTarget says where connections from now on lead to.
func (p *Proxy) SetTarget(a netip.AddrPort) { p.set(func() { p.target = a }) }

// Chunk passes on so many bytes at a time, which connections from now on see.
func (p *Proxy) Chunk(n int) { p.set(func() { p.chunk = min(n, chunkMax) }) }

// Plan sets when connections are cut: for the n-th one from now on (from 0) plan
// returns after how many bytes towards the target (up) and from it (down); a
// negative number is never. The bytes before are delivered. nil cuts none.
func (p *Proxy) Plan(plan func(n int) (up, down int64)) {
	p.set(func() { p.plan, p.accepted = plan, 0 })
}

// Freeze passes nothing on, in either direction, until Thaw.
func (p *Proxy) Freeze() { p.set(func() { p.frozen = true }) }

// FreezeAfter freezes after n more bytes, of both directions and all connections.
func (p *Proxy) FreezeAfter(n int64) { p.set(func() { p.freezeAt = n }) }

// Thaw ends Freeze and FreezeAfter.
func (p *Proxy) Thaw() { p.set(func() { p.frozen, p.freezeAt = false, -1 }) }

// Record keeps the bytes of the connections from now on; see Recorded.
func (p *Proxy) Record() { p.set(func() { p.streams = []*Streams{} }) }

func (p *Proxy) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	p.passing.Broadcast()
}

// Recorded ends the proxying and returns the bytes since Record, a connection an
// element.
func (p *Proxy) Recorded() []*Streams {
	p.Refuse()
	p.CutAll()
	p.wg.Wait()
	return locked(p, &p.streams)
}

// Via leads dials of the target through the proxy. Others go straight on.
func (p *Proxy) Via(peer netip.AddrPort) netip.AddrPort {
	p.mu.Lock()
	defer p.mu.Unlock()
	if peer == p.target {
		return p.addr
	}
	return peer
}

// CutAll cuts all connections now and returns how many.
func (p *Proxy) CutAll() (n int) {
	p.mu.Lock()
	all := make([]*link, 0, len(p.live))
	for l := range p.live {
		all = append(all, l)
	}
	p.mu.Unlock()
	for _, l := range all {
		if p.end(l, true) {
			n++
		}
	}
	return n
}

// Refuse stops listening: new connections are refused, those there are go on.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
}

// Accept listens again after Refuse.
func (p *Proxy) Accept() {
	p.tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil || p.closed {
		return
	}
	l, err := net.Listen("tcp", p.addr.String())
	if err != nil {
		p.tb.Errorf("proxy: %v", err)
		return
	}
	p.listener, p.addr = l, netip.MustParseAddrPort(l.Addr().String())
	p.wg.Go(func() { p.serve(l) })
}

func (p *Proxy) close() {
	p.Refuse()
	p.set(func() { p.closed = true })
	p.CutAll()
	p.wg.Wait()
}

func (p *Proxy) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			p.tb.Errorf("proxy: %v", err)
			return
		}
		p.open(c.(*net.TCPConn))
	}
}

// open connects an accepted connection with the target.
func (p *Proxy) open(near *net.TCPConn) {
	target := locked(p, &p.target)
	far, err := net.Dial("tcp", target.String())
	if err != nil {
		reset(near) // the target is down: so is this
		return
	}
	l := &link{near, far.(*net.TCPConn)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		reset(l.near)
		reset(l.far)
		return
	}
	up, down := int64(-1), int64(-1)
	if p.plan != nil {
		up, down = p.plan(p.accepted)
	}
	p.accepted++
	p.live[l] = true
	var s Streams
	tapUp, tapDown := &s.Up, &s.Down
	if p.streams == nil {
		tapUp, tapDown = nil, nil
	} else {
		p.streams = append(p.streams, &s)
	}
	chunk := p.chunk
	p.wg.Go(func() { p.forward(l, l.far, l.near, make([]byte, chunk), tapUp, up) })
	p.wg.Go(func() { p.forward(l, l.near, l.far, make([]byte, chunk), tapDown, down) })
}

// forward copies one direction, up to limit bytes if that is not negative.
func (p *Proxy) forward(l *link, dst, src *net.TCPConn, buf []byte, tap *[]byte, limit int64) {
	for limit != 0 {
		if limit > 0 {
			buf = buf[:min(int64(len(buf)), limit)]
		}
		n, err := src.Read(buf)
		p.wait(l, n)
		if n > 0 {
			if _, werr := dst.Write(buf[:n]); werr != nil {
				break
			}
			if tap != nil {
				*tap = append(*tap, buf[:min(n, streamMax-len(*tap))]...)
			}
			if limit > 0 {
				limit -= int64(n)
			}
		}
		if err != nil {
			break
		}
	}
	p.end(l, limit == 0)
}

// wait returns when n bytes of a connection may pass, or it has ended.
func (p *Proxy) wait(l *link, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.freezeAt >= 0 {
		p.freezeAt = max(p.freezeAt-int64(n), 0)
		p.frozen = p.frozen || p.freezeAt == 0
	}
	for p.frozen && p.live[l] {
		p.passing.Wait()
	}
}

// end ends a connection, once: by a reset if it is a cut, or because one of its
// sides closed it. It says whether this was the one.
func (p *Proxy) end(l *link, cut bool) bool {
	p.mu.Lock()
	live := p.live[l]
	delete(p.live, l)
	if live && cut {
		p.cuts++ // before a side can see it
	}
	p.passing.Broadcast()
	p.mu.Unlock()
	switch {
	case !live:
	case cut:
		reset(l.near)
		reset(l.far)
	default:
		_ = l.near.Close()
		_ = l.far.Close()
	}
	return live
}

// reset closes a connection with RST instead of FIN.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}
