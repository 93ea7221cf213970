package cephx

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

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
