package session

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// allowed is the protocol: which tag may arrive in which state (docs/PROTOCOL.md 3.3).
// Nothing else may.
var allowed = map[State][]frame.Tag{
	StateHelloConnecting:       {frame.TagHello},
	StateAuthConnecting:        {frame.TagAuthBadMethod, frame.TagAuthReplyMore, frame.TagAuthDone},
	StateAuthConnectingSign:    {frame.TagAuthSignature},
	StateCompressionConnecting: {frame.TagCompressionDone},
	StateCompressionAccepting:  {frame.TagCompressionRequest},
	StateSessionConnecting:     {frame.TagServerIdent, frame.TagIdentMissingFeatures, frame.TagWait},
	StateSessionReconnecting: {frame.TagSessionReconnectOK, frame.TagSessionReset, frame.TagSessionRetry,
		frame.TagSessionRetryGlobal, frame.TagWait},
	StateHelloAccepting:    {frame.TagHello},
	StateAuthAccepting:     {frame.TagAuthRequest},
	StateAuthAcceptingMore: {frame.TagAuthRequestMore},
	StateAuthAcceptingSign: {frame.TagAuthSignature},
	StateSessionAccepting:  {frame.TagClientIdent, frame.TagSessionReconnect},
	StateReady:             {frame.TagMessage, frame.TagKeepalive, frame.TagKeepaliveAck, frame.TagAck},
}

// rawFrame is a frame of any tag.
type rawFrame struct {
	tag     frame.Tag
	payload []byte
}

func (f rawFrame) Tag() frame.Tag                  { return f.tag }
func (f rawFrame) AppendPayload(dst []byte) []byte { return append(dst, f.payload...) }
func (f rawFrame) String() string                  { return f.tag.String() }

// sample is a frame of each tag that parses.
func sample(l *lab, tag frame.Tag) []byte {
	samples := []frame.Control{
		&frame.Hello{EntityType: entity.TypeOSD, PeerAddr: labSelf},
		&frame.AuthRequest{Method: 1, Modes: []uint32{1}},
		&frame.AuthBadMethod{Method: 1, Result: -95, Methods: []uint32{2}, Modes: []uint32{1}},
		&frame.AuthReplyMore{Payload: []byte("x")}, &frame.AuthRequestMore{Payload: []byte("x")},
		&frame.AuthDone{ConMode: 1}, &frame.AuthSignature{}, clientIdent(1, 2), serverIdent(0, 3),
		&frame.IdentMissingFeatures{Features: 4},
		&frame.SessionReconnect{Addrs: entity.AddrVec{labPeer}, ClientCookie: 1, ServerCookie: 2, GlobalSeq: 3,
			ConnectSeq: 4, MsgSeq: 5},
		&frame.SessionReset{Full: true}, &frame.SessionRetry{ConnectSeq: 8}, &frame.SessionRetryGlobal{GlobalSeq: 9},
		&frame.SessionReconnectOK{}, &frame.Wait{}, &frame.Keepalive{}, &frame.KeepaliveAck{}, &frame.Ack{},
		&frame.CompressionRequest{Compress: true, Methods: []uint32{1}}, &frame.CompressionDone{},
	}
	if tag == frame.TagMessage {
		return l.encodeMsg(1, 0)
	}
	for _, c := range samples {
		if c.Tag() == tag {
			return l.encode(c)
		}
	}
	return l.encode(rawFrame{tag, []byte("12345678")})
}

