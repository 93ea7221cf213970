package session

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/compress"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// lab is one session whose peer is the test: it says what it wants and reads
// what the session says.
type lab struct {
	t    *testing.T
	w    *world
	n    *simNode
	c    *simConn
	s    *Session
	enc  frame.Encoder
	dec  frame.Decoder
	out  []byte // what the session wrote and the test has not read
	skip int    // bytes of the session's banner still to come
}

var (
	labSelf = entity.Addr{Type: entity.AddrMsgr2, Nonce: 1, AddrPort: addrPort(1)}
	labPeer = entity.Addr{Type: entity.AddrMsgr2, Nonce: 9, AddrPort: addrPort(9)}
)

const labBannerLen = 26

func newLab(t *testing.T, policy msg.Policy, opts ...nodeOption) *lab {
	l := &lab{t: t, w: &world{t: t}}
	l.n = l.w.node(1, policy, opts...)
	l.c = l.n.newConn()
	return l
}

// connector is a lab whose session calls the test; it is in CONNECTING.
func connector(t *testing.T, policy msg.Policy, opts ...nodeOption) *lab {
	l := newLab(t, policy, opts...)
	l.c.s = NewConnector(&l.n.cfg, l.n, l.c, nil, nil,
		Peer{Type: entity.TypeOSD, Addrs: entity.AddrVec{labPeer}, Policy: policy})
	l.s = l.c.s
	l.c.register(entity.AddrVec{labPeer})
	l.s.Start(0)
	l.c.settle()
	return l
}

// acceptor is a lab whose session was called by the test.
func acceptor(t *testing.T, policy msg.Policy, opts ...nodeOption) *lab {
	l := newLab(t, policy, opts...)
	l.c.s = NewAcceptor(&l.n.cfg, l.n, l.c, nil, nil)
	l.s = l.c.s
	l.up()
	return l
}

func (l *lab) up() *lab {
	l.s.HandleTransportUp(l.w.now, labPeer.AddrPort, labSelf.AddrPort)
	l.enc, l.out, l.skip = frame.Encoder{}, nil, labBannerLen
	l.dec.Init(frame.Limits{})
	l.settle()
	return l
}

// settle carries out and reads all that the session writes.
func (l *lab) settle() {
	l.c.settle()
	for l.s.WantsWrite() {
		b := new(frame.Batch)
		l.s.Fill(l.w.now, b, 1<<20)
		l.out = b.AppendTo(l.out)
		n := b.Len()
		l.s.Written(l.w.now, n)
		l.c.settle()
	}
}

func (l *lab) bytes(b []byte) *lab {
	l.c.end = nil
	for len(b) > 0 && !l.s.Paused() {
		n := l.s.HandleBytes(l.w.now, b)
		b = b[n:]
		l.settle()
		if n == 0 {
			break
		}
	}
	l.settle()
	return l
}

func (l *lab) banner() *lab {
	b := l.n.cfg.banner() // it can what the session can
	return l.bytes(frame.Banner{Supported: b.Supported, Required: 0}.Append(nil))
}

// say sends frames to the session.
func (l *lab) say(cs ...frame.Control) *lab {
	for _, c := range cs {
		l.bytes(l.encode(c))
	}
	return l
}

func (l *lab) encode(c frame.Control) []byte {
	b := new(frame.Batch)
	l.enc.AppendControl(b, c)
	return b.AppendTo(nil)
}

// msg sends a message of the given seq to the session.
func (l *lab) msg(seq, ack uint64) *lab { return l.bytes(l.encodeMsg(seq, ack)) }

func (l *lab) encodeMsg(seq, ack uint64) []byte {
	m := message(seq, 127, 0, 0, 0)
	b := new(frame.Batch)
	l.enc.AppendMessage(b, &frame.Header{Seq: seq, TID: seq, AckSeq: ack, Type: 1, Priority: 127},
		m.Front, m.Middle, m.Data)
	return b.AppendTo(nil)
}

func (l *lab) aborted(seq uint64) *lab {
	b := new(frame.Batch)
	l.enc.AppendAborted(b, &frame.Header{Seq: seq, TID: seq, Type: 1}, []byte("half"), nil, nil)
	return l.bytes(b.AppendTo(nil))
}

// next is the next frame that the session wrote: a Control or a *frame.Header.
func (l *lab) next() any {
	l.t.Helper()
	l.out = l.out[l.skip:]
	l.skip = 0
	require.NotEmpty(l.t, l.out, "session wrote nothing; %v %v", l.s, l.c.faults)
	for {
		n, ev, err := l.dec.Next(l.out)
		require.NoError(l.t, err)
		l.out = l.out[n:]
		if ev != frame.GotFrame {
			require.True(l.t, ev == frame.GotPreamble || n > 0)
			continue
		}
		if l.dec.Preamble().Tag == frame.TagMessage {
			h := *l.dec.Header()
			return &h
		}
		c, err := frame.ParseControl(l.dec.Preamble().Tag, append([]byte(nil), l.dec.Payload()...))
		require.NoError(l.t, err)
		return c
	}
}

