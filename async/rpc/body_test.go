package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
)

const mirror = 0x1002

// withMirror has the server send the body of a request back, at once or when it has all.
func withMirror(t testing.TB) *pair {
	p := newPair(t)
	require.NoError(t, p.server.HandleRaw(mirror, func(_ context.Context, r *rpc.Request) ([]byte, error) {
		all, err := io.ReadAll(r.Stream)
		if err != nil {
			return nil, err
		}
		r.Answer(bytes.NewReader(all))
		return r.Body, nil
	}, rpc.Concurrent(4)))
	return p
}

// endless gives zeros for ever.
type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 >> 3)
	}
	return b
}

func TestBodies(t *testing.T) {
	p := withMirror(t)
	for _, size := range []int{0, 1, 32 << 10, 32<<10 + 1, 5 << 20} {
		for _, odd := range []bool{false, true} {
			if odd && size > 1<<20 {
				continue
			}
			want := pattern(size)
			var body io.Reader = bytes.NewReader(want)
			if odd {
				body = iotest.DataErrReader(iotest.HalfReader(body))
			}
			r, err := p.client.CallBody(timeout(t), p.conn, mirror, []byte("head"), body)
			require.NoError(t, err)
			require.Equal(t, "head", string(r.Reply))
			got, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			require.True(t, bytes.Equal(want, got), size)
			require.NoError(t, r.Body.Close())
			_, err = r.Body.Read(make([]byte, 1))
			require.Error(t, err)
		}
	}
	nothingLeft(t, p)
}

func nothingLeft(t *testing.T, p *pair) {
	t.Helper()
	for _, n := range []*rpc.Node{p.client, p.server} {
		eventually(t, func() bool { s := n.Stats(); return s.Bodies == 0 && s.Running == 0 && s.Out == 0 })
	}
}

// TestNoBody: CallBody of a plain handler, and Call of one that answers with a body.
func TestNoBody(t *testing.T) {
	p := withMirror(t)
	r, err := p.client.CallBody(timeout(t), p.conn, echo, []byte("x"), nil)
	require.NoError(t, err)
	require.Equal(t, "x", string(r.Reply))
	rest, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Empty(t, rest)
	require.NoError(t, r.Body.Close())

	_, err = p.client.CallBody(timeout(t), p.conn, echo, nil, strings.NewReader("a body"))
	require.ErrorIs(t, err, &rpc.Error{Code: rpc.CodeInvalid})

	answers := func(_ context.Context, r *rpc.Request) ([]byte, error) { r.Answer(endless{}); return nil, nil }
	require.NoError(t, p.server.HandleRaw(1, answers, rpc.Concurrent(1)))
	require.NoError(t, p.server.HandleRaw(2, answers))
	_, err = p.client.Call(timeout(t), p.conn, 1, nil)
	require.ErrorIs(t, err, rpc.ErrBadReply)
	_, err = p.client.CallBody(timeout(t), p.conn, 2, nil, nil)
	require.ErrorIs(t, err, &rpc.Error{Code: rpc.CodeInternal})
	nothingLeft(t, p)
}

// TestBodyStopsHalfWay: the reader hears of it, whoever fails.
func TestBodyStopsHalfWay(t *testing.T) {
	p := newPair(t)
	_, err := p.client.Call(timeout(t), p.conn, echo, nil) // connected: a request that waits is taken back
	require.NoError(t, err)
	planned := errors.New("the disk is gone")
	failing := func() io.Reader { return io.MultiReader(bytes.NewReader(pattern(100<<10)), iotest.ErrReader(planned)) }
	seen := make(chan error, 2)
	require.NoError(t, p.server.HandleRaw(1, func(_ context.Context, r *rpc.Request) ([]byte, error) {
		k, err := io.Copy(io.Discard, r.Stream)
		if k != 100<<10 {
			err = errors.New("not all of what there was")
		}
		seen <- err
		return nil, err
	}, rpc.Concurrent(1)))
	_, err = p.client.CallBody(timeout(t), p.conn, 1, nil, failing())
	require.ErrorIs(t, err, planned)
	wantHalf(t, <-seen, "the disk is gone")

	require.NoError(t, p.server.HandleRaw(2, func(_ context.Context, r *rpc.Request) ([]byte, error) {
		r.Answer(failing())
		return nil, nil
	}, rpc.Concurrent(1)))
	r, err := p.client.CallBody(timeout(t), p.conn, 2, nil, nil)
	require.NoError(t, err)
	got, err := io.ReadAll(r.Body)
	require.Len(t, got, 100<<10)
	wantHalf(t, err, "the disk is gone")
	require.NoError(t, r.Body.Close())

	// A Read that panics, at the handler's side and at the caller's.
	require.NoError(t, p.server.HandleRaw(3, func(_ context.Context, r *rpc.Request) ([]byte, error) {
		r.Answer(panics{})
		return nil, nil
	}, rpc.Concurrent(1)))
	r, err = p.client.CallBody(timeout(t), p.conn, 3, nil, nil)
	require.NoError(t, err)
	_, err = io.ReadAll(r.Body)
	wantHalf(t, err, "the sender's Read panicked")
	require.NoError(t, r.Body.Close())
	require.Panics(t, func() { _, _ = p.client.CallBody(timeout(t), p.conn, 1, nil, panics{}) })
	nothingLeft(t, p)
}

