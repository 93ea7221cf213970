package stream

import (
	"testing"
	"time"

	"github.com/asyncmsgr/asyncmsgr/async"
	"github.com/asyncmsgr/asyncmsgr/async/asynctest"
	"github.com/asyncmsgr/asyncmsgr/async/msg"
	"github.com/asyncmsgr/asyncmsgr/eventloop/simnet"
	"github.com/stretchr/testify/require"
)

// TestPriority: what is written to a stream of a high priority gets past a megabyte that was
// written to another one before, in both directions.
func TestPriority(t *testing.T) {
	const bulk = 1 << 20
	s := newSim(t, simOptions{
		stream: Options{Window: 2 * bulk},
		Options: asynctest.Options{
			Config:  func(_ int, cfg *async.Config) { cfg.WriteBatch = 16 << 10 },
			Network: simnet.Config{Link: simnet.LinkConfig{Bandwidth: 10 << 20}},
		}})
	l := s.listen(1, "x")
	low := s.dial(0, 1, "x", WithPriority(msg.PriorityLow))
	lowA := accept(l)
	high := s.dial(0, 1, "x", WithPriority(msg.PriorityHigh))
	highA := accept(l)
	for _, x := range []struct{ low, lowTo, high, highTo *Conn }{{low, lowA, high, highA}, {lowA, low, highA, high}} {
		s.mustWrite(x.low, make([]byte, bulk))
		s.Run(time.Millisecond)
		s.mustWrite(x.high, []byte("urgent"))
		s.wantRead(x.highTo, "urgent")
		x.lowTo.mu.Lock()
		arrived := x.lowTo.in.unread()
		x.lowTo.mu.Unlock()
		require.Less(t, arrived, bulk/2, "of what was written before")
		s.wantRead(x.lowTo, string(make([]byte, bulk)))
	}
}
