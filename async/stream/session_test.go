package stream

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
)

// flow is one direction of a stream: bytes by chance, of which both ends take the hash.
type flow struct {
	from, to *Conn
	r        *rand.Rand
	left     int
	writeMax int
	pending  []byte // drawn, and not written
	out, in  hash.Hash
	written  bool
	ended    bool
	buf      []byte
}

func newFlow(from, to *Conn, seed uint64, size, writeMax int) *flow {
	return &flow{from: from, to: to, r: rand.New(rand.NewPCG(seed, 2)), left: size, writeMax: writeMax,
		out: sha256.New(), in: sha256.New(), buf: make([]byte, 1+writeMax)}
}

// step writes and reads what can be.
func (f *flow) step(t *testing.T) {
	for !f.written {
		if len(f.pending) == 0 {
			if f.left == 0 {
				require.NoError(t, f.from.CloseWrite())
				f.written = true
				break
			}
			f.pending = make([]byte, min(f.left, 1+f.r.IntN(f.writeMax)))
			for i := range f.pending {
				f.pending[i] = byte(f.r.Uint32())
			}
			f.left -= len(f.pending)
			f.out.Write(f.pending)
		}
		n, would, err := write(f.from, f.pending)
		f.pending = f.pending[n:]
		if would {
			break
		}
		require.NoError(t, err)
	}
	for !f.ended {
		n, would, err := read(f.to, f.buf[:1+f.r.IntN(len(f.buf))])
		f.in.Write(f.buf[:n])
		if would {
			break
		}
		if err != nil {
			require.Equal(t, io.EOF, err)
			f.ended = true
		}
	}
}

// carry does what can be done for each flow, now and then, until all have ended.
func (s *sim) carry(flows []*flow) {
	s.t.Helper()
	for over := false; !over; {
		s.Run(500 * time.Microsecond)
		require.Less(s.t, s.Net.Now(), time.Hour)
		over = true
		for _, f := range flows {
			f.step(s.t)
			over = over && f.ended
		}
	}
}

func (f *flow) check(t *testing.T) {
	require.Equal(t, f.out.Sum(nil), f.in.Sum(nil))
}

// TestManyStreamsThroughCuts: what is written is read, on every stream, though the TCP
// connections are cut again and again.
func TestManyStreamsThroughCuts(t *testing.T) {
	seeds, streams := uint64(6), 30
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 3))
			s := newSim(t, simOptions{
				Options: asynctest.Options{Seed: seed + 1, Config: lossless, Workers: 2, Policy: policyOf(seed)},
				stream:  Options{Window: 4 << 10 << r.IntN(5), WindowMin: 1 << 10, PieceMax: 1 << 10 << r.IntN(7)}})
			ls := [2]*Listener{s.listen(0, "s"), s.listen(1, "s")}
			s.Add("cut", func(pk *simnet.Packet) simnet.Verdict {
				if pk.Kind == simnet.Data && r.IntN(50) == 0 {
					return simnet.Cut(r.IntN(len(pk.Data) + 1))
				}
				return simnet.Pass()
			})
			var flows []*flow
			for i := range streams {
				from := i % 2
				d := s.dial(from, 1-from, "s", WithPriority(uint8(64+r.IntN(190))))
				a := accept(ls[1-from])
				for j, ends := range [2][2]*Conn{{d, a}, {a, d}} {
					flows = append(flows, newFlow(ends[0], ends[1], seed<<32+uint64(2*i+j), r.IntN(60<<10),
						1+r.IntN(8<<r.IntN(12))))
				}
			}
			s.carry(flows)
			s.LiftAll()
			for _, f := range flows {
				f.check(t)
				require.NoError(t, f.from.Close())
			}
			require.Positive(t, s.Nodes[0].Stats().Faults, "it was cut")
			require.Zero(t, s.muxes[0].Stats().Protocol)
			require.Zero(t, s.muxes[1].Stats().Protocol)
			s.wantNothing()
		})
	}
}

func policyOf(seed uint64) msg.Policy {
	if seed%2 == 0 {
		return msg.LosslessPeer()
	}
	return msg.LosslessPeerReuse()
}

