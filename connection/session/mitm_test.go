package session

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

var mitmSeed = flag.Uint64("mitm-seed", 0, "the seed of handshakes that are rewritten; 0: from the clock")

// mitmChance is a test's source of chance; it prints the seed.
func mitmChance(t testing.TB) *rand.Rand {
	seed := *mitmSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-mitm-seed %d", seed)
	return rand.New(rand.NewPCG(seed, 2))
}

// forward is no attack.
func forward(_ *mitm, _, _ int, u unit) []unit { return []unit{u} }

// rewrite is an attack on each frame of type T, to whichever side.
func rewrite[T any, P interface {
	*T
	frame.Control
	Parse([]byte) error
}](change func(rng *rand.Rand, f P)) attack {
	return func(m *mitm, _, _ int, u unit) []unit {
		f := P(new(T))
		if u.isBanner() || u.tag() != f.Tag() || f.Parse(u.payload()) != nil {
			return []unit{u}
		}
		change(m.rng, f)
		return []unit{control(f)}
	}
}

// onUnit is an attack on one unit of a handshake of the method, which has so many to
// either side.
func onUnit(rng *rand.Rand, units [2]int, change func(m *mitm, to, i int, u unit) []unit) attack {
	side := rng.IntN(2)
	at := rng.IntN(units[side])
	return func(m *mitm, to, i int, u unit) []unit {
		if to != side || i != at {
			return []unit{u}
		}
		return change(m, to, i, u)
	}
}

// changeBanner is an attack on the features of one side's banner.
func changeBanner(change func(rng *rand.Rand, b *frame.Banner)) attack {
	to := -1
	return func(m *mitm, side, _ int, u unit) []unit {
		if to < 0 {
			to = m.rng.IntN(2)
		}
		if !u.isBanner() || side != to {
			return []unit{u}
		}
		b, _, err := frame.ParseBanner(u)
		if err != nil {
			return []unit{u}
		}
		change(m.rng, &b)
		return []unit{b.Append(nil)}
	}
}

func anyModes(rng *rand.Rand, modes []uint32) []uint32 {
	switch rng.IntN(5) {
	case 0: // swapped
		modes = slices.Clone(modes)
		slices.Reverse(modes)
		return modes
	case 1: // the best one dropped
		return modes[1:]
	case 2: // the last one dropped
		return modes[:len(modes)-1]
	case 3:
		return []uint32{auth.ModeCRC}
	}
	return append(slices.Clone(modes), rng.Uint32N(4))
}

func anyPayload(rng *rand.Rand, p []byte) []byte {
	p = slices.Clone(p)
	switch rng.IntN(4) {
	case 0:
		return nil
	case 1:
		return append(p, byte(rng.Uint32()))
	case 2:
		if len(p) > 0 {
			return p[:rng.IntN(len(p))]
		}
	}
	if len(p) > 0 {
		p[rng.IntN(len(p))] ^= byte(1 + rng.IntN(255))
	}
	return p
}

// anyFrame is one that the attack makes up.
func anyFrame(rng *rand.Rand) unit {
	cs := []frame.Control{
		&frame.Hello{EntityType: entity.TypeOSD, PeerAddr: labSelf},
		&frame.AuthRequest{Method: auth.MethodNone, Modes: []uint32{auth.ModeCRC}},
		&frame.AuthBadMethod{Method: auth.MethodTLS, Result: -95, Methods: []uint32{1}, Modes: []uint32{1}},
		&frame.AuthReplyMore{Payload: []byte("more")}, &frame.AuthRequestMore{Payload: []byte("more")},
		&frame.AuthDone{GlobalID: 5, ConMode: auth.ModeCRC}, &frame.AuthDone{GlobalID: 5, ConMode: auth.ModeSecure},
		&frame.AuthSignature{}, clientIdent(1, 2), serverIdent(0, 3), &frame.SessionReconnect{}, &frame.SessionReset{},
		&frame.Wait{}, &frame.Ack{}, &frame.Keepalive{},
	}
	return control(cs[rng.IntN(len(cs))])
}

