package session

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/connection/auth"
	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// largeBody is two ready nodes, of which the first has sent a large message; b are
// its bytes, all of them.
func largeBody(t *testing.T, mode uint32) (w *world, d *simConn, b []byte) {
	f := useFake(fakeAuth{key: "secret", mode: mode})
	w = &world{t: t}
	a, n := w.node(1, msg.LosslessPeer(), f), w.node(2, msg.LosslessPeer(), f)
	c := a.connectTo(n)
	w.runFor(time.Second)
	d = n.open()[0]
	require.True(t, c.isReady() && d.isReady())
	c.sendMsg(message(5, 127, 100, 0, 200<<10))
	for _, p := range d.end.in {
		b = append(b, p...)
	}
	d.end.in, d.end.inBytes = nil, 0
	return w, d, b
}

// direct gives b to the session as a shell does that receives into ReadInto: 8 KiB,
// and then pieces of at most that many bytes. It returns how many bytes were received
// directly, and calls each before each piece.
func (c *simConn) direct(b []byte, piece int, each func()) (direct int) {
	for len(b) > 0 && c.s.State() == StateReady {
		each()
		now, n := c.n.w.now, 0
		if room := c.s.ReadInto(); room != nil {
			n = copy(room[:min(len(room), piece)], b)
			direct += n
			c.s.HandleDirect(now, n)
		} else {
			n = c.s.HandleBytes(now, b[:min(len(b), 8<<10)])
		}
		b = b[n:]
		c.settle()
	}
	return direct
}

var directModes = map[string]uint32{"crc": auth.ModeCRC, "secure": auth.ModeSecure}

// TestSlowLargeBody: what is received directly is a sign of life like any other: a
// payload that takes longer than IdleTimeout is no fault while it goes on, and is
// one when it stops.
func TestSlowLargeBody(t *testing.T) {
	for name, mode := range directModes {
		for _, stops := range []bool{false, true} {
			w, d, b := largeBody(t, mode)
			d.n.cfg.IdleTimeout = 10 * time.Second
			began := w.now
			tick := func() {
				w.now += 8 * time.Second
				d.s.HandleTimeout(w.now)
				d.settle()
			}
			if stops {
				b = b[:len(b)-1000]
			}
			require.Greater(t, d.direct(b, 8<<10, tick), 150<<10, "%s: hardly anything was received directly", name)
			require.Greater(t, w.now-began, 100*time.Second)
			require.Empty(t, d.faults, name)
			if stops {
				tick()
				require.Empty(t, d.faults, name)
				tick()
				require.ErrorIs(t, d.faults[0], ErrIdleTimeout, name)
				require.Empty(t, d.got)
			} else {
				require.Equal(t, []uint64{5}, d.got, name)
			}
			require.Zero(t, d.admitted)
		}
	}
}

// TestFlippedLargeBody: a bit that changes in what is received directly is found,
// whether the last piece completes the message or not, and the message never seen.
func TestFlippedLargeBody(t *testing.T) {
	for name, mode := range directModes {
		_, _, whole := largeBody(t, mode)
		for _, piece := range []int{8 << 10, len(whole)} {
			for _, at := range []int{20 << 10, 100 << 10, len(whole) - 6<<10, len(whole) - 1000, len(whole) - 3, -1} {
				_, d, b := largeBody(t, mode)
				if at >= 0 {
					b[at] ^= 0x10
				}
				require.Greater(t, d.direct(b, piece, func() {}), 150<<10, name)
				require.Zero(t, d.admitted, "%s: what was taken for it goes back", name)
				require.Nil(t, d.s.ReadInto())
				if at < 0 {
					require.Empty(t, d.faults)
					require.Equal(t, []uint64{5}, d.got, "%s, pieces of %d", name, piece)
					continue
				}
				require.Len(t, d.faults, 1, "%s, pieces of %d: byte %d of %d", name, piece, at, len(b))
				require.ErrorIs(t, d.faults[0], ErrProtocol)
				want := frame.ErrCRC
				if mode == auth.ModeSecure {
					want = frame.ErrCipher
				}
				require.ErrorIs(t, d.faults[0], want)
				require.Empty(t, d.got)
				require.Zero(t, d.s.InSeq())
			}
		}
	}
}

// TestFlippedWholeMessage: messages of one size, which are taken as a whole, one
// after the other; any bit of one that changes on the way is found, the connection
// is made anew, and each message arrives once, in order, as it was sent.
func TestFlippedWholeMessage(t *testing.T) {
	flip := func(bit int) (d *simConn, size int) {
		w := &world{t: t}
		a, n := w.node(1, msg.LosslessClient(), clientOnly), w.node(2, msg.StatefulServer())
		c := a.connectTo(n)
		w.runFor(time.Second)
		d = n.open()[0]
		w.alter = func(_ *wireEnd, b []byte) []byte {
			w.alter = nil
			if size = len(b) / 3; bit >= 0 {
				b[size+bit/8] ^= 1 << (bit % 8)
			}
			return b
		}
		for id := range uint64(3) {
			c.s.Send(w.now, message(id+1, 127, 20, 10, 30))
		}
		c.settle()
		w.deliverAll(d.end) // at once
		w.runFor(time.Minute)
		require.Equal(t, []uint64{1, 2, 3}, n.got, "bit %d", bit)
		require.Zero(t, d.admitted)
		return d, size
	}
	d, size := flip(-1)
	require.Empty(t, d.faults)
	reserved := 0
	for bit := range 8 * size {
		if d, _ = flip(bit); len(d.faults) == 0 {
			reserved++ // of the late status
			continue
		}
		require.ErrorIs(t, d.faults[0], ErrProtocol, "bit %d", bit)
		for _, err := range d.faults[1:] { // the peer comes again
			require.ErrorIs(t, err, ErrReplaced)
		}
	}
	require.Equal(t, 4, reserved)
}
