package memberlistmsgr

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

type ev struct {
	n  string
	t0 time.Time
}

func (e ev) Dispatch(*msg.Message) bool { return false }
func (e ev) p(s string, c msg.Connection) {
	fmt.Println(time.Since(e.t0).Round(time.Millisecond), e.n, s, c.ID(), c)
}
func (e ev) HandleAccept(c msg.Connection)      { e.p("accept", c) }
func (e ev) HandleConnect(c msg.Connection)     { e.p("connect", c) }
func (e ev) HandleRemoteReset(c msg.Connection) { e.p("remote reset", c) }
func (e ev) HandleReset(c msg.Connection, err error) bool {
	e.p("reset "+err.Error(), c)
	return false
}
func (e ev) HandleConnectFailed(c msg.Connection, err *msg.ConnectError) {
	e.p("failed "+err.Error(), c)
}

func TestBackDebug(t *testing.T) {
	t0 := time.Now()
	mk := func(name string, id int64, at string) (*async.Messenger, *Transport) {
		m, err := async.New(async.Config{Name: entity.OSD(id), Logger: slog.New(slog.NewTextHandler(os.Stdout, nil)).With("n", name)})
		require.NoError(t, err)
		m.SetPolicy(entity.TypeOSD, msg.LosslessPeerReuse())
		require.NoError(t, m.Bind(netip.MustParseAddrPort(at)))
		x, err := New(m, Options{})
		require.NoError(t, err)
		m.AddDispatcherTail(ev{name, t0})
		require.NoError(t, m.Start())
		return m, x
	}
	_, a := mk("A", 1, "127.0.0.1:7771")
	mb, b := mk("B", 2, "127.0.0.1:7772")
	b.WriteTo([]byte("hi"), "127.0.0.1:7771")
	<-a.PacketCh()
	a.WriteTo([]byte("hi"), "127.0.0.1:7772")
	<-b.PacketCh()
	b.Shutdown()
	mb.Shutdown(context.Background())
	for range 3 {
		_, err := a.WriteTo([]byte("hi"), "127.0.0.1:7772")
		require.NoError(t, err)
		time.Sleep(100 * time.Millisecond)
	}
	_, b2 := mk("B2", 2, "127.0.0.1:7772")
	go func() {
		for c := range a.StreamCh() {
			go io.Copy(c, c)
		}
	}()
	go func() {
		time.Sleep(time.Duration(rand.Intn(int(4 * time.Millisecond))))
		a.WriteTo([]byte("hi"), "127.0.0.1:7772")
	}()
	c, err := b2.DialTimeout("127.0.0.1:7771", 5*time.Second)
	require.NoError(t, err)
	for range 3 {
		_, err = c.Write([]byte("hello"))
		require.NoError(t, err)
		buf := make([]byte, 5)
		_, err = io.ReadFull(c, buf)
		require.NoError(t, err)
		time.Sleep(50 * time.Millisecond)
	}
}