// inState makes a session in a state; both roles where both can be there.
func inState(t *testing.T, st State) map[string]*lab {
	c := func() *lab { return connector(t, msg.LosslessPeer()) }
	a := func() *lab { return acceptor(t, msg.LosslessPeer()) }
	switch st {
	case StateNone:
		l := newLab(t, msg.LosslessPeer())
		l.c.s = NewAcceptor(&l.n.cfg, l.n, l.c, nil, nil)
		l.s = l.c.s
		m := newLab(t, msg.LosslessPeer())
		m.c.s = NewConnector(&m.n.cfg, m.n, m.c, nil, nil, Peer{Type: entity.TypeOSD, Addrs: entity.AddrVec{labPeer}})
		m.s = m.c.s
		return map[string]*lab{"acceptor": l, "connector": m}
	case StateReady:
		return map[string]*lab{"connector": c().drive(st), "acceptor": a().drive(st)}
	case StateStandby:
		l, m := c().drive(StateReady), a().drive(StateReady)
		return map[string]*lab{"connector": l.fault(), "acceptor": m.fault()}
	case StateBackoff:
		l := c()
		l.c.send(1, 127, 0)
		l.s.HandleTransportDown(0, errCut)
		l.c.settle()
		return map[string]*lab{"connector": l}
	case StateWait:
		return map[string]*lab{"connector": c().drive(StateSessionConnecting).say(&frame.Wait{})}
	case StateClosed:
		l, m := c(), a().drive(StateReady)
		l.c.markDown()
		m.c.markDown()
		return map[string]*lab{"connector": l, "acceptor": m}
	case StateSessionReconnecting:
		l := c().drive(StateReady)
		l.c.send(1, 127, 0)
		return map[string]*lab{"connector": l.drive(st)}
	case StateAuthAcceptingMore:
		return map[string]*lab{
			"acceptor": acceptor(t, msg.LosslessPeer(), useFake(fakeAuth{rounds: 2, mode: auth.ModeCRC})).drive(st),
		}
	case StateCompressionConnecting:
		return map[string]*lab{"connector": connector(t, msg.LosslessPeer(), compressed).drive(st)}
	case StateCompressionAccepting:
		return map[string]*lab{"acceptor": acceptor(t, msg.LosslessPeer(), compressed).drive(st)}
	case StateArbitrating:
		return map[string]*lab{
			"acceptor": acceptor(t, msg.LosslessPeer(), func(n *simNode) { n.hold = true }).drive(st),
		}
	}
	if st.accepting() {
		return map[string]*lab{"acceptor": a().drive(st)}
	}
	return map[string]*lab{"connector": c().drive(st)}
}

// TestEveryStateAndTag: a tag that the table does not have is a protocol error
// and a fault, in every state and both roles; never a panic.
func TestEveryStateAndTag(t *testing.T) {
	pairs := 0
	for _, st := range States() {
		for tag := range 256 {
			tag := frame.Tag(tag)
			want := false
			for _, x := range allowed[st] {
				want = want || x == tag
			}
			require.Equal(t, want, Allowed(st, tag), "%s %s", st, tag)
			if !tag.Known() && tag != 0 && tag != 23 && tag != 99 && tag != 255 {
				continue
			}
			for role, l := range inState(t, st) {
				pairs++
				name := fmt.Sprintf("%s %s %s", st, role, tag)
				require.Equal(t, st, l.s.State(), name)
				faults := len(l.c.faults)
				b := sample(l, tag)
				if !l.s.stream.up || l.s.Paused() {
					require.Zero(t, l.s.HandleBytes(l.w.now, b), name)
					l.c.settle()
					require.Equal(t, st, l.s.State(), name)
					require.Len(t, l.c.faults, faults, name)
					continue
				}
				l.bytes(b)
				var pe *ProtocolError
				if want {
					err := l.lastFault()
					notAllowed := errors.As(err, &pe) && pe.Reason == "frame not allowed in this state"
					require.False(t, notAllowed, name)
					continue
				}
				require.Len(t, l.c.faults, faults+1, name)
				require.ErrorAs(t, l.lastFault(), &pe, name)
				require.ErrorIs(t, l.lastFault(), ErrProtocol, name)
				require.Equal(t, st, pe.State, name)
				require.False(t, l.s.stream.up, name)
				require.Contains(t,
					[]State{StateClosed, StateBackoff, StateStandby, StateConnecting}, l.s.State(), name)
			}
		}
	}
	require.GreaterOrEqual(t, pairs, 20*26)
	t.Logf("%d pairs", pairs)
}

// TestTwice: what may come once only.
func TestTwice(t *testing.T) {
	for _, tc := range []struct {
		st  State
		tag frame.Tag
	}{{StateAuthConnecting, frame.TagHello}, {StateAuthAccepting, frame.TagHello}, {StateReady, frame.TagServerIdent},
		{StateReady, frame.TagClientIdent}, {StateSessionConnecting, frame.TagAuthDone}} {
		for _, l := range inState(t, tc.st) {
			l.bytes(sample(l, tc.tag))
			require.ErrorIs(t, l.lastFault(), ErrProtocol, "%s %s", tc.st, tc.tag)
		}
	}
}

// accepting: the state of an accepted connection before its session is there.
func (s State) accepting() bool { return s.Step() != "" && !s.connecting() && s != StateReady }
