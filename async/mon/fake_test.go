package mon

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/mon/wire"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/tickets"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/cephx"
)

// fakeMon is a monitor as far as a client sees it. All of a cluster share what fakeCluster has.
type fakeMon struct {
	c      *fakeCluster
	silent bool // it answers nothing, but lives
	asked  int  // commands
	subs   map[msg.Connection]uint64
}

// fakeCluster is what monitors agree on.
type fakeCluster struct {
	monMap wire.MonMap
	epoch  uint32 // of the OSD map
}

func osdMapBytes(epoch uint32) []byte { return fmt.Appendf(nil, "map %d", epoch) }

// Dispatch implements msg.Dispatcher.
func (f *fakeMon) Dispatch(m *msg.Message) bool {
	conn := m.Connection()
	if f.silent {
		return true
	}
	var reply *msg.Message
	switch m.Type {
	case msg.TypeMonGetMap:
		reply = f.mapMessage()
	case msg.TypeMonSubscribe:
		subs, err := wire.ParseSubscribe(m.Front)
		if err != nil {
			panic(err)
		}
		for _, s := range subs {
			switch s.What {
			case "monmap":
				_ = conn.Send(f.mapMessage())
			case "osdmap":
				f.subs[conn] = s.Start
			}
		}
		f.publish()
		return true
	case msg.TypeMonGetVersion:
		r := denc.NewReader(m.Front)
		b := []byte{}
		for _, x := range []uint64{r.U64(), uint64(f.c.epoch), 1} {
			b = append(b, byte(x), byte(x>>8), byte(x>>16), byte(x>>24), 0, 0, 0, 0)
		}
		reply = &msg.Message{Type: msg.TypeMonGetVersionReply, Version: 2, Compat: 1, Front: b}
	case msg.TypeMonCommand:
		f.asked++
		fsid, words, err := wire.ParseCommand(m.Front)
		if err != nil || fsid != f.c.monMap.FSID {
			panic(fmt.Sprint(fsid, err))
		}
		switch words[0] {
		case "fail":
			reply = wire.CommandAck(m.TID, -2, "there is no such thing", words, nil)
		case "large":
			reply = wire.CommandAck(m.TID, 0, "", words, make([]byte, 100_000))
		default:
			reply = wire.CommandAck(m.TID, 0, "done", words, append([]byte(words[0]), m.Data...))
		}
	default:
		return false
	}
	_ = conn.Send(reply) // lost if the connection is, as with a real one
	return true
}

func (f *fakeMon) mapMessage() *msg.Message {
	return &msg.Message{Type: msg.TypeMonMap, Version: 1, Front: denc.AppendBL(nil, f.c.monMap.Append(nil))}
}

// publish sends the OSD map to those who have an older one.
func (f *fakeMon) publish() {
	for conn, start := range f.subs {
		if conn.IsClosed() || start > uint64(f.c.epoch) {
			continue
		}
		m := wire.OSDMap{FSID: f.c.monMap.FSID, Oldest: 1, Newest: f.c.epoch}
		if start == 0 {
			m.Full = []wire.MapBytes{{Epoch: f.c.epoch, Bytes: osdMapBytes(f.c.epoch)}}
		} else {
			for e := uint32(start); e <= f.c.epoch; e++ {
				m.Incremental = append(m.Incremental, wire.MapBytes{Epoch: e, Bytes: osdMapBytes(e)})
			}
		}
		f.subs[conn] = uint64(f.c.epoch) + 1
		_ = conn.Send(m.Message())
	}
}

// Lives of tickets, in virtual time.
const (
	loginLife  = 60 * time.Second
	ticketLife = 20 * time.Second
)

// mons is how many monitors a sim has; node mons is the client.
const mons = 3

// sim is a cluster of monitors with one client, in virtual time.
type sim struct {
	*asynctest.Cluster
	fakeCluster
	t     *testing.T
	fakes [mons]*fakeMon
	x     *cephx.Client
	c     *Client
}

// keys are the keyrings of the monitors and of the client.
func keys(t *testing.T, clientKey byte) (*cephx.Keyring, cephx.Key) {
	var b strings.Builder
	for _, name := range []string{"mon.", "client.admin"} {
		k, err := cephx.NewKey(cephx.TypeAES256K, []byte(fmt.Sprintf("%32s", name)))
		require.NoError(t, err)
		fmt.Fprintf(&b, "[%s]\nkey = %s\n", name, base64.StdEncoding.EncodeToString(k.Append(nil)))
	}
	ring, err := cephx.ReadKeyring(strings.NewReader(b.String()))
	require.NoError(t, err)
	own := []byte(fmt.Sprintf("%32s", "client.admin"))
	own[0] += clientKey
	key, err := cephx.NewKey(cephx.TypeAES256K, own)
	require.NoError(t, err)
	return ring, key
}

// newSim makes a cluster; wrong says that the client's key is another one.
func newSim(t *testing.T, seed uint64, cfg Config, wrong bool, more func(*async.Config)) *sim {
	s := &sim{t: t}
	s.fakeCluster = fakeCluster{monMap: wire.MonMap{FSID: wire.UUID{1, 2, 3}, Epoch: 1}, epoch: 1}
	clientKey := byte(0)
	if wrong {
		clientKey = 1
	}
	ring, key := keys(t, clientKey)
	random := rand.NewChaCha8([32]byte{byte(seed)})
	var monitor *cephx.Monitor
	opt := asynctest.Options{Seed: seed, N: mons + 1, SameNonce: true, Policy: msg.StatelessServer(),
		Client: func(i int) bool { return i == mons },
		Name: func(i int) entity.Name {
			if i == mons {
				return entity.Client(entity.NumNew)
			}
			return entity.Mon(int64(i))
		}}
	opt.Config = func(i int, ac *async.Config) {
		now := ac.Stack.Clock().Wall
		var err error
		if i == mons {
			s.x, err = cephx.NewClient(cephx.ClientConfig{Name: entity.AuthName{Type: entity.TypeClient, ID: "admin"},
				Key: key, Services: []entity.Type{entity.TypeOSD}, Rand: random, Now: now})
			ac.AuthClient = s.x
			if more != nil {
				more(ac)
			}
		} else {
			monitor, err = cephx.NewMonitor(cephx.MonitorConfig{Keyring: ring, LoginLife: loginLife,
				TicketLife: ticketLife, Rand: random, Now: now})
			ac.AuthServer = monitor
		}
		require.NoError(t, err)
	}
	opt.Setup = func(n *asynctest.Node) {
		if n.Index == mons {
			return
		}
		tickets.Serve(n.Messenger, monitor)
		f := &fakeMon{c: &s.fakeCluster, subs: map[msg.Connection]uint64{}}
		s.fakes[n.Index] = f
		n.AddDispatcherHead(f)
	}
	s.Cluster = asynctest.NewCluster(t, opt)
	for i := range mons {
		cfg.Mons = append(cfg.Mons, s.Nodes[i].Addrs())
		s.monMap.Mons = append(s.monMap.Mons, wire.MonInfo{Name: fmt.Sprint(i), Addrs: s.Nodes[i].Addrs()})
	}
	cfg.Cephx = s.x
	c, err := New(s.Nodes[mons].Messenger, cfg)
	require.NoError(t, err)
	s.c = c
	return s
}

func (s *sim) up() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.c.state.up
}

// at is the number of the monitor that the client has a session with; -1: none.
func (s *sim) at() int {
	conn := s.c.Mon()
	for i := range mons {
		if conn != nil && conn.PeerAddrs().Equal(s.Nodes[i].Addrs()) {
			return i
		}
	}
	return -1
}
