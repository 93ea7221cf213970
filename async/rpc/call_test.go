package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/async/rpc"
)

func TestCall(t *testing.T) {
	p := newPair(t)
	for _, size := range []int{0, 1, 64, 96, 97, 1024, 1025, 4096, 4097, 32 << 10, 32<<10 + 1, 64 << 10, 3 << 20} {
		req := bytes.Repeat([]byte{7}, size)
		for i := range req {
			req[i] = byte(i)
		}
		reply, err := p.client.Call(timeout(t), p.conn, echo, req)
		require.NoError(t, err, size)
		require.True(t, bytes.Equal(req, reply), size)
	}
	s := p.client.Stats()
	require.EqualValues(t, 13, s.Calls)
	require.EqualValues(t, 13, s.Replies)
	require.Zero(t, s.Out)
	require.EqualValues(t, 13, p.server.Stats().Requests)
}

// TestCallOptions: the reply into a buffer, a request that is handed over.
func TestCallOptions(t *testing.T) {
	p := newPair(t)
	room := make([]byte, 0, 128)
	reply, err := p.client.Call(timeout(t), p.conn, echo, []byte("hello"),
		rpc.Into(room), rpc.Priority(msg.PriorityHigh))
	require.NoError(t, err)
	require.Equal(t, "hello", string(reply))
	require.Equal(t, &room[:1][0], &reply[0])
	big := make([]byte, 1<<20)
	reply, err = p.client.Call(timeout(t), p.conn, echo, big, rpc.Give(), rpc.Timeout(time.Minute))
	require.NoError(t, err)
	require.Len(t, reply, len(big))
}

// TestPriorities: requests and replies have the priorities that were asked for.
func TestPriorities(t *testing.T) {
	p := newPair(t)
	require.NoError(t, p.server.HandleRaw(1, func(_ context.Context, r *rpc.Request) ([]byte, error) {
		return []byte{r.Priority}, nil
	}))
	reply, err := p.client.Call(timeout(t), p.conn, 1, nil, rpc.Priority(msg.PriorityHigh))
	require.NoError(t, err)
	require.Equal(t, []byte{msg.PriorityHigh}, reply)
	reply, err = p.client.Call(timeout(t), p.conn, 1, nil)
	require.NoError(t, err)
	require.Equal(t, []byte{msg.PriorityDefault}, reply)
}

// spy notes the priorities of what is received, and leaves it to others.
type spy struct{ prios chan uint8 }

func (s spy) Dispatch(*msg.Message) bool { return false }
func (s spy) CanFastDispatch(m *msg.Message) bool {
	if m.Priority < msg.PriorityHighest { // of the nodes' greetings
		s.prios <- m.Priority
	}
	return false
}
func (s spy) FastDispatch(*msg.Message) {}

// TestReplyPriority: a handler's replies have its priority, errors and those of its panics too.
func TestReplyPriority(t *testing.T) {
	seen := spy{make(chan uint8, 16)}
	p := newPair(t, func(o *pairOptions) { o.first = seen })
	handle := func(_ context.Context, r *rpc.Request) ([]byte, error) {
		switch string(r.Body) {
		case "fail":
			return nil, errors.New("no")
		case "panic":
			panic("in a handler")
		}
		return r.Body, nil
	}
	require.NoError(t, p.server.HandleRaw(2, handle, rpc.ReplyPriority(msg.PriorityLow)))
	require.NoError(t, p.server.HandleRaw(3, handle))
	for i, req := range []string{"fine", "fail", "panic"} {
		_, err := p.client.Call(timeout(t), p.conn, 2, []byte(req), rpc.Priority(msg.PriorityHigh))
		require.Equal(t, i > 0, err != nil, "%s: %v", req, err)
		require.EqualValues(t, msg.PriorityLow, <-seen.prios, req)
		_, err = p.client.Call(timeout(t), p.conn, 3, []byte(req), rpc.Priority(msg.PriorityHigh))
		require.Equal(t, i > 0, err != nil, "%s: %v", req, err)
		require.EqualValues(t, msg.PriorityHigh, <-seen.prios, req)
	}
}

