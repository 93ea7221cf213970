package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPairings: each pair of policies connects, exchanges messages both ways and
// everything is finished.
func TestPairings(t *testing.T) {
	for _, p := range pairings {
		t.Run(p.name, func(t *testing.T) {
			w, a, b := pair(t, p)
			c := a.connectTo(b)
			for i := range 5 {
				c.sendMsg(message(uint64(i), 127, 100*i, i, 20*i))
			}
			w.runFor(time.Second)
			require.Equal(t, []uint64{0, 1, 2, 3, 4}, b.got)
			require.Len(t, b.open(), 1)
			require.Equal(t, p.lossy, c.s.Policy().Lossy)
			d := b.open()[0]
			d.send(7, 127, 5000)
			w.runFor(time.Second)
			require.Equal(t, []uint64{7}, a.got)
			require.Len(t, c.done, 5)
			require.Len(t, d.done, 1)
			require.Equal(t, []string{"Connected"}, c.events)
			require.Equal(t, []string{"Accepted"}, d.events)
			require.Equal(t, 0, c.s.Unacked()+d.s.Unacked()+c.s.Pending()+d.s.Pending())
		})
	}
}

// TestOneByteAtATime: how bytes are split makes no difference.
func TestOneByteAtATime(t *testing.T) {
	for _, p := range pairings {
		t.Run(p.name, func(t *testing.T) {
			w, a, b := pair(t, p)
			c := a.connectTo(b)
			c.sendMsg(message(1, 127, 10, 20, 30))
			c.sendMsg(message(2, 127, 0, 0, 9000))
			for range 100000 {
				ms := w.moves()
				if len(ms) == 0 {
					break
				}
				if m := ms[0]; m.kind == moveDeliver {
					w.deliver(m.end, 1)
				} else {
					w.do(m)
				}
			}
			require.Equal(t, []uint64{1, 2}, b.got)
			require.Len(t, c.done, 2)
		})
	}
}

// TestNarrowWindow: partial writes change nothing.
func TestNarrowWindow(t *testing.T) {
	for _, p := range pairings {
		for _, window := range []int{1, 7, 100, 4096} {
			t.Run(fmt.Sprintf("%s/%d", p.name, window), func(t *testing.T) {
				w, a, b := pair(t, p)
				a.window, b.window, a.limit = window, window, 300
				c := a.connectTo(b)
				for i := range 20 {
					c.sendMsg(message(uint64(i), 127, 10, 20, 100*i))
				}
				w.run(time.Second, 1e6)
				require.Len(t, b.got, 20)
				require.Len(t, c.done, 20)
				for _, err := range c.done {
					require.NoError(t, err)
				}
			})
		}
	}
}
