//go:build linux

package interop

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest/faultkit"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/mon/wire"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// A monitor keeps a lossless session with whoever says that it is a monitor
// too. These tests are such a peer and cut its connections.

// peer is a messenger that says it is monitor 7.
func peer(t *testing.T, bind bool, policy msg.Policy) (*async.Messenger, *inbox) {
	t.Helper()
	box := newInbox()
	m := newMessenger(t, async.Config{Name: entity.Mon(7)}, policy)
	m.AddDispatcherTail(box)
	if bind {
		require.NoError(t, m.Bind(FreeAddr(t)))
	}
	require.NoError(t, m.Start())
	return m, box
}

// ask sends the i-th question: by turns for the version of a map, which says
// which answer belongs to it, and for the monitor map, whose bodies must be equal.
func ask(t *testing.T, conn msg.Connection, i int) {
	t.Helper()
	q := wire.GetVersion(uint64(i), "monmap")
	if i%2 == 1 {
		q = &msg.Message{Type: msg.TypeMonGetMap, Version: 1}
	}
	require.NoError(t, conn.Send(q))
}

// answers collects the answers to the questions from..to-1, in their order, once
// each.
func answers(t *testing.T, box *inbox, from, to int) (monmap []byte) {
	t.Helper()
	deadline := time.After(patience)
	for i := from; i < to; {
		var m *msg.Message
		select {
		case m = <-box.messages:
		case <-deadline:
			require.FailNow(t, "answers are missing", "%d of %d came", i-from, to-from)
		}
		switch m.Type {
		case msg.TypeMonMap:
			require.Equal(t, 1, i%2, "an answer to question %d is missing", i)
			if monmap == nil {
				monmap = bytes.Clone(m.Front)
				_, err := wire.ParseMonMap(monmap)
				require.NoError(t, err)
			}
			require.Equal(t, monmap, m.Front, "question %d", i)
		case msg.TypeMonGetVersionReply:
			handle, _, _, err := wire.ParseGetVersionReply(m.Front)
			require.NoError(t, err)
			require.Equal(t, uint64(i), handle)
		default:
			continue // what monitors tell each other
		}
		i++
	}
	return monmap
}

// TestLosslessWeReconnect is a peer that the monitor cannot call back, for it
// does not listen. Its connections are cut with a reset at many points of the
// handshake and of the messages, in both directions; it reconnects, and every
// question is answered once, in order. Its policy has no standby: a peer on
// standby would wait for a call that never comes once all it sent is
// acknowledged.
func TestLosslessWeReconnect(t *testing.T) {
	mon := StartMon(t, MonOptions{Behind: true})
	proxy := faultkit.StartProxy(t, mon.Addr, mon.Bind)
	proxy.Record()
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
	m, box := peer(t, false, msg.LosslessClient())
	conn, err := m.ConnectTo(entity.TypeMon, peerOf(mon.Addr))
	require.NoError(t, err)
	const questions = 600
	for i := range questions {
		ask(t, conn, i)
	}
	answers(t, box, 0, questions)
	require.Empty(t, box.resets)
	require.Empty(t, box.lost)
	require.Greater(t, proxy.Accepted(), 10)

	up, down := map[frame.Tag]int{}, map[frame.Tag]int{}
	cuts := proxy.Cuts()
	var lastGlobalSeq uint64
	for _, s := range proxy.Recorded() {
		sent, received := framesOf(s.Up), framesOf(s.Down)
		for _, f := range sent {
			up[f.tag]++
		}
		for _, f := range received {
			down[f.tag]++
		}
		reconnects, retries := ofTag(sent, frame.TagSessionReconnect), ofTag(received, frame.TagSessionRetry)
		for i, f := range reconnects {
			// The last five fields: cookies, global_seq, connect_seq, msg_seq.
			globalSeq, connectSeq := le.Uint64(f.payload[len(f.payload)-24:]), le.Uint64(f.payload[len(f.payload)-16:])
			if i == 0 {
				require.Greater(t, globalSeq, lastGlobalSeq, "a new one for every connection")
				lastGlobalSeq = globalSeq
				continue
			}
			require.LessOrEqual(t, i, len(retries), "SESSION_RECONNECT without being asked")
			require.Equal(t, le.Uint64(retries[i-1].payload)+1, connectSeq, "the answer to SESSION_RETRY")
		}
	}
	t.Logf("%d cuts, %d messages sent again; up %v; down %v", cuts, m.Stats().Replayed, up, down)
	require.Equal(t, 1, down[frame.TagServerIdent], "the session was made once")
	require.Positive(t, up[frame.TagSessionReconnect])
	require.Positive(t, down[frame.TagSessionReconnectOK])
	require.Positive(t, down[frame.TagSessionRetry])
	require.Zero(t, down[frame.TagSessionReset])
	require.GreaterOrEqual(t, down[frame.TagMessage], questions)
	require.Positive(t, m.Stats().Replayed)
}