// TestInterceptorsInOrder: those of a node, the first one outermost, then those of the handler;
// one that answers by itself keeps the request from what is within.
func TestInterceptorsInOrder(t *testing.T) {
	var mu sync.Mutex
	var order []string
	add := func(s string) { mu.Lock(); defer mu.Unlock(); order = append(order, s) }
	server := func(name string) rpc.ServerInterceptor {
		return func(ctx context.Context, r *rpc.Request, next rpc.Handler) ([]byte, error) {
			add(name)
			if string(r.Body) == "stop at "+name {
				return []byte(name), nil
			}
			reply, err := next(ctx, r)
			add("/" + name)
			return reply, err
		}
	}
	client := func(name string) rpc.ClientInterceptor {
		return func(ctx context.Context, call *rpc.CallInfo, next rpc.Invoker) ([]byte, error) {
			add(name)
			reply, err := next(ctx, call)
			add("/" + name)
			return reply, err
		}
	}
	p := newPair(t, func(o *pairOptions) {
		o.client.Interceptors = []rpc.ClientInterceptor{client("a"), client("b")}
		o.server.ServerInterceptors = []rpc.ServerInterceptor{server("c"), server("d")}
	})
	require.NoError(t, p.server.HandleRaw(4, func(context.Context, *rpc.Request) ([]byte, error) {
		add("handler")
		return []byte("handled"), nil
	}, rpc.Intercept(server("e")), rpc.Intercept(server("f"))))
	for _, tc := range []struct {
		request, reply string
		order          []string
	}{
		{"all", "handled", []string{"a", "b", "c", "d", "e", "f", "handler", "/f", "/e", "/d", "/c", "/b", "/a"}},
		{"stop at e", "e", []string{"a", "b", "c", "d", "e", "/d", "/c", "/b", "/a"}},
		{"stop at c", "c", []string{"a", "b", "c", "/b", "/a"}},
	} {
		reply, err := p.client.Call(timeout(t), p.conn, 4, []byte(tc.request))
		require.NoError(t, err)
		require.Equal(t, tc.reply, string(reply))
		mu.Lock()
		require.Equal(t, tc.order, order)
		order = nil
		mu.Unlock()
	}
	reply, err := p.client.Call(timeout(t), p.conn, echo, []byte("those of handler 4 are only its own"))
	require.NoError(t, err)
	require.Len(t, reply, 35)
	require.Equal(t, []string{"a", "b", "c", "d", "/d", "/c", "/b", "/a"}, order)
}

func TestGo(t *testing.T) {
	p := newPair(t)
	const n = 500
	var wg sync.WaitGroup
	var good atomic.Int64
	wg.Add(n)
	for i := range n {
		want := []byte{byte(i), byte(i >> 8)}
		p.client.Go(context.Background(), p.conn, echo, want, func(reply []byte, err error) {
			if err == nil && bytes.Equal(reply, want) {
				good.Add(1)
			}
			wg.Done()
		})
	}
	wg.Wait()
	require.EqualValues(t, n, good.Load())
}

// lazy is a context that others overtake.
type lazy struct{ context.Context }

func (l lazy) Done() <-chan struct{} {
	for range 20 {
		runtime.Gosched()
	}
	return l.Context.Done()
}

// TestGoMayEndWhileItBegins: a call that has its reply before Go has returned may be another
// one by then, and its context is not that one's.
func TestGoMayEndWhileItBegins(t *testing.T) {
	p := newPair(t)
	require.NoError(t, p.client.HandleRaw(7, func(context.Context, *rpc.Request) ([]byte, error) { return nil, nil }))
	loopback := p.client.Messenger().Loopback() // nothing is sooner back
	var wg sync.WaitGroup
	errs := make(chan error, 4*500)
	for range 4 {
		wg.Go(func() {
			for range 500 {
				ctx, cancel := context.WithCancel(context.Background())
				wg.Add(1)
				p.client.Go(lazy{ctx}, loopback, 7, nil, func(_ []byte, err error) {
					if err != nil {
						errs <- err
					}
					cancel()
					wg.Done()
				}, rpc.Timeout(time.Minute))
			}
		})
	}
	wg.Wait()
	require.Empty(t, errs)
	require.Zero(t, p.client.Stats().Out)
}

