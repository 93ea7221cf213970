package frame

import (
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
)

func genAddr() *rapid.Generator[entity.Addr] {
	return rapid.Custom(func(t *rapid.T) entity.Addr {
		a := entity.Addr{
			Type:  entity.AddrType(rapid.Uint32Range(0, 5).Draw(t, "type")),
			Nonce: rapid.Uint32().Draw(t, "nonce"),
		}
		port := rapid.Uint16().Draw(t, "port")
		switch rapid.IntRange(0, 2).Draw(t, "family") {
		case 1:
			ip := rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "v4")
			a.AddrPort = netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip)), port)
		case 2:
			addr := netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "v6")))
			if scope := rapid.Uint32().Draw(t, "scope"); scope != 0 && !addr.Is4In6() {
				addr = addr.WithZone(fmt.Sprint(scope))
			}
			a.AddrPort = netip.AddrPortFrom(addr, port)
		}
		return a
	})
}

func genVec() *rapid.Generator[entity.AddrVec] {
	return rapid.Custom(func(t *rapid.T) entity.AddrVec {
		v := rapid.SliceOfN(genAddr(), 0, 5).Draw(t, "addrs")
		if len(v) == 0 {
			return nil
		}
		return v
	})
}

func genBytes(max int) *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		// Short ones byte by byte, long ones by their length.
		n := rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, max)).Draw(t, "len")
		return pattern(n, rapid.Byte().Draw(t, "seed"))
	})
}

func genU32s() *rapid.Generator[[]uint32] {
	return rapid.Custom(func(t *rapid.T) []uint32 {
		v := rapid.SliceOfN(rapid.Uint32(), 0, 9).Draw(t, "u32s")
		if len(v) == 0 {
			return nil
		}
		return v
	})
}

func genControl() *rapid.Generator[Control] {
	return rapid.Custom(func(t *rapid.T) Control {
		u32 := func() uint32 { return rapid.Uint32().Draw(t, "u32") }
		u64 := func() uint64 { return rapid.Uint64().Draw(t, "u64") }
		bl := func() []byte { return genBytes(authPayloadMax-64).Draw(t, "payload") }
		stamp := func() Stamp { return Stamp{u32(), u32()} }
		switch tag := rapid.SampledFrom(everyControl).Draw(t, "kind").Tag(); tag {
		case TagHello:
			return &Hello{entity.Type(rapid.Byte().Draw(t, "type")), genAddr().Draw(t, "addr")}
		case TagAuthRequest:
			return &AuthRequest{u32(), genU32s().Draw(t, "modes"), bl()}
		case TagAuthBadMethod:
			return &AuthBadMethod{u32(), int32(u32()), genU32s().Draw(t, "methods"), genU32s().Draw(t, "modes")}
		case TagAuthReplyMore:
			return &AuthReplyMore{bl()}
		case TagAuthRequestMore:
			return &AuthRequestMore{bl()}
		case TagAuthDone:
			return &AuthDone{u64(), u32(), bl()}
		case TagAuthSignature:
			return &AuthSignature{[32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "signature"))}
		case TagClientIdent:
			return &ClientIdent{genVec().Draw(t, "addrs"), genAddr().Draw(t, "target"),
				int64(u64()), u64(), u64(), u64(), u64(), u64()}
		case TagServerIdent:
			return &ServerIdent{genVec().Draw(t, "addrs"), int64(u64()), u64(), u64(), u64(), u64(), u64()}
		case TagIdentMissingFeatures:
			return &IdentMissingFeatures{u64()}
		case TagSessionReconnect:
			return &SessionReconnect{genVec().Draw(t, "addrs"), u64(), u64(), u64(), u64(), u64()}
		case TagSessionReset:
			return &SessionReset{rapid.Bool().Draw(t, "full")}
		case TagSessionRetry:
			return &SessionRetry{u64()}
		case TagSessionRetryGlobal:
			return &SessionRetryGlobal{u64()}
		case TagSessionReconnectOK:
			return &SessionReconnectOK{u64()}
		case TagWait:
			return &Wait{}
		case TagKeepalive:
			return &Keepalive{stamp()}
		case TagKeepaliveAck:
			return &KeepaliveAck{stamp()}
		case TagAck:
			return &Ack{u64()}
		case TagCompressionRequest:
			return &CompressionRequest{rapid.Bool().Draw(t, "compress"), genU32s().Draw(t, "methods")}
		case TagCompressionDone:
			return &CompressionDone{rapid.Bool().Draw(t, "compress"), u32()}
		default:
			panic(tag)
		}
	})
}

