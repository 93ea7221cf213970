package stream

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/callback"
	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

func TestEcho(t *testing.T) {
	s := newSim(t, simOptions{})
	d, a := s.pair()
	s.mustWrite(d, []byte("ping"))
	s.wantRead(a, "ping")
	s.mustWrite(a, []byte("pong"))
	s.wantRead(d, "pong")
	require.Equal(t, "pair", d.Service())
	require.Equal(t, "pair", a.Service())
	require.Same(t, s.Nodes[0].Lookup(s.Nodes[1].Addrs()), d.Connection())
	require.Same(t, s.Nodes[1].Lookup(s.Nodes[0].Addrs()), a.Connection())
	for _, c := range []*Conn{d, a} {
		require.Equal(t, "msgr", c.LocalAddr().Network())
		require.Equal(t, "pair", c.LocalAddr().(*Addr).Service)
	}
	require.Equal(t, s.Nodes[0].Addrs()[0].AddrPort.String(), d.LocalAddr().String())
	require.Equal(t, s.Nodes[1].Addrs()[0].AddrPort.String(), d.RemoteAddr().String())
	require.Equal(t, entity.OSD(0), a.RemoteAddr().(*Addr).Name)
	require.Equal(t, "client.7", (&Addr{Name: entity.Client(7)}).String())
	require.NoError(t, d.Close())
	_, err := s.readAll(a)
	require.Equal(t, io.EOF, err)
	require.NoError(t, a.Close())
	s.wantNothing()
}

// TestAddrOfClient: a messenger that is not bound is known by its socket, while it has one.
func TestAddrOfClient(t *testing.T) {
	s := newSim(t, simOptions{Options: asynctest.Options{Client: func(i int) bool { return i == 0 }}})
	d, a := s.pair()
	local := d.LocalAddr().(*Addr)
	require.NotZero(t, local.Transport.Port())
	require.Equal(t, local.Transport.String(), d.LocalAddr().String())
	require.Equal(t, local.Transport.String(), a.RemoteAddr().String())
	require.Equal(t, s.Nodes[1].Addrs()[0].AddrPort.String(), d.RemoteAddr().String())
	s.MarkDown(0, 1)
	s.calm()
	require.Equal(t, &Addr{Name: local.Name, Addrs: local.Addrs, Service: "pair"}, d.LocalAddr())
	require.Equal(t, "osd.0", d.LocalAddr().String())
}

// TestHalfClose: a side that has closed its half still reads.
func TestHalfClose(t *testing.T) {
	s := newSim(t, simOptions{})
	d, a := s.pair()
	s.mustWrite(d, []byte("request"))
	require.NoError(t, d.CloseWrite())
	require.NoError(t, d.CloseWrite(), "twice")
	_, _, err := write(d, []byte("more"))
	require.ErrorIs(t, err, net.ErrClosed)
	req, err := s.readAll(a)
	require.Equal(t, io.EOF, err)
	require.Equal(t, "request", string(req))
	s.mustWrite(a, []byte("answer"))
	require.NoError(t, a.Close())
	ans, err := s.readAll(d)
	require.Equal(t, io.EOF, err)
	require.Equal(t, "answer", string(ans))
	require.NoError(t, d.Close())
	s.wantNothing()
}

// TestCloseWithError: both ends get code and reason, at once.
func TestCloseWithError(t *testing.T) {
	s := newSim(t, simOptions{})
	d, a := s.pair()
	s.mustWrite(d, []byte("never read"))
	require.NoError(t, d.CloseWithError(42, "disk full"))
	s.calm()
	_, _, err := read(a, make([]byte, 9))
	var closed *CloseError
	require.ErrorAs(t, err, &closed)
	require.Equal(t, &CloseError{Code: 42, Reason: "disk full", Remote: true}, closed)
	require.ErrorIs(t, err, io.ErrClosedPipe)
	require.NotErrorIs(t, err, net.ErrClosed)
	_, _, err = write(a, []byte("x"))
	require.ErrorAs(t, err, &closed)
	require.ErrorContains(t, err, `closed by peer with code 42: "disk full"`)
	_, _, err = read(d, make([]byte, 9))
	require.ErrorAs(t, err, &closed)
	require.Equal(t, &CloseError{Code: 42, Reason: "disk full"}, closed)
	require.ErrorIs(t, err, net.ErrClosed)
	require.ErrorIs(t, d.Close(), net.ErrClosed)
	require.NoError(t, a.Close())
	s.wantNothing()

	e, _ := s.pair()
	require.ErrorContains(t, e.CloseWithError(CodeReserved, ""), "reserved")
	require.NoError(t, e.CloseWithError(7, strings.Repeat("ü", ReasonMax)))
}

