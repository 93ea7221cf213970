//go:build linux

package interop

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/mon/wire"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/tickets"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/cephx"
)

// keptClient is a started messenger of client.admin that is logged in at mon, and stays so.
func keptClient(t *testing.T, mon *Mon) (*async.Messenger, *inbox, *cephx.Client, *tickets.Keeper) {
	t.Helper()
	x := cephxClient(t, admin, CephxKeyring(t))
	box := newInbox()
	m := newMessenger(t, async.Config{Name: entity.Client(entity.NumNew), AuthClient: x}, msg.LossyClient())
	m.AddDispatcherTail(box)
	require.NoError(t, m.Start())
	k, err := tickets.New(m, tickets.Config{Client: x, Mons: []entity.AddrVec{peerOf(mon.Addr)}})
	require.NoError(t, err)
	t.Cleanup(k.Close)
	require.NoError(t, k.Ready(testContext(t, patience)))
	return m, box, x, k
}

// TestCephxClientOfOSD shows a real OSD a ticket, in crc and in secure mode. The OSD knows the
// client by the number that the monitor gave.
func TestCephxClientOfOSD(t *testing.T) {
	for name, mode := range map[string]uint32{"crc": auth.ModeCRC, "secure": auth.ModeSecure} {
		t.Run(name, func(t *testing.T) {
			o := Cephx(t, name)
			o.Global += "debug_ms = 1\n"
			mon := StartMon(t, o)
			osd := StartOSD(t, mon)
			m, box, x, _ := keptClient(t, mon)
			for tid := uint64(1); tid < 4; tid++ {
				conn, err := m.ConnectTo(entity.TypeOSD, entity.AddrVec{osd.Addr})
				require.NoError(t, err)
				version(t, box, conn, tid)
				require.Equal(t, entity.Authenticated{Method: auth.MethodCephX, Mode: mode}, conn.Authenticated())
				conn.MarkDown()
			}
			require.Equal(t, x.GlobalID(), m.GlobalID())
			var log []byte
			require.Eventually(t, func() (ok bool) { // a thread of the OSD writes it when it comes to it
				log, _ = os.ReadFile(filepath.Join(filepath.Dir(mon.Conf), "log", "osd.0.log"))
				return strings.Contains(string(log), fmt.Sprintf("<== client.%d ", x.GlobalID()))
			}, 20*time.Second, 10*time.Millisecond)
		})
	}
}

// TestCephxTicketsAreRenewed: tickets live for 4 s and logins for 10, and the client talks
// with an OSD for three lives of a login, on new connections all the time. Session and number
// with the monitor stay. So does a connection of another client, whose ticket has long ended.
func TestCephxTicketsAreRenewed(t *testing.T) {
	o := Cephx(t, "crc")
	o.Global += "auth_service_ticket_ttl = 4\nauth_mon_ticket_ttl = 10\n"
	mon := StartMon(t, o)
	osd := StartOSD(t, mon)
	m, box, x, k := keptClient(t, mon)
	id, session := x.GlobalID(), k.Mon().ID()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	m2, box2, _, _ := keptClient(t, mon)
	stands, err := m2.ConnectTo(entity.TypeOSD, entity.AddrVec{osd.Addr})
	require.NoError(t, err)
	var tid uint64
	for time.Since(began) < 30*time.Second {
		tid++
		conn, err := m.ConnectTo(entity.TypeOSD, entity.AddrVec{osd.Addr})
		require.NoError(t, err)
		version(t, box, conn, tid)
		conn.MarkDown()
		version(t, box2, stands, tid)
		<-tick.C
	}
	t.Logf("%d connections", tid)
	require.Equal(t, auth.MethodCephX, stands.Authenticated().Method)
	require.Empty(t, box2.resets)
	require.EqualValues(t, 2, m2.Stats().Connected, "the monitor and the OSD, once each")
	require.Equal(t, id, x.GlobalID())
	require.Equal(t, session, k.Mon().ID(), "the login was renewed on the session")
	require.Empty(t, box.resets)
	// An OSD that is held up gets the next of the keys, of 4 s here, later than we get a ticket by it, and
	// refuses that; the next attempt is let in, or version would have failed.
	refused := 0
	for len(box.failed) > 0 {
		if f := <-box.failed; f.Reason == msg.ReasonAuth {
			refused++
			t.Logf("refused: %v", f.Err)
		}
	}
	require.LessOrEqual(t, refused, int(tid)/20)
}

