package cephx

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// TestTicketForAService: who has a ticket is let in by a daemon, as who it is, and no daemon
// learns the secrets of another service.
func TestTicketForAService(t *testing.T) {
	l := newLab(t, allowAES)
	for _, mode := range modes {
		for _, name := range []string{"client.admin", "client.old", "osd.1"} {
			c := l.client(name, func(c *ClientConfig) { c.Modes = []uint32{mode} })
			osd := l.service(entity.TypeOSD, nil)
			_, _, err := meet(c, osd, c.Name().Type, entity.TypeOSD, nil)
			require.ErrorIs(t, err, auth.ErrNotYet)
			require.ErrorContains(t, err, name+" has no ticket for a osd: it has not logged in at a monitor")
			l.login(c)
			for range 2 {
				client, server, err := meet(c, osd, c.Name().Type, entity.TypeOSD, nil)
				require.NoError(t, err)
				same(t, client, server, mode)
				require.Equal(t, c.Name(), server.Peer)
				require.Equal(t, c.GlobalID(), server.GlobalID)
				require.Equal(t, someTime.Add(time.Hour), server.Expires)
				if name != "client.old" {
					require.Equal(t, "allow "+name, string(server.Capabilities))
				}
			}
		}
	}
}

// TestTicketRefused: what a daemon does not take. The client hears -13, drops the ticket and
// asks for another one.
func TestTicketRefused(t *testing.T) {
	l := newLab(t, nil)
	c := l.client("client.admin", nil)
	l.login(c)
	mon, err := NewService(ServiceConfig{Type: entity.TypeOSD, Rand: l.rand, Now: l.time})
	require.NoError(t, err)
	strict := func(c *ServiceConfig) { c.Leeway = -1 }
	for name, tc := range map[string]struct {
		service *Service
		after   time.Duration
		change  func(*Client)
		says    string
	}{
		"another service": {l.service(entity.TypeMDS, nil), 0, nil, "the ticket is for a osd, and this is a mds"},
		"no secrets":      {mon, 0, nil, "there are no rotating secrets here yet"},
		"another number": {l.service(entity.TypeOSD, nil), 0,
			func(c *Client) { c.tickets.globalID++ }, "it says to be number"},
		"another key": {l.service(entity.TypeOSD, nil), 0, func(c *Client) {
			h := *c.tickets.services[entity.TypeOSD]
			h.key = c.cfg.Key
			c.tickets.services = map[entity.Type]*held{entity.TypeOSD: &h}
		}, "what shows that the ticket is its own: cephx: does not open with this key"},
		"expired": {l.service(entity.TypeOSD, strict), time.Hour + time.Second,
			func(c *Client) { c.tickets.services[entity.TypeOSD].expires = l.now.Add(time.Hour) },
			"the ticket has expired 1s ago"},
		"a mon's ticket": {l.service(entity.TypeOSD, nil), 0, func(c *Client) {
			h := *c.tickets.services[entity.TypeOSD]
			h.blob.SecretID = SecretMon
			c.tickets.services = map[entity.Type]*held{entity.TypeOSD: &h}
		}, "the ticket is sealed with the key of monitors, which is not taken here"},
		"no modes": {l.service(entity.TypeOSD, func(c *ServiceConfig) { c.Modes = []uint32{9} }), 0, nil,
			"refused with -95"},
	} {
		t.Run(name, func(t *testing.T) {
			c := l.client("client.admin", nil)
			l.login(c)
			l.now = l.now.Add(tc.after)
			defer func() { l.now = l.now.Add(-tc.after) }()
			if tc.change != nil {
				tc.change(c)
			}
			_, _, err := meet(c, tc.service, entity.TypeClient, entity.TypeOSD, nil)
			require.ErrorContains(t, err, tc.says)
			var e *TicketRefusedError
			require.ErrorAs(t, err, &e)
			require.NotEmpty(t, e.Hint())
			if e.Refusal.Result == -13 {
				require.False(t, c.RenewAt().After(l.now.Add(askAgainMin)), "another one is due")
			}
		})
	}
}

