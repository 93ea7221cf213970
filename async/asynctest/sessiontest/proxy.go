package sessiontest

import (
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxy stands between a client and a server and resets their connections, at a
// chosen byte or on demand, or stops passing anything on.
type proxy struct {
	addr   netip.AddrPort
	target netip.AddrPort
	ln     net.Listener
	wg     sync.WaitGroup

	mu     sync.Mutex
	thaw   sync.Cond // told when frozen ends
	plan   func(n int) (up, down int64)
	n      int // connections so far
	cuts   int
	live   map[*link]bool
	frozen bool
	// freezeAt is how many more bytes are passed on, in all, until it freezes;
	// negative: no bound.
	freezeAt int64
	closed   bool
}

// link is one connection through the proxy.
type link struct{ near, far *net.TCPConn }

// newProxy forwards to target, once that is set.
func newProxy(t testing.TB) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{ln: ln, addr: netip.MustParseAddrPort(ln.Addr().String()), live: map[*link]bool{}, freezeAt: -1}
	p.thaw.L = &p.mu
	p.wg.Go(p.serve)
	t.Cleanup(p.close)
	return p
}

// via leads dials of the target through the proxy. Others go straight on.
func (p *proxy) via(peer netip.AddrPort) netip.AddrPort {
	p.mu.Lock()
	defer p.mu.Unlock()
	if peer == p.target {
		return p.addr
	}
	return peer
}

func (p *proxy) setTarget(a netip.AddrPort) {
	p.mu.Lock()
	p.target = a
	p.mu.Unlock()
}

// setPlan says after how many bytes towards the target (up) and from it (down) the
// n-th connection from now on, from 0, is cut; negative: never. nil: none is cut.
func (p *proxy) setPlan(plan func(n int) (up, down int64)) {
	p.mu.Lock()
	p.plan, p.n = plan, 0
	p.mu.Unlock()
}

// numCuts is how many connections were cut.
func (p *proxy) numCuts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

// cutAll resets all connections and returns their number.
func (p *proxy) cutAll() int {
	p.mu.Lock()
	var all []*link
	for l := range p.live {
		all = append(all, l)
	}
	p.mu.Unlock()
	for _, l := range all {
		p.cut(l, true)
	}
	return len(all)
}

// freeze stops passing bytes on in both directions, until melt.
func (p *proxy) freeze() {
	p.mu.Lock()
	p.frozen = true
	p.mu.Unlock()
}

// freezeAfter freezes after n more bytes, in both directions together.
func (p *proxy) freezeAfter(n int64) {
	p.mu.Lock()
	p.freezeAt = n
	p.mu.Unlock()
}

func (p *proxy) melt() {
	p.mu.Lock()
	p.frozen, p.freezeAt = false, -1
	p.thaw.Broadcast()
	p.mu.Unlock()
}

func (p *proxy) close() {
	p.ln.Close()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.melt()
	p.cutAll()
	p.wg.Wait()
}

func (p *proxy) serve() {
	for {
		c, err := p.ln.Accept()
		if err != nil {
			return
		}
		near := c.(*net.TCPConn)
		p.mu.Lock()
		target := p.target
		p.mu.Unlock()
		f, err := net.Dial("tcp", target.String())
		if err != nil {
			reset(near) // the target is down: so is this
			continue
		}
		l := &link{near, f.(*net.TCPConn)}
		p.mu.Lock()
		up, down := int64(-1), int64(-1)
		if p.plan != nil {
			up, down = p.plan(p.n)
		}
		p.n++
		p.live[l] = true
		closed := p.closed
		p.mu.Unlock()
		if closed {
			p.cut(l, true)
			continue
		}
		p.wg.Go(func() { p.forward(l, l.far, l.near, up) })
		p.wg.Go(func() { p.forward(l, l.near, l.far, down) })
	}
}

// forward copies one direction, up to limit bytes if that is not negative.
func (p *proxy) forward(l *link, dst, src *net.TCPConn, limit int64) {
	b := make([]byte, 32<<10)
	for limit != 0 {
		room := b
		if limit > 0 {
			room = b[:min(int64(len(b)), limit)]
		}
		n, err := src.Read(room)
		p.mu.Lock()
		if p.freezeAt >= 0 {
			p.freezeAt = max(p.freezeAt-int64(n), 0)
			p.frozen = p.frozen || p.freezeAt == 0
		}
		for p.frozen {
			p.thaw.Wait()
		}
		p.mu.Unlock()
		if n > 0 {
			if _, werr := dst.Write(room[:n]); werr != nil {
				break
			}
			if limit > 0 {
				limit -= int64(n)
			}
		}
		if err != nil {
			break
		}
	}
	p.cut(l, limit == 0)
}

// cut ends a connection, by a reset if it is one of our cuts.
func (p *proxy) cut(l *link, ours bool) {
	p.mu.Lock()
	live := p.live[l]
	delete(p.live, l)
	if live && ours {
		p.cuts++
	}
	p.mu.Unlock()
	if !live {
		return
	}
	if ours {
		reset(l.near)
		reset(l.far)
		return
	}
	l.near.Close()
	l.far.Close()
}

// reset closes with RST instead of FIN.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}
