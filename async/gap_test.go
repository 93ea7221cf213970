package async

import (
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/stretchr/testify/require"
)

// TestGapDropsWhatCameWithIt: a number is missing, and so the session is lost, and all
// of it that waits for a dispatcher, what came in the same moment too.
func TestGapDropsWhatCameWithIt(t *testing.T) {
	l := newLab(t)
	srv := l.node(entity.OSD(0), msg.LosslessPeer(), func(c *Config) { c.DispatchWidth = 1 })
	hold := l.gate()
	srv.onMessage = func(m *msg.Message) {
		if string(m.Front) == "hold" {
			hold.pass()
		}
	}
	require.NoError(t, srv.Bind(local))
	require.NoError(t, srv.Start())
	cl := l.client(entity.Client(1), msg.LosslessClient())
	require.NoError(t, cl.SendTo(text("hold"), entity.TypeOSD, srv.Addrs()))
	hold.wantArrived(1)

	from := rawAddrs()
	p := l.rawPeer(srv)
	p.ident(from, 1, 0xc0)
	wantFrame[frame.ServerIdent](p)
	p.send(1, "one", "two", "", "four")
	p.wantClosed()
	l.until("the reset", func() bool { return srv.Stats().RemoteResets == 1 })
	require.EqualValues(t, 2, srv.Stats().Discarded)
	c := connOf(srv, from)
	require.False(t, c.IsClosed(), "the connection stays, for the next session")
	hold.open()
	srv.want("remote reset", 1)

	p = l.rawPeer(srv)
	p.ident(from, 2, 0xc1)
	wantFrame[frame.ServerIdent](p)
	p.send(1, "fresh")
	require.Equal(t, []string{"hold", "fresh"}, srv.wantMessages(2))
	require.Same(t, c, connOf(srv, from))
	require.Zero(t, srv.times("reset"))
}
