//go:build linux

package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest/faultkit"
	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/mon/wire"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

// client is a lossy client of a monitor, as Ceph's own clients are.
func client(t *testing.T, mon *Mon) (*async.Messenger, *inbox, msg.Connection) {
	t.Helper()
	box := newInbox()
	m := newMessenger(t, async.Config{Name: entity.Client(entity.NumNew)}, msg.LossyClient())
	m.AddDispatcherTail(box)
	require.NoError(t, m.Start())
	conn, err := m.ConnectTo(entity.TypeMon, peerOf(mon.Addr))
	require.NoError(t, err)
	return m, box, conn
}

// TestClientOfMon asks a real monitor what its clients ask.
func TestClientOfMon(t *testing.T) {
	mon := StartMon(t, MonOptions{})
	m, box, conn := client(t, mon)
	fsid, err := wire.ParseUUID(FSID)
	require.NoError(t, err)

	t.Run("ping", func(t *testing.T) {
		conn.SendKeepalive()
		require.NoError(t, conn.Send(&msg.Message{Type: msg.TypePing, Version: 1}))
		m := box.next(t, msg.TypePing)
		r := denc.NewReader(m.Front)
		text := r.BL()
		require.NoError(t, r.End())
		var status struct {
			MonStatus struct{ Name, State string } `json:"mon_status"`
		}
		require.NoError(t, json.Unmarshal(text, &status))
		require.Equal(t, "a", status.MonStatus.Name)
		require.Equal(t, "leader", status.MonStatus.State)
		require.Equal(t, uint8(msg.PriorityHigh), m.Priority)
		require.Equal(t, entity.Mon(0), m.Source())
		// The acknowledgement of the keepalive was sent before the answer.
		require.False(t, conn.LastKeepaliveAck().IsZero())
	})

	t.Run("session", func(t *testing.T) {
		require.Equal(t, conn, receive(t, box.connects, "the connect event"))
		require.True(t, conn.IsConnected())
		require.True(t, conn.Policy().Lossy)
		require.Equal(t, msg.FeaturesAll, conn.Features())
		require.NotZero(t, m.GlobalID())
		require.Zero(t, conn.PeerGlobalID(), "a monitor has none")
		require.Equal(t, peerOf(mon.Addr), conn.PeerAddrs())
	})

	t.Run("monmap", func(t *testing.T) {
		require.NoError(t, conn.Send(&msg.Message{Type: msg.TypeMonGetMap, Version: 1}))
		got, err := wire.ParseMonMap(box.next(t, msg.TypeMonMap).Front)
		require.NoError(t, err)
		mons := []wire.MonInfo{{Name: "a", Addrs: peerOf(mon.Addr)}}
		require.Equal(t, wire.MonMap{FSID: fsid, Epoch: 1, Mons: mons}, got)
	})

	t.Run("version", func(t *testing.T) {
		for handle := uint64(1); handle <= 100; handle++ {
			require.NoError(t, conn.Send(wire.GetVersion(handle, "monmap")))
		}
		for want := uint64(1); want <= 100; want++ {
			handle, version, oldest, err := wire.ParseGetVersionReply(box.next(t, msg.TypeMonGetVersionReply).Front)
			require.NoError(t, err)
			require.Equal(t, []uint64{want, 1, 1}, []uint64{handle, version, oldest})
		}
	})

	t.Run("command", func(t *testing.T) {
		value := bytes.Repeat([]byte("0123456789abcdef"), 4096) // 64 KiB, a monitor's bound
		code, _, _ := command(t, box, conn, 1, `{"prefix":"config-key set","key":"interop"}`, value)
		require.Zero(t, code)
		code, _, output := command(t, box, conn, 2, `{"prefix":"config-key get","key":"interop"}`, nil)
		require.Zero(t, code)
		require.Equal(t, string(value), string(output))
		code, status, _ := command(t, box, conn, 3, `{"prefix":"no such command"}`, nil)
		require.Equal(t, int32(-22), code, status)
		code, _, output = command(t, box, conn, 4, `{"prefix":"mon dump","format":"json"}`, nil)
		require.Zero(t, code)
		require.Contains(t, string(output), FSID)
	})

	require.Empty(t, box.resets)
	require.Empty(t, box.lost)
}

