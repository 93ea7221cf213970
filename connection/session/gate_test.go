package session

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// TestGatePauses: nothing of a message is read before the gate lets it in.
func TestGatePauses(t *testing.T) {
	l := readyConnector(t, msg.LosslessPeer())
	l.c.held = true
	b := append(l.encodeMsg(1, 0), l.encodeMsg(2, 0)...)
	n := l.s.HandleBytes(0, b)
	require.Equal(t, frame.PreambleLen, n)
	require.True(t, l.s.Paused())
	require.Nil(t, l.s.ReadInto())
	require.Zero(t, l.s.HandleBytes(0, b[n:]))
	l.s.Resume(0) // before anything was granted this would be the shell's error; after:
	l.c.waiting, l.c.held = false, false
	l.c.admitted++
	require.Equal(t, len(b)-n, l.s.HandleBytes(0, b[n:]))
	l.settle()
	require.Equal(t, []uint64{1, 2}, l.c.got)
	require.Zero(t, l.c.admitted)
	l.s.Resume(0) // not paused: nothing
	require.Empty(t, l.c.faults)
}

// TestFaultAtEveryByte: whatever was taken for a message goes back exactly once,
// whether it waited, was half read, or was complete.
func TestFaultAtEveryByte(t *testing.T) {
	size := len(readyConnector(t, msg.LosslessPeer()).encodeMsg(1, 0))
	for _, end := range []string{"fault", "markdown", "timeout", "takeover"} {
		for _, held := range []bool{false, true} {
			for off := range size + 1 {
				l := readyAcceptor(t, msg.LosslessPeer())
				l.c.held = held
				l.s.HandleBytes(0, l.encodeMsg(1, 0)[:off])
				switch end {
				case "fault":
					l.fault()
				case "markdown":
					l.c.markDown()
				case "timeout":
					l.s.Fault(0, ErrIdleTimeout)
				case "takeover":
					// The peer comes back on another connection.
					in := l.n.newConn()
					in.s = NewAcceptor(&l.n.cfg, l.n, in, nil, nil)
					m := &lab{t: t, w: l.w, n: l.n, c: in, s: in.s}
					in.end = &wireEnd{w: &wire{}}
					in.end.w.ends = [2]*wireEnd{in.end, in.end}
					m.up().drive(StateSessionAccepting)
					in.end = &wireEnd{w: &wire{}}
					in.end.w.ends = [2]*wireEnd{in.end, in.end}
					m.s.HandleBytes(0, m.encode(&frame.SessionReconnect{Addrs: clientIdent(0, 0).Addrs,
						ClientCookie: l.s.id.clientCookie, ServerCookie: l.s.id.serverCookie,
						GlobalSeq: 5, ConnectSeq: 1}))
					in.settle()
					require.Equal(t, ActReplace, l.n.verdicts[len(l.n.verdicts)-1])
				}
				l.c.settle()
				name := fmt.Sprintf("%s held=%t off=%d", end, held, off)
				require.Zero(t, l.c.admitted, name)
				require.False(t, l.c.waiting, name)
				require.False(t, l.s.Paused(), name)
				l.s.MarkDown(nil) // nothing is given back twice
				require.Zero(t, l.c.admitted, name)
			}
		}
	}
}

// TestMarkDownEverywhere: in every state everything queued is finished with the
// reason, once, the transport is closed, and nothing comes after OutClosed.
func TestMarkDownEverywhere(t *testing.T) {
	for _, st := range States() {
		if st == StateClosed {
			continue
		}
		for role, l := range inState(t, st) {
			name := fmt.Sprint(st, " ", role)
			before := len(l.c.done)
			if st == StateReady {
				l.c.end = nil
			}
			unfinished := l.s.Pending() + l.s.Unacked()
			wasUp := l.s.stream.up || st == StateConnecting
			if role == "connector" {
				l.s.box.queue.push(message(77, 127, 0, 0, 0))
				unfinished++
			}
			l.s.MarkDown(msg.ErrMarkedDown)
			var kinds []OutputKind
			for o, ok := l.s.NextOutput(); ok; o, ok = l.s.NextOutput() {
				kinds = append(kinds, o.Kind)
				if o.Kind == OutFinish {
					l.c.finish(o.Msg, o.Err)
				}
				if o.Kind == OutClosed {
					require.NoError(t, o.Err, name)
				}
			}
			require.Equal(t, OutClosed, kinds[len(kinds)-1], name)
			require.Equal(t, wasUp, kinds[0] == OutCloseTransport, name)
			require.Len(t, l.c.done, before+unfinished, name)
			if role == "connector" {
				require.ErrorIs(t, l.c.done[77], msg.ErrMarkedDown)
			}
			require.Equal(t, StateClosed, l.s.State())
			_, ok := l.s.Deadline()
			require.False(t, ok, name)

			// It stays closed, whatever comes.
			l.s.MarkDown(errCut)
			l.s.HandleTransportDown(0, errCut)
			l.s.Fault(0, errCut)
			l.s.HandleTimeout(1 << 40)
			l.s.Keepalive(0)
			l.s.Start(0)
			l.s.Resume(0)
			l.s.stopReplaced()
			require.Zero(t, l.s.HandleBytes(0, l.encode(&frame.Ack{Seq: 1})))
			require.False(t, l.s.WantsWrite())
			b := new(frame.Batch)
			require.False(t, l.s.Fill(0, b, 1<<20))
			require.Zero(t, b.Len())
			_, ok = l.s.NextOutput()
			require.False(t, ok, name)
			m := message(78, 127, 0, 0, 0)
			l.s.Send(0, m)
			o, _ := l.s.NextOutput()
			require.Equal(t, Output{Kind: OutFinish, Msg: m, Err: msg.ErrClosed}, o, "what is sent too late comes back")
		}
	}
}