type panics struct{}

func (panics) Read([]byte) (int, error) { panic("planned") }

func wantHalf(t *testing.T, err error, text string) {
	t.Helper()
	require.Error(t, err)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorIs(t, err, rpc.ErrBodyIncomplete)
	var e *rpc.BodyError
	require.ErrorAs(t, err, &e)
	require.Equal(t, text, e.Message)
}

// TestReceiverStops: who wants no more of a body says so, and its sender stops.
func TestReceiverStops(t *testing.T) {
	p := newPair(t)
	require.NoError(t, p.server.HandleRaw(1, func(_ context.Context, r *rpc.Request) ([]byte, error) {
		_, err := io.CopyN(io.Discard, r.Stream, 1<<20)
		return []byte("enough"), err
	}, rpc.Concurrent(1)))
	r, err := p.client.CallBody(timeout(t), p.conn, 1, nil, endless{})
	require.NoError(t, err)
	require.Equal(t, "enough", string(r.Reply))

	// What reads on after the reply fails.
	require.NoError(t, p.server.HandleRaw(4, func(_ context.Context, r *rpc.Request) ([]byte, error) {
		r.Answer(r.Stream)
		return nil, nil
	}, rpc.Concurrent(1)))
	r, err = p.client.CallBody(timeout(t), p.conn, 4, nil, endless{})
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, r.Body)
	require.ErrorIs(t, err, rpc.ErrBodyIncomplete)
	require.NoError(t, r.Body.Close())

	require.NoError(t, p.server.HandleRaw(2, func(_ context.Context, r *rpc.Request) ([]byte, error) {
		r.Answer(endless{})
		return nil, nil
	}, rpc.Concurrent(1)))
	r, err = p.client.CallBody(timeout(t), p.conn, 2, nil, nil)
	require.NoError(t, err)
	_, err = io.CopyN(io.Discard, r.Body, 1<<20)
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	require.NoError(t, r.Body.Close())

	// By the context of the call: in the midst of the reply's body, and of the request's.
	ctx, cancel := context.WithCancel(context.Background())
	r, err = p.client.CallBody(ctx, p.conn, 2, nil, nil)
	require.NoError(t, err)
	cancel()
	_, err = io.Copy(io.Discard, r.Body)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.NoError(t, r.Body.Close())

	ended := make(chan error, 1)
	require.NoError(t, p.server.HandleRaw(3, func(ctx context.Context, r *rpc.Request) ([]byte, error) {
		_, err := io.Copy(io.Discard, r.Stream)
		ended <- err
		return nil, err
	}, rpc.Concurrent(1)))
	ctx, cancel = context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = p.client.CallBody(ctx, p.conn, 3, nil, endless{})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, <-ended, context.DeadlineExceeded)
	nothingLeft(t, p)
}

// TestBackground: little is under way while nothing is read, and what is read makes room for more.
func TestBackground(t *testing.T) {
	p := newPair(t)
	read, ended := make(chan struct{}), make(chan int64, 1)
	require.NoError(t, p.server.HandleRaw(1, func(ctx context.Context, r *rpc.Request) ([]byte, error) {
		<-read
		n, err := io.Copy(io.Discard, r.Stream)
		ended <- n
		return nil, err
	}, rpc.Concurrent(1)))
	failed := make(chan error, 1)
	const size = 5 << 20
	go func() {
		r, err := p.client.CallBody(timeout(t), p.conn, 1, nil, io.LimitReader(endless{}, size), rpc.Background())
		if err == nil {
			err = r.Body.Close()
		}
		failed <- err
	}()
	eventually(t, func() bool { return p.server.Stats().Chunks >= 3 })
	require.LessOrEqual(t, p.client.Stats().ChunksSent, uint64(4), "36 KiB in all")
	close(read)
	require.NoError(t, <-failed)
	require.EqualValues(t, size, <-ended)
	nothingLeft(t, p)
}

