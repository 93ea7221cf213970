//go:build linux && (amd64 || arm64 || loong64)

package admin

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest/faultkit"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// What connects and does not stay so, and messages that do not arrive.
var _ = stage(map[string]func(x *scene){
	"over_a_limit": func(x *scene) {
		srv := x.server(func(c *async.Config) { c.Limits.Data = 1 << 10 })
		x.send(x.up(x.client(), srv.Addrs()), 2<<10)
	},
	"rejected": func(x *scene) {
		c := asynctest.NewCluster(x.T, asynctest.Options{Seed: 1, N: 2, Config: func(i int, cfg *async.Config) {
			if i == 0 {
				cfg.Logger = shipped
			} else {
				cfg.Limits.Data = 1 << 10
			}
		}})
		m := c.Nodes[0].Messenger
		x.messengers = append(x.messengers, m)
		require.NoError(x, c.Send(0, 1, 2<<10, 0))
		c.Until("rejected", func() bool { return m.Stats().Rejected > 0 })
	},
	"panic": func(x *scene) {
		srv := x.node(entity.OSD(0), msg.StatefulServer(), panics{}, func(c *async.Config) {
			c.DispatchPlace = async.DispatchOnPool
		})
		x.send(x.up(x.client(), srv.Addrs()), 10)
	},
	"keepalive": func(x *scene) {
		srv := x.server(elsewhere)
		p := x.through(srv)
		cl := x.client(func(c *async.Config) {
			c.KeepaliveInterval, c.KeepaliveTimeout = 10*time.Millisecond, 50*time.Millisecond
			c.ReadyTimeout = 200 * time.Millisecond
		})
		x.up(cl, srv.Addrs())
		p.Freeze()
	},
	"policies": func(x *scene) {
		x.up(x.client(), x.bound("127.0.0.1:0", msg.StatelessServer()).Addrs())
	},
	"peer_restarted": func(x *scene) {
		again := func(c *async.Config) { c.Nonce = 7 }
		first, cl := x.server(elsewhere, again), x.client()
		p := x.through(first)
		c := x.up(cl, first.Addrs())
		x.lose(p, cl)
		shutdown(x, first)
		x.send(c, 10)
		x.bound(fmt.Sprint("127.0.0.1:", p.Addr().Port()), msg.StatefulServer(), elsewhere, again)
		p.Accept()
	},
	"damaged": func(x *scene) {
		srv := x.server(elsewhere)
		text := []byte("a text that is damaged on its way")
		x.damage(srv, text)
		c := x.up(x.client(), srv.Addrs())
		require.NoError(x, c.Send(&msg.Message{Type: 1000, Data: text}))
	},
	"anonymous": func(x *scene) {
		_, err := x.client().ConnectAnon(entity.TypeOSD, x.server().Addrs())
		require.NoError(x, err)
	},
	"unhandled": func(x *scene) {
		srv := x.node(entity.OSD(0), msg.StatefulServer(), nobody{})
		x.send(x.up(x.client(), srv.Addrs()), 10)
	},
	"marked_down": func(x *scene) {
		c := x.connect(x.client(), x.listening(""))
		x.send(c, 10)
		c.MarkDown()
	},
	"peer_away": func(x *scene) {
		srv, cl := x.server(elsewhere), x.client()
		p := x.through(srv)
		c := x.up(cl, srv.Addrs())
		x.lose(p, cl)
		x.send(c, 10)
	},
	"peer_given_up": func(x *scene) {
		a := new(accepted)
		srv := x.node(entity.OSD(0), msg.StatefulServer(), a, func(c *async.Config) {
			c.StandbyTimeout = 50 * time.Millisecond
		})
		cl := x.client()
		x.up(cl, srv.Addrs())
		x.until("accepted", func() bool { return a.conn() != nil })
		p := a.conn()
		shutdown(x, cl)
		x.until("away", func() bool { return !p.IsConnected() })
		_ = p.Send(&msg.Message{Type: 1000})
	},
	"lossy_break": func(x *scene) {
		srv := x.bound("127.0.0.1:0", msg.StatelessServer(), elsewhere)
		p := x.through(srv)
		x.up(x.node(entity.Client(1), msg.LossyClient(), new(sponge)), srv.Addrs())
		p.CutAll()
	},
	"queue_full": func(x *scene) {
		cl := x.client(func(c *async.Config) { c.SendQueueMessages = 1 })
		c := x.connect(cl, x.listening(""))
		x.send(c, 10)
		require.ErrorIs(x, c.Send(&msg.Message{Type: 1000}), msg.ErrQueueFull)
	},
	"changed": func(x *scene) {
		cl := x.client(func(c *async.Config) { c.CheckPayloads = true })
		data := bytes.Repeat([]byte("x"), 100)
		srv := x.server(elsewhere)
		p := x.through(srv)
		p.Freeze()
		c := x.connect(cl, srv.Addrs())
		require.NoError(x, c.Send(&msg.Message{Type: 1000, Data: data}))
		data[0]++
		p.Thaw()
	},
})

// panics is user code that does.
type panics struct{}

func (panics) Dispatch(*msg.Message) bool { panic("a mistake") }

// nobody handles nothing.
type nobody struct{}

func (nobody) Dispatch(*msg.Message) bool { return false }

// accepted keeps who has connected.
type accepted struct {
	nobody
	mu sync.Mutex
	c  msg.Connection
}

func (a *accepted) HandleAccept(c msg.Connection) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.c = c
}

func (a *accepted) conn() msg.Connection {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.c
}

// lose has nobody listen there any more, which cl has noticed then.
func (x *scene) lose(p *faultkit.Proxy, cl *async.Messenger) {
	x.Helper()
	p.Refuse()
	p.CutAll()
	x.until("refused", func() bool { return cl.Stats().ConnectFailures[msg.ReasonRefused] > 0 })
}

func shutdown(x *scene, m *async.Messenger) {
	x.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(x, m.Shutdown(ctx))
}

// damage has text arrive at srv with another byte, once.
func (x *scene) damage(srv *async.Messenger, text []byte) {
	x.Helper()
	port := fmt.Sprint(srv.Addrs()[0].AddrPort.Port())
	l, err := net.Listen("tcp", "127.0.0.2:"+port)
	require.NoError(x, err)
	var ended sync.WaitGroup
	var once sync.Once
	pass := func(to, from net.Conn, damage bool) {
		defer to.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := from.Read(buf)
			if i := bytes.Index(buf[:n], text); damage && i >= 0 {
				once.Do(func() { buf[i]++ })
			}
			if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
				_, _ = io.Copy(io.Discard, from)
				return
			}
		}
	}
	ended.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", "127.0.0.1:"+port)
			if err != nil {
				near.Close()
				continue
			}
			ended.Go(func() { pass(far, near, true) })
			ended.Go(func() { pass(near, far, false) })
		}
	})
	x.Cleanup(func() { l.Close(); ended.Wait() })
}
