package cephx

import (
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
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
		"unknown":   {"client.admin", func(c *ClientConfig) { c.Name.ID = "x" }, "client.x is not let in: there is no such entity", -13},
		"type aes":  {"client.old", nil, "its key is of type aes, which is not allowed here", -13},
		"no mode":   {"client.admin", func(c *ClientConfig) { c.MonModes = []uint32{7} }, "refused with -95", -95},
		"it is a mon": {"client.admin", func(c *ClientConfig) { c.Name = entity.AuthName{Type: entity.TypeMon, ID: "a"} },
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
	_, server := l.login(c)
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
		"another number":  {l.service(entity.TypeOSD, nil), 0, func(c *Client) { c.tickets.globalID++ }, "it says to be number"},
		"another key": {l.service(entity.TypeOSD, nil), 0, func(c *Client) {
			h := *c.tickets.services[entity.TypeOSD]
			h.key = c.cfg.Key
			c.tickets.services = map[entity.Type]*held{entity.TypeOSD: &h}
		}, "what shows that the ticket is its own: cephx: does not open with this key"},
		"expired": {l.service(entity.TypeOSD, strict), time.Hour + time.Second,
			func(c *Client) { c.tickets.services[entity.TypeOSD].expires = l.now.Add(time.Hour) }, "the ticket has expired 1s ago"},
		"a mon's ticket": {l.service(entity.TypeOSD, nil), 0, func(c *Client) {
			h := *c.tickets.services[entity.TypeOSD]
			h.blob.SecretID = SecretMon
			c.tickets.services = map[entity.Type]*held{entity.TypeOSD: &h}
		}, "the ticket is sealed with the key of monitors, which is not taken here"},
		"no modes": {l.service(entity.TypeOSD, func(c *ServiceConfig) { c.Modes = []uint32{9} }), 0, nil, "refused with -95"},
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
	_ = server
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
			for at := n; ; at += 2 {
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

// TestRenewal: over many lives of tickets a client and a daemon that ask when they are to
// ask never have a ticket refused, and keep their numbers.
func TestRenewal(t *testing.T) {
	l := newLab(t, func(c *MonitorConfig) { c.LoginLife, c.TicketLife = 40*time.Second, 8*time.Second })
	osd, err := NewService(ServiceConfig{Type: entity.TypeOSD, Leeway: -1, Rand: l.rand, Now: l.time})
	require.NoError(t, err)
	daemon := l.client("osd.0", func(c *ClientConfig) { c.Service = osd })
	c := l.client("client.admin", nil)
	_, serverD := l.login(daemon)
	_, serverC := l.login(c)
	numbers := [2]uint64{daemon.GlobalID(), c.GlobalID()}
	n, err := l.renew(daemon, serverD)
	require.NoError(t, err)
	require.Equal(t, 1, n, "the secrets of its service")
	asked, ids := 0, map[uint64]bool{}
	for end := l.now.Add(20 * time.Minute); l.now.Before(end); {
		_, _, err := meet(c, osd, entity.TypeClient, entity.TypeOSD, nil)
		require.NoError(t, err, l.now)
		ids[c.tickets.services[entity.TypeOSD].blob.SecretID] = true
		next := earlier(c.RenewAt(), daemon.RenewAt())
		require.False(t, next.IsZero())
		require.True(t, next.After(l.now), "nothing is due after what was due was asked for")
		l.now = next
		for x, server := range map[*Client]auth.Result{c: serverC, daemon: serverD} {
			n, err := l.renew(x, server)
			require.NoError(t, err)
			asked += n
		}
	}
	require.Equal(t, numbers, [2]uint64{daemon.GlobalID(), c.GlobalID()})
	t.Logf("%d requests, %d secrets", asked, len(ids))
	require.Greater(t, len(ids), 140)
	require.Less(t, asked, 3*20*60/6+3*20*60/2)

	// A client that does not ask has nothing to show.
	l.now = l.now.Add(9 * time.Second)
	_, _, err = meet(c, osd, entity.TypeClient, entity.TypeOSD, nil)
	require.ErrorContains(t, err, "it has expired, and was not renewed")
	l.now = l.now.Add(40 * time.Second)
	require.Zero(t, c.RenewAt())
	_, err = c.Renewal()
	require.ErrorIs(t, err, ErrLoginDue)
}

// TestRenewalRefused: a monitor that refuses makes a login due; one that does not answer is
// asked again.
func TestRenewalRefused(t *testing.T) {
	l := newLab(t, nil)
	c := l.client("client.admin", nil)
	_, server := l.login(c)
	l.now = c.RenewAt()
	fronts, err := c.Renewal()
	require.NoError(t, err)
	require.Len(t, fronts, 1)
	again, err := c.Renewal()
	require.NoError(t, err)
	require.Empty(t, again)
	require.Equal(t, l.now.Add(askAgainMax), c.RenewAt())
	l.now = c.RenewAt()
	stranger := server
	stranger.Peer.ID = "stranger"
	_, err = l.renew(c, stranger)
	require.ErrorIs(t, err, auth.ErrRefused)
	require.Zero(t, c.RenewAt())
	_, err = c.Renewal()
	require.ErrorIs(t, err, ErrLoginDue)
	number := c.GlobalID()
	_, server = l.login(c)
	require.Equal(t, number, c.GlobalID())
	n, err := l.renew(c, server)
	require.NoError(t, err)
	require.Zero(t, n)

	// Only who is a daemon has rotating secrets, and only who logged in has anything.
	rotating := appendMAuth(nil, le.AppendUint16(nil, GetRotating))
	for _, peer := range []entity.Authenticated{
		{Name: c.Name(), Proved: true, Method: auth.MethodCephX}, {Name: authName(t, "osd.0")},
		{Name: authName(t, "osd.9"), Proved: true, Method: auth.MethodCephX},
		{Name: authName(t, "mon.a"), Proved: true, Method: auth.MethodCephX},
		{Name: authName(t, "osd.0"), Proved: true, Method: auth.MethodTLS},
	} {
		reply, err := l.monitor.HandleRequest(&peer, rotating)
		require.ErrorIs(t, err, auth.ErrRefused, peer)
		require.ErrorIs(t, c.HandleReply(reply), auth.ErrRefused)
	}
	peer := entity.Authenticated{Name: c.Name(), Proved: true, Method: auth.MethodCephX}
	for _, front := range [][]byte{nil, rotating[:10], appendMAuth(nil, nil), append(rotating, 0)} {
		reply, err := l.monitor.HandleRequest(&peer, front)
		require.Nil(t, reply)
		require.Error(t, err)
		require.Error(t, c.HandleReply(front))
	}
	for _, p := range [][]byte{{0, 1}, {0, 2}, {7, 7}, {0, 4, 0}} {
		reply, err := l.monitor.HandleRequest(&peer, appendMAuth(nil, p))
		require.NotNil(t, reply)
		require.ErrorIs(t, err, auth.ErrRefused)
	}
}

// TestRotation: monitors with the same key have the same secrets, others have others; a
// service has the one in use, the one before and the next.
func TestRotation(t *testing.T) {
	l := newLab(t, nil)
	mon, err := l.ring.Find(entity.AuthName{Type: entity.TypeMon})
	require.NoError(t, err)
	hour := func(entity.Type) time.Duration { return time.Hour }
	seen := map[string]string{}
	for _, k := range []Key{mon, testKeys(t)[0]} {
		for _, typ := range []KeyType{TypeAES, TypeAES256K} {
			r := rotation{mon: k, typ: typ, life: hour}
			for _, s := range servicesAll {
				a, b := r.secrets(s, l.now), r.secrets(s, l.now.Add(time.Hour))
				require.Len(t, a.Secrets, 3)
				require.Equal(t, a.Secrets[1:], b.Secrets[:2])
				require.Equal(t, a.MaxID, a.Secrets[2].ID)
				require.Equal(t, r.current(s, l.now), a.Secrets[1].ID)
				require.True(t, a.Secrets[1].Expires.Moment().After(l.now))
				require.False(t, a.Secrets[0].Expires.Moment().After(l.now))
				for _, x := range a.Secrets {
					text := textOf(x.Key)
					require.NotContains(t, seen, text)
					seen[text] = ""
					got, ok := r.find(s, x.ID, l.now)
					require.True(t, ok)
					require.Equal(t, text, textOf(got))
				}
				for _, id := range []uint64{0, a.Secrets[0].ID - 1, a.MaxID + 1, SecretMon, SecretMon - 1} {
					_, ok := r.find(s, id, l.now)
					require.False(t, ok, id)
				}
			}
		}
	}
	r := rotation{mon: mon, typ: TypeAES256K, life: hour}
	for _, m := range []time.Time{{}, time.Unix(0, 0), time.Unix(1<<32, 0), time.Unix(1<<40, 0)} {
		s := r.secrets(entity.TypeOSD, m)
		require.NotEmpty(t, s.Secrets)
		p, err := ParseRotatingSecrets(s.Append(nil))
		require.NoError(t, err)
		require.Equal(t, s.Append(nil), p.Append(nil))
	}
}

// TestRotatingGolden: the structure as docs/PROTOCOL.md 2.5 has it.
func TestRotatingGolden(t *testing.T) {
	wire := unhex(t, "01"+"01000000"+"0700000000000000"+"01"+"0100"+"15270b6bf1e6f800"+"1000"+
		"000102030405060708090a0b0c0d0e0f"+"25350b6b78e4f800"+"0900000000000000")
	s, err := ParseRotatingSecrets(wire)
	require.NoError(t, err)
	require.Equal(t, wire, s.Append(nil))
	require.EqualValues(t, 9, s.MaxID)
	x, ok := s.Find(7)
	require.True(t, ok)
	require.Equal(t, TypeAES, x.Key.Type())
	_, ok = s.Find(8)
	require.False(t, ok)
	for n := range wire {
		_, err := ParseRotatingSecrets(wire[:n])
		require.ErrorIs(t, err, denc.ErrShort)
	}
}

// TestConfigurations: what is missing is named.
func TestConfigurations(t *testing.T) {
	l := newLab(t, nil)
	k := testKeys(t)[0]
	for want, err := range map[string]error{
		"ClientConfig.Name":         second(NewClient(ClientConfig{})),
		"ClientConfig.Key":          second(NewClient(ClientConfig{Name: admin})),
		"ClientConfig.Rand or Now":  second(NewClient(ClientConfig{Name: admin, Key: k})),
		"has auth":                  second(NewClient(ClientConfig{Name: admin, Key: k, Rand: l.rand, Now: l.time, Services: []entity.Type{entity.TypeAuth}})),
		"ServiceConfig.Type":        second(NewService(ServiceConfig{})),
		"ServiceConfig.MonKey":      second(NewService(ServiceConfig{Type: entity.TypeOSD, MonKey: k})),
		"ServiceConfig.Rand":        second(NewService(ServiceConfig{Type: entity.TypeOSD})),
		"MonitorConfig.Keyring":     second(NewMonitor(MonitorConfig{})),
		"MonitorConfig.Rand":        second(NewMonitor(MonitorConfig{Keyring: l.ring})),
		"no key for mon.":           second(NewMonitor(MonitorConfig{Keyring: &Keyring{}, Rand: l.rand, Now: l.time})),
		"MonitorConfig.ServiceKeys": second(NewMonitor(MonitorConfig{Keyring: l.ring, Rand: l.rand, Now: l.time, ServiceKeys: 9})),
		"are whole seconds":         second(NewMonitor(MonitorConfig{Keyring: l.ring, Rand: l.rand, Now: l.time, LoginLife: 1})),
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
