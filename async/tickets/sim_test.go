package tickets

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/cephx"
)

// The nodes of a simulated cluster.
const (
	mon0 = iota
	mon1
	osd0
	osd1
	client0
	client1
	nodes
)

func nameOf(i int) entity.Name {
	switch {
	case i < osd0:
		return entity.Mon(int64(i))
	case i < client0:
		return entity.OSD(int64(i - osd0))
	}
	return entity.Client(int64(i))
}

func authNameOf(i int) entity.AuthName {
	n := nameOf(i)
	if n.Type == entity.TypeClient {
		return entity.AuthName{Type: n.Type, ID: fmt.Sprint("c", i-client0)}
	}
	return entity.AuthName{Type: n.Type, ID: fmt.Sprint(n.Num)}
}

// Lives of tickets, in virtual time.
const (
	loginLife  = 60 * time.Second
	ticketLife = 20 * time.Second
)

// sim is a cluster in which everybody logs in, in virtual time.
type sim struct {
	*asynctest.Cluster
	t       *testing.T
	rand    *rand.ChaCha8
	ring    *cephx.Keyring
	clients map[int]*cephx.Client
	keepers map[int]*Keeper
	refused []error // connections that were refused
}

func keyring(t *testing.T) *cephx.Keyring {
	var b strings.Builder
	for i := range nodes {
		name := authNameOf(i)
		if i == mon1 {
			continue
		}
		if name.Type == entity.TypeMon {
			name.ID = ""
		}
		k, err := cephx.NewKey(cephx.TypeAES256K, []byte(fmt.Sprintf("%32s", name)))
		require.NoError(t, err)
		fmt.Fprintf(&b, "[%s]\nkey = %s\ncaps osd = \"allow %s\"\n", name,
			base64.StdEncoding.EncodeToString(k.Append(nil)), name)
	}
	ring, err := cephx.ReadKeyring(strings.NewReader(b.String()))
	require.NoError(t, err)
	return ring
}

func newSim(t *testing.T, seed uint64) *sim {
	s := &sim{t: t, rand: rand.NewChaCha8([32]byte{byte(seed)}), ring: keyring(t), clients: map[int]*cephx.Client{},
		keepers: map[int]*Keeper{}}
	monitors := map[int]*cephx.Monitor{}
	opt := asynctest.Options{Seed: seed, N: nodes, Name: nameOf, SameNonce: true,
		Client: func(i int) bool { return i >= client0 }}
	opt.Config = func(i int, cfg *async.Config) {
		now := cfg.Stack.Clock().Wall
		key, err := s.ring.Find(authNameOf(i))
		require.NoError(t, err)
		c := cephx.ClientConfig{Name: authNameOf(i), Key: key, Services: []entity.Type{entity.TypeOSD}, Rand: s.rand,
			Now: now}
		switch nameOf(i).Type {
		case entity.TypeMon:
			monitors[i], err = cephx.NewMonitor(cephx.MonitorConfig{Keyring: s.ring, LoginLife: loginLife,
				TicketLife: ticketLife, Rand: s.rand, Now: now})
			require.NoError(t, err)
			cfg.AuthServer = monitors[i]
		case entity.TypeOSD:
			c.Service, err = cephx.NewService(cephx.ServiceConfig{Type: entity.TypeOSD, Leeway: -1, Rand: s.rand,
				Now: now})
			require.NoError(t, err)
			cfg.AuthServer = c.Service
		}
		s.clients[i], err = cephx.NewClient(c)
		require.NoError(t, err)
		cfg.AuthClient = auth.Secure(s.clients[i])
	}
	opt.Setup = func(n *asynctest.Node) {
		n.SetPolicy(entity.TypeMon, msg.LosslessPeer())
		if m := monitors[n.Index]; m != nil {
			n.SetPolicy(entity.TypeClient, msg.StatelessServer())
			n.SetPolicy(entity.TypeOSD, msg.StatelessServer())
			Serve(n.Messenger, m)
		} else if n.Index < client0 {
			n.SetPolicy(entity.TypeClient, msg.StatefulServer())
		} else {
			n.SetDefaultPolicy(msg.LosslessClient())
		}
		n.AddDispatcherHead(watcher{s})
	}
	s.Cluster = asynctest.NewCluster(t, opt)
	for i := osd0; i < nodes; i++ {
		mons := []entity.AddrVec{s.Nodes[(i+0)%2].Addrs(), s.Nodes[(i+1)%2].Addrs()}
		k, err := New(s.Nodes[i].Messenger, Config{Client: s.clients[i], Mons: mons})
		require.NoError(t, err)
		s.keepers[i] = k
	}
	return s
}

