package cephx

import (
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

func textOf(k Key) string { return base64.StdEncoding.EncodeToString(k.Append(nil)) }

var modes = []uint32{auth.ModeCRC, auth.ModeSecure}

func allowAES(c *MonitorConfig) { c.AllowAES = true }

// TestLoginAtOurMonitor: a client and our ticket server agree on keys, in both modes and with
// keys of both types, and the client has tickets afterwards.
func TestLoginAtOurMonitor(t *testing.T) {
	l := newLab(t, allowAES)
	seen := map[uint64]bool{}
	for _, mode := range modes {
		for _, name := range []string{"client.admin", "client.old", "osd.0"} {
			c := l.client(name, func(c *ClientConfig) { c.MonModes = []uint32{mode} })
			client, server := l.login(c)
			same(t, client, server, mode)
			require.Equal(t, c.Name(), server.Peer)
			require.Equal(t, entity.AuthName{}, client.Peer, "which monitor it is was not proved")
			require.Equal(t, someTime.Add(72*time.Hour), server.Expires)
			if name != "client.old" {
				require.Equal(t, "allow r", string(server.Capabilities))
			}
			require.False(t, seen[client.GlobalID])
			seen[client.GlobalID] = true
			require.Len(t, c.tickets.services, 4)
			require.Equal(t, someTime.Add(54*time.Hour), c.tickets.auth.renew)
			require.Equal(t, someTime.Add(45*time.Minute), c.RenewAt())

			again, server := l.login(c)
			same(t, again, server, mode)
			require.Equal(t, client.GlobalID, again.GlobalID, "the number is kept")
			require.NotEqual(t, client.SessionKey, again.SessionKey)
		}
	}
}

// TestLoginRefused: who is not let in hears no more than -13 or -95, and the log of the
// monitor says why.
func TestLoginRefused(t *testing.T) {
	l := newLab(t, nil)
	other, err := NewKey(TypeAES256K, make([]byte, 32))
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		client string
		change func(*ClientConfig)
		says   string // of the monitor
		result int32
	}{
		"wrong key": {"client.admin", func(c *ClientConfig) { c.Key = other }, "its key is another one than here", -13},
		"unknown": {"client.admin", func(c *ClientConfig) { c.Name.ID = "x" },
			"client.x is not let in: there is no such entity", -13},
		"type aes": {"client.old", nil,
			"its key is of type aes, which is not allowed here", -13},
		"no mode": {"client.admin",
			func(c *ClientConfig) { c.MonModes = []uint32{7} }, "refused with -95", -95},
		"it is a mon": {"client.admin", func(c *ClientConfig) { c.Name = authName(t, "mon.a") },
			"monitors do not log in", -13},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := meet(l.client(tc.client, tc.change), l.monitor, entity.TypeClient, entity.TypeMon, nil)
			require.ErrorContains(t, err, tc.says)
			var e *LoginError
			require.ErrorAs(t, err, &e)
			require.Equal(t, tc.result, e.Refusal.Result)
			require.Equal(t, []uint32{auth.MethodCephX}, e.Refusal.Methods)
			require.Equal(t, []uint32{auth.ModeSecure, auth.ModeCRC}, e.Refusal.Modes)
			require.NotEmpty(t, e.Hint())
		})
	}
	c := l.client("client.admin", nil)
	for _, r := range []auth.Request{
		{Method: auth.MethodNone, Modes: modes}, {Method: auth.MethodCephX, Modes: modes},
		{Method: auth.MethodCephX, Modes: modes, Payload: Who{PayloadMode: 1, Name: c.Name()}.Append(nil)},
	} {
		_, err := l.monitor.NewExchange(entity.TypeMon, entity.TypeClient).Request(r)
		require.ErrorIs(t, err, auth.ErrRefused)
	}
}

// TestClaimedNumber: a number is given again only to whom it belongs (CVE-2021-20288), and
// who is refused with an old ticket logs in without it.
func TestClaimedNumber(t *testing.T) {
	l := newLab(t, nil)
	victim, thief := l.client("client.admin", nil), l.client("osd.1", nil)
	l.login(victim)
	l.login(thief)
	for name, steal := range map[string]func() tickets{
		"by its own ticket": func() tickets {
			s := thief.tickets
			s.globalID = victim.tickets.globalID
			return s
		},
		"by the other's ticket": func() tickets { return victim.tickets },
		"by no ticket": func() tickets {
			s := victim.tickets
			a := *s.auth
			a.blob = TicketBlob{}
			s.auth = &a
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := l.client("osd.1", nil)
			x.tickets = steal()
			number := x.tickets.globalID
			client, server, err := meet(x, l.monitor, entity.TypeOSD, entity.TypeMon, nil)
			require.NoError(t, err, "it tries again without")
			same(t, client, server, auth.ModeSecure)
			require.NotEqual(t, number, client.GlobalID)
			require.NotEqual(t, victim.tickets.globalID, client.GlobalID)
		})
	}
	// A ticket of three lives ago: its secret is not known any more.
	number := victim.GlobalID()
	l.now = l.now.Add(3 * 72 * time.Hour)
	l.login(victim)
	require.NotEqual(t, number, victim.GlobalID())
}

// TestConfigurations: what is missing is named.
func TestConfigurations(t *testing.T) {
	l := newLab(t, nil)
	k := testKeys(t)[0]
	c := ClientConfig{Name: admin, Key: k, Rand: l.rand, Now: l.time, Services: []entity.Type{entity.TypeAuth}}
	x := MonitorConfig{Keyring: &Keyring{}, Rand: l.rand, Now: l.time}
	y, z := x, x
	y.Keyring, y.ServiceKeys = l.ring, 9
	z.Keyring, z.LoginLife = l.ring, 1
	for want, err := range map[string]error{
		"ClientConfig.Name":         second(NewClient(ClientConfig{})),
		"ClientConfig.Key":          second(NewClient(ClientConfig{Name: admin})),
		"ClientConfig.Rand or Now":  second(NewClient(ClientConfig{Name: admin, Key: k})),
		"has auth":                  second(NewClient(c)),
		"ServiceConfig.Type":        second(NewService(ServiceConfig{})),
		"ServiceConfig.MonKey":      second(NewService(ServiceConfig{Type: entity.TypeOSD, MonKey: k})),
		"ServiceConfig.Rand":        second(NewService(ServiceConfig{Type: entity.TypeOSD})),
		"MonitorConfig.Keyring":     second(NewMonitor(MonitorConfig{})),
		"MonitorConfig.Rand":        second(NewMonitor(MonitorConfig{Keyring: l.ring})),
		"no key for mon.":           second(NewMonitor(x)),
		"MonitorConfig.ServiceKeys": second(NewMonitor(y)),
		"are whole seconds":         second(NewMonitor(z)),
	} {
		require.ErrorContains(t, err, want)
	}
	for _, x := range []any{
		l.monitor, l.client("client.admin", nil), l.service(entity.TypeOSD, nil), ClientConfig{Name: admin, Key: k},
		ServiceConfig{Type: entity.TypeMon, MonKey: k}, MonitorConfig{Keyring: l.ring}, &Login{1, 2},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
			text := fmt.Sprintf(verb, x)
			require.NotContains(t, text, "0123456789abcdef")
			require.NotContains(t, text, "30313233")
			require.Less(t, len(text), 80, text)
		}
	}
}

func second[T any](_ T, err error) error { return err }