// TestManyCallers: each gets its own reply.
func TestManyCallers(t *testing.T) {
	p := newPair(t)
	var wg sync.WaitGroup
	errs := make(chan error, 64)
	for g := range 64 {
		wg.Go(func() {
			for i := range 200 {
				want := []byte{byte(g), byte(i)}
				reply, err := p.client.Call(context.Background(), p.conn, echo, want)
				if err != nil || !bytes.Equal(want, reply) {
					errs <- errors.Join(err, errors.New("wrong reply"))
					return
				}
			}
		})
	}
	wg.Wait()
	require.Empty(t, errs)
	require.Zero(t, p.client.Stats().Out)
}

func TestOneWay(t *testing.T) {
	p := newPair(t)
	got := make(chan string, 1)
	require.NoError(t, p.server.HandleRaw(1, func(_ context.Context, r *rpc.Request) ([]byte, error) {
		if r.OneWay {
			got <- string(r.Body)
		}
		return []byte("nobody reads this"), nil
	}))
	require.NoError(t, p.client.OneWay(timeout(t), p.conn, 1, []byte("news")))
	require.Equal(t, "news", <-got)
	require.EqualValues(t, 1, p.client.Stats().OneWaysSent)
}

// TestErrors: what the peer says comes with its code.
func TestErrors(t *testing.T) {
	p := newPair(t)
	long := string(bytes.Repeat([]byte("x"), 3000))
	for typ, err := range map[uint16]error{
		1: errors.New("plain"), 2: rpc.Errorf(rpc.CodeUser+7, "mine"), 3: context.DeadlineExceeded,
		4: context.Canceled, 5: errors.New(long),
	} {
		h := func(context.Context, *rpc.Request) ([]byte, error) { return nil, err }
		require.NoError(t, p.server.HandleRaw(typ, h))
	}
	call := func(typ uint16) (e *rpc.Error) {
		_, err := p.client.Call(timeout(t), p.conn, typ, nil)
		require.ErrorAs(t, err, &e)
		return e
	}
	require.Equal(t, &rpc.Error{Code: rpc.CodeUnknown, Message: "plain"}, call(1))
	require.Equal(t, &rpc.Error{Code: rpc.CodeUser + 7, Message: "mine"}, call(2))
	require.ErrorIs(t, call(3), context.DeadlineExceeded)
	require.ErrorIs(t, call(4), context.Canceled)
	require.Len(t, call(5).Message, 1024)
	require.Equal(t, rpc.CodeUnimplemented, call(6).Code)
	require.ErrorIs(t, call(6), &rpc.Error{Code: rpc.CodeUnimplemented})
	require.NotErrorIs(t, call(6), &rpc.Error{Code: rpc.CodeUnknown})
	require.EqualValues(t, 8, p.client.Stats().RemoteErrors)
	require.EqualValues(t, 5, p.server.Stats().HandlerErrors)
	require.EqualValues(t, 3, p.server.Stats().Unimplemented)
}

func TestTypeTwice(t *testing.T) {
	p := newPair(t)
	err := p.server.HandleRaw(echo, nil)
	var exists *rpc.HandlerExistsError
	require.ErrorAs(t, err, &exists)
	require.EqualValues(t, echo, exists.Type)
	_, err = rpc.New(p.server.Messenger(), rpc.Options{})
	require.ErrorIs(t, err, msg.ErrTypesTaken)
}

// TestPanics: the caller is told, the log has it once, and the connection goes on.
func TestPanics(t *testing.T) {
	p := newPair(t)
	for i, h := range []rpc.Handler{
		func(context.Context, *rpc.Request) ([]byte, error) { panic("planned") },
		func(context.Context, *rpc.Request) ([]byte, error) { runtime.Goexit(); return nil, nil },
	} {
		for j, opts := range [][]rpc.HandlerOption{nil, {rpc.Fast()}, {rpc.Concurrent(1)}} {
			typ := uint16(10*i + j)
			require.NoError(t, p.server.HandleRaw(typ, h, opts...))
			for range 2 {
				_, err := p.client.Call(timeout(t), p.conn, typ, nil)
				require.ErrorIs(t, err, &rpc.Error{Code: rpc.CodeInternal}, typ)
			}
		}
	}
	require.EqualValues(t, 12, p.server.Stats().Panics)
	eventually(t, func() bool {
		// Of a Goexit where Dispatch and FastDispatch run the messenger tells.
		return p.logs.having("rpc: a handler panicked") == 8 && p.logs.having("panic in a callback") == 4
	})
	_, err := p.client.Call(timeout(t), p.conn, echo, nil)
	require.NoError(t, err)
}