// TestCutAnywhere: one stream's life, with the connection cut at each byte of it by turns.
func TestCutAnywhere(t *testing.T) {
	step := int64(7)
	if testing.Short() {
		step = 101
	}
	for at := int64(0); at < 2000; at += step {
		s := newSim(t, simOptions{Options: asynctest.Options{Config: lossless}})
		l := s.listen(1, "x")
		s.Connect(0, 1)
		s.calm()
		s.Add("cut", simnet.Once(simnet.CutAt(900+at, at%2 == 0, nil)))
		d := s.dial(0, 1, "x")
		a := accept(l)
		f, g := newFlow(d, a, uint64(at), 500, 100), newFlow(a, d, uint64(at)+1, 500, 100)
		s.carry([]*flow{f, g})
		f.check(t)
		g.check(t)
		require.NoError(t, d.Close())
		require.NoError(t, a.Close())
		s.wantNothing()
	}
}

// TestPeerRestarts: streams end with the session that carried them, for whoever reads,
// writes or dials, and the next ones have nothing to do with them.
func TestPeerRestarts(t *testing.T) {
	s := newSim(t, simOptions{Options: asynctest.Options{Config: lossless, SameNonce: true}})
	l := s.listen(1, "x")
	d := s.dial(0, 1, "x")
	a := accept(l)
	s.mustWrite(d, []byte("read"))
	s.wantRead(a, "read")
	s.mustWrite(a, []byte("not read"))
	s.calm()
	s.Kill(1)
	s.mustWrite(d, []byte("into the void"))
	waits := s.begin(0, 1, "x")
	s.Run(time.Second)
	s.Restart(1)
	l = s.listen(1, "x")
	s.wantError(d, ErrPeerReset)
	s.wantError(d, msg.ErrRemoteReset)
	_, _, err := write(d, []byte("x"))
	require.ErrorIs(t, err, ErrPeerReset)
	require.ErrorIs(t, s.settled(waits), ErrPeerReset)
	require.NoError(t, d.Close())

	e := s.dial(0, 1, "x")
	b := accept(l)
	s.mustWrite(e, []byte("new life"))
	s.wantRead(b, "new life")
	require.EqualValues(t, 2, s.muxes[0].Stats().Reset)
	require.Zero(t, s.muxes[1].Stats().Unknown)
	require.NoError(t, e.Close())
	require.NoError(t, b.Close())
	s.wantNothing()
}

// TestPeerRestartsUnnoticed: a policy without ResetCheck carries the session on to a peer
// that knows nothing; its answer ends the streams.
func TestPeerRestartsUnnoticed(t *testing.T) {
	s := newSim(t, simOptions{Options: asynctest.Options{Config: lossless, SameNonce: true,
		Policy: msg.LosslessPeer()}})
	l := s.listen(0, "x")
	d := s.dial(1, 0, "x") // node 1 calls, and will again
	a := accept(l)
	s.Kill(1)
	s.mustWrite(a, []byte("whose is that?"))
	s.Run(time.Second)
	s.Restart(1)
	l1 := s.listen(1, "x")
	e := s.begin(1, 0, "x")
	require.NoError(t, s.settled(e))
	b := accept(l)
	s.calm()
	_, err := s.readAll(a)
	if !errors.Is(err, ErrPeerReset) {
		require.ErrorIs(t, err, ErrUnknownStream)
		require.Positive(t, s.muxes[1].Stats().Unknown)
	}
	s.mustWrite(e, []byte("mine"))
	s.wantRead(b, "mine")
	_, _ = d, l1
}

// TestOldAndNewIDs: what a session that was lost had under way does not reach a stream of the
// next one that has the same number.
func TestOldAndNewIDs(t *testing.T) {
	p := newPeer(t, simOptions{Options: asynctest.Options{Config: lossless, SameNonce: true}})
	l := p.listen(1, "pair")
	p.say(typeOpen, 5, openPair)
	p.want(fmt.Sprint("ACCEPT 5 ", windowDefault))
	old := accept(l)
	p.sayAs(typeData, 5, "old", 0)
	p.wantRead(old, "old")
	p.Kill(0)
	p.Run(time.Second)
	p.Restart(0)
	p.conn, p.seen = p.Connect(0, 1), 0
	p.say(typeOpen, 5, openPair) // the same number
	p.sayAs(typeData, 5, "new", 0)
	p.want(fmt.Sprint("ACCEPT 5 ", windowDefault))
	p.wantError(old, ErrPeerReset)
	young := accept(l)
	p.wantRead(young, "new")
	_, _, err := write(old, []byte("x"))
	require.ErrorIs(t, err, ErrPeerReset)
	require.NoError(t, old.Close())
	p.want()
	require.Zero(t, p.muxes[1].Stats().Protocol)
}

