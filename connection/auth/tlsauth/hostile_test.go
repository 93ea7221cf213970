package tlsauth

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// TestEveryBit: whichever bit of a handshake is flipped on its way, the two sides do not
// finish with the same keys, and whoever got it notices, or the other side does before it
// answers. ASYNCMSGR_LONG flips all of them, otherwise a sample.
func TestEveryBit(t *testing.T) {
	r := chance(t)
	clk, ca := newClock(), newCA(t, "ca")
	client, server := newGivenAuth(t, clk, issue(t, ca, admin), ca), newGivenAuth(t, clk, issue(t, ca, osd3), ca)
	plain := script{}.run(client.Client(), server.Server())
	wantDone(t, plain, admin, osd3)
	each := 97
	if long || testing.Short() {
		each = map[bool]int{true: 1, false: 997}[long]
	}
	flips := 0
	for step, p := range plain.payloads {
		for bit := r.IntN(each); bit < 8*len(p); bit += each {
			flips++
			o := script{edit: func(s int, p []byte) []byte {
				if s == step && bit < 8*len(p) { // signatures of other kinds have other lengths
					p[bit/8] ^= 1 << (bit % 8)
				}
				return p
			}}.run(client.Client(), server.Server())
			require.False(t, o.finished(), "payload %d, bit %d", step, bit)
			require.Empty(t, o.server.ConnectionSecret, "payload %d, bit %d", step, bit)
			require.True(t, o.clientErr != nil || o.serverErr != nil, "payload %d, bit %d", step, bit)
			if step == 1 {
				require.Error(t, o.clientErr, "payload %d, bit %d", step, bit)
			} else if step == 2 {
				require.Error(t, o.serverErr, "payload %d, bit %d", step, bit)
			}
		}
	}
	t.Logf("%d flips", flips)
}

// TestCutsAndAdditions: payloads that are cut, that go on, that are sent again or in
// another's place, that are empty or as long as they may be.
func TestCutsAndAdditions(t *testing.T) {
	r := chance(t)
	clk, ca := newClock(), newCA(t, "ca")
	client, server := newGivenAuth(t, clk, issue(t, ca, admin), ca), newGivenAuth(t, clk, issue(t, ca, osd3), ca)
	other := script{}.run(client.Client(), server.Server())
	edits := map[string]func(r *rand.Rand, p []byte) []byte{
		"cut":           func(r *rand.Rand, p []byte) []byte { return p[:r.IntN(len(p))] },
		"last missing":  func(_ *rand.Rand, p []byte) []byte { return p[:len(p)-1] },
		"goes on":       func(_ *rand.Rand, p []byte) []byte { return append(p, 0) },
		"empty":         func(_ *rand.Rand, p []byte) []byte { return nil },
		"oversize":      func(_ *rand.Rand, p []byte) []byte { return append(p, make([]byte, payloadMax)...) },
		"a ticket more": func(_ *rand.Rand, p []byte) []byte { return appendChunk(p, 3, []byte{4, 0, 0, 0}) },
		"a chunk more":  func(_ *rand.Rand, p []byte) []byte { return appendChunk(p, 3, []byte{4, 0, 0}) },
		"the last chunk is longer": func(_ *rand.Rand, p []byte) []byte {
			chunks, _ := parsePayload(p)
			var out []byte
			for i, c := range chunks {
				if i == len(chunks)-1 {
					c.data = append(append([]byte(nil), c.data...), 20, 0, 0) // the beginning of another Finished
				}
				out = appendChunk(out, c.level, c.data)
			}
			return out
		},
		"the last chunk is shorter": func(r *rand.Rand, p []byte) []byte {
			chunks, _ := parsePayload(p)
			var out []byte
			for i, c := range chunks {
				if i == len(chunks)-1 {
					c.data = c.data[:len(c.data)-1-r.IntN(len(c.data)-1)]
				}
				out = appendChunk(out, c.level, c.data)
			}
			return out
		},
	}
	for level := range 5 {
		edits["level "+string(rune('0'+level))] = func(_ *rand.Rand, p []byte) []byte {
			if int(p[1]) == level {
				p[1] ^= 1
			} else {
				p[1] = byte(level)
			}
			return p
		}
	}
	for from := range 3 {
		edits["of another handshake "+string(rune('0'+from))] = func(_ *rand.Rand, p []byte) []byte {
			return append([]byte(nil), other.payloads[from]...)
		}
	}
	for name, edit := range edits {
		for step := range 3 {
			o := script{edit: func(s int, p []byte) []byte {
				if s == step {
					p = edit(r, p)
				}
				return p
			}}.run(client.Client(), server.Server())
			require.False(t, o.finished(), "%s, payload %d", name, step)
			if name == "the last chunk is longer" && step == 2 {
				require.ErrorContains(t, o.serverErr, "buffer not empty", "crypto/tls sees to that")
			}
			require.Empty(t, o.server.ConnectionSecret, "%s, payload %d", name, step)
			require.True(t, o.clientErr != nil || o.serverErr != nil, "%s, payload %d", name, step)
		}
	}
}

