package session

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/compress"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// simCompression is what all nodes are configured with.
var simCompression Compression

// named is zlib under another number.
type named struct {
	compress.Zlib
	id   uint32
	name string
}

func (a named) ID() uint32   { return a.id }
func (a named) Name() string { return a.name }

// compressed compresses with zlib whatever becomes shorter.
func compressed(n *simNode) {
	n.cfg.Compression = Compression{Algorithms: []compress.Algorithm{compress.Zlib{}}, MinSize: 1}
}

// with makes a node offer algorithms of these numbers, in that order.
func with(ids ...uint32) nodeOption {
	return func(n *simNode) {
		n.cfg.Compression = Compression{MinSize: 1}
		for _, id := range ids {
			a := named{id: id, name: string(rune('a' + id))}
			n.cfg.Compression.Algorithms = append(n.cfg.Compression.Algorithms, a)
		}
	}
}

// TestCompressionAgreed: the connector's order decides, and where there is nothing in common,
// or one side is not to, the session is plain and each side knows why.
func TestCompressionAgreed(t *testing.T) {
	none := func(*simNode) {}
	notOSDs := func(n *simNode) { n.cfg.Compression.PeerTypes = []entity.Type{entity.TypeMDS} }
	osds := func(n *simNode) { n.cfg.Compression.PeerTypes = []entity.Type{entity.TypeMDS, entity.TypeOSD} }
	secure := useFake(fakeAuth{key: "secret", mode: auth.ModeSecure})
	andSecure := func(n *simNode) { n.cfg.Compression.WithSecure = true }
	all := func(list ...nodeOption) nodeOption {
		return func(n *simNode) {
			for _, o := range list {
				o(n)
			}
		}
	}
	for _, tc := range []struct {
		name       string
		a, b       nodeOption
		alg        string
		whyA, whyB string
	}{
		{"the same", with(4), with(4), "e", "", ""},
		{"as Ceph's 4,1,3 and 3,1,2", with(4, 1, 3), with(3, 1, 2), "b", "", ""},
		{"as Ceph's 3,1,2 and 4,1,3", with(3, 1, 2), with(4, 1, 3), "d", "", ""},
		{"only one offers", with(1), none, "", "the peer does not offer it", ""},
		{"only the other offers", none, with(1), "", "", "the peer does not offer it"},
		{"nothing in common", with(1), with(2), "", "the peer has none", "none of the peer's algorithms [1]"},
		{"not with OSDs", all(with(1), notOSDs), with(1), "", "not configured for peers of type osd",
			"does not want to"},
		{"not from OSDs", with(1), all(with(1), notOSDs), "", "the peer has none",
			"not configured for peers of type osd"},
		{"with OSDs", all(with(1), osds), all(with(1), osds), "b", "", ""},
		{"secure", all(with(1), secure), all(with(1), secure), "", "secure mode", "secure mode"},
		{"secure too", all(with(1), secure, andSecure), all(with(1), secure, andSecure), "b", "", ""},
		{"neither", none, none, "", "", ""},
	} {
		w := &world{t: t}
		a, b := w.node(1, msg.LosslessPeer(), tc.a), w.node(2, msg.LosslessPeer(), tc.b)
		c := a.connectTo(b)
		for i := range 3 {
			c.send(uint64(i+1), 127, 3000)
		}
		w.runFor(time.Second)
		require.Equal(t, []uint64{1, 2, 3}, b.got, tc.name)
		d := b.open()[0]
		alg, why := c.s.Compressed()
		require.Equal(t, tc.alg, alg, tc.name)
		require.Contains(t, why, tc.whyA, tc.name)
		require.Equal(t, tc.whyA == "", why == "", "%s: %s", tc.name, why)
		alg, why = d.s.Compressed()
		require.Equal(t, tc.alg, alg, tc.name)
		require.Contains(t, why, tc.whyB, tc.name)
		require.Equal(t, tc.whyB == "", why == "", "%s: %s", tc.name, why)

		sent, _ := c.s.TakePacked()
		_, received := d.s.TakePacked()
		require.Equal(t, sent.Frames, received.Frames, tc.name)
		require.Equal(t, sent.Plain, received.Plain, tc.name)
		require.Equal(t, sent.Wire, received.Wire, tc.name)
		require.Equal(t, tc.alg != "", sent.Frames > 0, tc.name)
		if tc.alg != "" {
			require.Less(t, sent.Wire, sent.Plain/2, tc.name)
		}

		// The next transport has an agreement of its own, and the counts go on.
		w.cut(w.wires[0])
		c.send(4, 127, 3000)
		w.runFor(time.Minute)
		require.Equal(t, []uint64{1, 2, 3, 4}, b.got, tc.name)
		alg, _ = c.s.Compressed()
		require.Equal(t, tc.alg, alg, tc.name)
		alg, _ = d.s.Compressed() // which has taken over the transport of an accepted one
		require.Equal(t, tc.alg, alg, tc.name)
		sent, _ = c.s.TakePacked()
		_, received = d.s.TakePacked()
		require.Equal(t, tc.alg != "", sent.Frames > 0, tc.name)
		require.Equal(t, tc.alg != "", received.Frames > 0, tc.name)
		again, _ := c.s.TakePacked()
		require.Zero(t, again)
	}
}