// mitmAttacks makes each kind of attack.
var mitmAttacks = map[string]func(rng *rand.Rand, units [2]int) attack{
	"a bit": func(rng *rand.Rand, units [2]int) attack {
		return onUnit(rng, units, func(m *mitm, _, _ int, u unit) []unit {
			bit := m.rng.IntN(8 * len(u))
			u[bit/8] ^= 1 << (bit % 8)
			return []unit{u}
		})
	},
	"a bit, and the checksums fit": func(rng *rand.Rand, units [2]int) attack {
		return onUnit(rng, units, func(m *mitm, _, _ int, u unit) []unit {
			bit := m.rng.IntN(8 * len(u))
			u[bit/8] ^= 1 << (bit % 8)
			return []unit{u.repaired()}
		})
	},
	"modes of a request": func(*rand.Rand, [2]int) attack {
		return rewrite(func(rng *rand.Rand, f *frame.AuthRequest) { f.Modes = anyModes(rng, f.Modes) })
	},
	"method of a request": func(*rand.Rand, [2]int) attack {
		return rewrite(func(rng *rand.Rand, f *frame.AuthRequest) { f.Method ^= 1 << rng.IntN(32) })
	},
	"methods are said to be others": func(*rand.Rand, [2]int) attack {
		told := false
		return func(m *mitm, to, _ int, u unit) []unit {
			if told || !u.is(frame.TagAuthRequest) {
				return []unit{u}
			}
			told = true
			var f frame.AuthRequest
			if f.Parse(u.payload()) != nil {
				return []unit{u}
			}
			m.inject(0, control(&frame.AuthBadMethod{Method: f.Method, Result: -95,
				Methods: []uint32{auth.MethodNone, f.Method}, Modes: []uint32{auth.ModeCRC}}))
			return nil
		}
	},
	"banner, supported": func(*rand.Rand, [2]int) attack {
		return changeBanner(func(rng *rand.Rand, b *frame.Banner) { b.Supported ^= 1 << rng.IntN(64) })
	},
	"banner, required": func(*rand.Rand, [2]int) attack {
		return changeBanner(func(rng *rand.Rand, b *frame.Banner) { b.Required ^= 1 << rng.IntN(64) })
	},
	"type": func(*rand.Rand, [2]int) attack {
		return rewrite(func(rng *rand.Rand, f *frame.Hello) { f.EntityType ^= entity.Type(1 << rng.IntN(6)) })
	},
	"address": func(*rand.Rand, [2]int) attack {
		return rewrite(func(rng *rand.Rand, f *frame.Hello) { f.PeerAddr = labPeer })
	},
	"payload of a request": func(*rand.Rand, [2]int) attack {
		return rewrite(func(rng *rand.Rand, f *frame.AuthRequest) { f.Payload = anyPayload(rng, f.Payload) })
	},
	"payload of a reply": func(*rand.Rand, [2]int) attack {
		return rewrite(func(rng *rand.Rand, f *frame.AuthReplyMore) { f.Payload = anyPayload(rng, f.Payload) })
	},
	"payload of more": func(*rand.Rand, [2]int) attack {
		return rewrite(func(rng *rand.Rand, f *frame.AuthRequestMore) { f.Payload = anyPayload(rng, f.Payload) })
	},
	"mode of AUTH_DONE": func(*rand.Rand, [2]int) attack {
		return rewrite(func(rng *rand.Rand, f *frame.AuthDone) { f.ConMode ^= 3 })
	},
	"number of AUTH_DONE": func(*rand.Rand, [2]int) attack {
		return rewrite(func(rng *rand.Rand, f *frame.AuthDone) { f.GlobalID ^= 1 << rng.IntN(64) })
	},
	"payload of AUTH_DONE": func(*rand.Rand, [2]int) attack {
		return rewrite(func(rng *rand.Rand, f *frame.AuthDone) { f.Payload = append(f.Payload, 1) })
	},
	"a unit dropped": func(rng *rand.Rand, units [2]int) attack {
		return onUnit(rng, units, func(*mitm, int, int, unit) []unit { return nil })
	},
	"a unit twice": func(rng *rand.Rand, units [2]int) attack {
		return onUnit(rng, units, func(_ *mitm, _, _ int, u unit) []unit { return []unit{u, u} })
	},
	"a unit behind the next": func(rng *rand.Rand, units [2]int) attack {
		side, at := rng.IntN(2), 0
		at = rng.IntN(units[side])
		var held unit
		return func(_ *mitm, to, i int, u unit) []unit {
			switch {
			case to == side && i == at:
				held = u
				return nil
			case to == side && i == at+1:
				return []unit{u, held}
			}
			return []unit{u}
		}
	},
	"an earlier unit again": func(rng *rand.Rand, units [2]int) attack {
		return onUnit(rng, units, func(m *mitm, to, i int, u unit) []unit {
			from := m.half[m.rng.IntN(2)].units
			if len(from) == 0 {
				return []unit{u, u}
			}
			return []unit{from[m.rng.IntN(len(from))], u}
		})
	},
	"a unit that is made up": func(rng *rand.Rand, units [2]int) attack {
		return onUnit(rng, units, func(m *mitm, _, _ int, u unit) []unit {
			if m.rng.IntN(2) == 0 {
				return []unit{anyFrame(m.rng), u}
			}
			return []unit{anyFrame(m.rng)}
		})
	},
	"a unit goes back": func(rng *rand.Rand, units [2]int) attack {
		return onUnit(rng, units, func(m *mitm, to, i int, u unit) []unit {
			m.inject(1-to, u)
			if m.rng.IntN(2) == 0 {
				return nil
			}
			return []unit{u}
		})
	},
	"everything goes back": func(rng *rand.Rand, _ [2]int) attack {
		side := rng.IntN(2)
		return func(m *mitm, to, _ int, u unit) []unit {
			if to == side {
				m.inject(1-to, u)
			}
			return nil
		}
	},
}

