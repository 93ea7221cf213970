package session

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

const tracing = msg.FeaturesAll | msg.FeatureTraceContext

// traced is a lab with a session in which each side offers those features.
func traced(t *testing.T, ours, theirs uint64) *lab {
	p := msg.LosslessPeer()
	p.FeaturesSupported = ours
	l := connector(t, p).drive(StateSessionConnecting)
	want[frame.ClientIdent](l)
	si := serverIdent(0, 0xbeef)
	si.FeaturesSupported = theirs
	return l.say(si)
}

// sendTraced sends a message with that context, and returns the bytes.
func (l *lab) sendTraced(context string, middle string) []byte {
	m := &msg.Message{
		TID: 7, Type: 1, Front: []byte("front"), Middle: []byte(middle), Priority: 127, TraceContext: context,
	}
	require.NoError(l.t, msg.Take(m))
	l.s.Send(l.w.now, m)
	l.settle()
	return slices.Clone(l.out[l.skip:])
}

// delivered gives a message to the session, and returns what it delivers.
func (l *lab) delivered(seq uint64, reserved uint16, middle []byte) *msg.Message {
	b := new(frame.Batch)
	l.enc.AppendMessage(b, &frame.Header{Seq: seq, TID: seq, Type: 1, Priority: 127, Reserved: reserved},
		[]byte("front"), middle, nil)
	for bytes := b.AppendTo(nil); len(bytes) > 0; {
		n := l.s.HandleBytes(l.w.now, bytes)
		bytes = bytes[n:]
		if n == 0 {
			break
		}
	}
	for o, ok := l.s.NextOutput(); ok; o, ok = l.s.NextOutput() {
		switch o.Kind {
		case OutDeliver:
			return o.Msg
		case OutFault:
			l.c.faults = append(l.c.faults, o.Err)
		}
	}
	return nil
}

// TestTraceContextOnTheWire: it is there if both sides offer it, and else not a byte is other than
// without it. What the header says of it is ignored unless it was negotiated.
func TestTraceContextOnTheWire(t *testing.T) {
	for _, x := range []struct {
		ours, theirs uint64
		carried      bool
	}{
		{tracing, tracing, true},
		{tracing, msg.FeaturesAll, false},
		{msg.FeaturesAll, tracing, false},
		{0, msg.FeaturesAll, false},
	} {
		plain := traced(t, x.ours, x.theirs).sendTraced("", "middle")
		l := traced(t, x.ours, x.theirs)
		require.Equal(t, x.carried, l.s.Features()&msg.FeatureTraceContext != 0)
		got := l.sendTraced("which trace", "middle")
		require.Equal(t, !x.carried, slices.Equal(plain, got))
		h := want[frame.Header](l)
		_, middle, _ := l.dec.Segments()
		if x.carried {
			require.Equal(t, frame.HasTraceContext, h.Reserved)
			require.Equal(t, "\x0bwhich tracemiddle", string(middle))
		} else {
			require.Zero(t, h.Reserved)
			require.Equal(t, "middle", string(middle))
		}

		m := l.delivered(1, 0, []byte("\x05abcdefg"))
		require.Equal(t, "\x05abcdefg", string(m.Middle))
		require.Empty(t, m.TraceContext)
		m = l.delivered(2, frame.HasTraceContext, []byte("\x05abcdefg"))
		if x.carried {
			require.Equal(t, "fg", string(m.Middle))
			require.Equal(t, "abcde", m.TraceContext)
		} else {
			require.Equal(t, "\x05abcdefg", string(m.Middle))
			require.Empty(t, m.TraceContext)
		}
		require.Equal(t, "front", string(m.Front))
	}
}

// TestTraceContextMalformed: one that is longer than its segment is an error of the peer, and its
// message is neither delivered nor acknowledged.
func TestTraceContextMalformed(t *testing.T) {
	for _, middle := range []string{"", "\x01", "\x05abcd", "\xff"} {
		l := traced(t, tracing, tracing)
		require.Nil(t, l.delivered(1, frame.HasTraceContext, []byte(middle)), "%q", middle)
		require.ErrorIs(t, l.lastFault(), ErrProtocol)
		require.ErrorContains(t, l.lastFault(), "trace context")
		require.Zero(t, l.s.num.in.Seq)
	}
}

// TestTraceContextOtherProcess: what was queued, or sent and not acknowledged, for a peer with the
// feature goes without it to the one without it that stands there afterwards.
func TestTraceContextOtherProcess(t *testing.T) {
	l := traced(t, tracing, tracing)
	l.sendTraced("which trace", "middle")
	require.Equal(t, frame.HasTraceContext, want[frame.Header](l).Reserved)
	l.fault()
	l.drive(StateSessionReconnecting)
	want[frame.SessionReconnect](l)
	l.say(&frame.SessionReset{}) // which keeps the queue
	want[frame.ClientIdent](l)
	l.say(serverIdent(0, 0xbeef))
	require.Equal(t, StateReady, l.s.State())
	require.Zero(t, want[frame.Header](l).Reserved)
	_, middle, _ := l.dec.Segments()
	require.Equal(t, "middle", string(middle))
	// And back.
	l.fault()
	l.drive(StateSessionReconnecting)
	want[frame.SessionReconnect](l)
	l.say(&frame.SessionReset{})
	want[frame.ClientIdent](l)
	si := serverIdent(0, 0xbeef)
	si.FeaturesSupported = tracing
	l.say(si)
	require.Equal(t, frame.HasTraceContext, want[frame.Header](l).Reserved)
}
