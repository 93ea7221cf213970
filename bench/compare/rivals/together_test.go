//go:build linux && (amd64 || arm64 || loong64)

package rivals

import (
	"sync/atomic"
	"testing"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/connection"
	"github.com/stretchr/testify/require"
)

// TestTogether: answers come, and both ends of each connection are on the worker that was
// asked for. The loads stop by themselves: each connection sends so many requests.
func TestTogether(t *testing.T) {
	const workers, conns, requests = 3, 7, 50
	for _, fast := range []bool{true, false} {
		for _, apart := range []bool{false, true} {
			c, err := Together(fast, workers, apart)
			require.NoError(t, err)
			var left atomic.Int64
			left.Store(conns * requests)
			done := make(chan struct{})
			var sent [conns]atomic.Int64
			require.NoError(t, c.Connect(conns, func(conn, slot int) {
				if sent[conn].Add(1) <= requests {
					if err := c.Send(conn, slot, []byte("x")); err != nil {
						t.Error(err)
					}
				}
				if left.Add(-1) == 0 {
					close(done)
				}
			}))
			for conn := range conns {
				sent[conn].Add(1)
				require.NoError(t, c.Send(conn, 1, []byte("x")))
			}
			<-done
			shift := 0
			if apart {
				shift = 1
			}
			both := c.(*together)
			for i, client := range both.clients {
				own := client.(*messengerClient).conns[0].(*connection.Conn)
				require.Equal(t, i%workers, own.Worker().ID())
			}
			server := both.server.(messengerServer)[0].(*async.Messenger)
			ids := make([]int, workers)
			for x := range server.Connections() {
				ids[x.(*connection.Conn).Worker().ID()]++
			}
			want := make([]int, workers)
			for i := range conns {
				want[(i+shift)%workers]++
			}
			require.Equal(t, want, ids)
			require.NoError(t, c.Stop())
		}
	}
}
