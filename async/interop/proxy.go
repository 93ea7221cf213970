//go:build linux

package interop

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
)

// Proxy is a TCP proxy that cuts the connections through it with a reset, at
// both ends, at a chosen byte or on demand. Its methods may be called by any
// goroutine.
type Proxy struct {
	addr, target netip.AddrPort
	t            testing.TB
	wg           sync.WaitGroup

	mu       sync.Mutex
	plan     func(n int) (up, down int64)
	listener net.Listener // nil while refusing
	live     map[*link]struct{}
	streams  []*Streams // recorded, in the order of accepting; nil: not recording
	accepted int
	cuts     int
	closed   bool
}

// Streams are the bytes of one proxied connection: those sent by the side that
// connected (Up) and by the target (Down), as far as they were forwarded and up
// to a MiB each.
type Streams struct{ Up, Down limited }

// StartProxy forwards connections from addr to target until the test ends.
func StartProxy(t testing.TB, addr, target netip.AddrPort) *Proxy {
	t.Helper()
	p := &Proxy{addr: addr, target: target, t: t, live: map[*link]struct{}{}}
	p.Accept()
	t.Cleanup(p.close)
	return p
}

// Plan sets when connections are cut: for the n-th one from now on (from 0) plan
// returns after how many bytes towards the target (up) and from it (down); a
// negative number is never. The bytes before are delivered. nil cuts none.
func (p *Proxy) Plan(plan func(n int) (up, down int64)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plan, p.accepted = plan, 0
}

// Record keeps the bytes of the connections from now on; see Recorded.
func (p *Proxy) Record() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.streams = []*Streams{}
}

// Recorded ends the proxying and returns the bytes since Record, a connection an
// element.
func (p *Proxy) Recorded() []*Streams {
	p.Refuse()
	p.CutAll()
	p.wg.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.streams
}

// CutAll cuts all connections now and returns how many.
func (p *Proxy) CutAll() int {
	p.mu.Lock()
	links := make([]*link, 0, len(p.live))
	for l := range p.live {
		links = append(links, l)
	}
	p.mu.Unlock()
	n := 0
	for _, l := range links {
		if l.cut() {
			n++
		}
	}
	return n
}

// Cuts is how many connections were cut so far.
func (p *Proxy) Cuts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

// Accepted is how many connections came since the start or the last Plan.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
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
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil || p.closed {
		return
	}
	l, err := net.Listen("tcp4", p.addr.String())
	if err != nil {
		p.t.Errorf("proxy: %v", err)
		return
	}
	p.listener = l
	p.wg.Go(func() { p.serve(l) })
}

func (p *Proxy) close() {
	p.Refuse()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
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
			p.t.Errorf("proxy: %v", err)
			return
		}
		p.open(c.(*net.TCPConn))
	}
}

// open connects an accepted connection with the target.
func (p *Proxy) open(near *net.TCPConn) {
	c, err := net.Dial("tcp4", p.target.String())
	if err != nil {
		reset(near) // the target is down: so is this
		return
	}
	l := &link{proxy: p, near: near, far: c.(*net.TCPConn)}
	p.mu.Lock()
	up, down := int64(-1), int64(-1)
	if p.plan != nil {
		up, down = p.plan(p.accepted)
	}
	p.accepted++
	if p.closed {
		p.mu.Unlock()
		l.cut()
		return
	}
	p.live[l] = struct{}{}
	var tapUp, tapDown io.Writer = io.Discard, io.Discard
	if p.streams != nil {
		s := &Streams{}
		p.streams = append(p.streams, s)
		tapUp, tapDown = &s.Up, &s.Down
	}
	p.mu.Unlock()
	p.wg.Go(func() { l.copy(l.far, l.near, tapUp, up) })
	p.wg.Go(func() { l.copy(l.near, l.far, tapDown, down) })
}

// link is one proxied connection.
type link struct {
	proxy     *Proxy
	near, far *net.TCPConn
	once      sync.Once
}

// cut resets both ends, once; it says whether it was the one.
func (l *link) cut() (did bool) {
	l.once.Do(func() {
		did = true
		p := l.proxy
		p.mu.Lock()
		delete(p.live, l)
		p.cuts++ // before an end can see it
		p.mu.Unlock()
		reset(l.near)
		reset(l.far)
	})
	return did
}

// hangUp is cut for a connection that an end closed: not counted as a cut.
func (l *link) hangUp() {
	l.once.Do(func() {
		_ = l.near.Close()
		_ = l.far.Close()
		p := l.proxy
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.live, l)
	})
}

// copy forwards one direction, up to limit bytes if that is not negative.
func (l *link) copy(dst, src *net.TCPConn, tap io.Writer, limit int64) {
	from := io.Reader(src)
	if limit >= 0 {
		from = io.LimitReader(src, limit)
	}
	n, _ := io.Copy(io.MultiWriter(dst, tap), from)
	if limit >= 0 && n == limit {
		l.cut()
		return
	}
	l.hangUp()
}

// reset closes a connection with RST instead of FIN.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}