// TestCloseDropsWhatIsNotRead, and what is on its way then, which is counted.
func TestCloseDropsWhatIsNotRead(t *testing.T) {
	s := newSim(t, simOptions{})
	d, a := s.pair()
	s.mustWrite(d, []byte("arrived"))
	s.calm()
	s.mustWrite(d, []byte("under way"))
	require.NoError(t, a.Close())
	s.calm()
	require.EqualValues(t, len("under way"), s.muxes[1].Stats().Dropped)
	_, _, err := write(d, []byte("x"))
	require.ErrorIs(t, err, io.ErrClosedPipe)
	_, err = s.readAll(d)
	require.Equal(t, io.EOF, err)
	require.NoError(t, d.Close())
	s.wantNothing()
}

// TestBothClose at once.
func TestBothClose(t *testing.T) {
	s := newSim(t, simOptions{})
	d, a := s.pair()
	require.NoError(t, d.Close())
	require.NoError(t, a.CloseWithError(3, ""))
	s.wantNothing()
	for _, c := range []*Conn{d, a} {
		_, _, err := write(c, nil)
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorIs(t, c.CloseWrite(), net.ErrClosed)
		require.ErrorIs(t, c.SetDeadline(time.Time{}), net.ErrClosed)
		require.ErrorIs(t, c.SetReadDeadline(time.Time{}), net.ErrClosed)
		require.ErrorIs(t, c.SetWriteDeadline(time.Time{}), net.ErrClosed)
	}
}

// TestEmpty: reads and writes of nothing do nothing, and say what is wrong.
func TestEmpty(t *testing.T) {
	s := newSim(t, simOptions{})
	d, a := s.pair()
	n, _, err := write(d, nil)
	require.NoError(t, err)
	require.Zero(t, n)
	n, _, err = read(a, nil)
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, d.SetDeadline(time.Unix(1, 0)))
	_, _, err = write(d, nil)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	_, _, err = read(d, nil)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.Zero(t, s.muxes[0].Stats().MessagesSent)
}

// TestServices: one messenger, several listeners, and who is asked for that does not exist.
func TestServices(t *testing.T) {
	s := newSim(t, simOptions{})
	files, unnamed := s.listen(1, "files"), s.listen(1, "")
	_, err := s.muxes[1].Listen("files")
	require.ErrorIs(t, err, ErrServiceTaken)
	_, err = s.muxes[1].Listen(strings.Repeat("x", ServiceMax+1))
	require.ErrorContains(t, err, "255")
	_, err = s.muxes[0].begin(s.Connect(0, 1), strings.Repeat("x", ServiceMax+1), nil)
	require.ErrorContains(t, err, "255")

	one, two := s.dial(0, 1, "files"), s.dial(0, 1, "")
	require.Nil(t, one.fail)
	a, b := accept(files), accept(unnamed)
	s.mustWrite(one, []byte("to files"))
	s.mustWrite(two, []byte("to nobody"))
	s.wantRead(a, "to files")
	s.wantRead(b, "to nobody")
	require.Equal(t, &Addr{Name: entity.OSD(1), Addrs: s.Nodes[1].Addrs(), Service: "files"}, files.Addr())

	require.ErrorIs(t, s.settled(s.begin(0, 1, "mail")), ErrNoService)
	waits := s.dial(0, 1, "files")
	require.NoError(t, files.Close())
	require.NoError(t, files.Close())
	_, err = files.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	s.wantError(waits, ErrNoService) // it was in the backlog
	require.ErrorIs(t, s.settled(s.begin(0, 1, "files")), ErrNoService)
	s.mustWrite(one, []byte("goes on"))
	s.wantRead(a, "goes on")
	s.listen(1, "files") // again
	s.dial(0, 1, "files")
}

// TestLoopback: a messenger with itself.
func TestLoopback(t *testing.T) {
	s := newSim(t, simOptions{Options: one})
	l := s.listen(0, "self")
	d := s.dial(0, 0, "self")
	a := accept(l)
	s.mustWrite(d, []byte("hello"))
	s.wantRead(a, "hello")
	s.mustWrite(a, []byte("you"))
	s.wantRead(d, "you")
	s.Nodes[0].Loopback().MarkDown() // what is on its way is lost, and with it the streams
	s.wantError(d, net.ErrClosed)
	s.wantError(a, msg.ErrMarkedDown)
	d = s.dial(0, 0, "self")
	s.mustWrite(d, []byte("again"))
	s.wantRead(accept(l), "again")
}

