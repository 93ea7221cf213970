package session

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// invariants hold between any two calls into the session: of each of its states, and of
// what they have to do with each other.
func (s *Session) invariants() error {
	for _, err := range []error{
		s.stream.invariants(), s.num.invariants(), s.id.invariants(),
		s.box.invariants(), s.acks.invariants(), s.ka.invariants(),
	} {
		if err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	switch n := s.box.sent.len(); {
	case s.state == StateReady && !s.stream.up:
		return fmt.Errorf("%s: READY without a transport", s)
	case n > 0 && s.box.sent.at(n-1).seq > s.num.out:
		return fmt.Errorf("%s: seq %d was sent", s, s.box.sent.at(n-1).seq)
	case n > 0 && !s.policy.Lossy && s.box.sent.at(0).seq <= s.num.acked:
		return fmt.Errorf("%s: seq %d is kept, acknowledged was %d", s, s.box.sent.at(0).seq, s.num.acked)
	case s.ka.sent != 0 && s.state != StateReady:
		return fmt.Errorf("%s: a KEEPALIVE2 is unanswered", s)
	case s.state == StateClosed && s.announced && (s.box.queue.n > 0 || n > 0):
		return fmt.Errorf("%s: closed, and not empty", s)
	}
	return nil
}

func (x *stream) invariants() error {
	switch {
	case x.written > x.encoded:
		return fmt.Errorf("%d bytes written of %d", x.written, x.encoded)
	case !x.up && (x.hs != nil || x.paused || x.again || x.full || x.encoded != 0 || x.body != nil || x.charged >= 0):
		return fmt.Errorf("something is left of a transport: %+v", *x)
	}
	return nil
}

// TestStreamReset: nothing of one transport is left for the next.
func TestStreamReset(t *testing.T) {
	l := readyConnector(t, msg.LosslessPeer())
	l.n.limit = 0 // the message waits for the gate
	b := l.encodeMsg(1, 0)
	l.bytes(b[:frame.PreambleLen])
	x := l.s.stream
	require.True(t, x.up && x.encoded > 0)
	x.abandon(l.c)
	x.reset(l.n.cfg.Limits)
	require.NoError(t, x.invariants())
	var fresh stream
	fresh.reset(l.n.cfg.Limits)
	require.Equal(t, fresh, x)
}

// dry is a cipher that has no nonces left.
type dry struct{}

func (dry) Seal(_, _ []byte) []byte          { return nil }
func (dry) Open(_, _ []byte) ([]byte, error) { return nil, frame.ErrOutOfNonces }
func (dry) Overhead() int                    { return 16 }

// TestNothingIsEncoded: should the cipher have no nonces left, that is this side's fault:
// nothing of it is written, and what was to be sent goes over the next transport.
func TestNothingIsEncoded(t *testing.T) {
	l := readyConnector(t, msg.LosslessPeer())
	l.s.stream.enc.SetCipher(dry{})
	l.out = nil
	l.send(1, 127)
	require.Empty(t, l.out)
	var own *OwnError
	require.ErrorAs(t, l.lastFault(), &own)
	require.NotErrorIs(t, l.lastFault(), ErrProtocol)
	require.ErrorIs(t, l.lastFault(), frame.ErrOutOfNonces)
	require.Equal(t, StateReady, own.State)
	l.drive(StateSessionReconnecting)
	want[frame.SessionReconnect](l)
	l.say(&frame.SessionReconnectOK{})
	require.Equal(t, uint64(1), want[frame.Header](l).Seq)
}
