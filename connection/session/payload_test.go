package session

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// knowledge is what a session knows and owes; a frame that does not parse must not
// change it.
type knowledge struct {
	client, server, connectSeq, peerGlobalSeq, globalID uint64
	in, out, acked, max, hole                           uint64
	name, addrs                                         string
	features                                            uint64
	pending, unacked                                    int
	learned, events, done, got, alive                   int
	stamp                                               frame.Stamp
}

func (l *lab) knows() knowledge {
	s := l.s
	return knowledge{
		client: s.id.clientCookie, server: s.id.serverCookie, connectSeq: s.id.connectSeq,
		peerGlobalSeq: s.id.peerGlobalSeq, globalID: s.GlobalID(),
		in: s.num.in.Seq, out: s.num.out, acked: s.num.acked, max: s.num.max, hole: s.num.hole,
		name: s.PeerName().String(), addrs: s.PeerAddrs().String(), features: s.features,
		pending: s.Pending(), unacked: s.Unacked(), learned: len(l.n.learned), events: len(l.c.events),
		done: len(l.c.done), got: len(l.c.got), alive: l.c.alive, stamp: s.rarely().lastKeepaliveAck,
	}
}

// payload is that of the sample frame of a tag.
func payload(l *lab, tag frame.Tag) []byte {
	var d frame.Decoder
	d.Init(frame.Limits{})
	b := sample(&lab{t: l.t}, tag)
	for {
		n, ev, err := d.Next(b)
		require.NoError(l.t, err)
		b = b[n:]
		if ev == frame.GotFrame {
			return slices.Clone(d.Payload())
		}
	}
}

// TestBadPayloads gives every control frame, in each state where it may arrive, with
// every length that its payload has not: too short by any number of bytes, and too
// long. Each time that is the peer's error and a fault, and nothing else: nothing is
// answered, delivered, told or believed.
func TestBadPayloads(t *testing.T) {
	tried := map[frame.Tag]int{}
	for _, st := range States() {
		for _, tag := range allowed[st] {
			if tag == frame.TagMessage {
				continue
			}
			for role := range inState(t, st) {
				good := payload(inState(t, st)[role], tag)
				bad := [][]byte{
					append(slices.Clone(good), 0), append(slices.Clone(good), make([]byte, 100)...),
					make([]byte, len(good)+17<<10),
				}
				for n := range len(good) {
					bad = append(bad, good[:n])
				}
				switch tag { // of the right length, with a value that its field has not
				case frame.TagSessionReset:
					bad = append(bad, []byte{2})
				case frame.TagAuthRequest, frame.TagAuthBadMethod: // a list of 2^32-1
					at := 4
					if tag == frame.TagAuthBadMethod {
						at = 8
					}
					bad = append(bad, slices.Concat(good[:at], []byte{255, 255, 255, 255}, good[at+4:]))
				}
				for _, p := range bad {
					tried[tag]++
					badPayload(t, st, role, tag, p, len(good))
				}
			}
		}
	}
	for tag := frame.Tag(1); tag.Known(); tag++ {
		if tag != frame.TagMessage {
			require.NotZero(t, tried[tag], tag)
		}
	}
	require.Len(t, tried, 21, "%v", slices.Sorted(maps.Keys(tried)))
}

func badPayload(t *testing.T, st State, role string, tag frame.Tag, p []byte, good int) {
	t.Helper()
	name := fmt.Sprintf("%s %s %s of %d bytes, right are %d", st, role, tag, len(p), good)
	l := inState(t, st)[role]
	l.s.box.queue.push(message(91, 127, 0, 0, 0)) // what waits goes on waiting
	before, faults := l.knows(), len(l.c.faults)
	b := l.encode(rawFrame{tag, p})
	l.c.end = nil
	l.s.HandleBytes(l.w.now, b)
	require.False(t, l.s.stream.up, name)
	l.c.settle()
	require.Len(t, l.c.faults, faults+1, name)

	err := l.lastFault()
	var pe *ProtocolError
	require.ErrorAs(t, err, &pe, name)
	require.ErrorIs(t, err, ErrProtocol, name)
	require.Equal(t, st, pe.State, name)
	var fe *frame.Error
	require.ErrorAs(t, err, &fe, name)
	require.Equal(t, tag, fe.Tag, name)
	require.True(t, fe.Peer(), name)
	require.Contains(t, []frame.Code{frame.BadPayload, frame.TooShort, frame.TooLarge}, fe.Code, "%s: %v", name, err)
	require.NotEmpty(t, err.Error())

	require.False(t, l.s.WantsWrite(), name)
	require.Contains(t, []State{StateClosed, StateBackoff, StateStandby, StateConnecting}, l.s.State(), name)
	after := l.knows()
	if l.s.State() == StateClosed {
		require.Equal(t, "Closed", l.c.events[len(l.c.events)-1], name)
		before.events++
	} else if before.server != 0 && l.s.State() == StateConnecting {
		before.connectSeq++ // the next attempt
	}
	require.Equal(t, before, after, name)
}

// TestAuthRoundsOfTheConnector: an acceptor that refuses, or wants to know more, again
// and again is given up.
func TestAuthRoundsOfTheConnector(t *testing.T) {
	for name, ask := range map[string]frame.Control{
		"refused": &frame.AuthBadMethod{Method: 2, Result: -13, Methods: []uint32{2}, Modes: []uint32{auth.ModeCRC}},
		"more":    &frame.AuthReplyMore{Payload: []byte("more")},
	} {
		l := connector(t, msg.LosslessClient(),
			useFake(fakeAuth{loop: true, mode: auth.ModeCRC})).drive(StateAuthConnecting)
		want[frame.AuthRequest](l)
		for range authRoundsMax {
			l.say(ask)
			require.Equal(t, StateAuthConnecting, l.s.State(), name)
			if name == "more" {
				require.Equal(t, []byte("more"), want[frame.AuthRequestMore](l).Payload)
			} else {
				require.EqualValues(t, 2, want[frame.AuthRequest](l).Method)
			}
			l.quiet()
		}
		l.say(ask)
		require.ErrorIs(t, l.lastFault(), ErrProtocol, name)
		require.ErrorContains(t, l.lastFault(), "rounds of authentication", name)
		require.Equal(t, StateBackoff, l.s.State(), name)
		l.quiet()
	}
	// Both count together.
	l := connector(t, msg.LosslessClient(),
		useFake(fakeAuth{loop: true, mode: auth.ModeCRC})).drive(StateAuthConnecting)
	n := 0
	for ; l.s.State() == StateAuthConnecting; n++ {
		require.Less(t, n, 100)
		l.say(&frame.AuthBadMethod{Method: 2, Result: -13, Methods: []uint32{2}, Modes: []uint32{auth.ModeCRC}})
		if l.s.State() == StateAuthConnecting {
			l.say(&frame.AuthReplyMore{Payload: []byte("more")})
			n++
		}
	}
	require.Equal(t, authRoundsMax+1, n)
}

// TestHelloOfNobody: every messenger has a type.
func TestHelloOfNobody(t *testing.T) {
	l := acceptor(t, msg.StatefulServer()).drive(StateHelloAccepting)
	want[frame.Hello](l)
	l.say(&frame.Hello{EntityType: 0, PeerAddr: labSelf})
	require.ErrorIs(t, l.lastFault(), ErrProtocol)
	require.Equal(t, StateClosed, l.s.State())
	require.Equal(t, entity.Type(0), l.s.PeerType())
	l.quiet()
}