// TestHeardAuthorizer: who has heard what a client said cannot say it again: neither the
// first authorizer nor the answer to an earlier challenge (CVE-2018-1128).
func TestHeardAuthorizer(t *testing.T) {
	l := newLab(t, nil)
	c, osd := l.client("client.admin", nil), l.service(entity.TypeOSD, nil)
	l.login(c)
	var heard [][]byte
	_, _, err := meet(c, osd, entity.TypeClient, entity.TypeOSD, func(n int, p []byte) []byte {
		heard = append(heard, p)
		return p
	})
	require.NoError(t, err)
	require.Len(t, heard, 4)
	for _, second := range [][]byte{heard[0], heard[2], nil, heard[2][:20]} {
		x := osd.NewExchange(entity.TypeOSD, entity.TypeClient)
		reply, err := x.Request(auth.Request{Method: auth.MethodCephX, Modes: modes, Payload: heard[0]})
		require.NoError(t, err)
		require.False(t, reply.Done)
		_, err = x.More(second)
		require.ErrorIs(t, err, auth.ErrRefused)
		_, err = x.More(heard[2])
		require.ErrorIs(t, err, errOrder, "an exchange has one answer")
	}
	x := osd.NewExchange(entity.TypeOSD, entity.TypeClient)
	_, err = x.Request(auth.Request{Method: auth.MethodCephX, Modes: modes, Payload: heard[2]})
	require.NoError(t, err, "a challenge follows in any case")
	_, err = x.More(heard[2])
	require.ErrorIs(t, err, auth.ErrRefused)
}

// TestChangedPayloads: whichever byte of an exchange is changed on its way, the two ends do
// not agree on keys, or nothing that matters was changed: who it is stays the same.
func TestChangedPayloads(t *testing.T) {
	l := newLab(t, nil)
	osd := l.service(entity.TypeOSD, nil)
	for _, peer := range []entity.Type{entity.TypeMon, entity.TypeOSD} {
		agreed := 0
		for n := range 4 {
			for at := n; ; at += 5 {
				c := l.client("client.admin", nil)
				if peer == entity.TypeOSD {
					l.login(c)
				}
				var server auth.Server = l.monitor
				if peer == entity.TypeOSD {
					server = osd
				}
				end := false
				a, b, err := meet(c, server, entity.TypeClient, peer, func(i int, p []byte) []byte {
					if i != n {
						return p
					}
					if at >= len(p) {
						end = true
						return p
					}
					q := append([]byte(nil), p...)
					q[at] ^= 0x10
					return q
				})
				if end {
					require.NoError(t, err)
					break
				}
				if err != nil {
					require.NotContains(t, err.Error(), "panic")
					continue
				}
				agreed++
				require.Equal(t, c.Name(), b.Peer)
				require.Equal(t, a.SessionKey, b.SessionKey)
			}
		}
		// In ticket blobs, which are for others, and in the list of services: the signatures
		// of the handshake, which there are none of here, find those.
		t.Logf("%s: %d changes were not found by the exchange alone", peer, agreed)
	}
}

// TestMonToMon: monitors show each other tickets of their own making; nobody else can.
func TestMonToMon(t *testing.T) {
	l := newLab(t, nil)
	for _, mode := range modes {
		c := l.client("mon.b", func(c *ClientConfig) { c.Modes = []uint32{mode} })
		client, server, err := meet(c, l.monitor, entity.TypeMon, entity.TypeMon, nil)
		require.NoError(t, err)
		same(t, client, server, mode)
		require.Equal(t, entity.AuthName{Type: entity.TypeMon, ID: "b"}, server.Peer)
		require.Equal(t, "allow *", string(server.Capabilities))
	}
	k, err := l.ring.Find(authName(t, "osd.0"))
	require.NoError(t, err)
	c := l.client("mon.b", func(c *ClientConfig) { c.Key = k })
	_, _, err = meet(c, l.monitor, entity.TypeMon, entity.TypeMon, nil)
	require.ErrorContains(t, err, "does not open with this key")
}