// TestBodiesAreBounded: a sender waits for its reader, with so much under way and no more.
func TestBodiesAreBounded(t *testing.T) {
	p := newPair(t, func(o *pairOptions) { o.client.MaxBodies, o.server.MaxBodies = 2, 2 })
	release := make(chan struct{})
	require.NoError(t, p.server.HandleRaw(1, func(ctx context.Context, r *rpc.Request) ([]byte, error) {
		r.Answer(endless{})
		if r.Stream != nil {
			<-release
		}
		return nil, nil
	}, rpc.Concurrent(8)))
	var open []*rpc.Response
	for range 2 {
		r, err := p.client.CallBody(timeout(t), p.conn, 1, nil, nil)
		require.NoError(t, err)
		open = append(open, r)
	}
	_, err := p.client.CallBody(timeout(t), p.conn, 1, nil, nil)
	require.ErrorIs(t, err, rpc.ErrTooManyCalls)
	eventually(t, func() bool { return p.client.Stats().Chunks >= 14 })
	require.LessOrEqual(t, p.server.Stats().ChunksSent, uint64(3*7), "7 of 32 KiB each")
	for _, r := range open {
		_, err := io.CopyN(io.Discard, r.Body, 1<<20)
		require.NoError(t, err)
		require.NoError(t, r.Body.Close())
	}

	errs := make(chan error, 2)
	for range 2 {
		go func() {
			r, err := p.client.CallBody(context.Background(), p.conn, 1, nil, endless{})
			if err == nil {
				err = r.Body.Close()
			}
			errs <- err
		}()
	}
	eventually(t, func() bool { return p.server.Stats().Bodies == 2 })
	_, err = p.client.CallBody(timeout(t), p.conn, 1, nil, endless{})
	require.ErrorIs(t, err, &rpc.Error{Code: rpc.CodeOverloaded})
	close(release)
	require.NoError(t, <-errs)
	require.NoError(t, <-errs)
	nothingLeft(t, p)
}

// TestBodyAndReset: the session is lost in the midst of a body.
func TestBodyAndReset(t *testing.T) {
	p := newPair(t)
	began, ended := make(chan struct{}, 1), make(chan error, 1)
	require.NoError(t, p.server.HandleRaw(1, func(ctx context.Context, r *rpc.Request) ([]byte, error) {
		began <- struct{}{}
		_, err := io.Copy(io.Discard, r.Stream)
		ended <- err
		return nil, err
	}, rpc.Concurrent(1)))
	require.NoError(t, p.server.HandleRaw(2, func(ctx context.Context, r *rpc.Request) ([]byte, error) {
		r.Answer(endless{})
		return nil, nil
	}, rpc.Concurrent(1)))
	r, err := p.client.CallBody(timeout(t), p.conn, 2, nil, nil)
	require.NoError(t, err)
	called := make(chan error, 1)
	go func() {
		_, err := p.client.CallBody(context.Background(), p.conn, 1, nil, endless{})
		called <- err
	}()
	<-began
	p.conn.MarkDown()
	require.ErrorIs(t, <-called, msg.ErrMarkedDown)
	_, err = io.Copy(io.Discard, r.Body)
	require.ErrorIs(t, err, rpc.ErrBodyIncomplete)
	require.ErrorIs(t, err, msg.ErrMarkedDown)
	require.NoError(t, r.Body.Close())
	// The server hears of it when the client comes again.
	_, err = p.client.Messenger().ConnectTo(p.conn.PeerType(), p.server.Messenger().Addrs())
	require.NoError(t, err)
	err = <-ended
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	nothingLeft(t, p)
}

// TestChunkFlood: a peer that sends more than it was granted loses the body, and keeps nothing of ours.
func TestChunkFlood(t *testing.T) {
	p := newPair(t)
	r := p.raw()
	release, ended := make(chan struct{}), make(chan error, 2)
	require.NoError(t, p.server.HandleRaw(1, func(ctx context.Context, r *rpc.Request) ([]byte, error) {
		<-release
		_, err := io.Copy(io.Discard, r.Stream)
		ended <- err
		return nil, nil
	}, rpc.Concurrent(2)))
	open := request(1, 0, "")
	open[1] = 2
	r.send(wireRequest, 1, open...)
	for i := range uint32(2000) {
		r.send(wireChunk, 1, short(i, 0, "x")...)
	}
	eventually(t, func() bool { s := p.server.Stats(); return s.Chunks+s.StrayChunks == 2000 })
	require.EqualValues(t, 1, p.server.Stats().Malformed)
	require.EqualValues(t, 512, p.server.Stats().Chunks, "256 KiB of 513 bytes each, and the one that was too many")
	r.send(wireRequest, 2, open...)
	r.send(wireChunk, 2, short(1, 0, "the second one first")...)
	r.send(wireCredit, 2, short(1<<31, 0, "")...)
	r.send(wireChunk, 3, short(0, 0, strings.Repeat("x", 33<<10))...)
	eventually(t, func() bool { return p.server.Stats().Malformed == 3 })
	close(release)
	require.ErrorIs(t, <-ended, rpc.ErrBodyIncomplete)
	require.ErrorIs(t, <-ended, rpc.ErrBodyIncomplete)
	nothingLeft(t, p)
}
