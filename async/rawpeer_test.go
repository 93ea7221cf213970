package async

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/stretchr/testify/require"
)

// rawPeer is a connection to a messenger whose other end is the test, which says and
// reads frames.
type rawPeer struct {
	t     testing.TB
	c     net.Conn
	enc   frame.Encoder
	dec   frame.Decoder
	buf   []byte // read and not decoded
	again bool
	to    entity.Addr
}

// rawPeer connects to a node, as an OSD, and authenticates. The node now wants to
// know which session is meant.
func (l *lab) rawPeer(to *node) *rawPeer {
	l.t.Helper()
	p := &rawPeer{t: l.t, to: to.Addrs()[0]}
	var err error
	p.c, err = net.Dial("tcp", p.to.AddrPort.String())
	require.NoError(l.t, err)
	l.t.Cleanup(func() { p.c.Close() })
	require.NoError(l.t, p.c.SetDeadline(time.Now().Add(patience)))
	banner := frame.Banner{Supported: frame.FeatureRevision1, Required: frame.FeatureRevision1}.Append(nil)
	p.write(banner)
	p.buf = make([]byte, len(banner))
	_, err = io.ReadFull(p.c, p.buf)
	require.NoError(l.t, err)
	require.Equal(l.t, banner, p.buf)
	p.buf = nil
	p.dec.Init(frame.Limits{})
	p.say(&frame.Hello{EntityType: entity.TypeOSD, PeerAddr: p.to})
	wantFrame[frame.Hello](p)
	who := auth.NoneClient{Name: entity.AuthName{Type: entity.TypeOSD, ID: "9"}}
	r, err := who.NewExchange(entity.TypeOSD, entity.TypeOSD).Request()
	require.NoError(l.t, err)
	p.say(&frame.AuthRequest{Method: r.Method, Modes: r.Modes, Payload: r.Payload})
	wantFrame[frame.AuthDone](p)
	wantFrame[frame.AuthSignature](p)
	p.say(&frame.AuthSignature{})
	return p
}

func (p *rawPeer) write(b []byte) {
	p.t.Helper()
	_, err := p.c.Write(b)
	require.NoError(p.t, err)
}

// say sends frames.
func (p *rawPeer) say(cs ...frame.Control) {
	p.t.Helper()
	b := new(frame.Batch)
	for _, c := range cs {
		p.enc.AppendControl(b, c)
	}
	p.write(b.AppendTo(nil))
}

// send sends messages, in one write: the first with that number, and each front that
// is "" leaves its number out.
func (p *rawPeer) send(seq uint64, fronts ...string) {
	p.t.Helper()
	b := new(frame.Batch)
	for _, front := range fronts {
		if front != "" {
			p.enc.AppendMessage(b, &frame.Header{Seq: seq, Type: 1000, Priority: 127}, []byte(front), nil, nil)
		}
		seq++
	}
	p.write(b.AppendTo(nil))
}

// next is the next frame of the messenger: a control frame, or the header of a
// message; nil if it has closed the connection.
func (p *rawPeer) next() any {
	p.t.Helper()
	for {
		if len(p.buf) > 0 || p.again {
			n, ev, err := p.dec.Next(p.buf)
			require.NoError(p.t, err)
			p.buf, p.again = p.buf[n:], ev == frame.GotPreamble
			if ev != frame.GotFrame {
				continue
			}
			if p.dec.Preamble().Tag == frame.TagMessage {
				h := *p.dec.Header()
				return &h
			}
			c, err := frame.ParseControl(p.dec.Preamble().Tag, append([]byte(nil), p.dec.Payload()...))
			require.NoError(p.t, err)
			return c
		}
		p.buf = make([]byte, 64<<10)
		n, err := p.c.Read(p.buf)
		p.buf = p.buf[:n]
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			return nil
		}
		require.NoError(p.t, err)
	}
}

// wantFrame is the next frame, which has to be a T.
func wantFrame[T any](p *rawPeer) *T {
	p.t.Helper()
	got := p.next()
	c, ok := got.(*T)
	require.True(p.t, ok, "the messenger said %v, not %T", got, c)
	return c
}

// wantClosed: the messenger hangs up, and says nothing before.
func (p *rawPeer) wantClosed() {
	p.t.Helper()
	require.Nil(p.t, p.next())
}

// rawAddrs is the address of a raw peer at which nobody needs to listen.
func rawAddrs() entity.AddrVec {
	return entity.AddrVec{{Type: entity.AddrMsgr2, Nonce: 99, AddrPort: netip.MustParseAddrPort("127.0.0.1:9")}}
}

// ident asks for a new session.
func (p *rawPeer) ident(from entity.AddrVec, globalSeq, cookie uint64) {
	p.t.Helper()
	var flags uint64
	if cookie == 0 {
		flags = frame.FlagLossy
	}
	p.say(&frame.ClientIdent{Addrs: from, Target: p.to, GID: 9, GlobalSeq: globalSeq, Flags: flags, Cookie: cookie,
		FeaturesSupported: msg.FeaturesAll, FeaturesRequired: msg.FeatureMsgAddr2})
}