// TestMarkDown: this side gave the connection up; the peer hears of a lost session.
func TestMarkDown(t *testing.T) {
	s := newSim(t, simOptions{Options: asynctest.Options{Config: lossless}})
	d, a := s.pair()
	s.MarkDown(0, 1)
	_, _, err := read(d, make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed)
	require.ErrorIs(t, err, msg.ErrMarkedDown)
	_, err = s.muxes[0].begin(d.Connection(), "x", nil)
	require.ErrorIs(t, err, net.ErrClosed)
	require.Empty(t, s.muxes[0].all(), "nothing is kept of the connection")

	e := s.dialNew(0, 1)
	s.wantError(a, ErrPeerReset)
	require.NoError(t, e.Close())
	require.NoError(t, d.Close())
	require.NoError(t, a.Close())
	s.wantNothing()
}

// dialNew dials a service of its own.
func (s *sim) dialNew(from, to int) *Conn {
	s.t.Helper()
	l := s.listen(to, "new")
	d := s.dial(from, to, "new")
	require.NoError(s.t, accept(l).Close())
	require.NoError(s.t, l.Close())
	return d
}

// TestShutdown of the messenger ends everything, those who wait to accept too.
func TestShutdown(t *testing.T) {
	s := newSim(t, simOptions{})
	d, a := s.pair()
	l := s.listen(0, "x")
	waits := s.begin(0, 1, "nobody")
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	require.Error(t, s.Nodes[0].Shutdown(ended)) // it has begun
	s.calm()
	_, _, err := read(d, make([]byte, 1))
	require.ErrorIs(t, err, msg.ErrShutdown)
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = l.Accept()
	require.ErrorIs(t, err, msg.ErrShutdown)
	done, err := answerOf(waits)
	require.True(t, done)
	require.Error(t, err)
	_, err = s.muxes[0].Listen("y")
	require.ErrorIs(t, err, msg.ErrShutdown)
	_, would, _ := read(a, make([]byte, 1))
	require.True(t, would, "the peer may come back")
}

// TestLossySession: streams go over lossy sessions too, and end with them.
func TestLossySession(t *testing.T) {
	s := newSim(t, simOptions{Options: asynctest.Options{Setup: nil, Policy: msg.StatelessServer(),
		Config: lossless, Client: func(i int) bool { return i == 0 }}})
	s.Nodes[0].SetDefaultPolicy(msg.LossyClient())
	d, a := s.pair()
	s.mustWrite(d, []byte("hello"))
	s.wantRead(a, "hello")
	s.Cut(0)
	s.wantError(d, ErrPeerReset)
	s.wantError(a, ErrPeerReset)
	require.NoError(t, d.Close())
	require.NoError(t, a.Close())
	s.wantNothing()
}

// TestRejected: a message that the messenger gives up takes its stream along, and no other.
func TestRejected(t *testing.T) {
	s := newSim(t, simOptions{
		stream: Options{Window: 1 << 20, PieceMax: 1 << 20},
		Options: asynctest.Options{Config: func(i int, cfg *async.Config) {
			lossless(i, cfg)
			if i == 1 {
				cfg.Limits.Front = 100 << 10
			}
		}}})
	l := s.listen(1, "x")
	d, other := s.dial(0, 1, "x"), s.dial(0, 1, "x")
	a, b := accept(l), accept(l)
	s.mustWrite(d, make([]byte, 200<<10)) // in one piece, which the peer does not take
	s.mustWrite(d, []byte("behind it"))
	s.mustWrite(other, []byte("fine"))
	s.wantRead(b, "fine")
	s.wantError(d, ErrLost)
	_, err := s.readAll(a)
	require.ErrorIs(t, err, ErrProtocol)
	require.NoError(t, d.Close())
	require.NoError(t, a.Close())
	require.NoError(t, b.Close())
	require.NoError(t, other.Close())
	s.wantNothing()
}

// TestOpenRejected: nobody is left waiting for the answer to an OPEN that was given up.
func TestOpenRejected(t *testing.T) {
	s := newSim(t, simOptions{Options: asynctest.Options{Config: func(i int, cfg *async.Config) {
		lossless(i, cfg)
		if i == 1 {
			cfg.Limits.Front = 20
		}
	}}})
	s.listen(1, "short")
	d := s.begin(0, 1, "a name that is too long for them")
	require.ErrorIs(t, s.settled(d), ErrLost)
	require.NoError(t, s.dial(0, 1, "short").Close())
	require.NoError(t, s.muxes[1].Close())
	s.wantNothing()
}
