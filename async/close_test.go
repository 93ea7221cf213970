package async

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/stretchr/testify/require"
)

// fault breaks a connection as the network would.
func fault(c msg.Connection) { c.(*connection.Conn).Fault(errors.New("broken by the test")) }

// silent is the address of a listener that accepts and says nothing.
func silent(t testing.TB) entity.AddrVec {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
		}
	})
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
		for _, c := range conns {
			c.Close()
		}
	})
	return entity.AddrVec{{Type: entity.AddrMsgr2, Nonce: 1, AddrPort: netip.MustParseAddrPort(ln.Addr().String())}}
}

// sendAll sends n numbered messages with that notice.
func sendAll(t testing.TB, c msg.Connection, n int, e msg.Notifier) {
	t.Helper()
	for i := range n {
		m := text("%d", i)
		m.Notify = e
		require.NoError(t, c.Send(m))
	}
}

func TestMarkDownInEventsOfConnector(t *testing.T) {
	for _, where := range []string{"connect", "fast connect", "refused", "undeliverable", "reset"} {
		t.Run(where, func(t *testing.T) {
			l := newLab(t)
			srv := l.server(entity.OSD(0), msg.StatefulServer())
			cl := l.node(entity.Client(1), msg.LosslessClient())
			cl.onEvent = func(what string, c msg.Connection) {
				if what == where {
					c.MarkDown()
				}
			}
			require.NoError(t, cl.Start())
			peer := entity.TypeOSD
			switch where {
			case "refused", "undeliverable": // nobody must be faster than our MarkDown
				require.NoError(t, srv.Shutdown(timeout(t)))
			case "reset":
				peer = entity.TypeMon // which it is not
			}
			c, err := cl.ConnectTo(peer, srv.Addrs())
			require.NoError(t, err)
			if where == "undeliverable" {
				require.NoError(t, c.Send(text("x")))
				fault(c)
				c.MarkDown()
			}
			l.until("closed", c.IsClosed)
			cl.want(where, 1)
			l.until("forgotten", func() bool { return cl.Stats().Connections == 0 })
		})
	}
}

// TestCloseRacesWithEverything: MarkDown by several goroutines while others send,
// break the connection and look it up.
func TestCloseRacesWithEverything(t *testing.T) {
	l := newLab(t)
	srv := l.node(entity.OSD(0), msg.LosslessPeer())
	srv.forget = true
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	cl := l.server(entity.OSD(1), msg.LosslessPeer())
	var accepted, notices atomic.Int64
	count := msg.NotifyFunc(func(msg.Connection, *msg.Message, error) { notices.Add(1); l.notify() })
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			for i := range 150 {
				c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
				if err != nil {
					t.Error(err)
					return
				}
				switch (g + i) % 6 {
				case 0:
					c.MarkDown()
				case 1:
					fault(c)
				case 2:
					srv.MarkDown(cl.Addrs())
				default:
					m := text("%d.%d", g, i)
					m.Notify = count
					if err := c.Send(m); err == nil {
						accepted.Add(1)
					} else if !errors.Is(err, msg.ErrClosed) {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	l.until("all notices", func() bool { return notices.Load() == accepted.Load() })
	l.until("counted", func() bool {
		s := cl.Stats()
		return int64(s.Delivered+s.Undeliverable) == accepted.Load()
	})
	cl.MarkDownAll()
	l.until("forgotten", func() bool { return len(cl.reg.Snapshot()) == 0 })
	require.Nil(t, cl.reg.Lookup(srv.Addrs()))
}

// TestMarkdown: Ceph's MarkdownTest. Dispatchers mark down each other's
// connections under a lock they share; nobody gets stuck.
func TestMarkdown(t *testing.T) {
	l := newLab(t)
	var lock sync.Mutex
	var nodes []*node
	down := func(m *msg.Message) {
		lock.Lock()
		defer lock.Unlock()
		for _, n := range nodes {
			for _, o := range nodes {
				if n != o && string(m.Front) == "down" {
					n.Messenger.MarkDown(o.Addrs())
				}
			}
		}
	}
	const rounds = 300
	for i := range 3 {
		n := l.node(entity.OSD(int64(i)), msg.LosslessPeerReuse())
		n.onMessage = down
		n.forget = true
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		require.NoError(t, n.Bind(local))
	}
	for _, n := range nodes {
		require.NoError(t, n.Start())
	}
	var ended, accepted atomic.Int64
	count := msg.NotifyFunc(func(msg.Connection, *msg.Message, error) { ended.Add(1); l.notify() })
	for i := range rounds {
		for _, n := range nodes {
			for _, o := range nodes {
				if n == o {
					continue
				}
				m := text("ping")
				if i%5 == 0 {
					m = text("down")
				}
				m.Notify = count
				if n.SendTo(m, entity.TypeOSD, o.Addrs()) == nil {
					accepted.Add(1)
				}
			}
		}
		if i%10 == 0 {
			// Progress: everything sent so far has come to an end.
			l.until(fmt.Sprintf("round %d", i), func() bool { return ended.Load() == accepted.Load() })
		}
	}
	l.until("all", func() bool { return ended.Load() == accepted.Load() })
}
