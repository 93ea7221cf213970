package session

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
)

// TestRekey: a connection whose keys are used up is made anew, by whoever can dial, and no
// message is lost, doubled or overtaken by it. In crc mode there is nothing to use up.
func TestRekey(t *testing.T) {
	for _, p := range pairings {
		for _, mode := range []uint32{auth.ModeCRC, auth.ModeSecure} {
			t.Run(p.name+"/"+auth.ModeName(mode), func(t *testing.T) {
				w, a, b := pair(t, p)
				for _, n := range w.nodes {
					useFake(fakeAuth{key: "secret", mode: mode})(n)
					n.cfg.RekeyUnits = rekeyUnitsMin
				}
				c := a.connectTo(b)
				const n = 100
				var want []uint64
				for i := range uint64(n) {
					c.send(i, 127, 100)
					want = append(want, i)
					if p.lossy && c.s.State() == StateClosed {
						break // after it
					}
					w.runFor(10 * time.Millisecond)
				}
				w.runFor(time.Second)
				faults := a.rekeys() + b.rekeys()
				switch {
				case mode == auth.ModeCRC:
					require.Zero(t, faults)
					require.Equal(t, want, b.got)
				case p.lossy:
					require.Equal(t, 1, c.rekeys(), "it is closed, and its node has forgotten it")
					require.Equal(t, want, b.got, "what was sent before arrived")
					require.Less(t, len(want), n)
				default:
					require.GreaterOrEqual(t, faults, 2)
					require.Equal(t, want, b.got)
					require.Len(t, c.done, n)
				}
			})
		}
	}
}

// rekeys is how often the node gave a connection up for its keys.
func (n *simNode) rekeys() (times int) {
	for _, c := range n.conns {
		times += c.rekeys()
	}
	return times
}

func (c *simConn) rekeys() (times int) {
	for _, err := range c.faults {
		if errors.Is(err, ErrRekey) {
			times++
		}
	}
	return times
}

// TestRekeyBytes: bytes are counted as well as units, on either side.
func TestRekeyBytes(t *testing.T) {
	for _, byServer := range []bool{false, true} {
		w, a, b := pair(t, pairing{client: msg.LosslessClient(), server: msg.StatefulServer()})
		for _, n := range w.nodes {
			useFake(fakeAuth{key: "secret", mode: auth.ModeSecure})(n)
		}
		by, other := a, b
		if byServer {
			by, other = b, a
		}
		by.cfg.RekeyBytes = rekeyBytesMin
		c := a.connectTo(b)
		for i := range uint64(20) {
			c.send(i, 127, 20_000)
			w.runFor(10 * time.Millisecond)
		}
		w.runFor(time.Second)
		require.Len(t, b.got, 20)
		require.GreaterOrEqual(t, by.rekeys(), 2)
		require.Zero(t, other.rekeys())
	}
}

// TestRekeyBounds: what cannot be meant is refused, and 0 is the most.
func TestRekeyBounds(t *testing.T) {
	for _, c := range []Config{
		{RekeyUnits: rekeyUnitsMin - 1}, {RekeyUnits: rekeyUnitsMax + 1},
		{RekeyBytes: rekeyBytesMin - 1}, {RekeyBytes: rekeyBytesMax + 1},
	} {
		require.ErrorContains(t, c.Check(), "Rekey")
	}
	c := Config{RekeyUnits: rekeyUnitsMin, RekeyBytes: rekeyBytesMin}
	require.NoError(t, c.Check())
	c = Config{}.WithDefaults()
	require.Equal(t, uint64(1<<32), c.RekeyUnits)
	require.Equal(t, uint64(1<<38), c.RekeyBytes)
}