type message struct {
	h                   Header
	front, middle, data []byte
}

func genMessage() *rapid.Generator[message] {
	return rapid.Custom(func(t *rapid.T) message {
		u16 := func() uint16 { return rapid.Uint16().Draw(t, "u16") }
		return message{
			h: Header{
				Seq: rapid.Uint64().Draw(t, "seq"), TID: rapid.Uint64().Draw(t, "tid"),
				Type: u16(), Priority: u16(), Version: u16(), DataPrePaddingLen: rapid.Uint32().Draw(t, "padding"),
				DataOff: u16(), AckSeq: rapid.Uint64().Draw(t, "ack"),
				Flags: rapid.Byte().Draw(t, "flags"), CompatVersion: u16(), Reserved: u16(),
			},
			front:  genBytes(3*chunkLen).Draw(t, "front"),
			middle: genBytes(3*copyMax).Draw(t, "middle"),
			data:   genBytes(20*chunkLen).Draw(t, "data"),
		}
	})
}

// What is encoded is decoded, in both modes.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.SampledFrom(modes).Draw(t, "mode")
		e, c := m.pair()
		var b Batch
		var want []any
		for range rapid.IntRange(1, 6).Draw(t, "frames") {
			if rapid.Bool().Draw(t, "control") {
				c := genControl().Draw(t, "frame")
				e.AppendControl(&b, c)
				want = append(want, c)
			} else {
				m := genMessage().Draw(t, "message")
				e.AppendMessage(&b, &m.h, m.front, m.middle, m.data)
				want = append(want, m)
			}
		}
		stream := b.AppendTo(nil)
		f := newFeeder(c)
		f.giveBody, f.direct = rapid.Bool().Draw(t, "body"), rapid.Bool().Draw(t, "direct")
		for len(stream) > 0 {
			n := rapid.IntRange(1, len(stream)).Draw(t, "piece")
			require.NoError(t, f.feed(stream[:n]))
			stream = stream[n:]
		}
		require.Len(t, f.frames, len(want))
		for i, g := range f.frames {
			switch w := want[i].(type) {
			case Control:
				c, err := ParseControl(g.Preamble.Tag, []byte(g.Payload))
				require.NoError(t, err)
				require.EqualExportedValues(t, w, c)
			case message:
				require.Equal(t, w.h, g.Header)
				require.Equal(t, string(w.front), g.Front)
				require.Equal(t, string(w.middle), g.Middle)
				require.Equal(t, string(w.data), g.Data)
			}
		}
	})
}

func TestHeader(t *testing.T) {
	p := testHeader.Append(nil)
	require.Len(t, p, HeaderLen)
	var h Header
	require.NoError(t, h.Parse(p))
	require.Equal(t, testHeader, h)
	require.NoError(t, h.Parse(append(p, 1, 2, 3)), "a longer header is accepted")
	require.Equal(t, testHeader, h)
	requireCode(t, TooShort, h.Parse(p[:40]))
}

func TestStamp(t *testing.T) {
	now := time.Unix(1234567890, 987654321)
	require.True(t, now.Equal(StampOf(now).Time()))
	require.Equal(t, "1234567890.987654321", StampOf(now).String())
	require.True(t, time.Unix(math.MaxUint32, 5).Equal(Stamp{math.MaxUint32, 5}.Time()))
}