// command runs a command at a monitor.
func command(
	t *testing.T, box *inbox, conn msg.Connection, tid uint64, cmd string, input []byte,
) (code int32, status string, output []byte) {
	t.Helper()
	fsid, err := wire.ParseUUID(FSID)
	require.NoError(t, err)
	require.NoError(t, conn.Send(wire.Command(fsid, tid, cmd, input)))
	m := box.next(t, msg.TypeMonCommandAck)
	require.Equal(t, tid, m.TID)
	code, status, err = wire.ParseCommandAck(m.Front)
	require.NoError(t, err)
	return code, status, m.Data
}

// TestClientSurvivesCuts cuts a lossy client's connections at many points, in
// the handshake and after it. Each session that was established ends with one
// reset and the client opens the next, until all questions are answered.
func TestClientSurvivesCuts(t *testing.T) {
	mon := StartMon(t, MonOptions{Behind: true})
	proxy := faultkit.StartProxy(t, mon.Addr, mon.Bind)
	box := newInbox()
	m := newMessenger(t, async.Config{Name: entity.Client(entity.NumNew)}, msg.LossyClient())
	m.AddDispatcherTail(box)
	require.NoError(t, m.Start())

	// A handshake takes about 400 bytes up and 340 down.
	proxy.Plan(func(n int) (up, down int64) {
		if n%2 == 0 {
			return int64(13 * n), -1
		}
		return -1, int64(13 * n)
	})
	const sessions = 60
	var resets int
	for proxy.Cuts() < sessions {
		conn, err := m.ConnectTo(entity.TypeMon, peerOf(mon.Addr))
		require.NoError(t, err)
		require.NoError(t, conn.Send(&msg.Message{Type: msg.TypeMonGetMap, Version: 1}))
	wait:
		for {
			select {
			case got := <-box.messages:
				if got.Connection() != conn || got.Type != msg.TypeMonMap {
					continue
				}
				if err := conn.Send(&msg.Message{Type: msg.TypeMonGetMap, Version: 1}); err != nil {
					require.ErrorIs(t, err, msg.ErrClosed)
				}
			case <-box.resets:
				resets++
				require.True(t, conn.IsClosed())
				break wait
			case <-time.After(patience):
				require.FailNow(t, "stuck", "%d cuts, %d resets, %s", proxy.Cuts(), resets, conn)
			}
		}
	}
	t.Logf("%d connections, %d cuts, %d sessions reset", proxy.Accepted(), proxy.Cuts(), resets)
}

// TestClientOfOSD talks to a daemon that is not a monitor.
func TestClientOfOSD(t *testing.T) {
	mon := StartMon(t, MonOptions{})
	osd := StartOSD(t, mon)
	box := newInbox()
	m := newMessenger(t, async.Config{Name: entity.Client(4242)}, msg.LossyClient())
	m.AddDispatcherTail(box)
	require.NoError(t, m.Start())
	conn, err := m.ConnectTo(entity.TypeOSD, entity.AddrVec{osd.Addr})
	require.NoError(t, err)
	fsid, err := wire.ParseUUID(FSID)
	require.NoError(t, err)
	front := append([]byte(nil), fsid[:]...)
	front = le.AppendUint32(front, 1)
	front = denc.AppendString(front, `{"prefix":"version","format":"json"}`)
	require.NoError(t, conn.Send(&msg.Message{Type: msg.TypeCommand, Version: 1, TID: 7, Front: front}))
	reply := box.next(t, msg.TypeCommandReply)
	require.Equal(t, uint64(7), reply.TID)
	require.Equal(t, entity.OSD(0), reply.Source())
	r := denc.NewReader(reply.Front)
	require.Zero(t, r.S32())
	require.Contains(t, string(reply.Data), fmt.Sprintf(`"release":%q`, Release(t)))
}
