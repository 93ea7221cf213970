//go:build linux

package interop

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/mon/wire"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// TestTraceContextOfMon: a real monitor that is offered trace contexts does not take the bit for one
// of its own, and gets messages without them; it answers as ever.
func TestTraceContextOfMon(t *testing.T) {
	mon := StartMon(t, MonOptions{})
	box, p := newInbox(), msg.LossyClient()
	p.FeaturesSupported = msg.FeaturesAll | msg.FeatureTraceContext
	m := newMessenger(t, async.Config{Name: entity.Client(entity.NumNew)}, p)
	m.AddDispatcherTail(box)
	require.NoError(t, m.Start())
	conn, err := m.ConnectTo(entity.TypeMon, peerOf(mon.Addr))
	require.NoError(t, err)
	for range 3 {
		require.NoError(t, conn.Send(&msg.Message{Type: msg.TypeMonGetMap, Version: 1, TraceContext: "which trace"}))
		reply := box.next(t, msg.TypeMonMap)
		_, err := wire.ParseMonMap(reply.Front)
		require.NoError(t, err)
		require.Empty(t, reply.TraceContext)
	}
	require.Equal(t, msg.FeaturesAll, conn.Features())
}

// TestTraceContextOfCeph: the same for a real client that calls us.
func TestTraceContextOfCeph(t *testing.T) {
	Need(t, "ceph")
	s, box, p := &MonServer{}, newInbox(), msg.StatelessServer()
	p.FeaturesSupported = msg.FeaturesAll | msg.FeatureTraceContext
	addr := serveMonWith(t, s, box, p)
	_, stderr, err := Ceph(testContext(t, patience), t, ClientConf(t, addr.AddrPort), "ping", "mon.a")
	require.NoError(t, err, stderr)
	require.Positive(t, s.Seen(msg.TypePing))
	require.Empty(t, s.Failures())
	require.Zero(t, receive(t, box.accepts, "the accept event").Features()&msg.FeatureTraceContext)
}
