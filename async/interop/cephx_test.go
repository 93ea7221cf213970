//go:build linux

package interop

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest/faultkit"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/cephx"
)

var admin = entity.AuthName{Type: entity.TypeClient, ID: "admin"}

// cephxClient is client.admin's authentication.
func cephxClient(t *testing.T, name entity.AuthName, keyring string) *cephx.Client {
	t.Helper()
	ring, err := cephx.ReadKeyring(strings.NewReader(keyring))
	require.NoError(t, err)
	key, err := ring.Find(name)
	require.NoError(t, err)
	c, err := cephx.NewClient(cephx.ClientConfig{Name: name, Key: key, Rand: rand.Reader, Now: time.Now})
	require.NoError(t, err)
	return c
}

// TestCephxClientOfMon logs in at a real monitor, in crc and in secure mode, and asks it
// what its clients ask. A second login keeps the number.
func TestCephxClientOfMon(t *testing.T) {
	for name, mode := range map[string]uint32{"crc": auth.ModeCRC, "secure": auth.ModeSecure} {
		t.Run(name, func(t *testing.T) {
			mon := StartMon(t, Cephx(t, name))
			x := cephxClient(t, admin, CephxKeyring(t))
			var id uint64
			for range 3 {
				box := newInbox()
				m := newMessenger(t, async.Config{Name: entity.Client(entity.NumNew), AuthClient: x}, msg.LossyClient())
				m.AddDispatcherTail(box)
				require.NoError(t, m.Start())
				conn, err := m.ConnectTo(entity.TypeMon, peerOf(mon.Addr))
				require.NoError(t, err)
				require.NoError(t, conn.Send(&msg.Message{Type: msg.TypePing, Version: 1}))
				require.Contains(t, string(box.next(t, msg.TypePing).Front), `"leader"`)
				code, _, out := command(t, box, conn, 1, `{"prefix":"mon dump","format":"json"}`, nil)
				require.Zero(t, code)
				require.Contains(t, string(out), FSID)
				require.Equal(t, entity.Authenticated{Method: auth.MethodCephX, Mode: mode}, conn.Authenticated())
				require.NotZero(t, m.GlobalID())
				if id != 0 {
					require.Equal(t, id, m.GlobalID(), "the number is kept")
				}
				id = m.GlobalID()
				require.Equal(t, id, x.GlobalID())
				require.Empty(t, box.resets)
			}
		})
	}
}

// TestCephxClientSurvivesCuts cuts the connections of a client at many bytes of the login
// and behind it. Every session logs in again and asks until it is answered.
func TestCephxClientSurvivesCuts(t *testing.T) {
	o := Cephx(t, "secure")
	o.Behind = true
	mon := StartMon(t, o)
	proxy := faultkit.StartProxy(t, mon.Addr, mon.Bind)
	x := cephxClient(t, admin, CephxKeyring(t))
	box := newInbox()
	m := newMessenger(t, async.Config{Name: entity.Client(entity.NumNew), AuthClient: x}, msg.LossyClient())
	m.AddDispatcherTail(box)
	require.NoError(t, m.Start())
	proxy.Plan(func(n int) (up, down int64) {
		if n%2 == 0 {
			return int64(23 * n), -1
		}
		return -1, int64(41 * n)
	})
	for answered := 0; answered < 20 || proxy.Cuts() < 30; {
		conn, err := m.ConnectTo(entity.TypeMon, peerOf(mon.Addr))
		require.NoError(t, err)
		require.NoError(t, conn.Send(&msg.Message{Type: msg.TypeMonGetMap, Version: 1}))
	wait:
		for deadline := time.After(patience); ; {
			select {
			case got := <-box.messages:
				if got.Connection() == conn && got.Type == msg.TypeMonMap {
					answered++
					conn.MarkDown()
					break wait
				}
			case <-box.resets:
				break wait
			case <-deadline:
				require.FailNow(t, "neither an answer nor a reset")
			}
		}
	}
	for len(box.failed) > 0 {
		require.NotEqual(t, msg.ReasonAuth, (<-box.failed).Reason)
	}
}

// TestCephxSaysWhy: what a real monitor refuses, in a line each, with what it allows.
func TestCephxSaysWhy(t *testing.T) {
	const other = "AQAAAAAAAAAAABAAERITFBUWFxgZGhscHR4fIQ=="
	strong := "[client.admin]\n\tkey = AgAAAAAAAAAAACAA" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVpbXF1eX2E=\n"
	secure, crc := StartMon(t, Cephx(t, "secure")), StartMon(t, Cephx(t, "crc"))
	none := StartMon(t, MonOptions{})
	stranger := entity.AuthName{Type: entity.TypeClient, ID: "stranger"}
	only := func(c auth.Client, modes ...uint32) auth.Client { return auth.Demand{Client: c, Modes: modes} }
	for name, tc := range map[string]struct {
		mon  *Mon
		auth auth.Client
		says []string
	}{
		"wrong key": {secure, cephxClient(t, admin, "[client.admin]\n\tkey = "+other), []string{
			"cephx: client.admin is not let in: the monitor knows no client.admin, " +
				"or another key of it, or takes no keys of type aes: ",
			"-13 (permission denied); allowed: methods [cephx], modes [secure]"}},
		"a key of the new type": {secure, cephxClient(t, admin, strong), []string{
			"or takes no keys of type aes256k: "}},
		"unknown entity": {secure, cephxClient(t, stranger, "[client.stranger]\n\tkey = "+other), []string{
			"cephx: client.stranger is not let in: the monitor knows no client.stranger, or ", "-13"}},
		"secure only": {secure, only(cephxClient(t, admin, CephxKeyring(t)), auth.ModeCRC), []string{
			"demanded modes [crc]; offered methods [cephx], modes [secure]"}},
		"crc only": {crc, only(cephxClient(t, admin, CephxKeyring(t)), auth.ModeSecure), []string{
			"demanded modes [secure]; offered methods [cephx], modes [crc]"}},
		"no cephx": {none, cephxClient(t, admin, CephxKeyring(t)), []string{"the peer has no cephx", "methods [none]"}},
		"cephx only": {secure, nil, []string{
			"method none refused with -95 (not supported); allowed: methods [cephx], modes ["}},
	} {
		t.Run(name, func(t *testing.T) {
			box := newInbox()
			cfg := async.Config{Name: entity.Client(entity.NumNew), AuthClient: tc.auth}
			m := newMessenger(t, cfg, msg.LossyClient())
			m.AddDispatcherTail(box)
			require.NoError(t, m.Start())
			_, err := m.ConnectTo(entity.TypeMon, peerOf(tc.mon.Addr))
			require.NoError(t, err)
			failed := receive(t, box.failed, "a failed attempt")
			for failed.Reason == msg.ReasonClosed { // it is not in quorum yet
				failed = receive(t, box.failed, "a failed attempt")
			}
			require.Equal(t, msg.ReasonAuth, failed.Reason, failed)
			t.Log(failed, "|", failed.Hint())
			for _, s := range tc.says {
				require.ErrorContains(t, failed, s)
			}
			require.NotContains(t, failed.Error(), "\n")
			require.NotEmpty(t, failed.Hint())
			require.True(t, errors.Is(failed, auth.ErrRefused) || errors.Is(failed, auth.ErrDowngrade))
		})
	}
}