// TestCallWithinDispatch: a handler asks the peer whose request it handles, over the same
// connection, and waits: the reply does not wait for the handler.
func TestCallWithinDispatch(t *testing.T) {
	p := newPair(t)
	ask := func(n *rpc.Node, typ uint16) rpc.Handler {
		return func(ctx context.Context, r *rpc.Request) ([]byte, error) { return n.Call(ctx, r.Conn, typ, r.Body) }
	}
	y := func(_ context.Context, r *rpc.Request) ([]byte, error) { return append(r.Body, 'y'), nil }
	require.NoError(t, p.server.HandleRaw(1, ask(p.server, 2)))
	require.NoError(t, p.client.HandleRaw(2, y))
	reply, err := p.client.Call(timeout(t), p.conn, 1, []byte("a"))
	require.NoError(t, err)
	require.Equal(t, "ay", string(reply))

	// There and back, and there and back: the third handler must not wait for the first.
	require.NoError(t, p.server.HandleRaw(3, ask(p.server, 4)))
	require.NoError(t, p.client.HandleRaw(4, ask(p.client, 5)))
	require.NoError(t, p.server.HandleRaw(5, ask(p.server, 6), rpc.Concurrent(1)))
	require.NoError(t, p.client.HandleRaw(6, y, rpc.Fast()))
	reply, err = p.client.Call(timeout(t), p.conn, 3, []byte("b"))
	require.NoError(t, err)
	require.Equal(t, "by", string(reply))
}

// TestOnWorker: what must not block is refused at once; what does not block works.
func TestOnWorker(t *testing.T) {
	p := newPair(t)
	require.NoError(t, p.server.HandleRaw(1, func(ctx context.Context, r *rpc.Request) ([]byte, error) {
		_, err := p.server.Call(ctx, r.Conn, echo, nil)
		if errors.Is(err, msg.ErrOnWorker) {
			return []byte("refused"), nil
		}
		return nil, err
	}, rpc.Fast()))
	reply, err := p.client.Call(timeout(t), p.conn, 1, nil)
	require.NoError(t, err)
	require.Equal(t, "refused", string(reply))

	// In what Go calls, and in Notify.
	errs := make(chan error, 2)
	p.client.Go(context.Background(), p.conn, echo, nil, func([]byte, error) {
		_, err := p.client.Call(context.Background(), p.conn, echo, nil)
		errs <- err
	})
	require.ErrorIs(t, <-errs, msg.ErrOnWorker)
	notify := msg.NotifyFunc(func(msg.Connection, *msg.Message, error) {
		_, err := p.client.Call(context.Background(), p.conn, echo, nil)
		errs <- err
	})
	require.NoError(t, p.conn.Send(&msg.Message{Type: 1, Notify: notify}))
	require.ErrorIs(t, <-errs, msg.ErrOnWorker)

	// Go within what Go calls.
	again := make(chan error)
	p.client.Go(context.Background(), p.conn, echo, nil, func([]byte, error) {
		p.client.Go(context.Background(), p.conn, echo, nil, func(_ []byte, err error) { go func() { again <- err }() })
	})
	require.NoError(t, <-again)
}

func TestLoopback(t *testing.T) {
	p := newPair(t)
	c := p.server.Messenger().Loopback()
	for _, size := range []int{0, 64, 4096, 1 << 20} {
		req := make([]byte, size)
		reply, err := p.server.Call(timeout(t), c, echo, req)
		require.NoError(t, err)
		require.Len(t, reply, size)
	}
}