// TestCephxMonToMon is a monitor for a real one: it makes its ticket itself, and the session
// is lossless.
func TestCephxMonToMon(t *testing.T) {
	for _, mode := range []string{"crc", "secure"} {
		t.Run(mode, func(t *testing.T) {
			mon := StartMon(t, Cephx(t, mode))
			box := newInbox()
			x := cephxClient(t, entity.AuthName{Type: entity.TypeMon, ID: "g"}, CephxKeyring(t))
			m := newMessenger(t, async.Config{Name: entity.Mon(7), AuthClient: x}, msg.LosslessPeer())
			m.AddDispatcherTail(box)
			require.NoError(t, m.Start())
			conn, err := m.ConnectTo(entity.TypeMon, peerOf(mon.Addr))
			require.NoError(t, err)
			for i := range 10 {
				ask(t, conn, i)
			}
			answers(t, box, 0, 10)
			require.False(t, conn.Policy().Lossy)
			require.Equal(t, auth.MethodCephX, conn.Authenticated().Method)
		})
	}
}

// TestCephxRealClientsOfOurs: Ceph's own command line logs in at our ticket server.
func TestCephxRealClientsOfOurs(t *testing.T) {
	Need(t, "ceph")
	for name, mode := range map[string]uint32{"crc": auth.ModeCRC, "secure": auth.ModeSecure} {
		t.Run(name, func(t *testing.T) {
			ring, err := cephx.ReadKeyring(strings.NewReader(CephxKeyring(t)))
			require.NoError(t, err)
			monitor, err := cephx.NewMonitor(cephx.MonitorConfig{Keyring: ring, AllowAES: true, Modes: []uint32{mode},
				Rand: rand.Reader, Now: time.Now})
			require.NoError(t, err)
			addr := entity.Addr{Type: entity.AddrMsgr2, AddrPort: FreeAddr(t)}
			fsid, err := wire.ParseUUID(FSID)
			require.NoError(t, err)
			mons := []wire.MonInfo{{Name: "a", Addrs: entity.AddrVec{addr}}}
			s := &MonServer{Map: wire.MonMap{FSID: fsid, Epoch: 1, Mons: mons}}
			peers := make(chan auth.Peer, 64)
			m := newMessenger(t, async.Config{Name: entity.Mon(0), FixedNonce: true, AuthServer: monitor,
				Authorize: func(p auth.Peer) error {
					peers <- p
					return nil
				}}, msg.StatelessServer())
			tickets.Serve(m, monitor)
			m.AddDispatcherTail(s)
			require.NoError(t, m.Bind(addr.AddrPort))
			require.NoError(t, m.Start())

			conf := ClientConf(t, addr.AddrPort)
			text, err := os.ReadFile(conf)
			require.NoError(t, err)
			with := strings.NewReplacer("required = none", "required = cephx", "mode = crc", "mode = "+name)
			require.NoError(t, os.WriteFile(conf, []byte(with.Replace(string(text))), 0o600))
			keys := filepath.Join(filepath.Dir(conf), "keyring")
			require.NoError(t, os.WriteFile(keys, []byte(CephxKeyring(t)), 0o600))
			out, stderr, err := Ceph(testContext(t, patience), t, conf, "ping", "mon.a")
			require.NoError(t, err, stderr)
			require.Contains(t, out, `"leader"`)
			p := <-peers
			require.Equal(t, admin, p.Name)
			require.True(t, p.Proved)
			require.Equal(t, mode, p.Mode)
			require.Empty(t, s.Failures())
		})
	}
}