// TestLosslessMonCallsBack cuts the connection in the middle of an answer and
// lets nothing through that we dial: the monitor, which has something that we
// did not get, has to dial us and to send it again.
func TestLosslessMonCallsBack(t *testing.T) {
	mon := StartMon(t, MonOptions{Behind: true})
	proxy := faultkit.StartProxy(t, mon.Addr, mon.Bind)
	proxy.Plan(func(int) (up, down int64) { return -1, 9999 })
	m, box := peer(t, true, msg.LosslessPeer())
	conn, err := m.ConnectTo(entity.TypeMon, peerOf(mon.Addr))
	require.NoError(t, err)
	ask(t, conn, 0)
	answers(t, box, 0, 1)
	require.Empty(t, box.accepts)

	const questions = 200 // about 36 kB of answers
	proxy.Refuse()
	for i := 1; i < questions; i++ {
		ask(t, conn, i)
	}
	answers(t, box, 1, questions)
	require.Equal(t, conn, receive(t, box.accepts, "the accept event"), "the connection stays the same object")
	require.Equal(t, 1, proxy.Accepted())
	require.Equal(t, 1, proxy.Cuts())
	require.Empty(t, box.resets)
	require.Empty(t, box.lost)
}

// TestLosslessWithAFailingMon has the monitor itself cut one of a hundred socket
// operations, while each side can reach the other.
func TestLosslessWithAFailingMon(t *testing.T) {
	mon := StartMon(t, MonOptions{Global: "ms inject socket failures = 100"})
	m, box := peer(t, true, msg.LosslessPeer())
	conn, err := m.ConnectTo(entity.TypeMon, peerOf(mon.Addr))
	require.NoError(t, err)
	const questions = 2000
	for i := range questions {
		ask(t, conn, i)
	}
	answers(t, box, 0, questions)
	require.Empty(t, box.resets)
	require.Empty(t, box.lost)
	t.Logf("%d sessions by us, %d by the monitor", len(box.connects), len(box.accepts))
	require.Greater(t, len(box.connects)+len(box.accepts), 1)
}

// TestLosslessMonForgets kills the monitor and starts it again. It has lost its
// side of the session and says so: we hear of it once, what was under way is
// reported lost, and the same connection goes on with a new session.
func TestLosslessMonForgets(t *testing.T) {
	mon := StartMon(t, MonOptions{Behind: true})
	proxy := faultkit.StartProxy(t, mon.Addr, mon.Bind)
	m, box := peer(t, true, msg.LosslessPeerReuse())
	conn, err := m.ConnectTo(entity.TypeMon, peerOf(mon.Addr))
	require.NoError(t, err)
	const questions = 20
	for i := range questions {
		ask(t, conn, i)
	}
	answers(t, box, 0, questions)
	// A monitor drops all connections once more when it has found its rank: it is
	// reachable again after that.
	proxy.Refuse()
	mon.Kill()
	for i := range questions { // to nobody
		ask(t, conn, i)
	}
	mon.Start()
	proxy.Accept()

	for range questions + 1 { // every question, and the event
		require.ErrorIs(t, receive(t, box.lost, "word of a loss"), msg.ErrRemoteReset)
	}
	require.Empty(t, box.lost)
	for i := range questions {
		ask(t, conn, i)
	}
	answers(t, box, 0, questions)
	require.Empty(t, box.resets)
	require.Equal(t, uint64(1), m.Stats().RemoteResets)
}
