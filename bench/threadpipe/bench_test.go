package threadpipe

import (
	"sync/atomic"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async/entity"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/stretchr/testify/require"
)

// refill sends every answer back as the next request, until there were enough.
type refill struct {
	left atomic.Int64
	done chan struct{}
}

func (r *refill) CanFastDispatch(*msg.Message) bool { return true }
func (r *refill) FastDispatch(m *msg.Message)       { r.Dispatch(m) }

func (r *refill) Dispatch(m *msg.Message) bool {
	left := r.left.Add(-1)
	if left == 0 {
		close(r.done)
	}
	if left > 0 {
		m.ReleaseAfterSend()
		_ = m.Connection().Send(m)
	}
	return true
}

// BenchmarkEcho is for profiles: 16 connections with 64 requests of 64 B in flight,
// both ends in this process. To compare, there is msgrbench.
func BenchmarkEcho(b *testing.B) {
	msg.PoisonBuffers = false // the tests are over
	for _, threads := range []bool{false, true} {
		name := "goroutines"
		if threads {
			name = "threads"
		}
		b.Run(name, func(b *testing.B) {
			srv := newPipes(b, entity.OSD(0), msg.StatefulServer(), Config{Threads: threads})
			require.NoError(b, srv.Bind(local))
			srv.AddDispatcherTail(echo{true})
			require.NoError(b, srv.Start())
			r := &refill{done: make(chan struct{})}
			r.left.Store(int64(b.N))
			b.ReportAllocs()
			for i := range 16 {
				cl := newPipes(b, entity.Client(int64(i+1)), msg.LosslessClient(), Config{Threads: threads})
				cl.AddDispatcherTail(r)
				require.NoError(b, cl.Start())
				c := connect(b, cl, srv)
				for range 64 {
					require.NoError(b, c.Send(msg.New(1, 64)))
				}
			}
			<-r.done
		})
	}
}