// watcher notes what is refused.
type watcher struct{ s *sim }

func (w watcher) Dispatch(*msg.Message) bool { return false }
func (w watcher) HandleConnectFailed(_ msg.Connection, err *msg.ConnectError) {
	if errors.Is(err, auth.ErrRefused) || errors.Is(err, auth.ErrDowngrade) {
		w.s.refused = append(w.s.refused, err)
	}
}

func (s *sim) ready() bool {
	for _, k := range s.keepers {
		select {
		case <-k.ready:
		default:
			return false
		}
	}
	return true
}

// work has clients and daemons talk for a number of lives of a login, with cuts; all
// arrives, once.
func (s *sim) work(lives int) {
	began := s.Net.Now()
	for n := 0; s.Net.Now()-began < time.Duration(lives)*loginLife; n++ {
		for _, from := range []int{client0, client1, osd0} {
			require.NoError(s.t, s.Send(from, osd1, 100, 0))
		}
		require.NoError(s.t, s.Send(client0, osd0, 100, 0))
		s.Run(700 * time.Millisecond)
		if n%5 == 0 {
			s.Cut(osd0 + n%2)
		}
	}
	s.Until("all to arrive", s.Complete)
}

// TestTicketsAreKept: clients and daemons log in at two monitors and talk for many lives of
// their logins and tickets, while connections are cut, each of which is made anew with the
// tickets of the moment. Nobody is ever refused, and everybody keeps its number. It is the
// same run again for the same seed.
func TestTicketsAreKept(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			s := newSim(t, seed)
			s.Until("logins", s.ready)
			s.Run(time.Second)
			ids := map[int]uint64{}
			for i, c := range s.clients {
				ids[i] = c.GlobalID()
				if i >= osd0 {
					require.NotZero(t, c.GlobalID())
					require.Equal(t, c.GlobalID(), s.Nodes[i].GlobalID())
				}
			}
			s.work(4)
			require.Empty(t, s.refused)
			for i, c := range s.clients {
				require.Equal(t, ids[i], c.GlobalID(), nameOf(i))
			}
			for conn := range s.Nodes[osd1].Connections() {
				a := conn.Authenticated()
				switch conn.PeerType() {
				case entity.TypeClient, entity.TypeOSD:
					require.True(t, a.Proved)
					require.Equal(t, auth.MethodCephX, a.Method)
					require.Equal(t, auth.ModeSecure, a.Mode)
					require.Equal(t, "allow "+a.Name.String(), string(a.Capabilities))
				}
			}
			s.CheckExactlyOnce()
		})
	}
}

// TestAMonitorIsAway: while one monitor is down, the keepers go to the other one, and
// nobody's tickets end.
func TestAMonitorIsAway(t *testing.T) {
	s := newSim(t, 7)
	s.Until("logins", s.ready)
	s.Run(time.Second)
	s.Crash(mon0)
	s.work(2)
	require.Empty(t, s.refused)
	s.Until("sessions after cuts", s.ready)
	for i, k := range s.keepers {
		require.Equal(t, s.Nodes[mon1].Addrs(), k.Mon().PeerAddrs(), nameOf(i))
	}
	s.Restart(mon0)
	s.Crash(mon1)
	s.work(2)
	require.Empty(t, s.refused)
	s.CheckExactlyOnce()
}

// TestMonitorsAreAway: without a monitor tickets end, and connections wait until there is
// one again.
func TestMonitorsAreAway(t *testing.T) {
	s := newSim(t, 8)
	s.Until("logins", s.ready)
	s.Run(time.Second)
	require.NoError(t, s.Send(client0, osd1, 100, 0))
	s.Until("it to arrive", s.Complete)
	s.Crash(mon0)
	s.Crash(mon1)
	s.Run(2 * loginLife)
	require.False(t, s.ready())
	s.Cut(osd1)
	require.NoError(t, s.Send(client0, osd1, 100, 0))
	s.Run(loginLife)
	require.False(t, s.Complete())
	s.Restart(mon1)
	s.Until("it to arrive", s.Complete)
	for _, err := range s.refused { // the client was faster at the monitor than the daemon
		require.ErrorAs(t, err, new(*cephx.TicketRefusedError))
	}
	s.CheckExactlyOnce()
	for _, k := range s.keepers {
		k.Close()
		require.ErrorIs(t, k.Ready(t.Context()), ErrClosed)
	}
	s.Run(time.Second)
	for _, k := range s.keepers {
		require.Nil(t, k.Mon())
	}
}
