package sessiontest

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
	"github.com/stretchr/testify/require"
)

// silent is the address of a listener that accepts and says nothing.
func silent(t testing.TB) entity.AddrVec {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wg sync.WaitGroup
	var conns []net.Conn
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			conns = append(conns, c)
		}
	})
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
		for _, c := range conns {
			c.Close()
		}
	})
	return entity.AddrVec{{Type: entity.AddrMsgr2, Nonce: 1, AddrPort: netip.MustParseAddrPort(ln.Addr().String())}}
}

// raw dials a messenger with a plain socket.
func (r *rig) raw(n *node) net.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", n.Addrs()[0].AddrPort.String())
	require.NoError(r.t, err)
	r.t.Cleanup(func() { c.Close() })
	require.NoError(r.t, c.SetDeadline(time.Now().Add(patience)))
	return c
}

// wantHangUp reads until the messenger closes the connection.
func (r *rig) wantHangUp(c net.Conn) {
	r.t.Helper()
	_, err := io.Copy(io.Discard, c)
	var timedOut net.Error
	require.False(r.t, errors.As(err, &timedOut) && timedOut.Timeout(), "the messenger does not hang up")
}

func goodBanner() []byte {
	b := frame.Banner{Supported: frame.FeatureRevision1, Required: frame.FeatureRevision1}
	return b.Append(nil)
}

// bad says each of these to a server, which hangs up, counts a fault, keeps nothing
// and goes on with a good client.
func (r *rig) bad(say map[string][]byte) {
	t := r.t
	srv, cl := r.srv(msg.StatefulServer()), r.cl(1, msg.LosslessClient())
	c := r.connect(cl, srv)
	for name, b := range say {
		before := srv.Count()
		p := r.raw(srv)
		_, _ = p.Write(b)
		r.wantHangUp(p)
		r.until(name, func() bool { k := srv.Count(); return k.Faults == before.Faults+1 && k.Handshakes == 0 })
		require.NoError(t, c.Send(text("%s", name)))
	}
	srv.wantMessages(len(say))
	// And those that hang up themselves.
	for i := range 10 {
		p := r.raw(srv)
		_, err := p.Write(goodBanner()[:i])
		require.NoError(t, err)
		p.Close()
	}
	r.until("forgotten", func() bool { k := srv.Count(); return k.Handshakes == 0 && k.Connections == 1 })
	require.Equal(t, 1, srv.times("accept"))
	require.Zero(t, srv.times("reset"))
	require.True(t, c.IsConnected())
}

func testGarbage(r *rig) {
	seed := rand.Uint64()
	r.t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	noise := make([]byte, 4096)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	noRevision := frame.Banner{}
	r.bad(map[string][]byte{
		"noise":              noise,
		"http":               []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + string(make([]byte, 64))),
		"v1 banner":          append([]byte("ceph v027"), make([]byte, 300)...),
		"banner length":      append([]byte("ceph v2\n\xff\xff"), make([]byte, 100)...),
		"msgr 2.0":           noRevision.Append(nil),
		"noise after banner": append(goodBanner(), noise...),
		"zeros after banner": append(goodBanner(), make([]byte, 4096)...),
	})
}

// testLengthBombs: frames that declare far more than may come now are refused by
// their preamble, before anything is allocated for them.
func testLengthBombs(r *rig) {
	say := map[string][]byte{}
	for name, tag := range map[string]frame.Tag{
		"hello": frame.TagHello, "message": frame.TagMessage, "ident": frame.TagClientIdent,
	} {
		for _, n := range []uint32{1 << 17, 1 << 30, 1<<32 - 1} {
			say[name+" of "+time.Duration(n).String()] = append(goodBanner(), preamble(tag, n)...)
		}
	}
	r.bad(say)
}

// preamble of a frame with one segment of n bytes (docs/PROTOCOL.md 1.3).
func preamble(tag frame.Tag, n uint32) []byte {
	b := make([]byte, 28, 32)
	b[0], b[1] = byte(tag), 1
	binary.LittleEndian.PutUint32(b[2:], n)
	binary.LittleEndian.PutUint16(b[6:], 8)
	crc := ^crc32.Update(^uint32(0), crc32.MakeTable(crc32.Castagnoli), b)
	return binary.LittleEndian.AppendUint32(b, crc)
}

// testSlowHandshakes: peers that do not get on with their handshake are given up,
// and nobody else is held up meanwhile.
func testSlowHandshakes(r *rig) {
	srv := r.srv(msg.StatefulServer(), func(o *Options) { o.ReadyTimeout = 300 * time.Millisecond })
	var slow []net.Conn
	for i := range shorter(50, 20) {
		p := r.raw(srv)
		_, err := p.Write(goodBanner()[:i%len(goodBanner())])
		require.NoError(r.t, err)
		slow = append(slow, p)
	}
	cl := r.cl(1, msg.LosslessClient())
	require.NoError(r.t, cl.SendTo(text("x"), entity.TypeOSD, srv.Addrs()))
	srv.wantMessages(1)
	for _, p := range slow {
		r.wantHangUp(p)
	}
	r.until("forgotten", func() bool { k := srv.Count(); return k.Handshakes == 0 && k.Connections == 1 })
}

func testHandshakesMax(r *rig) {
	srv := r.srv(msg.StatefulServer(), func(o *Options) { o.HandshakesMax = 5 })
	var conns []net.Conn
	for range 5 {
		conns = append(conns, r.raw(srv))
	}
	r.until("five handshakes", func() bool { return srv.Count().Handshakes == 5 })
	r.wantHangUp(r.raw(srv))
	require.EqualValues(r.t, 1, srv.Count().TurnedAway)
	for _, c := range conns {
		c.Close()
	}
	r.until("room", func() bool { return srv.Count().Handshakes == 0 })
	r.connect(r.cl(1, msg.LosslessClient()), srv)
	require.Zero(r.t, srv.Count().Handshakes, "an established session is no handshake")
}

// testSilentServer: a server that says nothing is given up, and called again.
func testSilentServer(r *rig) {
	cl := r.cl(1, msg.LosslessClient(), func(o *Options) { o.ReadyTimeout = 50 * time.Millisecond })
	c, err := cl.ConnectTo(entity.TypeOSD, silent(r.t))
	require.NoError(r.t, err)
	r.until("attempts", func() bool { return cl.Count().Faults >= 3 })
	require.False(r.t, c.IsClosed())
	require.False(r.t, c.IsConnected())
	require.Zero(r.t, cl.times("refused")+cl.times("reset"))
}