// TestManInTheMiddle: between two sessions is somebody who rewrites, drops, repeats,
// reorders and makes up what they say before they are authenticated, and whose checksums
// are right. Where the method has keys, nobody takes what was rewritten for the peer's:
// AUTH_SIGNATURE covers all bytes, in crc mode as well.
//
// With NONE the signature is zeros and nothing is found out but what is no frame, or out
// of turn, or a mode or method that was not asked for. Who sits between can change the
// name, the type and the addresses, and be anybody: that is what NONE means.
//
// ASYNCMSGR_LONG makes it 100 000 handshakes with each method.
func TestManInTheMiddle(t *testing.T) {
	kinds := slices.Sorted(maps.Keys(mitmAttacks))
	for _, method := range mitmMethods(t, rand.New(rand.NewPCG(1, 2))) {
		t.Run(method.name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			rng := mitmChance(t)
			plain := newMITM(t, rng, method, forward)
			plain.run()
			require.True(t, plain.accepted())
			require.False(t, plain.changed())
			require.Equal(t, []uint64{1}, plain.b.got)
			plain.end()
			// The signature is not among those that are dropped and so on: it ends what
			// the attack may do. TestSignature and TestReplayedHandshake are about it.
			units := [2]int{}
			for side, h := range plain.half {
				units[side] = len(h.units)
				if h.units[len(h.units)-1].is(frame.TagAuthSignature) {
					units[side]--
				}
			}
			runs := method.runs
			switch {
			case long:
				runs = 100_000
			case testing.Short():
				runs /= 4
			}
			var accepted, refused, same int
			let := map[string]int{}
			began := time.Now()
			for i := range runs {
				kind := kinds[i%len(kinds)]
				m := newMITM(t, rng, method, mitmAttacks[kind](rng, units))
				m.run()
				switch {
				case !m.changed() && m.accepted():
					same++
				case !m.changed():
					m.w.failf("run %d: %s: nothing was changed, and there is no session", i, kind)
				case m.accepted():
					accepted++
					let[kind]++
					if method.keyed {
						m.w.failf("run %d: %s: accepted", i, kind)
					}
				default:
					refused++
				}
				if len(m.b.got) > 1 {
					m.w.failf("run %d: %s: delivered %v", i, kind, m.b.got)
				}
				m.end()
			}
			t.Logf("%d handshakes in %v: %d of them rewritten and accepted, %d refused, %d left as they were",
				runs, time.Since(began).Round(time.Millisecond), accepted, refused, same)
			require.Greater(t, refused, runs/2, "the attacks have no effect")
			if method.keyed {
				return
			}
			for _, kind := range kinds {
				t.Logf("%5d accepted: %s", let[kind], kind)
			}
			for _, kind := range []string{"a bit, and the checksums fit", "payload of a request",
				"number of AUTH_DONE"} {
				require.NotZero(t, let[kind], "%s: if NONE finds that out, say so in its documentation", kind)
			}
			for _, kind := range []string{"mode of AUTH_DONE", "everything goes back", "method of a request",
				"methods are said to be others"} {
				require.Zero(t, let[kind], kind)
			}
		})
	}
}