// TestReplay: none of a handshake can be used in another one, by whoever listened.
func TestReplay(t *testing.T) {
	clk, ca := newClock(), newCA(t, "ca")
	client, server := newGivenAuth(t, clk, issue(t, ca, admin), ca), newGivenAuth(t, clk, issue(t, ca, osd3), ca)
	var recorded [][]byte
	o := script{edit: func(_ int, p []byte) []byte {
		recorded = append(recorded, append([]byte(nil), p...))
		return p
	}}.
		run(client.Client(), server.Server())
	wantDone(t, o, admin, osd3)
	// The whole client, against the same server.
	o = script{edit: func(s int, p []byte) []byte {
		if s%2 == 0 {
			return append([]byte(nil), recorded[s]...)
		}
		return p
	}}.run(replaying{client.Client(), recorded}, server.Server())
	require.Error(t, o.serverErr)
	require.Empty(t, o.server.SessionKey)
}

// replaying is a client that does not care what a server answers.
type replaying struct {
	auth.Client
	recorded [][]byte
}

func (r replaying) NewExchange(self, peer entity.Type) auth.ClientExchange {
	return &replayingExchange{r.Client.NewExchange(self, peer), r.recorded}
}

type replayingExchange struct {
	auth.ClientExchange
	recorded [][]byte
}

func (x *replayingExchange) More([]byte) ([]byte, error) { return x.recorded[2], nil }
func (x *replayingExchange) Close() error                { closeExchange(x.ClientExchange); return nil }

// FuzzServer: whatever a client sends, in one step or two, it is not let in, and nothing is
// left of it.
func FuzzServer(f *testing.F) {
	clk, ca := newClock(), newCA(f, "ca")
	client, server := newGivenAuth(f, clk, issue(f, ca, admin), ca), newGivenAuth(f, clk, issue(f, ca, osd3), ca)
	o := script{}.run(client.Client(), server.Server())
	wantDone(f, o, admin, osd3)
	f.Add(o.payloads[0], o.payloads[2])
	f.Add(o.payloads[0], o.payloads[0])
	f.Add(appendChunk(nil, 0, []byte{1, 0, 0, 1, 0}), []byte(nil))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		v := server.Server().NewExchange(0, 0)
		defer closeExchange(v)
		rep, err := v.Request(auth.Request{Method: auth.MethodTLS, Modes: []uint32{auth.ModeSecure}, Payload: first})
		if err == nil {
			rep, err = v.More(second)
		}
		if rep.Done || len(rep.Result.SessionKey) > 0 {
			t.Fatal("let in")
		}
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
		}
	})
}

func TestTextsOfPeers(t *testing.T) {
	long := strings.Repeat("\x1b\n", 1000)
	require.NotContains(t, short(long), "\n")
	require.NotContains(t, quoted(long), "\x1b")
	for _, s := range []string{short(long), quoted(long)} {
		require.Less(t, len(s), 5*textMax)
	}
	require.Equal(t, "a\u00e9?", short("a\u00e9\u202e"))
}
