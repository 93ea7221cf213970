package session

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/asyncmsgr/asyncmsgr/connection/frame"
)

// TestBuffers: what was given back is used again, empty; and no more is kept than said.
func TestBuffers(t *testing.T) {
	var b Buffers
	x := b.Batch()
	x.AppendRaw([]byte("left"))
	b.PutBatch(x)
	require.Same(t, x, b.Batch())
	require.Zero(t, x.Len())
	for range batchesKept + 5 {
		b.PutBatch(new(frame.Batch))
	}
	require.Len(t, b.batches, batchesKept)

	o := b.getOutputs()
	o.list = append(o.list, Output{Kind: OutDial})
	o.head = 1
	b.putOutputs(o)
	require.Same(t, o, b.getOutputs())
	require.Zero(t, len(o.list)+o.head)
	b.putOutputs(&outputs{list: make([]Output, 0, outputsLen+1)})
	require.Empty(t, b.outputs, "it was a crowd")
	for range outputsKept + 5 {
		b.putOutputs(new(outputs))
	}
	require.Len(t, b.outputs, outputsKept)

	var none *Buffers
	none.PutBatch(none.Batch())
	none.putOutputs(none.getOutputs())
	require.Nil(t, none.messages())
}
