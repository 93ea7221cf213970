//go:build linux

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/mon/wire"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// version asks a daemon for its version, and waits for the answer.
func version(t *testing.T, box *inbox, conn msg.Connection, tid uint64) {
	t.Helper()
	fsid, err := wire.ParseUUID(FSID)
	require.NoError(t, err)
	front := append([]byte(nil), fsid[:]...)
	front = le.AppendUint32(front, 1)
	front = denc.AppendString(front, `{"prefix":"version","format":"json"}`)
	require.NoError(t, conn.Send(&msg.Message{Type: msg.TypeCommand, Version: 1, TID: tid, Front: front}))
	require.Equal(t, tid, box.next(t, msg.TypeCommandReply).TID)
}

// TestMonByHostAndPort: a real monitor, whose nonce is 0, is reached by host and port, and
// is known by its own address then.
func TestMonByHostAndPort(t *testing.T) {
	mon := StartMon(t, MonOptions{})
	box := newInbox()
	m := newMessenger(t, async.Config{Name: entity.Client(4242)}, msg.LossyClient())
	m.AddDispatcherTail(box)
	require.NoError(t, m.Start())
	at, err := entity.ParseAddrVec(mon.Addr.String())
	require.NoError(t, err)
	conn, err := m.ConnectTo(entity.TypeMon, at)
	require.NoError(t, err)
	require.NoError(t, conn.Send(&msg.Message{Type: msg.TypeMonGetMap, Version: 1}))
	box.next(t, msg.TypeMonMap)
	require.Equal(t, peerOf(mon.Addr), conn.PeerAddrs())
	again, err := m.ConnectTo(entity.TypeMon, peerOf(mon.Addr))
	require.NoError(t, err)
	require.Same(t, conn, again, "known under both")
}

// TestWrongDaemon: who asks a real daemon for another one, or does not know its nonce, is
// told what is known: such a daemon hangs up without a word.
func TestWrongDaemon(t *testing.T) {
	mon := StartMon(t, MonOptions{})
	osd := StartOSD(t, mon)
	for name, tc := range map[string]struct {
		typ    entity.Type
		addr   entity.Addr
		reason msg.Reason
		says   string
	}{
		"another process": {entity.TypeOSD, osd.Addr.WithNonce(osd.Addr.Nonce + 1),
			msg.ReasonClosed, "nonce included"},
		"by host and port": {entity.TypeOSD, osd.Addr.WithAnyNonce(), msg.ReasonClosed, "nonce included"},
		"a mon's nonce":    {entity.TypeMon, peerOf(mon.Addr)[0].WithNonce(5), msg.ReasonClosed, "a mon's is 0"},
		"another type":     {entity.TypeMon, osd.Addr, msg.ReasonWrongPeer, "another process than the one asked for"},
	} {
		t.Run(name, func(t *testing.T) {
			box := newInbox()
			m := newMessenger(t, async.Config{Name: entity.Client(4242)}, msg.LosslessClient())
			m.AddDispatcherTail(box)
			require.NoError(t, m.Start())
			conn, err := m.ConnectTo(tc.typ, entity.AddrVec{tc.addr})
			require.NoError(t, err)
			failed := receive(t, box.failed, "a failed attempt")
			require.Equal(t, tc.reason, failed.Reason, failed)
			require.Contains(t, failed.Hint(), tc.says)
			conn.MarkDown()
		})
	}
}

// TestGlobalIDOfAMon: what a monitor calls this messenger, an OSD calls it too. It tells
// clients apart by that, and answers the request of one from another's otherwise.
func TestGlobalIDOfAMon(t *testing.T) {
	mon := StartMon(t, MonOptions{Global: "debug_ms = 1"})
	osd := StartOSD(t, mon)
	for tid := uint64(1); tid < 3; tid++ {
		m, box, conn := client(t, mon)
		require.NoError(t, conn.Send(&msg.Message{Type: msg.TypeMonGetMap, Version: 1}))
		box.next(t, msg.TypeMonMap)
		id := m.GlobalID()
		require.NotZero(t, id)
		require.Equal(t, entity.Client(entity.NumNew), m.Name())
		conn, err := m.ConnectTo(entity.TypeOSD, entity.AddrVec{osd.Addr})
		require.NoError(t, err)
		version(t, box, conn, tid)
		var log []byte
		require.Eventually(t, func() bool { // a thread of the OSD writes it when it comes to it
			log, err = os.ReadFile(filepath.Join(filepath.Dir(mon.Conf), "log", "osd.0.log"))
			return err == nil && strings.Contains(string(log), fmt.Sprintf("<== client.%d ", id))
		}, 20*time.Second, 10*time.Millisecond, "client.%d is not in the OSD's log", id)
		require.NotContains(t, string(log), "<== client.-1 ")
		require.NotContains(t, string(log), "<== client.? ")
	}
}

// TestCephxMon: a monitor that wants cephx says so, and so do we.
func TestCephxMon(t *testing.T) {
	mon := StartMon(t, MonOptions{
		Global:  "auth_service_required = cephx\nauth_client_required = cephx",
		Keyring: "[mon.]\n\tkey = AQAAAAAAAAAAABAAERITFBUWFxgZGhscHR4fIA==\n\tcaps mon = \"allow *\"\n",
	})
	box := newInbox()
	m := newMessenger(t, async.Config{Name: entity.Client(4242)}, msg.LossyClient())
	m.AddDispatcherTail(box)
	require.NoError(t, m.Start())
	_, err := m.ConnectTo(entity.TypeMon, peerOf(mon.Addr))
	require.NoError(t, err)
	failed := receive(t, box.failed, "a failed attempt")
	for failed.Reason == msg.ReasonClosed { // it is not in quorum yet
		failed = receive(t, box.failed, "a failed attempt")
	}
	require.Equal(t, msg.ReasonAuth, failed.Reason, failed)
	var refused *auth.RefusedError
	require.ErrorAs(t, failed, &refused)
	require.Equal(t, []uint32{auth.MethodCephX}, refused.Methods)
	t.Log(failed)
}
