package session

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/auth/tlsauth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// sharedKey is a method that is as good as a shared key makes one: each side brings a
// fresh number, and the keys come from the secret and both. It asks for both modes, prefers
// secure and takes what it gets.
type sharedKey struct {
	secret []byte
	modes  []uint32 // of the server; nil: both
	rng    *rand.Rand
}

const sharedKeyMethod = 0x7e58

var errSharedKey = errors.New("shared key: not as it should be")

func (k *sharedKey) number() []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, k.rng.Uint64()), k.rng.Uint64())
}

func (k *sharedKey) result(client, server []byte, mode uint32) auth.Result {
	r := auth.Result{Mode: mode, SessionKey: k.derive("session", client, server)[:16]}
	if mode == auth.ModeSecure {
		r.ConnectionSecret = append(k.derive("1", client, server), k.derive("2", client, server)...)
	}
	return r
}

func (k *sharedKey) derive(label string, parts ...[]byte) []byte {
	m := hmac.New(sha256.New, k.secret)
	m.Write([]byte(label))
	for _, p := range parts {
		m.Write(p)
	}
	return m.Sum(nil)
}

type sharedKeyClient struct{ k *sharedKey }
type sharedKeyServer struct{ k *sharedKey }
type sharedKeyAsking struct {
	k           *sharedKey
	own, theirs []byte
}
type sharedKeyServing struct {
	k           *sharedKey
	theirs, own []byte
	mode        uint32
}

func (c sharedKeyClient) NewExchange(_, _ entity.Type) auth.ClientExchange {
	return &sharedKeyAsking{k: c.k}
}

func (x *sharedKeyAsking) Request() (auth.Request, error) {
	x.own = x.k.number()
	return auth.Request{Method: sharedKeyMethod, Modes: []uint32{auth.ModeSecure, auth.ModeCRC},
		Payload: bytes.Clone(x.own)}, nil
}
func (x *sharedKeyAsking) BadMethod(r *auth.RefusedError) (auth.Request, error) {
	return auth.Request{}, r
}
func (x *sharedKeyAsking) More(p []byte) ([]byte, error) {
	x.theirs = bytes.Clone(p)
	return []byte("so be it"), nil
}
func (x *sharedKeyAsking) Done(_ uint64, mode uint32, _ []byte) (auth.Result, error) {
	if x.theirs == nil {
		return auth.Result{}, errSharedKey
	}
	return x.k.result(x.own, x.theirs, mode), nil
}

func (s sharedKeyServer) NewExchange(_, _ entity.Type) auth.ServerExchange {
	return &sharedKeyServing{k: s.k}
}

func (x *sharedKeyServing) Request(r auth.Request) (auth.Reply, error) {
	allowed := x.k.modes
	if allowed == nil {
		allowed = []uint32{auth.ModeCRC, auth.ModeSecure}
	}
	mode, ok := auth.ChooseMode(r.Modes, allowed)
	if r.Method != sharedKeyMethod || !ok {
		return auth.Reply{}, &auth.RefusedError{Method: r.Method, Result: -95, Methods: []uint32{sharedKeyMethod},
			Modes: allowed}
	}
	x.theirs, x.own, x.mode = bytes.Clone(r.Payload), x.k.number(), mode
	return auth.Reply{Payload: bytes.Clone(x.own)}, nil
}
func (x *sharedKeyServing) More([]byte) (auth.Reply, error) {
	return auth.Reply{Done: true, Payload: []byte("welcome"), Result: x.k.result(x.theirs, x.own, x.mode)}, nil
}

// mitmMethod is how the two nodes of a rewritten handshake authenticate.
type mitmMethod struct {
	name  string
	keyed bool
	use   func(n *simNode)
	runs  int // of a sample
}

// mitmMethods are NONE, a shared key in crc mode (where nothing but the signature keeps
// anybody from anything), a shared key in secure mode, and TLS.
func mitmMethods(t testing.TB, rng *rand.Rand) []mitmMethod {
	key := func(modes ...uint32) func(n *simNode) {
		k := &sharedKey{secret: []byte("a key of the two"), modes: modes, rng: rng}
		return func(n *simNode) { n.client, n.server = sharedKeyClient{k}, sharedKeyServer{k} }
	}
	now := time.Date(2030, 6, 1, 12, 0, 0, 0, time.UTC)
	tls := map[uint32]*tlsauth.Auth{}
	for i := range uint32(3) {
		a, err := tlsauth.New(tlsauth.Config{Name: osd(string(rune('1' + i))), Time: func() time.Time { return now },
			Secrets: []tlsauth.Secret{tlsauth.Secret("sixteen bytes or more")}})
		require.NoError(t, err)
		tls[i+1] = a
	}
	return []mitmMethod{
		{"none", false, func(*simNode) {}, 4000},
		{"shared key, crc", true, key(auth.ModeCRC), 4000},
		{"shared key, secure", true, key(), 4000},
		{"tls", true, func(n *simNode) {
			a := tls[n.addr.Nonce]
			n.client, n.server = a.Client(), a.Server()
		}, 300},
	}
}

// unit is a banner, or a frame of crc mode, as it was sent.
type unit []byte

func (u unit) isBanner() bool      { return len(u) >= 8 && string(u[:8]) == "ceph v2\n" }
func (u unit) tag() frame.Tag      { return frame.Tag(u[0]) }
func (u unit) is(t frame.Tag) bool { return !u.isBanner() && u.tag() == t }

