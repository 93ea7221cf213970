package stream

import (
	"errors"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/callback"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// sim is a cluster whose nodes have streams. All belongs to the test's goroutine, which is
// every worker too, so that what would wait is tried again later: as on a worker, it is
// told so.
type sim struct {
	*asynctest.Cluster
	t     *testing.T
	muxes []*Mux
	total Stats // of muxes whose nodes are no more
}

type simOptions struct {
	asynctest.Options
	stream Options
	// bare says that node i has no Mux: it is the test that speaks for it.
	bare func(i int) bool
}

func newSim(t *testing.T, opt simOptions) *sim {
	t.Helper()
	if opt.N == 0 {
		opt.N = 2
	}
	if opt.Seed == 0 {
		opt.Seed = 1
	}
	if opt.Policy == (msg.Policy{}) {
		opt.Policy = msg.LosslessPeerReuse()
	}
	s := &sim{t: t, muxes: make([]*Mux, opt.N)}
	opt.Setup = func(n *asynctest.Node) {
		if opt.bare != nil && opt.bare(n.Index) {
			return
		}
		x, err := New(n.Messenger, opt.stream)
		require.NoError(t, err)
		s.retire(n.Index)
		s.muxes[n.Index] = x
	}
	s.Cluster = asynctest.NewCluster(t, opt.Options)
	t.Cleanup(func() {
		for i := range s.muxes {
			s.retire(i)
		}
		moved.add(s.total)
	})
	return s
}

// retire counts what a Mux has counted in its life.
func (s *sim) retire(i int) {
	if x := s.muxes[i]; x != nil {
		addStats(&s.total, x.Stats())
		s.muxes[i] = nil
	}
}

// listen has node i listen.
func (s *sim) listen(i int, service string) *Listener {
	s.t.Helper()
	l, err := s.muxes[i].Listen(service)
	require.NoError(s.t, err)
	return l.(*Listener)
}

// begin dials, and does not wait.
func (s *sim) begin(from, to int, service string, opts ...DialOption) *Conn {
	s.t.Helper()
	c, err := s.muxes[from].begin(s.Connect(from, to), service, opts)
	require.NoError(s.t, err)
	return c
}

// settled waits for the answer to a dialled stream.
func (s *sim) settled(c *Conn) error {
	s.t.Helper()
	done, err := false, error(nil)
	s.Until("an answer to OPEN", func() bool {
		done, err = answerOf(c)
		return done
	})
	return err
}

// dial dials, and waits for the answer.
func (s *sim) dial(from, to int, service string, opts ...DialOption) *Conn {
	s.t.Helper()
	c := s.begin(from, to, service, opts...)
	require.NoError(s.t, s.settled(c))
	return c
}

// pair is both ends of a stream from node 0 to node 1.
func (s *sim) pair(opts ...DialOption) (d, a *Conn) {
	s.t.Helper()
	l := s.listen(1, "pair")
	d = s.dial(0, 1, "pair", opts...)
	a = accept(l)
	require.NotNil(s.t, a)
	require.NoError(s.t, l.Close())
	return d, a
}

// accept takes a stream that waits, nil if there is none.
func accept(l *Listener) (c *Conn) {
	callback.OnWorker(func() { c, _ = l.AcceptStream() })
	return c
}

// read and write do what can be done without waiting. would says that there is more to be
// done later.
func read(c *Conn, p []byte) (n int, would bool, err error) {
	callback.OnWorker(func() { n, err = c.Read(p) })
	return n, errors.Is(err, msg.ErrOnWorker), err
}

func write(c *Conn, p []byte) (n int, would bool, err error) {
	callback.OnWorker(func() { n, err = c.Write(p) })
	return n, errors.Is(err, msg.ErrOnWorker), err
}

// readAll waits for the end of what comes, which it returns.
func (s *sim) readAll(c *Conn) (all []byte, err error) {
	s.t.Helper()
	buf := make([]byte, 1<<16)
	s.Until("the end of a stream", func() bool {
		for {
			n, would, e := read(c, buf)
			all = append(all, buf[:n]...)
			if would {
				return false
			}
			if err = e; err != nil {
				return true
			}
		}
	})
	return all, err
}

// wantRead waits until Read gives that text, perhaps by pieces.
func (s *sim) wantRead(c *Conn, want string) {
	s.t.Helper()
	buf := make([]byte, len(want))
	got := 0
	s.Until("bytes of a stream", func() bool {
		for got < len(buf) {
			n, would, err := read(c, buf[got:])
			got += n
			if would {
				return false
			}
			require.NoError(s.t, err)
		}
		return true
	})
	require.Equal(s.t, want, string(buf))
}

// wantError waits until Read fails, with that error.
func (s *sim) wantError(c *Conn, want error) {
	s.t.Helper()
	_, err := s.readAll(c)
	require.ErrorIs(s.t, err, want)
}

// mustWrite writes all, without waiting.
func (s *sim) mustWrite(c *Conn, p []byte) {
	s.t.Helper()
	n, _, err := write(c, p)
	require.NoError(s.t, err)
	require.Equal(s.t, len(p), n)
}

// calm lets everything that is under way arrive.
func (s *sim) calm() { s.Run(time.Second) }

// wantNothing checks that no stream is left, nor what was promised to any.
func (s *sim) wantNothing() {
	s.t.Helper()
	s.calm()
	for i, x := range s.muxes {
		if x != nil {
			st := x.Stats()
			require.Zero(s.t, st.Streams, "streams of node %d", i)
			require.Zero(s.t, st.Promised, "bytes promised by node %d", i)
			require.Zero(s.t, st.Unread, "bytes not read at node %d", i)
		}
	}
}

// lossless is a configuration with short times, for tests in which peers are away.
func lossless(_ int, cfg *async.Config) { cfg.MaxBackoff = time.Second }