// want reads the next frame that the session wrote as a T.
func want[T any](l *lab) *T {
	l.t.Helper()
	got := l.next()
	c, ok := got.(*T)
	require.True(l.t, ok, "session wrote %v, want %T", got, new(T))
	return c
}

func (l *lab) quiet() {
	l.t.Helper()
	require.Empty(l.t, l.out[l.skip:])
}

// drive brings the session to the state, which must be one with a transport.
func (l *lab) drive(st State) *lab {
	l.t.Helper()
	for range 20 {
		if l.s.State() == st {
			return l
		}
		switch l.s.State() {
		case StateConnecting:
			l.up()
		case StateBannerConnecting, StateBannerAccepting:
			l.banner()
		case StateHelloConnecting:
			want[frame.Hello](l)
			l.say(&frame.Hello{EntityType: entity.TypeOSD, PeerAddr: labSelf})
		case StateHelloAccepting:
			want[frame.Hello](l)
			l.say(&frame.Hello{EntityType: entity.TypeOSD, PeerAddr: labSelf})
		case StateAuthConnecting:
			want[frame.AuthRequest](l)
			l.say(&frame.AuthDone{GlobalID: 5, ConMode: 1})
		case StateAuthConnectingSign:
			want[frame.AuthSignature](l)
			l.say(&frame.AuthSignature{})
		case StateCompressionConnecting:
			if want[frame.CompressionRequest](l).Compress {
				l.say(&frame.CompressionDone{Compress: true, Method: compress.IDZlib})
				l.packs()
			} else {
				l.say(&frame.CompressionDone{})
			}
		case StateCompressionAccepting:
			l.say(&frame.CompressionRequest{Compress: true, Methods: []uint32{99, compress.IDZlib}})
			if want[frame.CompressionDone](l).Compress {
				l.packs()
			}
		case StateSessionConnecting:
			want[frame.ClientIdent](l)
			l.say(serverIdent(0, 0xbeef))
		case StateAuthAccepting:
			l.say(l.authRequest())
		case StateAuthAcceptingMore:
			want[frame.AuthReplyMore](l)
			l.say(&frame.AuthRequestMore{Payload: []byte("more")})
		case StateAuthAcceptingSign:
			want[frame.AuthDone](l)
			want[frame.AuthSignature](l)
			l.say(&frame.AuthSignature{})
		case StateSessionAccepting:
			l.say(clientIdent(1, 0xc0))
		case StateReady:
			require.Equal(l.t, StateSessionReconnecting, st, "driven past %s", st)
			l.fault()
		default:
			l.t.Fatalf("cannot drive from %s to %s: %v", l.s.State(), st, l.c.faults)
		}
	}
	l.t.Fatalf("did not reach %s: %v", st, l.s)
	return nil
}

// packs makes both directions of the test compress.
func (l *lab) packs() {
	l.enc.SetCompression(compress.Zlib{}, l.n.cfg.Compression.MinSize)
	l.dec.SetCompression(compress.Zlib{})
}

// fault breaks the transport; a session that waits tries again.
func (l *lab) fault() *lab {
	l.s.HandleTransportDown(l.w.now, errCut)
	l.c.settle()
	if at, ok := l.s.Deadline(); ok && l.s.State() == StateBackoff {
		l.w.now = at
		l.s.HandleTimeout(at)
		l.c.settle()
	}
	return l
}

func (l *lab) authRequest() frame.Control {
	r, err := l.n.client.NewExchange(entity.TypeOSD, entity.TypeOSD).Request()
	require.NoError(l.t, err)
	return &frame.AuthRequest{Method: r.Method, Modes: r.Modes, Payload: r.Payload}
}

func serverIdent(flags, cookie uint64) *frame.ServerIdent {
	return &frame.ServerIdent{Addrs: entity.AddrVec{labPeer}, GID: 9, GlobalSeq: 4, FeaturesSupported: msg.FeaturesAll,
		FeaturesRequired: msg.FeatureMsgAddr2, Flags: flags, Cookie: cookie}
}

func clientIdent(gs, cookie uint64) *frame.ClientIdent {
	return &frame.ClientIdent{Addrs: entity.AddrVec{labPeer}, Target: labSelf, GID: 9, GlobalSeq: gs,
		FeaturesSupported: msg.FeaturesAll, FeaturesRequired: msg.FeatureMsgAddr2, Cookie: cookie}
}

// readyConnector and readyAcceptor are labs with a session.
func readyConnector(t *testing.T, p msg.Policy, opts ...nodeOption) *lab {
	return connector(t, p, opts...).drive(StateReady)
}

func readyAcceptor(t *testing.T, p msg.Policy, opts ...nodeOption) *lab {
	l := acceptor(t, p, opts...).drive(StateReady)
	want[frame.ServerIdent](l)
	return l
}

func (l *lab) send(id uint64, prio uint8) *lab {
	l.c.send(id, prio, 0)
	l.settle()
	return l
}

func (l *lab) pass(d time.Duration) *lab {
	l.w.now += d
	l.s.HandleTimeout(l.w.now)
	l.settle()
	return l
}

// lastFault is the error of the last fault, or nil.
func (l *lab) lastFault() error {
	if len(l.c.faults) == 0 {
		return nil
	}
	return l.c.faults[len(l.c.faults)-1]
}
