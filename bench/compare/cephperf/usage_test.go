package cephperf

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// likeCephs answers requests, and no questions.
type likeCephs struct {
	*Server
	versions chan [2]uint16
}

func (s likeCephs) Dispatch(m *msg.Message) bool {
	if m.Type != typeRequest {
		m.Release()
		return true
	}
	select {
	case s.versions <- [2]uint16{m.Version, m.Compat}:
	default:
	}
	return s.Server.Dispatch(m)
}

func (s likeCephs) FastDispatch(m *msg.Message) { s.Dispatch(m) }

// TestSilentServer: a server that does not say what it has used, as Ceph's, is measured
// all the same.
func TestSilentServer(t *testing.T) {
	c := Config{Jobs: 1, Window: 2, Messages: 10}
	n, err := newNetwork(c)
	require.NoError(t, err)
	s := likeCephs{&Server{n: n, front: encodeReply()}, make(chan [2]uint16, 1)}
	s.m, err = n.create(entity.OSD(0), Nonce, netip.MustParseAddrPort("127.0.0.1:0"))
	require.NoError(t, err)
	s.m.SetDefaultPolicy(msg.StatelessServer())
	s.m.AddDispatcherTail(s)
	require.NoError(t, s.m.Start())
	defer func() { require.NoError(t, s.Close()) }()

	r, err := Run(context.Background(), c, s.Addr())
	require.NoError(t, err)
	require.EqualValues(t, 10, r.Answered)
	require.True(t, r.ServerSilent)
	require.Nil(t, r.ServerEnd)
	require.Equal(t, [2]uint16{requestVersion, requestCompat}, <-s.versions)
	var b bytes.Buffer
	require.NoError(t, r.Write(&b))
	require.Contains(t, b.String(), "does not say what it has used")

	if runtime.GOOS != "linux" {
		return
	}
	c.ServerPID = 1 << 30
	_, err = Run(context.Background(), c, s.Addr())
	require.ErrorIs(t, err, os.ErrNotExist)
	c.ServerPID = os.Getppid()
	r, err = Run(context.Background(), c, s.Addr())
	require.NoError(t, err)
	require.False(t, r.ServerSilent)
	require.NotNil(t, r.ServerEnd)
	require.Positive(t, r.ServerEnd.Threads)
}

func TestUseOf(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	u, err := useOf(os.Getpid())
	require.NoError(t, err)
	mine, err := use()
	require.NoError(t, err)
	require.Equal(t, mine.PID, u.PID)
	require.Positive(t, u.RSS)
	require.LessOrEqual(t, u.User+u.System, mine.User+mine.System+2*tick)
}
