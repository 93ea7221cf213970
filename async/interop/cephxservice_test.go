//go:build linux

package interop

import (
	"crypto/rand"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/tickets"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/cephx"
)

// What ceph is told by an OSD of ours: the commands that there are, and the answer to the one.
const (
	osdCommands = `{"cmd000":{"sig":["version"],"help":"what this is","module":"osd","perm":"r","flags":0}}`
	osdVersion  = `{"version":"an OSD of ours"}`
)

// tells answers "ceph tell osd.0 version" as an OSD does, and keeps what was asked.
type tells struct{ *inbox }

func (d *tells) Dispatch(m *msg.Message) bool {
	if m.Type == msg.TypeCommand {
		const einval = -22
		code, status, output := int32(0), "", osdVersion
		switch asked := string(m.Front); {
		case strings.Contains(asked, `"get_command_descriptions"`):
			output = osdCommands
		case !strings.Contains(asked, `"version"`):
			code, status, output = einval, "no such command", ""
		}
		front := denc.AppendString(le.AppendUint32(nil, uint32(code)), status)
		if err := m.Connection().Send(&msg.Message{Type: msg.TypeCommandReply, Version: 1, TID: m.TID, Front: front,
			Data: []byte(output)}); err != nil {
			d.lost <- err
		}
	}
	return d.inbox.Dispatch(m)
}

// TestCephxService is an OSD for real clients: it stands where a real one was, has its
// rotating secrets from the monitor, lets "ceph tell" in, in crc and in secure mode, and answers.
func TestCephxService(t *testing.T) {
	for name, mode := range map[string]uint32{"crc": auth.ModeCRC, "secure": auth.ModeSecure} {
		t.Run(name, func(t *testing.T) {
			mon := StartMon(t, Cephx(t, name))
			osd := StartOSD(t, mon)
			osd.daemon.end(syscall.SIGKILL)

			who := entity.AuthName{Type: entity.TypeOSD, ID: "0"}
			s, err := cephx.NewService(cephx.ServiceConfig{Type: entity.TypeOSD, Rand: rand.Reader, Now: time.Now})
			require.NoError(t, err)
			ring, err := cephx.ReadKeyring(strings.NewReader(CephxKeyring(t)))
			require.NoError(t, err)
			key, err := ring.Find(who)
			require.NoError(t, err)
			x, err := cephx.NewClient(cephx.ClientConfig{Name: who, Key: key, Service: s, Rand: rand.Reader,
				Now: time.Now})
			require.NoError(t, err)
			box := &tells{inbox: newInbox()}
			peers := make(chan auth.Peer, 16)
			m := newMessenger(t, async.Config{
				Name: entity.OSD(0), Nonce: osd.Addr.Nonce, AuthClient: x, AuthServer: s,
				Authorize: func(p auth.Peer) error {
					peers <- p
					return nil
				},
			}, msg.StatelessServer())
			m.AddDispatcherTail(box)
			require.NoError(t, m.Bind(osd.Addr.AddrPort))
			require.NoError(t, m.Start())
			k, err := tickets.New(m, tickets.Config{Client: x, Mons: []entity.AddrVec{peerOf(mon.Addr)}})
			require.NoError(t, err)
			t.Cleanup(k.Close)
			require.NoError(t, k.Ready(testContext(t, patience)))

			out, stderr, err := Ceph(testContext(t, patience), t, mon.Conf, "tell", "osd.0", "version")
			require.NoError(t, err, stderr)
			require.JSONEq(t, osdVersion, out)
			p := <-peers
			require.Equal(t, entity.TypeClient, p.Type)
			require.Equal(t, admin, p.Name)
			require.True(t, p.Proved)
			require.Equal(t, mode, p.Mode)
			require.Equal(t, "allow *", string(p.Capabilities))
			got := box.next(t, msg.TypeCommand)
			require.Contains(t, string(got.Front), `"prefix"`)
			require.NotZero(t, got.Connection().PeerGlobalID())
		})
	}
}