// TestEveryBitBeforeAuthentication: each bit of each banner and frame is flipped, with
// checksums that fit: a sample, or all with ASYNCMSGR_LONG.
func TestEveryBitBeforeAuthentication(t *testing.T) {
	for _, method := range mitmMethods(t, rand.New(rand.NewPCG(1, 2))) {
		if !method.keyed {
			continue
		}
		t.Run(method.name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			rng := mitmChance(t)
			plain := newMITM(t, rng, method, forward)
			plain.run()
			plain.end()
			flips, total := 0, 0
			for side, h := range plain.half {
				for _, u := range h.units {
					total += 8 * len(u)
				}
				for at, u := range h.units {
					step := 1
					if !long {
						step = max(1, 8*len(u)*len(plain.half[0].units)*3/method.runs)
					}
					first := rng.IntN(step)
					if u.is(frame.TagAuthSignature) {
						first += 8 * frame.PreambleLen // which comes after all that is signed
					}
					for bit := first; bit < 8*len(u); bit += step {
						m := newMITM(t, rng, method, func(_ *mitm, to, i int, u unit) []unit {
							if to == side && i == at && bit < 8*len(u) { // signatures differ in length
								u[bit/8] ^= 1 << (bit % 8)
								u = u.repaired()
							}
							return []unit{u}
						})
						m.run()
						// A checksum that was flipped is right again.
						if m.changed() {
							flips++
							if m.accepted() || !u.is(frame.TagAuthSignature) && m.believed() {
								m.w.failf("to %d, unit %d (%d), bit %d: accepted", side, at, u[0], bit)
							}
						}
						m.end()
					}
				}
			}
			t.Logf("%d of %d bits flipped", flips, total)
		})
	}
}

// TestTwoClientsTogether: who connects two clients with each other, as if each was the
// other one's server, gets nothing of it.
func TestTwoClientsTogether(t *testing.T) {
	for _, method := range mitmMethods(t, rand.New(rand.NewPCG(1, 2))) {
		w := &world{t: t}
		a, b := w.node(1, msg.LosslessPeer(), method.use), w.node(2, msg.LosslessPeer(), method.use)
		said := map[int][]byte{} // by wire, for its connector
		frames := 0
		w.alter = func(e *wireEnd, p []byte) []byte {
			if e.side == 0 { // the servers are not heard
				p = said[e.w.n]
				said[e.w.n] = nil
				return p
			}
			for _, x := range w.wires {
				if x.n != e.w.n && x.n <= 2 && x.ends[0].conn != nil {
					said[x.n] = append(said[x.n], p...)
					x.ends[0].in = append(x.ends[0].in, nil)
					frames++
				}
			}
			return nil
		}
		c, d := a.connectTo(b), b.connectTo(a)
		w.run(90*time.Millisecond, 1000)
		require.NotZero(t, frames)
		for _, x := range []*simConn{c, d} {
			require.Zero(t, x.ready, method.name)
			require.Nil(t, x.s.Authenticated(), method.name)
		}
		w.endAll()
	}
}

// TestTalkedOutOfAMethod: a client and a server that can do TLS, or a shared key, and NONE
// as well are talked into NONE by who sits between: unless the client demands more.
func TestTalkedOutOfAMethod(t *testing.T) {
	for _, method := range mitmMethods(t, rand.New(rand.NewPCG(1, 2))) {
		if !method.keyed {
			continue
		}
		for _, demand := range []bool{false, true} {
			number := uint32(sharedKeyMethod)
			if method.name == "tls" {
				number = auth.MethodTLS
			}
			both := mitmMethod{use: func(n *simNode) {
				none := auth.Method{Number: auth.MethodNone, Client: n.client, Server: n.server}
				method.use(n)
				all := &auth.Methods{Default: []auth.Method{{Number: number, Client: n.client, Server: n.server}, none}}
				n.client, n.server = all.Client(), all.Server()
				if demand {
					n.client = auth.Demand{Client: n.client, Methods: []uint32{number}}
				}
			}}
			m := newMITM(t, nil, both, nil)
			m.attack = func(m *mitm, _, _ int, u unit) []unit {
				if u.is(frame.TagAuthRequest) && len(m.half[1].units) == 3 {
					m.inject(0, control(&frame.AuthBadMethod{Method: number, Result: -95,
						Methods: []uint32{auth.MethodNone}, Modes: []uint32{auth.ModeCRC}}))
					return nil
				}
				return []unit{u}
			}
			m.run()
			require.Equal(t, !demand, m.accepted(), method.name)
			if demand {
				require.ErrorIs(t, m.c.faults[0], auth.ErrDowngrade)
			} else {
				require.Equal(t, auth.MethodNone, m.c.s.Authenticated().Method)
			}
			m.end()
		}
	}
}

