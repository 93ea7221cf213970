package frame

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

var benchSizes = []int{0, 64, 4 << 10, 64 << 10, 1 << 20}

// encodeBatched encodes b.N messages in batches of some 64 KiB, as a connection
// that has many to send does.
func encodeBatched(b *testing.B, e *Encoder, size int) {
	front := pattern(size, 1)
	h := testHeader
	batch := &Batch{Blocks: new(Blocks)}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		e.AppendMessage(batch, &h, front, nil, nil)
		if batch.Len() > 64<<10 {
			batch.Advance(batch.Len())
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, m := range modes {
		for _, size := range benchSizes {
			b.Run(fmt.Sprintf("%s/%d", m.name, size), func(b *testing.B) {
				e, _ := m.pair()
				encodeBatched(b, &e, size)
			})
		}
	}
	b.Run("ack", func(b *testing.B) {
		var e Encoder
		var ack Ack
		batch := new(Batch)
		b.ReportAllocs()
		for b.Loop() {
			ack.Seq++
			e.AppendControl(batch, &ack)
			if batch.Len() > 4<<10 {
				batch.Advance(batch.Len())
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, m := range modes {
		for _, size := range benchSizes {
			b.Run(fmt.Sprintf("%s/%d", m.name, size), func(b *testing.B) {
				e, c := m.pair()
				var batch Batch
				e.AppendMessage(&batch, &testHeader, pattern(size, 1), nil, nil)
				stream := batch.AppendTo(nil)
				body := make([]byte, size+secureAlign+secureEpilogue+overheadMax)
				var d Decoder
				d.Init(Limits{})
				d.SetCipher(c)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if g, ok := c.(*GCM); ok {
						g.nonce, g.begun = [GCMNonceLen]byte(pattern(GCMNonceLen, 2)), false
					}
					decodeOne(b, &d, stream, body)
				}
			})
		}
	}
}

func decodeOne(tb testing.TB, d *Decoder, stream, body []byte) {
	n, ev, err := d.Next(stream)
	if ev != GotPreamble || err != nil {
		tb.Fatal(ev, err)
	}
	d.SetBody(body[:d.BodyRoom()])
	n2, ev, err := d.Next(stream[n:])
	if ev != GotFrame || err != nil || n+n2 != len(stream) {
		tb.Fatal(n, n2, ev, err)
	}
	if front, _, _ := d.Segments(); len(front) != int(d.Preamble().Segments[1].Len) {
		tb.Fatal(len(front))
	}
}

// BenchmarkDecodePieces receives 1 MiB in reads of 64 KiB, copied or in place.
func BenchmarkDecodePieces(b *testing.B) {
	const size, piece = 1 << 20, 64 << 10
	var e Encoder
	var batch Batch
	e.AppendMessage(&batch, &testHeader, nil, nil, pattern(size, 1))
	stream := batch.AppendTo(nil)
	for _, direct := range []bool{false, true} {
		b.Run(fmt.Sprintf("direct=%t", direct), func(b *testing.B) {
			f := newFeeder(nil)
			f.direct = direct
			body := make([]byte, size)
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				rest := stream
				n, _, _ := f.d.Next(rest[:piece])
				f.d.SetBody(body)
				rest = rest[n:]
				for len(rest) > 0 {
					if room := f.d.ReadInto(); direct && room != nil {
						k := copy(room[:min(len(room), piece)], rest) // stands for the read
						if _, err := f.d.DidRead(k); err != nil {
							b.Fatal(err)
						}
						rest = rest[k:]
						continue
					}
					k, _, err := f.d.Next(rest[:min(len(rest), piece)])
					if err != nil {
						b.Fatal(err)
					}
					rest = rest[k:]
				}
				f.d.Segments()
			}
		})
	}
}

func BenchmarkPreambleCRC(b *testing.B) {
	p := preamble(TagAck, 1, 8)
	for b.Loop() {
		preambleCRC(p[:28])
	}
}

// In crc mode neither side allocates.
func TestNoAllocs(t *testing.T) {
	for _, size := range []int{0, 64, 4 << 10} {
		var e Encoder
		var batch Batch
		front := pattern(size, 1)
		h, ack := testHeader, &Ack{}
		encode := func() {
			e.AppendMessage(&batch, &h, front, nil, nil)
			e.AppendControl(&batch, ack)
		}
		encode()
		stream := batch.AppendTo(nil)
		batch.Advance(batch.Len())
		require.Zero(t, testing.AllocsPerRun(100, func() {
			encode()
			batch.Advance(batch.Len())
		}), "encode %d", size)

		var d Decoder
		d.Init(Limits{})
		body := make([]byte, size)
		var got Ack
		require.Zero(t, testing.AllocsPerRun(100, func() {
			message := len(stream) - (PreambleLen + 8 + crcLen)
			decodeOne(t, &d, stream[:message], body)
			_, _, err := d.Next(stream[message:])
			if err == nil {
				_, _, err = d.Next(stream[message+PreambleLen:])
			}
			if err == nil {
				err = got.Parse(d.Payload())
			}
			if err != nil {
				t.Fatal(err)
			}
		}), "decode %d", size)
	}
}
