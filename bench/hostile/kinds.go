package hostile

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"net"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// Kind is one way to be hostile.
type Kind struct {
	Name string
	// Does says what each of the connections does, in a few words.
	Does string
	// attack does it on one connection until that is closed.
	attack func(a *attacker, c net.Conn, rnd *rand.Rand)
}

// Kinds returns all kinds.
func Kinds() []Kind {
	return []Kind{
		{"silent", "says nothing", silent},
		{"drip", "a banner, then a byte a second", drip},
		{"noise", "random bytes", noise},
		{"hello", "a banner and a HELLO of 64 KiB", bigHello},
		{"limits", "a frame over every limit, again and again", overLimits},
		{"clienthello", "a TLS ClientHello, then nothing", clientHello},
		{"more", "AUTH_REQUEST_MORE without end", endlessMore},
		{"replay", "a recorded handshake of an honest peer", replay},
		{"owner", "cookies of another one's session, under its own name", wrongOwner},
	}
}

// untilClosed reads and forgets until the connection ends.
func untilClosed(c net.Conn) {
	var b [512]byte
	for {
		if _, err := c.Read(b[:]); err != nil {
			return
		}
	}
}

func silent(_ *attacker, c net.Conn, _ *rand.Rand) { untilClosed(c) }

func banner() []byte {
	return frame.Banner{Supported: frame.FeatureRevision1}.Append(nil)
}

// frames are control frames in crc mode.
func frames(all ...frame.Control) []byte {
	var e frame.Encoder
	var b frame.Batch
	for _, f := range all {
		e.AppendControl(&b, f)
	}
	return b.AppendTo(nil)
}

func hello(c net.Conn) frame.Control {
	return &frame.Hello{EntityType: entity.TypeClient, PeerAddr: addrOf(c.RemoteAddr())}
}

func addrOf(a net.Addr) entity.Addr {
	return entity.Addr{Type: entity.AddrMsgr2, AddrPort: a.(*net.TCPAddr).AddrPort()}
}

func drip(_ *attacker, c net.Conn, _ *rand.Rand) {
	go untilClosed(c)
	if _, err := c.Write(banner()); err != nil {
		return
	}
	rest := frames(hello(c))
	for i := 0; ; i++ {
		if _, err := c.Write(rest[i%len(rest):][:1]); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

func noise(_ *attacker, c net.Conn, rnd *rand.Rand) {
	go untilClosed(c)
	var b [4096]byte
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], rnd.Uint64())
	}
	for {
		if _, err := c.Write(b[:]); err != nil {
			return
		}
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// rawFrame is a frame of one segment with a preamble that is right and a length of n, of
// which only so much is sent as is given.
func rawFrame(tag frame.Tag, segments uint8, n uint32, payload []byte) []byte {
	p := make([]byte, frame.PreambleLen, frame.PreambleLen+len(payload))
	p[0], p[1] = byte(tag), segments
	for i := range int(min(segments, 4)) {
		binary.LittleEndian.PutUint32(p[2+6*i:], n)
		binary.LittleEndian.PutUint16(p[6+6*i:], 8)
	}
	binary.LittleEndian.PutUint32(p[28:], ^crc32.Update(^uint32(0), castagnoli, p[:28]))
	return append(p, payload...)
}

func bigHello(_ *attacker, c net.Conn, _ *rand.Rand) {
	// Just below the bound of all bytes before authentication, and the end never comes.
	const n = 64<<10 - frame.BannerLen - frame.PreambleLen - 8
	_, err := c.Write(append(banner(), rawFrame(frame.TagHello, 1, n, make([]byte, n-64))...))
	if err == nil {
		untilClosed(c)
	}
}

func overLimits(_ *attacker, c net.Conn, rnd *rand.Rand) {
	go untilClosed(c)
	tag := []frame.Tag{frame.TagHello, frame.TagAuthRequest, frame.TagMessage, frame.TagClientIdent}[rnd.IntN(4)]
	b := append(banner(), frames(hello(c))...)
	if tag == frame.TagHello {
		b = banner()
	}
	for _, err := c.Write(append(b, rawFrame(tag, uint8(1+rnd.IntN(4)), 1<<31, make([]byte, 4096))...)); err == nil; {
		_, err = c.Write(make([]byte, 4096))
	}
}

func clientHello(a *attacker, c net.Conn, _ *rand.Rand) {
	b := append(banner(), frames(hello(c), &a.clientHello)...)
	if _, err := c.Write(b); err == nil {
		untilClosed(c)
	}
}

func endlessMore(a *attacker, c net.Conn, _ *rand.Rand) {
	go untilClosed(c)
	b := append(banner(), frames(hello(c), &a.clientHello)...)
	more := frames(&frame.AuthRequestMore{Payload: make([]byte, 1000)})
	for _, err := c.Write(b); err == nil; {
		_, err = c.Write(more)
	}
}

func replay(a *attacker, c net.Conn, _ *rand.Rand) {
	// The recording is in pieces: what was said before and after each answer.
	var b [16 << 10]byte
	for _, piece := range a.recorded {
		if _, err := c.Write(piece); err != nil {
			return
		}
		if _, err := c.Read(b[:]); err != nil {
			return
		}
	}
	untilClosed(c)
}

func wrongOwner(a *attacker, c net.Conn, _ *rand.Rand) {
	s := newSpeaker(c)
	if err := s.login(a.self, nil); err != nil {
		return
	}
	s.say(&frame.SessionReconnect{
		Addrs: a.victim.addrs, ClientCookie: a.victim.cookies[0], ServerCookie: a.victim.cookies[1],
		GlobalSeq: 1 << 20, ConnectSeq: 1 << 10,
	})
	untilClosed(c)
}