// payload is that of a frame: an empty one has no checksum either.
func (u unit) payload() []byte {
	if len(u) == frame.PreambleLen {
		return nil
	}
	return u[frame.PreambleLen : len(u)-4]
}

// nextUnit is the first unit of b, or nil if it is not complete.
func nextUnit(b []byte, banner bool) unit {
	n := labBannerLen
	if !banner {
		if len(b) < frame.PreambleLen {
			return nil
		}
		n = frame.PreambleLen
		if l := int(binary.LittleEndian.Uint32(b[2:])); l > 0 {
			n += l + 4
		}
	}
	if len(b) < n {
		return nil
	}
	return unit(bytes.Clone(b[:n]))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// repaired is u with checksums that fit what is in it: a crc is no signature.
func (u unit) repaired() unit {
	if !u.isBanner() && len(u) >= frame.PreambleLen {
		// The preamble's has the seed 0 and is not inverted (docs/PROTOCOL.md 1.3).
		binary.LittleEndian.PutUint32(u[28:], ^crc32.Update(^uint32(0), castagnoli, u[:28]))
		if len(u) > frame.PreambleLen+4 {
			binary.LittleEndian.PutUint32(u[len(u)-4:], frame.SegmentCRC(u.payload()))
		}
	}
	return u
}

// control is c as a unit.
func control(c frame.Control) unit {
	var b frame.Batch
	var e frame.Encoder
	e.AppendControl(&b, c)
	return unit(b.AppendTo(nil))
}

// mitm sits between two sessions. It sees each banner and frame before the agreed mode
// begins, and forwards what the attack makes of it.
type mitm struct {
	w      *world
	a, b   *simNode
	c      *simConn
	rng    *rand.Rand
	attack attack
	half   [2]mitmHalf // by whom it goes to: 0 the connector, 1 the acceptor
}

type mitmHalf struct {
	buf     []byte
	units   []unit
	secure  bool   // the rest is sealed
	signed  bool   // the signature has passed: the rest is not the attack's
	say     []byte // of the attack's own, to come next
	changed bool   // what was forwarded is not what was sent
}

// attack forwards something in place of unit i to that side.
type attack func(m *mitm, to, i int, u unit) []unit

// newMITM makes two nodes, of which the first calls the second through the attack.
func newMITM(t failer, rng *rand.Rand, method mitmMethod, a attack) *mitm {
	m := &mitm{w: &world{t: t}, rng: rng, attack: a}
	m.a = m.w.node(1, msg.LosslessClient(), clientOnly, method.use)
	m.b = m.w.node(2, msg.StatefulServer(), method.use)
	m.w.alter = m.alter
	return m
}

// run is one handshake, up to when somebody would try again.
func (m *mitm) run() {
	m.c = m.a.connectTo(m.b)
	m.c.send(1, 127, 10)
	m.w.run(90*time.Millisecond, 1000) // the shortest backoff is 100 ms
}

func (m *mitm) end() { m.w.endAll() }

// endAll ends all connections, whose authentication may be under way.
func (w *world) endAll() {
	for _, n := range w.nodes {
		for _, c := range slices.Clone(n.conns) {
			if !c.closed {
				c.markDown()
			}
		}
	}
}

func (m *mitm) alter(e *wireEnd, b []byte) (out []byte) {
	if e.w.n != 1 {
		return b
	}
	h := &m.half[e.side]
	out, h.say = h.say, nil
	h.buf = append(h.buf, b...)
	for !h.secure && !h.signed {
		u := nextUnit(h.buf, len(h.units) == 0)
		if u == nil {
			break
		}
		h.buf = h.buf[len(u):]
		if e.side == 0 && u.is(frame.TagAuthDone) {
			var done frame.AuthDone
			if done.Parse(u.payload()) == nil && done.ConMode == auth.ModeSecure {
				m.half[0].secure, m.half[1].secure = true, true
			}
		}
		h.signed = u.is(frame.TagAuthSignature)
		h.units = append(h.units, bytes.Clone(u))
		var now []byte
		for _, f := range m.attack(m, e.side, len(h.units)-1, u) {
			now = append(now, f...)
		}
		sent := h.units[len(h.units)-1]
		h.changed = h.changed || !bytes.Equal(now, sent)
		out = append(out, now...)
	}
	if h.secure || h.signed {
		out = append(out, h.buf...)
		h.buf = nil
	}
	return out
}

// inject sends units to a side of the attack's own accord.
func (m *mitm) inject(to int, us ...unit) {
	h := &m.half[to]
	for _, u := range us {
		h.say = append(h.say, u...)
		h.changed = true
	}
	for _, x := range m.w.wires {
		if e := x.ends[to]; x.n == 1 && e.conn != nil {
			e.in = append(e.in, nil) // so that there is something to deliver
		}
	}
}

// changed says whether either side got something else than the other one sent.
func (m *mitm) changed() bool { return m.half[0].changed || m.half[1].changed }

// accepted says whether a session came of it, on either side.
func (m *mitm) accepted() bool {
	return m.c.ready > 0 || len(m.b.got) > 0 ||
		slices.ContainsFunc(m.b.conns, func(c *simConn) bool { return c.ready > 0 })
}

// believed says whether a side took its peer for authenticated although what it had said
// did not arrive as it was. (The side whose own bytes arrived cannot know yet what became of
// the others: it signs what it got, and the other one sees. Both sign at the same time.)
func (m *mitm) believed() bool {
	return m.half[1].changed && m.c.s.Authenticated() != nil || m.half[0].changed &&
		slices.ContainsFunc(m.b.conns, func(c *simConn) bool { return c.s.Authenticated() != nil })
}
