package session

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// fuzzStream turns fuzz input into the bytes of a stream: raw, or records (tag,
// length, payload) as frames whose checksums are right.
func fuzzStream(l *lab, raw bool, data []byte) (b []byte) {
	if raw {
		return data
	}
	for len(data) >= 2 && len(b) < 64<<10 {
		tag, n := frame.Tag(data[0]%26), min(int(data[1]), len(data)-2)
		p := data[2 : 2+n]
		data = data[2+n:]
		if tag != frame.TagMessage {
			if n == 0 { // a good one
				b = append(b, sample(l, tag)...)
				continue
			}
			b = append(b, l.encode(rawFrame{tag, p})...)
			continue
		}
		h := frame.Header{Type: 1}
		if n >= 2 {
			h.Seq, h.AckSeq = uint64(p[0]), uint64(p[1])
			p = p[2:]
		}
		if n >= 18 {
			h.Seq, h.AckSeq = binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint64(p[8:])
		}
		batch := new(frame.Batch)
		l.enc.AppendMessage(batch, &h, p, nil, p[:len(p)/2])
		b = batch.AppendTo(b)
	}
	return b
}

// fuzzLab is a session in a state whose messages are not looked into.
func fuzzLab(t *testing.T, state uint8, acceptorSide bool) *lab {
	st := State(state % uint8(NumStates))
	labs := inState(t, st)
	l := labs["connector"]
	if acceptorSide && labs["acceptor"] != nil || l == nil {
		l = labs["acceptor"]
	}
	l.c.end = nil
	return l
}

type fuzzResult struct {
	state  State
	faults string
	got    string
	in     uint64
	paused bool
	done   int
}

func (l *lab) fuzzRun(t *testing.T, b []byte, step func(rest int) int) fuzzResult {
	var got []string
	drain := func() {
		for o, ok := l.s.NextOutput(); ok; o, ok = l.s.NextOutput() {
			switch o.Kind {
			case OutDeliver:
				got = append(got, fmt.Sprintf("%d:%x:%x", o.Msg.Seq(), o.Msg.Front, o.Msg.Data))
				l.c.admitted--
				o.Msg.Release()
			case OutFinish:
				l.c.done[o.Msg.TID] = o.Err
			case OutFault:
				// How much of a bad banner is quoted depends on how much came.
				text, _, _ := strings.Cut(o.Err.Error(), "; what came begins")
				l.c.faults = append(l.c.faults, errors.New(text))
			case OutArbitrate:
				l.c.n.arbitrate(l.c)
			}
		}
	}
	for len(b) > 0 && l.s.stream.up && !l.s.Paused() {
		n := step(len(b))
		for part := b[:n]; len(part) > 0 && l.s.stream.up && !l.s.Paused(); {
			k := l.s.HandleBytes(0, part)
			if k == 0 && l.s.stream.up && !l.s.Paused() {
				t.Fatalf("took nothing of %d bytes in %s", len(part), l.s.State())
			}
			part = part[k:]
			b = b[k:]
			drain()
		}
		if h := l.s.stream.hs; h != nil &&
			(len(h.rxLog) > l.n.cfg.PreAuthBytes+1024 || len(h.txLog)+len(h.tx) > 64<<10 || len(h.banner) > bannerMax) {
			t.Fatalf("unbounded: %d %d %d %d", len(h.rxLog), len(h.txLog), len(h.tx), len(h.banner))
		}
	}
	drain()
	return fuzzResult{l.s.State(), fmt.Sprint(l.c.faults), fmt.Sprint(got), l.s.InSeq(), l.s.Paused(), len(l.c.done)}
}

// FuzzHandleBytes: whatever arrives in whatever state, there is no panic, no
// unbounded memory, and how the bytes are split changes nothing.
func FuzzHandleBytes(f *testing.F) {
	for st := range uint8(NumStates) {
		f.Add(st, false, false, uint64(3),
			[]byte{byte(frame.TagMessage), 2, 1, 0, byte(frame.TagAck), 0, byte(frame.TagKeepalive), 0})
		f.Add(st, true, false, uint64(9), []byte{1, 0, 2, 0, 7, 0, 8, 0, 17, 4, 1, 0, 5, 6, 17, 3, 2, 0, 9, 20, 0})
		f.Add(st, true, true, uint64(1),
			[]byte("ceph v2\n\x10\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
		f.Add(st, false, false, uint64(7), []byte{1, 0, 6, 0, 7, 0, 9, 0, 17, 2, 1, 0, 18, 0})
		f.Add(st, false, false, uint64(7), []byte{15, 0, 17, 2, 1, 0, 17, 2, 2, 9})
		f.Add(st, false, false, uint64(2), []byte{12, 1, 0, 9, 0, 13, 0, 14, 0, 16, 0})
	}
	f.Fuzz(func(t *testing.T, st uint8, acc, raw bool, split uint64, data []byte) {
		l := fuzzLab(t, st, acc)
		b := fuzzStream(l, raw, data)
		whole := l.fuzzRun(t, b, func(rest int) int { return rest })
		parts := fuzzLab(t, st, acc).fuzzRun(t, b, func(rest int) int {
			split = split*6364136223846793005 + 1442695040888963407
			return min(rest, 1+int(split>>33)%40)
		})
		if whole != parts {
			t.Fatalf("in one piece:\n%+v\nin parts:\n%+v", whole, parts)
		}
	})
}
