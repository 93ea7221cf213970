package session

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/async/msg"
)

func (o *outbox) invariants() error {
	n := 0
	for i := range o.queue.levels {
		n += o.queue.levels[i].q.len()
	}
	if n != o.queue.n || o.resend < 0 || o.resend > o.sent.len() {
		return fmt.Errorf("%d of %d queued, %d of %d encoded", o.queue.n, n, o.resend, o.sent.len())
	}
	for i := 1; i < o.sent.len(); i++ {
		if a, b := o.sent.at(i-1).seq, o.sent.at(i).seq; b != a+1 {
			return fmt.Errorf("seq %d after %d", b, a)
		}
	}
	return nil
}

func TestOutbox(t *testing.T) {
	var o outbox
	for i := range 3 {
		o.sent.push(sending{m: &msg.Message{TID: uint64(i)}, seq: uint64(7 + i), end: uint64(100 * i)})
	}
	for i := range 2 {
		o.queue.push(&msg.Message{TID: uint64(10 + i), Priority: uint8(i)})
	}
	o.resend = 3
	require.NoError(t, o.invariants())

	o.rewind()
	require.Zero(t, o.resend)
	require.Zero(t, o.sent.at(2).end)
	require.Equal(t, uint64(9), o.sent.at(2).seq)

	n := numbers{out: 40}
	o.resend = 1
	o.renumber(&n)
	require.Zero(t, o.resend)
	require.Equal(t, []uint64{41, 42, 43}, []uint64{o.sent.at(0).seq, o.sent.at(1).seq, o.sent.at(2).seq})
	require.Equal(t, uint64(43), n.out)

	var tids []uint64
	o.reset(func(m *msg.Message) { tids = append(tids, m.TID) })
	require.Equal(t, []uint64{0, 1, 2, 11, 10}, tids, "what was encoded, then the urgent")
	require.Equal(t, outbox{}, o)
}