// TestCompressedSessions runs what is tested of sessions with compression: races, cuts, replays,
// crossed sessions, and a fault at every byte.
func TestCompressedSessions(t *testing.T) {
	simCompression = Compression{Algorithms: []compress.Algorithm{compress.Zlib{}}, MinSize: 1}
	defer func() { simCompression = Compression{} }()
	for name, test := range map[string]func(*testing.T){
		"Pairings": TestPairings, "OneByteAtATime": TestOneByteAtATime, "NarrowWindow": TestNarrowWindow,
		"CrossedSessions": TestCrossedSessions, "CrossedAndRestarted": TestCrossedAndRestarted,
		"RestartWithoutResetcheck": TestRestartWithoutResetcheck, "EndsAgree": TestEndsAgree,
		"GatePauses": TestGatePauses, "FaultAtEveryByte": TestFaultAtEveryByte, "SecureMode": TestSecureMode,
		"MarkDownEverywhere": TestMarkDownEverywhere,
	} {
		if testing.Short() && (name == "FaultAtEveryByte" || name == "NarrowWindow") {
			continue // slow under the race detector
		}
		t.Run(name, test)
	}
}

// packedMessage is one of n bytes, compressed.
func packedMessage(l *lab, seq uint64, n int) []byte {
	b, m := new(frame.Batch), message(seq, 127, 0, 0, n)
	l.enc.AppendMessage(b, &frame.Header{Seq: seq, TID: seq, Type: 1, Priority: 127}, m.Front, m.Middle, m.Data)
	return b.AppendTo(nil)
}

// TestPackedMessageWaits: a compressed message takes room for what came, and then for what it
// becomes; while there is none it waits, and is delivered when there is.
func TestPackedMessageWaits(t *testing.T) {
	l := connector(t, msg.LosslessPeer(), compressed).drive(StateReady)
	b := packedMessage(l, 1, 8000)
	require.Less(t, len(b), 1000)
	require.Equal(t, len(b)-1, l.s.HandleBytes(0, b[:len(b)-1]))
	require.Equal(t, 1, l.c.admitted)
	l.c.held = true
	b = append(b[len(b)-1:], packedMessage(l, 2, 800)...)
	n := l.s.HandleBytes(0, b)
	require.Equal(t, 1, n, "what is behind it stays where it is")
	require.True(t, l.s.Paused())
	require.True(t, l.c.waiting)
	require.Zero(t, l.c.admitted)
	l.c.settle()
	require.Empty(t, l.c.got)
	l.c.waiting, l.c.held = false, false
	l.c.admitted++
	l.s.Resume(0)
	require.Equal(t, len(b)-1, l.s.HandleBytes(0, b[1:]))
	l.settle()
	require.Equal(t, []uint64{1, 2}, l.c.got)
	require.Zero(t, l.c.admitted)
	require.Empty(t, l.c.faults)

	// A transport that is lost meanwhile gives all of it back.
	b = packedMessage(l, 3, 8000)
	l.s.HandleBytes(0, b[:len(b)-1])
	l.c.held = true
	l.s.HandleBytes(0, b[len(b)-1:])
	require.True(t, l.s.Paused())
	l.fault()
	require.Zero(t, l.c.admitted)
	require.False(t, l.c.waiting)
}

// TestPlainAfterAgreement: a peer that agrees and then sends nothing compressed is fine, and so
// is one that compresses some.
func TestPlainAfterAgreement(t *testing.T) {
	for _, l := range []*lab{
		connector(t, msg.LosslessPeer(), compressed).drive(StateReady),
		acceptor(t, msg.LosslessPeer(), compressed).drive(StateReady),
	} {
		plain := l.enc
		plain.SetCompression(nil, 0)
		l.bytes(packedMessage(l, 1, 800))
		b := new(frame.Batch)
		plain.AppendMessage(b, &frame.Header{Seq: 2, TID: 2, Type: 1, Priority: 127},
			message(2, 0, 0, 0, 0).Front, nil, nil)
		plain.AppendControl(b, &frame.Ack{})
		l.bytes(b.AppendTo(nil))
		l.bytes(packedMessage(l, 3, 800))
		require.Equal(t, []uint64{1, 2, 3}, l.c.got)
		require.Empty(t, l.c.faults)
	}
}

// TestCompressionLies: an algorithm that was not asked for, an agreement where none was wanted,
// a bomb, and a compressed frame without an agreement are the peer's errors.
func TestCompressionLies(t *testing.T) {
	notOSDs := func(n *simNode) { n.cfg.Compression.PeerTypes = []entity.Type{entity.TypeMDS} }
	for _, opts := range [][]nodeOption{{with(4)}, {compressed, notOSDs}} {
		l := connector(t, msg.LosslessPeer(), opts...).drive(StateCompressionConnecting)
		l.say(&frame.CompressionDone{Compress: true, Method: compress.IDZlib})
		require.ErrorIs(t, l.lastFault(), ErrProtocol)
		require.ErrorContains(t, l.lastFault(), "not asked for")
	}
	small := func(n *simNode) { n.cfg.Limits.Data = 5000 }
	l := connector(t, msg.LosslessPeer(), compressed, small).drive(StateReady)
	l.bytes(packedMessage(l, 1, 8000))
	require.ErrorIs(t, l.lastFault(), frame.ErrTooLarge)
	require.Zero(t, l.c.admitted)
	require.Empty(t, l.c.got)

	l = connector(t, msg.LosslessPeer()).drive(StateReady)
	l.packs()
	l.bytes(packedMessage(l, 1, 8000))
	var fe *frame.Error
	require.ErrorAs(t, l.lastFault(), &fe)
	require.Equal(t, frame.CompressedFrame, fe.Code)
}
