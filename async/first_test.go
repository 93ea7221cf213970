package async

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

type echoD struct{ ch chan *msg.Message }

func (d echoD) Dispatch(m *msg.Message) bool { d.ch <- m; return true }

func TestFirst(t *testing.T) {
	srv, err := New(Config{Name: entity.OSD(0)})
	require.NoError(t, err)
	cl, err := New(Config{Name: entity.OSD(1)})
	require.NoError(t, err)
	for _, m := range []*Messenger{srv, cl} {
		m.SetDefaultPolicy(msg.LosslessPeer())
		require.NoError(t, m.Bind(netip.MustParseAddrPort("127.0.0.1:0")))
	}
	sd, cd := echoD{make(chan *msg.Message, 10000)}, echoD{make(chan *msg.Message, 10000)}
	srv.AddDispatcherTail(sd)
	cl.AddDispatcherTail(cd)
	require.NoError(t, srv.Start())
	require.NoError(t, cl.Start())
	c, err := cl.ConnectTo(entity.TypeOSD, srv.Addrs())
	require.NoError(t, err)
	for i := range 1000 {
		require.NoError(t, c.Send(&msg.Message{Type: 42, Front: []byte(fmt.Sprint("hello", i)), Data: make([]byte, i*10)}))
	}
	for i := range 1000 {
		select {
		case m := <-sd.ch:
			require.Equal(t, fmt.Sprint("hello", i), string(m.Front))
			require.NoError(t, m.Connection().Send(&msg.Message{Type: 43, Front: m.Front}))
		case <-time.After(5 * time.Second):
			t.Fatalf("timeout %v %v", c, cl.Stats())
		}
	}
	for i := range 1000 {
		select {
		case m := <-cd.ch:
			require.Equal(t, fmt.Sprint("hello", i), string(m.Front))
		case <-time.After(5 * time.Second):
			t.Fatalf("timeout %v %v", c, cl.Stats())
		}
	}
	t.Logf("%+v", cl.Stats())
	require.NoError(t, cl.Shutdown(context.Background()))
	require.NoError(t, srv.Shutdown(context.Background()))
}