// TestReplayedHandshake: what was recorded of a handshake, CVE-2018-1128 and CVE-2020-25660:
// each frame in the place of its kind, each prefix and the whole, of the client and of the
// server, in a new handshake of the same two. None is taken.
func TestReplayedHandshake(t *testing.T) {
	for _, method := range mitmMethods(t, rand.New(rand.NewPCG(1, 2))) {
		if !method.keyed {
			continue
		}
		t.Run(method.name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			rng := mitmChance(t)
			recorded := newMITM(t, rng, method, forward)
			var sealed [2][]byte
			alter := recorded.w.alter
			recorded.w.alter = func(e *wireEnd, b []byte) []byte {
				sealed[e.side] = append(sealed[e.side], b...)
				return alter(e, b)
			}
			recorded.run()
			require.True(t, recorded.accepted())
			recorded.end()
			replays := 0
			try := func(what string, a attack) {
				m := newMITM(t, rng, method, a)
				m.run()
				replays++
				if m.changed() && m.accepted() {
					m.w.failf("%s: accepted", what)
				}
				m.end()
			}
			for side, h := range recorded.half {
				for at, old := range h.units {
					try(fmt.Sprintf("unit %d to %d", at, side), func(_ *mitm, to, i int, u unit) []unit {
						if to == side && i == at {
							return []unit{old}
						}
						return []unit{u}
					})
					try(fmt.Sprintf("units up to %d to %d", at, side), func(_ *mitm, to, i int, u unit) []unit {
						if to == side && i <= at {
							return []unit{h.units[i]}
						}
						return []unit{u}
					})
					try(fmt.Sprintf("unit %d as well to %d", at, side), func(_ *mitm, to, i int, u unit) []unit {
						if to == side && i == at {
							return []unit{u, old}
						}
						return []unit{u}
					})
				}
			}
			// The whole, by somebody who has nothing but the recording.
			for _, side := range []int{0, 1} {
				m := newMITM(t, rng, method, forward)
				pos := 0
				m.w.alter = func(e *wireEnd, b []byte) []byte {
					if e.side != side || e.w.n != 1 {
						return b
					}
					n := min(len(b), len(sealed[side])-pos)
					pos += n
					return sealed[side][pos-n : pos]
				}
				m.run()
				replays++
				if len(m.b.got) > 0 || m.c.ready > 0 {
					m.w.failf("the whole to %d: accepted", side)
				}
				m.end()
			}
			t.Logf("%d replays", replays)
		})
	}
}

// TestRewrittenSignature: no signature but the right one will do, zeros and the client's own
// among those that do not.
func TestRewrittenSignature(t *testing.T) {
	for _, method := range mitmMethods(t, rand.New(rand.NewPCG(1, 2))) {
		if method.name != "shared key, crc" {
			continue
		}
		rng := mitmChance(t)
		var own unit
		for what, change := range map[string]func(u unit) unit{
			"zeros":      func(u unit) unit { return control(&frame.AuthSignature{}) },
			"a bit":      func(u unit) unit { u[40] ^= 1; return u.repaired() },
			"the peer's": func(u unit) unit { return own },
			"short":      func(u unit) unit { return control(rawFrame{frame.TagAuthSignature, u.payload()[:31]}) },
			"long": func(u unit) unit {
				return control(rawFrame{frame.TagAuthSignature, append(u.payload()[:32:32], 0)})
			},
			"none": func(u unit) unit { return control(rawFrame{frame.TagAuthSignature, nil}) },
		} {
			for side := range 2 {
				m := newMITM(t, rng, method, func(m *mitm, to, _ int, u unit) []unit {
					if u.is(frame.TagAuthSignature) {
						if to == side && (what != "the peer's" || own != nil) {
							return []unit{change(u)}
						}
						own = slices.Clone(u)
					}
					return []unit{u}
				})
				m.run()
				if what == "the peer's" && side == 0 { // the server signs first
					require.True(t, m.accepted())
				} else {
					require.False(t, m.accepted(), "%s to %d", what, side)
				}
				m.end()
				own = nil
			}
		}
	}
}
