package cephx

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// heard is what both sides of an exchange say: request, challenge, more, done.
func heard(f *testing.F, c auth.Client, s auth.Server, self, peer entity.Type) (all [4][]byte) {
	_, _, err := meet(c, s, self, peer, func(n int, p []byte) []byte {
		all[n] = append([]byte(nil), p...)
		return p
	})
	require.NoError(f, err)
	return all
}

// FuzzServers: whatever a peer sends, a monitor and a daemon do not panic, and let nobody
// in but by what the client of the seeds has said.
func FuzzServers(f *testing.F) {
	l := newLab(f, nil)
	c, osd := l.client("client.admin", nil), l.service(entity.TypeOSD, nil)
	a := heard(f, c, l.monitor, entity.TypeClient, entity.TypeMon)
	b := heard(f, c, osd, entity.TypeClient, entity.TypeOSD)
	m := heard(f, l.client("mon.b", nil), l.monitor, entity.TypeMon, entity.TypeMon)
	for _, p := range [][4][]byte{a, b, m} {
		f.Add(p[0], p[2], uint8(entity.TypeClient))
		f.Add(p[0], p[0], uint8(entity.TypeMon))
	}
	f.Fuzz(func(t *testing.T, request, more []byte, typ uint8) {
		for _, s := range []auth.Server{l.monitor, osd} {
			x := s.NewExchange(entity.TypeMon, entity.Type(typ))
			r, err := x.Request(auth.Request{Method: auth.MethodCephX, Modes: modes, Payload: request})
			if err == nil {
				require.False(t, r.Done, "not without a challenge")
				r, err = x.More(more)
			}
			if err == nil {
				t.Fatalf("%s is let in", r.Result.Peer) // the challenge is another one each time
			}
			require.True(t, errors.Is(err, auth.ErrRefused) || errors.Is(err, errOrder), err)
		}
	})
}

// FuzzClients: whatever a server answers, a client does not panic, and takes no tickets and
// no secret that were not sealed for it.
func FuzzClients(f *testing.F) {
	l := newLab(f, nil)
	c, osd := l.client("client.admin", nil), l.service(entity.TypeOSD, nil)
	a := heard(f, c, l.monitor, entity.TypeClient, entity.TypeMon)
	b := heard(f, c, osd, entity.TypeClient, entity.TypeOSD)
	had := c.tickets
	f.Add(a[1], a[3], uint64(1), uint32(1))
	f.Add(b[1], b[3], uint64(1), uint32(2))
	f.Fuzz(func(t *testing.T, challenge, done []byte, id uint64, mode uint32) {
		l.TB = t
		for _, peer := range []entity.Type{entity.TypeMon, entity.TypeOSD} {
			c := l.client("client.admin", nil)
			c.tickets = had
			x := c.NewExchange(entity.TypeClient, peer)
			_, err := x.Request()
			require.NoError(t, err)
			if _, err = x.More(challenge); err != nil {
				continue
			}
			r, err := x.Done(id, mode, done)
			if err == nil && peer == entity.TypeOSD {
				t.Fatal("an old answer is taken") // the nonce is another one each time
			}
			if err == nil {
				require.NotZero(t, c.GlobalID())
				require.Len(t, r.SessionKey, 32)
			}
			require.NotEmpty(t, c.tickets.services)
		}
	})
}

// FuzzMessages: the same of MAuth and MAuthReply.
func FuzzMessages(f *testing.F) {
	l := newLab(f, nil)
	osd := l.service(entity.TypeOSD, nil)
	c := l.client("osd.0", func(c *ClientConfig) { c.Service = osd })
	_, server := l.login(c)
	peer := &entity.Authenticated{Name: server.Peer, Proved: true, Method: auth.MethodCephX, Proof: server.Proof}
	began := l.now
	later, latest := c.tickets.services[entity.TypeOSD].renew, c.tickets.auth.renew
	for _, now := range []time.Time{began.Add(askAgainMax), later, latest} {
		l.now = now
		fronts, err := c.Renewal()
		require.NoError(f, err)
		for _, front := range fronts {
			f.Add(front)
			reply, err := l.monitor.HandleRequest(peer, front)
			require.NoError(f, err)
			f.Add(reply)
		}
	}
	f.Fuzz(func(t *testing.T, front []byte) {
		reply, err := l.monitor.HandleRequest(peer, front)
		if err == nil || reply != nil {
			_, err := parseMAuthReply(reply)
			require.NoError(t, err)
		}
		_ = c.HandleReply(front)
		require.NotNil(t, c.tickets.auth)
		payload, err := parseMAuth(front)
		if err == nil {
			again, err := parseMAuth(appendMAuth(nil, payload))
			require.NoError(t, err)
			require.Equal(t, payload, again)
		}
		if q, err := parseMAuthReply(front); err == nil && len(q.body) > 0 {
			again, err := parseMAuthReply(q.append(nil))
			require.NoError(t, err)
			require.Equal(t, q, again)
		}
	})
}
