//go:build linux

package threadpipe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest/faultkit"
	"github.com/asyncmsgr/asyncmsgr/async/denc"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/interop"
	"github.com/asyncmsgr/asyncmsgr/async/mon/wire"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// The tests of this file talk to a real ceph-mon; see docs/TESTING.md for what they
// need and when they are skipped.

func monAddrs(a netip.AddrPort) entity.AddrVec {
	return entity.AddrVec{{Type: entity.AddrMsgr2, AddrPort: a}}
}

// newMonPeer is a started messenger that talks to a monitor, and what it receives.
func newMonPeer(t *testing.T, threads bool, name entity.Name, p msg.Policy) (*Messenger, inbox) {
	m, err := New(Config{
		Name: name, Threads: threads,
		InitialBackoff: 20 * time.Millisecond, MaxBackoff: 200 * time.Millisecond,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Shutdown(within(t))) })
	m.SetDefaultPolicy(p)
	in := newInbox()
	m.AddDispatcherTail(in)
	require.NoError(t, m.Start())
	return m, in
}

// wantType is the next message of a type; what a monitor sends on its own is
// passed over.
func (b inbox) wantType(t *testing.T, typ uint16) *msg.Message {
	t.Helper()
	for {
		if m := b.want(t); m.Type == typ {
			return m
		}
	}
}

// TestClientOfMon is a lossy client of a monitor, as Ceph's own clients are: it
// pings, and asks for the monitor map.
func TestClientOfMon(t *testing.T) {
	mon := interop.StartMon(t, interop.MonOptions{})
	flavours(t, func(t *testing.T, threads bool) {
		m, in := newMonPeer(t, threads, entity.Client(entity.NumNew), msg.LossyClient())
		c, err := m.ConnectTo(entity.TypeMon, monAddrs(mon.Addr))
		require.NoError(t, err)
		c.SendKeepalive()
		require.NoError(t, c.Send(&msg.Message{Type: msg.TypePing, Version: 1}))
		pong := in.wantType(t, msg.TypePing)
		r := denc.NewReader(pong.Front)
		text := r.BL()
		require.NoError(t, r.End())
		var status struct {
			MonStatus struct{ Name, State string } `json:"mon_status"`
		}
		require.NoError(t, json.Unmarshal(text, &status))
		require.Equal(t, "a", status.MonStatus.Name)
		require.Equal(t, "leader", status.MonStatus.State)
		require.Equal(t, uint8(msg.PriorityHigh), pong.Priority)
		require.Equal(t, entity.Mon(0), pong.Source())
		require.False(t, c.LastKeepaliveAck().IsZero(), "it was answered before the ping")

		require.NoError(t, c.Send(&msg.Message{Type: msg.TypeMonGetMap, Version: 1}))
		got, err := wire.ParseMonMap(in.wantType(t, msg.TypeMonMap).Front)
		require.NoError(t, err)
		require.Equal(t, []wire.MonInfo{{Name: "a", Addrs: monAddrs(mon.Addr)}}, got.Mons)
		require.True(t, c.IsConnected())
		require.True(t, c.Policy().Lossy)
		require.Equal(t, msg.FeaturesAll, c.Features())
		require.NotZero(t, m.GlobalID())
		require.Zero(t, c.PeerGlobalID(), "a monitor has none")
		require.Empty(t, in.resets)
	})
}

// TestLosslessWithMon: a monitor keeps a lossless session with whoever says that
// it is a monitor too. The connections are cut at many bytes of the handshake and
// of the messages, in both directions; every question is answered once, in order.
func TestLosslessWithMon(t *testing.T) {
	flavours(t, func(t *testing.T, threads bool) {
		mon := interop.StartMon(t, interop.MonOptions{Behind: true})
		proxy := faultkit.StartProxy(t, mon.Addr, mon.Bind)
		proxy.Plan(func(n int) (up, down int64) {
			switch {
			case n%5 == 4: // within the handshake, which has about 400 bytes up
				return 9 * int64(n) % 400, -1
			case n%2 == 0:
				return 1500 + 37*int64(n), 3000
			default:
				return 4000, 600 + 41*int64(n)
			}
		})
		// It does not listen: the monitor cannot call back.
		m, in := newMonPeer(t, threads, entity.Mon(7), msg.LosslessClient())
		c, err := m.ConnectTo(entity.TypeMon, monAddrs(mon.Addr))
		require.NoError(t, err)
		const questions = 300
		for i := range questions {
			q := wire.GetVersion(uint64(i), "monmap")
			if i%2 == 1 {
				q = &msg.Message{Type: msg.TypeMonGetMap, Version: 1}
			}
			require.NoError(t, c.Send(q))
		}
		var monmap []byte
		for i := range questions {
			if i%2 == 1 {
				front := in.wantOf(t, i, msg.TypeMonMap).Front
				if monmap == nil {
					monmap = bytes.Clone(front)
				}
				require.Equal(t, monmap, front, "question %d", i)
				continue
			}
			handle, _, _, err := wire.ParseGetVersionReply(in.wantOf(t, i, msg.TypeMonGetVersionReply).Front)
			require.NoError(t, err)
			require.EqualValues(t, i, handle)
		}
		s := m.Stats()
		t.Logf("%d cuts, %d messages sent again", proxy.Cuts(), s.Replayed)
		require.Greater(t, proxy.Cuts(), 10)
		require.Positive(t, s.Replayed)
		require.Empty(t, in.resets)
		require.Zero(t, s.RemoteResets)
	})
}

// wantOf is the answer to question i, which must be of that type: no other answer
// may come before it.
func (b inbox) wantOf(t *testing.T, i int, typ uint16) *msg.Message {
	t.Helper()
	for {
		m := b.want(t)
		if m.Type == msg.TypeMonMap || m.Type == msg.TypeMonGetVersionReply {
			require.Equal(t, typ, m.Type, fmt.Sprintf("the answer to question %d", i))
			return m
		}
	}
}
