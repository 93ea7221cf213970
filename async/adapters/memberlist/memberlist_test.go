package memberlistmsgr

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/adapters/peer/peertest"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { peertest.Main(m) }

// member is a node of a cluster, with what was sent to it.
type member struct {
	*memberlist.Memberlist
	m *async.Messenger
	t *Transport

	mu   sync.Mutex
	sent []string
}

func (m *member) NodeMeta(int) []byte             { return nil }
func (m *member) GetBroadcasts(int, int) [][]byte { return nil }
func (m *member) LocalState(bool) []byte          { return nil }
func (m *member) MergeRemoteState([]byte, bool)   {}
func (m *member) NotifyMsg(b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent = append(m.sent, string(b))
}

func (m *member) has(text string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.sent {
		if s == text {
			return true
		}
	}
	return false
}

func join(t *testing.T, id int64, at string, with ...string) *member {
	t.Helper()
	x := &member{m: peertest.Messenger(t, id, at)}
	var err error
	x.t, err = New(x.m, Options{})
	require.NoError(t, err)
	require.NoError(t, x.m.Start())
	conf := memberlist.DefaultLocalConfig()
	conf.Name, conf.Transport, conf.Delegate = fmt.Sprint("n", id), x.t, x
	conf.AdvertisePort, conf.Logger = x.t.peers.Addr().Port, log.New(io.Discard, "", 0)
	conf.ProbeInterval, conf.ProbeTimeout = 100*time.Millisecond, 50*time.Millisecond
	conf.GossipInterval = 20 * time.Millisecond
	x.Memberlist, err = memberlist.Create(conf)
	require.NoError(t, err)
	if len(with) > 0 {
		n, err := x.Join(with)
		require.NoError(t, err)
		require.Equal(t, len(with), n)
	}
	return x
}

func (m *member) addr() string { return m.t.peers.Addr().String() }

// stop ends a node without a word, as its process would end.
func (m *member) stop(t *testing.T) {
	require.NoError(t, m.Shutdown())
	require.NoError(t, m.m.Shutdown(context.Background()))
}

// TestCluster: three find each other, one disappears and is missed, and comes back at the
// same place.
func TestCluster(t *testing.T) {
	a := join(t, 1, "127.0.0.1:0")
	defer a.stop(t)
	b := join(t, 2, "127.0.0.1:0", a.addr())
	defer b.stop(t)
	c := join(t, 3, "127.0.0.1:0", a.addr())
	all := func(n int, of ...*member) {
		peertest.Until(t, fmt.Sprint(n, " members"), func() bool {
			for _, m := range of {
				if m.NumMembers() != n {
					return false
				}
			}
			return true
		})
	}
	all(3, a, b, c)
	large := string(bytes.Repeat([]byte("x"), 100<<10)) // no datagram
	for _, n := range a.Members() {
		require.NoError(t, a.SendBestEffort(n, []byte("packet")))
		require.NoError(t, a.SendBestEffort(n, []byte(large)))
		require.NoError(t, a.SendReliable(n, []byte("stream")))
	}
	for _, m := range []*member{b, c} {
		peertest.Until(t, "messages", func() bool { return m.has("packet") && m.has(large) && m.has("stream") })
	}
	at := c.addr()
	c.stop(t)
	all(2, a, b)
	c = join(t, 3, at, b.addr())
	defer c.stop(t)
	all(3, a, b, c)
	require.NoError(t, c.Leave(5*time.Second))
	all(2, a, b)
}

// TestBadInput: what is no packet is dropped, and said; so is what nobody takes, and counted.
func TestBadInput(t *testing.T) {
	var logs logbook
	m := peertest.Messenger(t, 1, "127.0.0.1:0")
	x, err := New(m, Options{PacketQueue: 2, Logger: slog.New(slog.NewTextHandler(&logs, nil))})
	require.NoError(t, err)
	require.NoError(t, m.Start())
	other := peertest.Messenger(t, 2, "127.0.0.1:0")
	y, err := New(other, Options{})
	require.NoError(t, err)
	require.NoError(t, other.Start())
	for i, bad := range []*msg.Message{
		{Type: typePacket},
		{Type: typePacket, Front: []byte("x"), Data: []byte("y")},
		{Type: typePacket, Middle: []byte("x")},
	} {
		require.NoError(t, other.SendTo(bad, entity.TypeOSD, m.Addrs()))
		peertest.Until(t, "said", func() bool { return logs.count("a packet that is none") == i+1 })
	}
	for i := range 5 {
		_, err := y.WriteTo([]byte{byte(i)}, x.peers.Addr().String())
		require.NoError(t, err)
	}
	peertest.Until(t, "dropped", func() bool { return x.Dropped() == 3 })
	require.Equal(t, []byte{0}, (<-x.PacketCh()).Buf)
	p := <-x.PacketCh()
	require.Equal(t, []byte{1}, p.Buf)
	require.Equal(t, y.peers.Addr().String(), p.From.String(), "it is where it can be answered")
	require.NoError(t, x.Shutdown())
	require.NoError(t, x.Shutdown(), "twice")
	require.NoError(t, y.Shutdown())
}

// TestAddresses: a peer that is not there fails a dial at once, a name is looked up, and
// what is no address is an error.
func TestAddresses(t *testing.T) {
	m := peertest.Messenger(t, 1, "127.0.0.1:0")
	x, err := New(m, Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, x.Shutdown()) }()
	require.NoError(t, m.Start())
	var failed *msg.ConnectError
	_, err = x.DialTimeout("127.0.0.1:1", time.Hour)
	require.ErrorAs(t, err, &failed)
	_, err = x.DialTimeout("localhost:1", time.Hour)
	require.ErrorAs(t, err, &failed)
	_, err = x.WriteTo([]byte("x"), "nowhere")
	require.Error(t, err)
	for in, want := range map[string]string{"": "127.0.0.1", "10.0.0.7": "10.0.0.7"} {
		ip, port, err := x.FinalAdvertiseAddr(in, 7)
		require.NoError(t, err)
		require.Equal(t, want, ip.String())
		require.Equal(t, map[bool]int{true: x.peers.Addr().Port, false: 7}[in == ""], port)
	}
	_, _, err = x.FinalAdvertiseAddr("ten", 7)
	require.Error(t, err)
	_, err = New(m, Options{})
	require.ErrorIs(t, err, msg.ErrTypesTaken, "a messenger has one")
}

// logbook is a log that can be searched.
type logbook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logbook) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.b.Bytes(), []byte(text))
}
