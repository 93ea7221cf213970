package sessiontest

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest/faultkit"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// patience is how long a test waits for something that has to come.
const patience = 30 * time.Second

var local = netip.MustParseAddrPort("127.0.0.1:0")

// rig is what one test of the suite has to play with.
type rig struct {
	t              *testing.T
	server, client Kind
	changed        chan struct{} // something that a test waits for may have changed
}

func (r *rig) notify() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// until returns when cond holds. It looks when notified, and now and then for
// counters, which notify nobody. The test's goroutine only.
func (r *rig) until(what string, cond func() bool) {
	r.t.Helper()
	end := time.NewTimer(patience)
	defer end.Stop()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for !cond() {
		select {
		case <-r.changed:
		case <-look.C:
		case <-end.C:
			r.t.Fatalf("waited %v for: %s", patience, what)
		}
	}
}

// timeout is a context that ends after patience.
func (r *rig) timeout() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	r.t.Cleanup(cancel)
	return ctx
}

// node is a messenger and the probe that is its dispatcher.
type node struct {
	Messenger
	*probe
}

// node returns a messenger that is neither bound nor started. Its end checks that
// nothing is left.
func (r *rig) node(k Kind, name entity.Name, p msg.Policy, change ...func(*Options)) *node {
	r.t.Helper()
	o := Options{Name: name, InitialBackoff: 2 * time.Millisecond, MaxBackoff: 40 * time.Millisecond}
	for _, f := range change {
		f(&o)
	}
	m := k.New(r.t, o)
	n := &node{m, &probe{r: r}}
	m.SetDefaultPolicy(p)
	m.AddDispatcherTail(n.probe)
	r.t.Cleanup(func() {
		require.NoError(r.t, m.Shutdown(r.timeout()))
		c := m.Count()
		require.Zero(r.t, c.Connections, "connections left")
		require.Zero(r.t, c.Handshakes, "handshakes left")
		require.Zero(r.t, c.DispatchBytes, "dispatch throttle")
		require.Zero(r.t, c.Queued, "items in the dispatch queue")
		n.checkFast()
	})
	return n
}

// up binds and starts a node.
func (r *rig) up(n *node) *node {
	r.t.Helper()
	require.NoError(r.t, n.Bind(local))
	require.NoError(r.t, n.Start())
	return n
}

// srv is a started server, osd.0.
func (r *rig) srv(p msg.Policy, change ...func(*Options)) *node {
	r.t.Helper()
	return r.up(r.node(r.server, entity.OSD(0), p, change...))
}

// cl is a started client that is not bound.
func (r *rig) cl(num int64, p msg.Policy, change ...func(*Options)) *node {
	r.t.Helper()
	n := r.node(r.client, entity.Client(num), p, change...)
	require.NoError(r.t, n.Start())
	return n
}

// proxied is a client that dials srv through a proxy.
func (r *rig) proxied(srv *node, num int64, p msg.Policy, change ...func(*Options)) (*node, *faultkit.Proxy) {
	r.t.Helper()
	x := faultkit.StartProxy(r.t, local, srv.Addrs()[0].AddrPort)
	return r.cl(num, p, append(change, func(o *Options) { o.Via = x.Via })...), x
}

// connect connects n with to and waits until the session stands.
func (r *rig) connect(n, to *node) msg.Connection {
	r.t.Helper()
	c, err := n.ConnectTo(to.Name().Type, to.Addrs())
	require.NoError(r.t, err)
	r.until("connected", c.IsConnected)
	return c
}

// accepted is srv's connection with n, once it has heard of it.
func (r *rig) accepted(srv, n *node) (c msg.Connection) {
	r.t.Helper()
	r.until("accept of "+n.Name().String(), func() bool {
		for _, s := range srv.of("accept") {
			if s.conn.PeerName() == n.Name() && !s.conn.IsClosed() {
				c = s.conn
			}
		}
		return c != nil
	})
	return c
}

// text is a message with that front.
func text(format string, args ...any) *msg.Message {
	return &msg.Message{Type: 1000, Front: fmt.Appendf(nil, format, args...)}
}

// sendAll sends n numbered messages with that notice.
func (r *rig) sendAll(c msg.Connection, n int, e msg.Notifier) {
	r.t.Helper()
	for i := range n {
		m := text("%d", i)
		m.Notify = e
		require.NoError(r.t, c.Send(m))
	}
}

func numbers(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint(i)
	}
	return out
}

// noise is what patterns are cut out of.
var noise = func() []byte {
	b := make([]byte, 2<<20)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}()

// pattern is n bytes, at most a MiB and a half, that depend on seed. Read only.
func pattern(seed, n int) []byte {
	from := seed * 251 % (512 << 10)
	return noise[from : from+n : from+n]
}