// TestMuxClose: what was written still arrives, and nothing new comes.
func TestMuxClose(t *testing.T) {
	s := newSim(t, simOptions{})
	d, a := s.pair()
	l := s.listen(1, "other")
	s.mustWrite(a, []byte("last words"))
	require.NoError(t, s.muxes[1].Close())
	require.NoError(t, s.muxes[1].Close())
	b, err := s.readAll(d)
	require.Equal(t, io.EOF, err)
	require.Equal(t, "last words", string(b))
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = s.muxes[1].Listen("third")
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = s.muxes[1].Dial(context.Background(), s.Connect(1, 0), "other")
	require.ErrorIs(t, err, net.ErrClosed)
	require.ErrorIs(t, s.settled(s.begin(0, 1, "other")), ErrNoService)
	_, err = New(s.Nodes[1].Messenger, Options{})
	require.ErrorIs(t, err, msg.ErrTypesTaken)
}

// TestOnWorker: what would wait says so there.
func TestOnWorker(t *testing.T) {
	s := newSim(t, simOptions{stream: Options{Window: 10, WindowMin: 10}})
	d, _ := s.pair()
	l := s.listen(1, "more")
	callback.OnWorker(func() {
		_, err := d.Read(make([]byte, 1))
		require.ErrorIs(t, err, msg.ErrOnWorker)
		n, err := d.Write(make([]byte, 11))
		require.ErrorIs(t, err, msg.ErrOnWorker)
		require.Equal(t, 10, n)
		_, err = l.Accept()
		require.ErrorIs(t, err, msg.ErrOnWorker)
		_, err = s.muxes[0].Dial(context.Background(), d.Connection(), "more")
		require.ErrorIs(t, err, msg.ErrOnWorker)
		d.wmu.Lock() // somebody else writes, and waits
		_, err = d.Write(nil)
		require.ErrorIs(t, err, msg.ErrOnWorker)
		d.wmu.Unlock()
	})
}

func TestOptionsRefused(t *testing.T) {
	s := newSim(t, simOptions{Options: one, bare: func(int) bool { return true }})
	for _, o := range []Options{
		{Window: -1}, {WindowMin: -1}, {Window: 1, WindowMin: 2}, {BufferMax: -1}, {ConnBufferMax: -1},
		{StreamsMax: -1}, {Backlog: -1}, {PieceMax: -1},
	} {
		_, err := New(s.Nodes[0].Messenger, o)
		require.ErrorContains(t, err, "Options.", "%+v", o)
	}
	_, err := New(nil, Options{})
	require.Error(t, err)
	x, err := New(s.Nodes[0].Messenger, Options{Window: 100})
	require.NoError(t, err, "the others did not take the types")
	require.Equal(t, 100, x.opt.WindowMin)
}

func TestCloseErrors(t *testing.T) {
	for code, is := range map[uint32]error{
		CodeProtocol: ErrProtocol, CodeUnknown: ErrUnknownStream, CodeNoService: ErrNoService,
		CodeBacklog: ErrBacklogFull, CodeStreams: ErrTooManyStreams, CodeMemory: ErrNoMemory, CodeVersion: ErrVersion,
	} {
		err := error(&CloseError{Code: code, Reason: "why"})
		require.ErrorIs(t, err, is)
		require.ErrorContains(t, err, is.Error())
		require.ErrorContains(t, err, "why")
		for _, other := range []error{ErrProtocol, ErrUnknownStream, ErrNoService, ErrBacklogFull} {
			require.Equal(t, other == is, errors.Is(err, other))
		}
	}
	require.EqualError(t, &CloseError{}, "stream closed")
	require.EqualError(t, &CloseError{Remote: true}, "stream closed by peer")
	require.EqualError(t, &CloseError{Code: CodeCancelled, Remote: true}, "stream: dial cancelled (closed by peer)")
	require.NotErrorIs(t, &CloseError{}, ErrPeerReset)
}

// TestEndWaitsForData: FIN and CLOSE do not get past a DATA that another goroutine is about to
// put into the send queue.
func TestEndWaitsForData(t *testing.T) {
	for _, end := range []func(c *Conn) error{(*Conn).CloseWrite, (*Conn).Close} {
		s := newSim(t, simOptions{})
		d, a := s.pair()
		d.sending = true // as in the midst of a Write
		require.NoError(t, end(d))
		s.calm()
		_, would, err := read(a, make([]byte, 1))
		require.True(t, would, "%v", err)
		d.mu.Lock()
		d.sending = false
		d.flushLocked()
		d.mu.Unlock()
		s.wantError(a, io.EOF)
	}
}

// TestReadersWakeEachOther: of two that wait, the first one takes a part of what comes, and
// the other one the rest.
func TestReadersWakeEachOther(t *testing.T) {
	s := newSim(t, simOptions{})
	d, a := s.pair()
	read := func() (int, error) { return a.Read(make([]byte, 1)) }
	one := s.blocked(waiting(a, &a.readers), read)
	two := s.blocked(func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.readers.n == 2
	}, read)
	s.mustWrite(d, []byte("ab"))
	s.calm()
	require.Equal(t, result{n: 1}, s.end(one))
	require.Equal(t, result{n: 1}, s.end(two))
}