// TestTooManyCalls: the bounds, of a connection and of all.
func TestTooManyCalls(t *testing.T) {
	p := newPair(t, func(o *pairOptions) { o.client = rpc.Options{MaxCalls: 5, MaxCallsPerConn: 3} })
	release := make(chan struct{})
	require.NoError(t, p.server.HandleRaw(1, func(context.Context, *rpc.Request) ([]byte, error) {
		<-release
		return nil, nil
	}))
	require.NoError(t, p.client.HandleRaw(1, func(context.Context, *rpc.Request) ([]byte, error) {
		<-release
		return nil, nil
	}, rpc.Concurrent(8)))
	ends := make(chan error, 16)
	done := func(_ []byte, err error) { ends <- err }
	for range 3 {
		p.client.Go(context.Background(), p.conn, 1, nil, done)
	}
	_, err := p.client.Call(timeout(t), p.conn, echo, nil)
	require.ErrorIs(t, err, rpc.ErrTooManyCalls)
	for range 2 {
		p.client.Go(context.Background(), p.client.Messenger().Loopback(), 1, nil, done)
	}
	_, err = p.client.Call(timeout(t), p.client.Messenger().Loopback(), 1, nil)
	require.ErrorIs(t, err, rpc.ErrTooManyCalls)
	require.Equal(t, 5, p.client.Stats().Out)
	close(release)
	for range 5 {
		require.NoError(t, <-ends)
	}
	require.EqualValues(t, 2, p.client.Stats().TooManyCalls)
	_, err = p.client.Call(timeout(t), p.conn, echo, nil)
	require.NoError(t, err)
}

func TestForeignConnection(t *testing.T) {
	p := newPair(t)
	_, err := p.server.Call(timeout(t), p.conn, echo, nil)
	require.ErrorIs(t, err, msg.ErrForeign)
}

// TestBlockingCallGivesUp: contexts of the standard library end a blocking call.
func TestBlockingCallGivesUp(t *testing.T) {
	p := newPair(t)
	ended, child := make(chan error, 8), make(chan error, 1)
	require.NoError(t, p.server.HandleRaw(1, func(ctx context.Context, _ *rpc.Request) ([]byte, error) {
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}))
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		eventually(t, func() bool { return p.server.Stats().Running == 1 })
		cancel()
	}()
	_, err := p.client.Call(ctx, p.conn, 1, nil)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, <-ended, context.Canceled)

	ctx, cancel = context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = p.client.Call(ctx, p.conn, 1, nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	<-ended // by its deadline

	ctx, cancel = context.WithCancel(context.Background())
	got := make(chan error, 1)
	p.client.Go(ctx, p.conn, 1, nil, func(_ []byte, err error) { got <- err })
	cancel()
	require.ErrorIs(t, <-got, context.Canceled)
	p.client.Go(ctx, p.conn, 1, nil, func(_ []byte, err error) { got <- err })
	require.ErrorIs(t, <-got, context.Canceled)
	eventually(t, func() bool { return p.server.Stats().Running == 0 })

	// A context made of the handler's ends with it.
	require.NoError(t, p.server.HandleRaw(2, func(ctx context.Context, _ *rpc.Request) ([]byte, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		<-ctx.Done()
		child <- ctx.Err()
		return nil, nil
	}, rpc.Concurrent(1)))
	_, err = p.client.Call(timeout(t), p.conn, 2, nil, rpc.Timeout(20*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, <-child, context.DeadlineExceeded)
}

// TestShutdown: calls end with the messenger.
func TestShutdown(t *testing.T) {
	p := newPair(t)
	require.NoError(t, p.server.HandleRaw(1, func(ctx context.Context, _ *rpc.Request) ([]byte, error) {
		<-ctx.Done()
		return nil, nil
	}))
	errs := make(chan error, 1)
	p.client.Go(context.Background(), p.conn, 1, nil, func(_ []byte, err error) { errs <- err })
	eventually(t, func() bool { return p.server.Stats().Running == 1 })
	require.NoError(t, p.client.Messenger().Shutdown(timeout(t)))
	err := <-errs
	require.ErrorIs(t, err, rpc.ErrUndeliverable)
	require.ErrorIs(t, err, msg.ErrShutdown)
	_, err = p.client.Call(timeout(t), p.conn, echo, nil)
	require.ErrorIs(t, err, msg.ErrClosed)
}
